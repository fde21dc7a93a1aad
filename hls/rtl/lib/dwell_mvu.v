// dwell_mvu: matrix times vector, PE outputs and SIMD inputs of each at a time.
//
// A vector of K = SF * SIMD elements gives N = NF * PE sums in R = SF * NF clocks: for each of the NF output
// folds the SF input folds in turn. Outputs nf * PE .. nf * PE + PE - 1 come out together, every SF clocks.
//
// Weights and start values (biases) lie outside. weight_address is {bank, nf * SF + sf}; the word must be
// there two clocks later (SIMD weights of the fold's first output lowest). start_address is {bank, nf}; its
// PE start values must be there one clock later.
//
// Once a vector is started it runs without a stall: `room` says that a whole vector's results will find a
// place, `start` that a vector has been started, one of the next R clocks of which is `step`.
// Latency: from `start` to the first out_valid SF + LATENCY clocks, LATENCY = 4 + ceil(log2(SIMD) / LEVELS).
`default_nettype none

module dwell_mvu #(
    parameter SIMD     = 4,
    parameter PE       = 2,
    parameter SF       = 6,
    parameter NF       = 4,
    parameter IN_LANES = 6,   // elements of a beat, a divisor of K
    parameter WORD     = 12,  // least common multiple of IN_LANES and SIMD
    parameter SLOTS    = 2,   // input vectors with a place, a power of two
    parameter A_BITS   = 8,   // bits of an element
    parameter A_SIGNED = 0,   // 1: two's complement
    parameter W_BITS   = 4,   // the same for weights
    parameter W_SIGNED = 1,
    parameter UP       = 0,   // places that products lie above the sums' lowest bit
    parameter ACC_BITS = 20,  // bits of a sum
    parameter ROWS     = 0,   // 1: products in logic
    parameter LEVELS   = 2,   // levels of the adder tree between two registers
    parameter R_BITS   = (SF * NF > 1) ? $clog2(SF * NF) : 1,
    parameter N_BITS   = (NF > 1) ? $clog2(NF) : 1
) (
    input  wire                        clk,
    input  wire                        rst_n,
    input  wire                        in_valid,
    output wire                        in_ready,
    input  wire                        in_first,
    input  wire                        in_last,
    input  wire                        in_bank,
    input  wire [ IN_LANES*A_BITS-1:0] in_data,
    input  wire                        room,
    output wire                        start,
    output wire [            R_BITS:0] weight_address,
    input  wire [SIMD*PE*W_BITS-1:0]   weight_word,
    output wire [            N_BITS:0] start_address,
    input  wire [     PE*ACC_BITS-1:0] start_word,
    output wire                        out_valid,
    output wire                        out_first,  // first fold of a vector that was marked first
    output wire                        out_last,   // last fold of a vector that was marked last
    output wire                        out_bank,
    output wire [          N_BITS-1:0] out_fold,   // number of the output fold
    output wire [     PE*ACC_BITS-1:0] out_data
);

    localparam DEPTH     = (SIMD > 1) ? $clog2(SIMD) : 0;
    localparam TREE      = (DEPTH + LEVELS - 1) / LEVELS;
    localparam K         = SF * SIMD;
    localparam WORD_BITS = (K > WORD) ? $clog2(K / WORD) : 1;
    localparam PICK_BITS = (WORD > SIMD) ? $clog2(WORD / SIMD) : 1;
    localparam PARTS     = WORD / SIMD;
    localparam WORDS     = K / WORD;
    localparam [31:0] PART_END = PARTS - 1, WORD_END = WORDS - 1, FOLD_END = NF - 1;

    // ---- the folds in turn
    reg                  step;     // this clock is a fold
    reg  [PICK_BITS-1:0] pick;     // part of the word
    reg  [WORD_BITS-1:0] word;     // word of the vector
    reg  [   N_BITS-1:0] fold;     // output fold
    reg  [   R_BITS-1:0] address;  // nf * SF + sf
    reg                  begins;   // first input fold

    wire at_part = pick == PART_END[PICK_BITS-1:0];
    wire at_word = at_part & (word == WORD_END[WORD_BITS-1:0]);  // last input fold
    wire at_end  = at_word & (fold == FOLD_END[N_BITS-1:0]);
    wire finish  = step & at_end;
    wire full;

    assign start = full & room & (~step | at_end);

    always @(posedge clk) begin
        if (!rst_n) step <= 1'b0;
        else step <= start | (step & ~at_end);
        if (start) begin
            pick    <= {PICK_BITS{1'b0}};
            word    <= {WORD_BITS{1'b0}};
            fold    <= {N_BITS{1'b0}};
            address <= {R_BITS{1'b0}};
            begins  <= 1'b1;
        end else begin
            pick    <= at_part ? {PICK_BITS{1'b0}} : pick + 1'b1;
            if (at_part) word <= at_word ? {WORD_BITS{1'b0}} : word + 1'b1;
            if (at_word) fold <= fold + 1'b1;
            address <= address + 1'b1;
            begins  <= at_word;
        end
    end

    // ---- the vector
    wire                   first, last, bank;
    wire [SIMD*A_BITS-1:0] x;
    dwell_vector_buffer #(
        .BITS(A_BITS), .SIZE(K), .IN_LANES(IN_LANES), .OUT_LANES(SIMD), .WORD(WORD), .SLOTS(SLOTS)
    ) u_vectors (
        .clk(clk), .rst_n(rst_n),
        .in_valid(in_valid), .in_ready(in_ready), .in_first(in_first), .in_last(in_last), .in_bank(in_bank),
        .in_data(in_data), .full(full), .start(start), .word(word), .pick(pick), .finish(finish),
        .first(first), .last(last), .bank(bank), .data(x)
    );

    assign weight_address = {bank, address};

    // ---- marks beside the arithmetic: at the start values' memory, at the accumulator, at the result
    wire [N_BITS-1:0] fold_1;
    wire              bank_1, first_1, last_1, begins_1, ends_1;
    dwell_delay #(.BITS(N_BITS + 5), .DEPTH(2 + TREE)) u_marks (
        .clk(clk), .rst_n(rst_n),
        .d({begins, at_word, first & (fold == {N_BITS{1'b0}}), last & at_end, bank, fold}),
        .q({begins_1, ends_1, first_1, last_1, bank_1, fold_1})
    );
    assign start_address = {bank_1, fold_1};

    reg begins_2;
    always @(posedge clk) begins_2 <= begins_1;
    dwell_delay #(.BITS(1), .DEPTH(4 + TREE), .RESET(1)) u_valid (
        .clk(clk), .rst_n(rst_n), .d(step & at_word), .q(out_valid)
    );
    dwell_delay #(.BITS(N_BITS + 3), .DEPTH(2)) u_out (
        .clk(clk), .rst_n(rst_n), .d({first_1, last_1, bank_1, fold_1}), .q({out_first, out_last, out_bank, out_fold})
    );
    wire unused_ends = &{1'b0, ends_1};

    genvar p;
    generate
        for (p = 0; p < PE; p = p + 1) begin : g_pe
            dwell_dot #(
                .SIMD(SIMD), .A_BITS(A_BITS), .A_SIGNED(A_SIGNED), .W_BITS(W_BITS), .W_SIGNED(W_SIGNED),
                .UP(UP), .ACC_BITS(ACC_BITS), .ROWS(ROWS), .LEVELS(LEVELS)
            ) u_dot (
                .clk(clk), .x(x), .w(weight_word[p*SIMD*W_BITS+:SIMD*W_BITS]), .first(begins_2),
                .start(start_word[p*ACC_BITS+:ACC_BITS]), .sum(out_data[p*ACC_BITS+:ACC_BITS])
            );
        end
    endgenerate

endmodule

`default_nettype wire
