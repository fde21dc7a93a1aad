// dwell_product: y = a * b, modulo 2**Y_BITS. Combinational.
//
// Where one operand is signed and the other is not, the unsigned one gets a zero in front, so that
// the multiplier is no wider than it has to be.
`default_nettype none

module dwell_product #(
    parameter A_BITS   = 8,  // bits of a
    parameter A_SIGNED = 0,  // 1: a is two's complement
    parameter B_BITS   = 8,  // bits of b
    parameter B_SIGNED = 0,  // 1: b is two's complement
    parameter Y_BITS   = 16  // bits of y
) (
    input  wire [A_BITS-1:0] a,
    input  wire [B_BITS-1:0] b,
    output wire [Y_BITS-1:0] y
);

    localparam SIGNED = (A_SIGNED != 0) | (B_SIGNED != 0);
    localparam A_WIDE = A_BITS + ((SIGNED != 0 && A_SIGNED == 0) ? 1 : 0);
    localparam B_WIDE = B_BITS + ((SIGNED != 0 && B_SIGNED == 0) ? 1 : 0);
    localparam FULL   = A_WIDE + B_WIDE;

    wire [FULL-1:0] full;

    generate
        if (SIGNED != 0) begin : g_signed
            wire signed [A_WIDE-1:0] left;
            wire signed [B_WIDE-1:0] right;
            dwell_extend #(.IN_BITS(A_BITS), .IN_SIGNED(A_SIGNED), .OUT_BITS(A_WIDE)) u_left (.a(a), .y(left));
            dwell_extend #(.IN_BITS(B_BITS), .IN_SIGNED(B_SIGNED), .OUT_BITS(B_WIDE)) u_right (.a(b), .y(right));
            assign full = left * right;
        end else begin : g_unsigned
            assign full = a * b;
        end
    endgenerate

    dwell_extend #(.IN_BITS(FULL), .IN_SIGNED(SIGNED), .OUT_BITS(Y_BITS)) u_y (.a(full), .y(y));

endmodule

`default_nettype wire
