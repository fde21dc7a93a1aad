// dwell_weight_stream: the words of a weight memory as a stream, for each frame those of its bank.
//
// A bank is pushed for every frame that begins. The words of a frame, DEPTH of them ROUNDS times over, follow
// when those of the frame before are out and its bank is there; never a word of a frame that has not begun. So
// all weights of a frame are of one bank, and none is read before that is chosen.
// Outside: a memory that gives `word` READS clocks after `address`. Without stalls a word every clock.
`default_nettype none

module dwell_weight_stream #(
    parameter BITS         = 8,  // of a word
    parameter DEPTH        = 4,  // words
    parameter ADDRESS_BITS = 2,  // of a word's number, at least 1
    parameter ROUNDS       = 1,  // how often a frame needs all words
    parameter READS        = 2,  // clocks to read a word, 1 or 2
    parameter FRAMES       = 8   // frames whose bank can wait
) (
    input  wire                  clk,
    input  wire                  rst_n,
    input  wire                  push,     // a frame begins: only while `room`
    input  wire                  bank,
    output wire                  room,
    output wire [ADDRESS_BITS:0] address,  // bank, number of the word
    input  wire       [BITS-1:0] word,
    output wire                  m_valid,
    input  wire                  m_ready,
    output wire       [BITS-1:0] m_data
);

    localparam                      ROUND_BITS = (ROUNDS > 1) ? $clog2(ROUNDS) : 1;
    localparam               [31:0] END_32 = DEPTH - 1, ROUND_END_32 = ROUNDS - 1;
    localparam [ADDRESS_BITS-1:0]   END        = END_32[ADDRESS_BITS-1:0];
    localparam   [ROUND_BITS-1:0]   ROUND_END  = ROUND_END_32[ROUND_BITS-1:0];

    reg  [ADDRESS_BITS-1:0] place;
    reg    [ROUND_BITS-1:0] round;
    wire                    due, due_bank, ready, accept, done;
    wire                    whole = place == END;
    wire                    last  = whole & (round == ROUND_END);

    dwell_fifo #(.BITS(1), .DEPTH(FRAMES)) u_banks (
        .clk(clk), .rst_n(rst_n), .s_valid(push), .s_ready(room), .s_data(bank),
        .m_valid(due), .m_ready(accept & last), .m_data(due_bank)
    );

    assign address = {due_bank, place};

    always @(posedge clk) begin
        if (!rst_n) begin
            place <= {ADDRESS_BITS{1'b0}};
            round <= {ROUND_BITS{1'b0}};
        end else if (accept) begin
            place <= whole ? {ADDRESS_BITS{1'b0}} : place + 1'b1;
            if (whole) round <= last ? {ROUND_BITS{1'b0}} : round + 1'b1;
        end
    end

    dwell_delay #(.BITS(1), .DEPTH(READS), .RESET(1)) u_read (.clk(clk), .rst_n(rst_n), .d(accept), .q(done));

    dwell_credit_fifo #(.BITS(BITS), .LATENCY(READS), .DEPTH_LOG2(3)) u_words (
        .clk(clk), .rst_n(rst_n), .s_valid(due), .s_ready(ready), .accept(accept),
        .out_valid(done), .out_data(word),
        .m_valid(m_valid), .m_ready(m_ready), .m_data(m_data)
    );

    wire unused = &{1'b0, ready};

endmodule

`default_nettype wire
