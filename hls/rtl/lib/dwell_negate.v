// dwell_negate: y = -a, modulo 2**Y_BITS. Combinational.
`default_nettype none

module dwell_negate #(
    parameter A_BITS   = 8,  // bits of a
    parameter A_SIGNED = 0,  // 1: a is two's complement
    parameter Y_BITS   = 9   // bits of y
) (
    input  wire [A_BITS-1:0] a,
    output wire [Y_BITS-1:0] y
);

    wire [Y_BITS-1:0] wide;

    dwell_extend #(.IN_BITS(A_BITS), .IN_SIGNED(A_SIGNED), .UP(0), .OUT_BITS(Y_BITS)) u_wide (.a(a), .y(wide));

    assign y = -wide;

endmodule

`default_nettype wire
