// A 3x3 correlation on a stream of 8-bit pixels, small enough to be read at a glance.
// One decision a clock, at most DEPTH of them in flight, frames of any size up to MAX_WIDTH columns.
`default_nettype none

module box3 #(
    parameter MAX_WIDTH = 32, // longest line, pixels
    parameter ADDR_BITS = 5,  // enough to count MAX_WIDTH pixels
    parameter DEPTH_LOG2 = 3  // output FIFO: 2**DEPTH_LOG2 decisions
) (
    input  wire        aclk,
    input  wire        aresetn,
    input  wire [7:0]  s_axis_tdata,
    input  wire        s_axis_tvalid,
    output wire        s_axis_tready,
    input  wire        s_axis_tlast,
    input  wire        s_axis_tuser,
    output wire [15:0] m_axis_tdata,
    output wire        m_axis_tvalid,
    input  wire        m_axis_tready,
    output wire        m_axis_tlast,
    output wire        m_axis_tuser
);
    localparam DEPTH = 1 << DEPTH_LOG2;
    localparam [DEPTH_LOG2:0] FULL = {1'b1, {DEPTH_LOG2{1'b0}}};

    // Credits: a pixel is taken only if the FIFO has room for all that is on its way.
    reg [DEPTH_LOG2:0] in_flight;
    wire take = s_axis_tvalid && s_axis_tready;
    wire give = m_axis_tvalid && m_axis_tready;
    assign s_axis_tready = in_flight != FULL;

    // Where the pixel lies; a first pixel starts again from the corner, whatever went before.
    reg [ADDR_BITS-1:0] next_col;
    reg [1:0] next_row; // stops at 2
    wire [ADDR_BITS-1:0] col = s_axis_tuser ? {ADDR_BITS{1'b0}} : next_col;
    wire [1:0] row = s_axis_tuser ? 2'd0 : next_row;
    wire decides = (row == 2'd2) && (col >= 2);

    reg [7:0] line1 [0:MAX_WIDTH-1];
    reg [7:0] line2 [0:MAX_WIDTH-1];
    reg [7:0] a0, a1, a2, b0, b1, b2, c0, c1, c2; // oldest line a, oldest column 0
    reg first_decision; // the next decision is the first of its frame
    reg v1, u1, l1, v2, u2, l2;
    reg signed [15:0] sum;

    always @(posedge aclk) begin
        if (take) begin
            a0 <= a1; a1 <= a2; a2 <= line2[col];
            b0 <= b1; b1 <= b2; b2 <= line1[col];
            c0 <= c1; c1 <= c2; c2 <= s_axis_tdata;
            line2[col] <= line1[col];
            line1[col] <= s_axis_tdata;
        end
        u1 <= first_decision || s_axis_tuser;
        l1 <= s_axis_tlast;
        sum <= $signed({8'd0, a0}) + ($signed({8'd0, a1}) <<< 1) - $signed({8'd0, a2})
             + ($signed({8'd0, b0}) <<< 2) - ($signed({8'd0, b1}) <<< 3) + $signed({8'd0, b2})
             - $signed({8'd0, c0}) + $signed({8'd0, c1}) + ($signed({8'd0, c2}) <<< 1) - 16'sd37;
        u2 <= u1;
        l2 <= l1;
    end

    always @(posedge aclk) begin
        if (!aresetn) begin
            next_col <= {ADDR_BITS{1'b0}};
            next_row <= 2'd0;
            first_decision <= 1'b1;
            v1 <= 1'b0;
            v2 <= 1'b0;
            in_flight <= {(DEPTH_LOG2 + 1){1'b0}};
        end else begin
            v1 <= take && decides;
            v2 <= v1;
            if (take) begin
                next_col <= s_axis_tlast ? {ADDR_BITS{1'b0}} : col + 1'b1;
                next_row <= s_axis_tlast && (row != 2'd2) ? row + 2'd1 : row;
                if (decides) first_decision <= 1'b0;
                else if (s_axis_tuser) first_decision <= 1'b1;
            end
            case ({take && decides, give})
                2'b10: in_flight <= in_flight + 1'b1;
                2'b01: in_flight <= in_flight - 1'b1;
                default: in_flight <= in_flight;
            endcase
        end
    end

    reg [17:0] fifo [0:DEPTH-1];
    reg [DEPTH_LOG2:0] head, tail;
    assign m_axis_tvalid = head != tail;
    assign {m_axis_tuser, m_axis_tlast, m_axis_tdata} = fifo[tail[DEPTH_LOG2-1:0]];
    always @(posedge aclk) begin
        if (v2) fifo[head[DEPTH_LOG2-1:0]] <= {u2, l2, sum};
        if (!aresetn) begin
            head <= {(DEPTH_LOG2 + 1){1'b0}};
            tail <= {(DEPTH_LOG2 + 1){1'b0}};
        end else begin
            if (v2) head <= head + 1'b1;
            if (give) tail <= tail + 1'b1;
        end
    end
endmodule

`default_nettype wire
