// dwell_word_fifo: a small first-word-fall-through FIFO in registers or distributed memory.
//
// A word written in one clock can be read in the next. `level` counts the words inside.
`default_nettype none

module dwell_word_fifo #(
    parameter BITS       = 8,  // bits of a word
    parameter DEPTH_LOG2 = 2   // log2 of the places
) (
    input  wire                clk,
    input  wire                rst_n,
    input  wire                s_valid,
    output wire                s_ready,
    input  wire [    BITS-1:0] s_data,
    output wire                m_valid,
    input  wire                m_ready,
    output wire [    BITS-1:0] m_data,
    output wire [DEPTH_LOG2:0] level
);

    localparam DEPTH = 1 << DEPTH_LOG2;
    localparam [DEPTH_LOG2:0] FULL = {1'b1, {DEPTH_LOG2{1'b0}}};
    localparam [DEPTH_LOG2:0] ONE  = {{DEPTH_LOG2{1'b0}}, 1'b1};

    reg  [    BITS-1:0] memory [0:DEPTH-1];
    reg  [DEPTH_LOG2:0] head;  // next place to read
    reg  [DEPTH_LOG2:0] tail;  // next place to write
    reg  [DEPTH_LOG2:0] used;
    wire                push = s_valid & s_ready;
    wire                pull = m_valid & m_ready;

    assign s_ready = used != FULL;
    assign m_valid = used != {(DEPTH_LOG2 + 1) {1'b0}};
    assign m_data  = memory[head[DEPTH_LOG2-1:0]];
    assign level   = used;

    always @(posedge clk) begin
        if (!rst_n) begin
            head <= {(DEPTH_LOG2 + 1) {1'b0}};
            tail <= {(DEPTH_LOG2 + 1) {1'b0}};
            used <= {(DEPTH_LOG2 + 1) {1'b0}};
        end else begin
            if (push) tail <= tail + ONE;
            if (pull) head <= head + ONE;
            if (push & ~pull) used <= used + ONE;
            else if (pull & ~push) used <= used - ONE;
        end
        if (push) memory[tail[DEPTH_LOG2-1:0]] <= s_data;
    end

    // The top bit of the pointers only keeps their arithmetic simple.
    wire unused = &{1'b0, head[DEPTH_LOG2], tail[DEPTH_LOG2]};

endmodule

`default_nettype wire
