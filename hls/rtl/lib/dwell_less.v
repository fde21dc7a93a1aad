// dwell_less: y = 1 where a * 2**A_UP < b * 2**B_UP. Combinational.
`default_nettype none

module dwell_less #(
    parameter A_BITS   = 8,  // bits of a
    parameter A_SIGNED = 0,  // 1: a is two's complement
    parameter A_UP     = 0,  // places a is shifted left
    parameter B_BITS   = 8,  // the same for b
    parameter B_SIGNED = 0,
    parameter B_UP     = 0
) (
    input  wire [A_BITS-1:0] a,
    input  wire [B_BITS-1:0] b,
    output wire              y
);

    localparam A_WIDE = A_BITS + A_UP + ((A_SIGNED != 0) ? 0 : 1);
    localparam B_WIDE = B_BITS + B_UP + ((B_SIGNED != 0) ? 0 : 1);
    localparam WIDE   = (A_WIDE > B_WIDE) ? A_WIDE : B_WIDE;

    wire signed [WIDE-1:0] left;
    wire signed [WIDE-1:0] right;

    dwell_extend #(.IN_BITS(A_BITS), .IN_SIGNED(A_SIGNED), .UP(A_UP), .OUT_BITS(WIDE)) u_left (.a(a), .y(left));
    dwell_extend #(.IN_BITS(B_BITS), .IN_SIGNED(B_SIGNED), .UP(B_UP), .OUT_BITS(WIDE)) u_right (.a(b), .y(right));

    assign y = left < right;

endmodule

`default_nettype wire
