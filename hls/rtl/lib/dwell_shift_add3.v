// dwell_shift_add3: three terms of an adder graph at once.
//
//   y = (a * 2**A_UP  ±  b * 2**B_UP  ±  c * 2**C_UP) / 2**DROP
//
// MINUS_B and MINUS_C say which terms are taken away. One of A_UP, B_UP and C_UP is 0. The DROP
// lowest bits of the sum are zero for every operand that can occur. Low bits to which only one
// term contributes are copied. Combinational.
//
// A six-input LUT with two outputs does one bit of such a sum, as it does one bit of a sum of two:
// Vivado infers that from the text below, for Yosys it is spelled out in a file of its own.
`default_nettype none

module dwell_shift_add3 #(
    parameter A_BITS   = 8,  // bits of a
    parameter A_SIGNED = 0,  // 1: a is two's complement
    parameter A_UP     = 0,  // places a is shifted left
    parameter B_BITS   = 8,  // the same for b
    parameter B_SIGNED = 0,
    parameter B_UP     = 0,
    parameter C_BITS   = 8,  // and for c
    parameter C_SIGNED = 0,
    parameter C_UP     = 0,
    parameter MINUS_B  = 0,  // 1: b is taken away
    parameter MINUS_C  = 0,  // 1: c is taken away
    parameter DROP     = 0,  // low bits of the sum that are always zero
    parameter Y_BITS   = 10  // bits of y
) (
    input  wire [A_BITS-1:0] a,
    input  wire [B_BITS-1:0] b,
    input  wire [C_BITS-1:0] c,
    output wire [Y_BITS-1:0] y
);

    localparam FULL = Y_BITS + DROP;
    // Low bits of the term that is not shifted, under the other two; not if it is taken away.
    localparam UNDER_A = (B_UP < C_UP) ? B_UP : C_UP;
    localparam UNDER_B = (MINUS_B != 0) ? 0 : (A_UP < C_UP) ? A_UP : C_UP;
    localparam UNDER_C = (MINUS_C != 0) ? 0 : (A_UP < B_UP) ? A_UP : B_UP;
    localparam UNDER_AB = (UNDER_A > UNDER_B) ? UNDER_A : UNDER_B;
    localparam WISH = (UNDER_AB > UNDER_C) ? UNDER_AB : UNDER_C;
    localparam COPY = (WISH < FULL) ? WISH : FULL;

    wire [FULL-1:0] left;
    wire [FULL-1:0] mid;
    wire [FULL-1:0] right;
    wire [FULL-1:0] sum;

    dwell_extend #(.IN_BITS(A_BITS), .IN_SIGNED(A_SIGNED), .UP(A_UP), .OUT_BITS(FULL)) u_left (.a(a), .y(left));
    dwell_extend #(.IN_BITS(B_BITS), .IN_SIGNED(B_SIGNED), .UP(B_UP), .OUT_BITS(FULL)) u_mid (.a(b), .y(mid));
    dwell_extend #(.IN_BITS(C_BITS), .IN_SIGNED(C_SIGNED), .UP(C_UP), .OUT_BITS(FULL)) u_right (.a(c), .y(right));

    generate
        if (COPY > 0) begin : g_copy
            assign sum[COPY-1:0] = left[COPY-1:0] | mid[COPY-1:0] | right[COPY-1:0];
        end
        if (COPY < FULL) begin : g_add
            dwell_add3 #(.BITS(FULL - COPY), .MINUS_B(MINUS_B), .MINUS_C(MINUS_C)) u_add (
                .a(left[FULL-1:COPY]), .b(mid[FULL-1:COPY]), .c(right[FULL-1:COPY]), .y(sum[FULL-1:COPY])
            );
        end
    endgenerate

    assign y = sum[FULL-1:DROP];

    // The low zeros of the sum go nowhere.
    wire unused_low = &{1'b0, sum};

endmodule

`default_nettype wire
