// dwell_tap_fifo: 2**DEPTH_LOG2 places in a memory and two in the registers behind it.
//
// The memory is read into its own output register, so that a deep one can be block RAM; as that is slow,
// there is one more before the outside. A beat takes 3 clocks through an empty FIFO. `level` counts the
// beats in the memory alone.
`default_nettype none

module dwell_tap_fifo #(
    parameter BITS       = 8,  // bits of a beat
    parameter DEPTH_LOG2 = 4   // log2 of the memory's places
) (
    input  wire                clk,
    input  wire                rst_n,
    input  wire                s_valid,
    output wire                s_ready,
    input  wire [    BITS-1:0] s_data,
    output reg                 m_valid,
    input  wire                m_ready,
    output reg  [    BITS-1:0] m_data,
    output reg  [DEPTH_LOG2:0] level,
    output wire                busy     // there is a beat anywhere in here
);

    localparam DEPTH = 1 << DEPTH_LOG2;
    localparam [DEPTH_LOG2:0] FULL = {1'b1, {DEPTH_LOG2{1'b0}}};
    localparam [DEPTH_LOG2:0] NONE = {(DEPTH_LOG2 + 1) {1'b0}};
    localparam [DEPTH_LOG2:0] ONE  = {{DEPTH_LOG2{1'b0}}, 1'b1};

    reg [      BITS-1:0] memory [0:DEPTH-1];
    reg [DEPTH_LOG2-1:0] head;  // next place to read
    reg [DEPTH_LOG2-1:0] tail;  // next place to write

    reg  [     BITS-1:0] read;  // what the memory gave
    reg                  have;  // `read` holds a beat

    wire put   = s_valid & s_ready;
    wire leave = ~m_valid | m_ready;              // the output register is free
    wire get   = (~have | leave) & (level != NONE);

    assign s_ready = level != FULL;
    assign busy    = m_valid | have | (level != NONE);

    always @(posedge clk) begin
        if (!rst_n) begin
            head    <= {DEPTH_LOG2{1'b0}};
            tail    <= {DEPTH_LOG2{1'b0}};
            level   <= NONE;
            have    <= 1'b0;
            m_valid <= 1'b0;
        end else begin
            if (put) tail <= tail + 1'b1;
            if (get) head <= head + 1'b1;
            if (put & ~get) level <= level + ONE;
            else if (get & ~put) level <= level - ONE;
            have <= get | (have & ~leave);
            if (leave) m_valid <= have;
        end
    end

    always @(posedge clk) begin
        if (put) memory[tail] <= s_data;
        if (get) read <= memory[head];
        if (leave) m_data <= read;
    end

endmodule

`default_nettype wire
