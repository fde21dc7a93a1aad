// dwell_dot: one dot product at a time, SIMD products a clock.
//
// Products, an adder tree, an accumulator; nothing is ever rounded. The accumulator begins with `start`,
// which carries the bias. Sums are right modulo 2**ACC_BITS, so whatever they pass on the way, the last one
// is right when it fits.
//
// Latency: x and w at a clock edge; LATENCY edges later the accumulator holds their part, where
// LATENCY = 2 + TREE and TREE = ceil(log2(SIMD) / LEVELS). `first` and `start` belong to the accumulator:
// they come LATENCY - 1 clocks after the x and w that they go with.
`default_nettype none

module dwell_dot #(
    parameter SIMD     = 4,   // products a clock
    parameter A_BITS   = 8,   // bits of an input
    parameter A_SIGNED = 0,   // 1: two's complement
    parameter W_BITS   = 4,   // the same for a weight
    parameter W_SIGNED = 1,
    parameter UP       = 0,   // places that products lie above the accumulator's lowest bit
    parameter ACC_BITS = 20,  // bits of the accumulator
    parameter ROWS     = 0,   // 1: products in logic, see dwell_multiply
    parameter LEVELS   = 2    // levels of the tree between two registers
) (
    input  wire                   clk,
    input  wire [SIMD*A_BITS-1:0] x,
    input  wire [SIMD*W_BITS-1:0] w,
    input  wire                   first,  // begin with `start`
    input  wire [   ACC_BITS-1:0] start,
    output reg  [   ACC_BITS-1:0] sum
);

    localparam DEPTH    = (SIMD > 1) ? $clog2(SIMD) : 0;
    localparam P_BITS   = A_BITS + W_BITS;
    localparam P_SIGNED = (A_SIGNED != 0 || W_SIGNED != 0) ? 1 : 0;
    localparam T_BITS   = P_BITS + DEPTH;  // of the tree's root

    reg  [SIMD*P_BITS-1:0] products;
    wire [SIMD*P_BITS-1:0] fresh;
    wire [     T_BITS-1:0] total;

    genvar i;
    generate
        for (i = 0; i < SIMD; i = i + 1) begin : g_product
            dwell_multiply #(
                .A_BITS(A_BITS), .A_SIGNED(A_SIGNED), .B_BITS(W_BITS), .B_SIGNED(W_SIGNED), .ROWS(ROWS)
            ) u_product (.a(x[i*A_BITS+:A_BITS]), .b(w[i*W_BITS+:W_BITS]), .y(fresh[i*P_BITS+:P_BITS]));
        end
    endgenerate

    always @(posedge clk) products <= fresh;

    dwell_adder_tree #(
        .COUNT(SIMD), .BITS(P_BITS), .SIGNED(P_SIGNED), .DEPTH(DEPTH), .LEVELS(LEVELS), .ROOT(1)
    ) u_tree (.clk(clk), .terms(products), .sum(total));

    wire [ACC_BITS-1:0] part;
    dwell_extend #(.IN_BITS(T_BITS), .IN_SIGNED(P_SIGNED), .UP(UP), .OUT_BITS(ACC_BITS)) u_part (
        .a(total), .y(part)
    );

    always @(posedge clk) sum <= (first ? start : sum) + part;

endmodule

`default_nettype wire
