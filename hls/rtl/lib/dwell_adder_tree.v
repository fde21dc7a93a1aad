// dwell_adder_tree: the sum of COUNT terms, exactly, in DEPTH levels of adders. Instantiates itself.
//
// A register follows every LEVELS levels, counted from the terms, and the root: the latency is
// ceil(DEPTH / LEVELS) clocks for every term. What a missing term would add is left out.
`default_nettype none

module dwell_adder_tree #(
    parameter COUNT  = 5,  // terms, at most 2**DEPTH
    parameter BITS   = 8,  // bits of a term
    parameter SIGNED = 1,  // 1: two's complement
    parameter DEPTH  = 3,  // levels, 0 is a wire
    parameter LEVELS = 2,  // levels between two registers
    parameter ROOT   = 1   // 1: of the whole tree
) (
    input  wire                  clk,
    input  wire [COUNT*BITS-1:0] terms,
    output wire [BITS+DEPTH-1:0] sum
);

    generate
        if (DEPTH == 0) begin : g_leaf
            assign sum = terms;
            wire unused_clock = &{1'b0, clk};
        end else begin : g_node
            localparam HALF  = 1 << (DEPTH - 1);
            localparam FIRST = (COUNT < HALF) ? COUNT : HALF;
            localparam REST  = COUNT - FIRST;
            localparam SUB   = BITS + DEPTH - 1;
            wire [      SUB-1:0] left;
            wire [BITS+DEPTH-1:0] left_wide;
            wire [BITS+DEPTH-1:0] total;
            dwell_adder_tree #(
                .COUNT(FIRST), .BITS(BITS), .SIGNED(SIGNED), .DEPTH(DEPTH - 1), .LEVELS(LEVELS), .ROOT(0)
            ) u_left (.clk(clk), .terms(terms[FIRST*BITS-1:0]), .sum(left));
            dwell_extend #(.IN_BITS(SUB), .IN_SIGNED(SIGNED), .UP(0), .OUT_BITS(BITS + DEPTH)) u_left_wide (
                .a(left), .y(left_wide)
            );
            if (REST > 0) begin : g_both
                wire [      SUB-1:0] right;
                wire [BITS+DEPTH-1:0] right_wide;
                dwell_adder_tree #(
                    .COUNT(REST), .BITS(BITS), .SIGNED(SIGNED), .DEPTH(DEPTH - 1), .LEVELS(LEVELS), .ROOT(0)
                ) u_right (.clk(clk), .terms(terms[COUNT*BITS-1:FIRST*BITS]), .sum(right));
                dwell_extend #(.IN_BITS(SUB), .IN_SIGNED(SIGNED), .UP(0), .OUT_BITS(BITS + DEPTH)) u_right_wide (
                    .a(right), .y(right_wide)
                );
                assign total = left_wide + right_wide;
            end else begin : g_left
                assign total = left_wide;
            end
            if (ROOT != 0 || DEPTH % LEVELS == 0) begin : g_register
                reg [BITS+DEPTH-1:0] held;
                always @(posedge clk) held <= total;
                assign sum = held;
            end else begin : g_through
                assign sum = total;
                wire unused_clock = &{1'b0, clk};
            end
        end
    endgenerate

endmodule

`default_nettype wire
