// dwell_select: y = c ? a * 2**A_UP : b * 2**B_UP, modulo 2**Y_BITS. Combinational.
`default_nettype none

module dwell_select #(
    parameter A_BITS   = 8,  // bits of a
    parameter A_SIGNED = 0,  // 1: a is two's complement
    parameter A_UP     = 0,  // places a is shifted left
    parameter B_BITS   = 8,  // the same for b
    parameter B_SIGNED = 0,
    parameter B_UP     = 0,
    parameter Y_BITS   = 8   // bits of y
) (
    input  wire              c,
    input  wire [A_BITS-1:0] a,
    input  wire [B_BITS-1:0] b,
    output wire [Y_BITS-1:0] y
);

    wire [Y_BITS-1:0] left;
    wire [Y_BITS-1:0] right;

    dwell_extend #(.IN_BITS(A_BITS), .IN_SIGNED(A_SIGNED), .UP(A_UP), .OUT_BITS(Y_BITS)) u_left (.a(a), .y(left));
    dwell_extend #(.IN_BITS(B_BITS), .IN_SIGNED(B_SIGNED), .UP(B_UP), .OUT_BITS(Y_BITS)) u_right (.a(b), .y(right));

    assign y = c ? left : right;

endmodule

`default_nettype wire
