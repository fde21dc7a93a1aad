// dwell_tap_fifo: 2**DEPTH_LOG2 places in a memory and one in the output register.
//
// The memory is read into its own output register, so that a deep one can be block RAM. A beat takes
// 2 clocks through an empty FIFO. `level` counts the beats in the memory, without the output register.
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
    output reg  [DEPTH_LOG2:0] level
);

    localparam DEPTH = 1 << DEPTH_LOG2;
    localparam [DEPTH_LOG2:0] FULL = {1'b1, {DEPTH_LOG2{1'b0}}};
    localparam [DEPTH_LOG2:0] NONE = {(DEPTH_LOG2 + 1) {1'b0}};
    localparam [DEPTH_LOG2:0] ONE  = {{DEPTH_LOG2{1'b0}}, 1'b1};

    reg [      BITS-1:0] memory [0:DEPTH-1];
    reg [DEPTH_LOG2-1:0] head;  // next place to read
    reg [DEPTH_LOG2-1:0] tail;  // next place to write

    wire put  = s_valid & s_ready;
    wire load = ~m_valid | m_ready;
    wire get  = load & (level != NONE);

    assign s_ready = level != FULL;

    always @(posedge clk) begin
        if (!rst_n) begin
            head    <= {DEPTH_LOG2{1'b0}};
            tail    <= {DEPTH_LOG2{1'b0}};
            level   <= NONE;
            m_valid <= 1'b0;
        end else begin
            if (put) tail <= tail + 1'b1;
            if (get) head <= head + 1'b1;
            if (put & ~get) level <= level + ONE;
            else if (get & ~put) level <= level - ONE;
            if (load) m_valid <= get;
        end
    end

    always @(posedge clk) begin
        if (put) memory[tail] <= s_data;
        if (get) m_data <= memory[head];
    end

endmodule

`default_nettype wire
