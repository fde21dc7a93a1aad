// dwell_shift_add: the node of an adder graph.
//
//   y = (a * 2**A_UP  +  b * 2**B_UP) / 2**DROP      SUBTRACT = 0
//   y = (a * 2**A_UP  -  b * 2**B_UP) / 2**DROP      SUBTRACT = 1
//
// One of A_UP and B_UP is 0. The DROP lowest bits of the sum are zero for every operand that can
// occur. Low bits to which only one operand contributes are copied, so that the carry chain is no
// longer than the overlap needs. Combinational.
`default_nettype none

module dwell_shift_add #(
    parameter A_BITS   = 8,  // bits of a
    parameter A_SIGNED = 0,  // 1: a is two's complement
    parameter A_UP     = 0,  // places a is shifted left
    parameter B_BITS   = 8,  // the same for b
    parameter B_SIGNED = 0,
    parameter B_UP     = 0,
    parameter SUBTRACT = 0,  // 1: a - b
    parameter DROP     = 0,  // low bits of the sum that are always zero
    parameter Y_BITS   = 9   // bits of y
) (
    input  wire [A_BITS-1:0] a,
    input  wire [B_BITS-1:0] b,
    output wire [Y_BITS-1:0] y
);

    localparam FULL = Y_BITS + DROP;
    // Low bits below the other operand: those of a under a shifted b, those of b under a shifted a.
    // A b that is subtracted borrows from a, so it cannot be copied.
    localparam COPY_A = B_UP;
    localparam COPY_B = (SUBTRACT != 0) ? 0 : A_UP;
    localparam COPY_WISH = (COPY_A > COPY_B) ? COPY_A : COPY_B;
    localparam COPY = (COPY_WISH < FULL) ? COPY_WISH : FULL;

    wire [FULL-1:0] left;
    wire [FULL-1:0] right;
    wire [FULL-1:0] sum;

    dwell_extend #(.IN_BITS(A_BITS), .IN_SIGNED(A_SIGNED), .UP(A_UP), .OUT_BITS(FULL)) u_left (.a(a), .y(left));
    dwell_extend #(.IN_BITS(B_BITS), .IN_SIGNED(B_SIGNED), .UP(B_UP), .OUT_BITS(FULL)) u_right (.a(b), .y(right));

    generate
        if (COPY > 0) begin : g_copy
            assign sum[COPY-1:0] = (COPY_A > 0) ? left[COPY-1:0] : right[COPY-1:0];
        end
        if (COPY < FULL) begin : g_add
            if (SUBTRACT != 0) begin : g_minus
                assign sum[FULL-1:COPY] = left[FULL-1:COPY] - right[FULL-1:COPY];
            end else begin : g_plus
                assign sum[FULL-1:COPY] = left[FULL-1:COPY] + right[FULL-1:COPY];
            end
        end
    endgenerate

    assign y = sum[FULL-1:DROP];

    // The zeros under a shifted operand, and the low zeros of the sum, go nowhere.
    wire unused_low = &{1'b0, left, right, sum};

endmodule

`default_nettype wire
