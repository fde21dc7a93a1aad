// dwell_multiply: y = a * b, exactly. Combinational.
//
// With ROWS = 0 it is the operator `*`, which synthesis puts into DSP slices where it is worth one.
// With ROWS = 1 the product is written out: one row for each bit of the narrower operand, added up in
// logic, so that no DSP slice is used.
`default_nettype none

module dwell_multiply #(
    parameter A_BITS   = 8,  // bits of a
    parameter A_SIGNED = 0,  // 1: a is two's complement
    parameter B_BITS   = 4,  // the same for b
    parameter B_SIGNED = 1,
    parameter ROWS     = 0   // 1: in logic
) (
    input  wire [       A_BITS-1:0] a,
    input  wire [       B_BITS-1:0] b,
    output wire [A_BITS+B_BITS-1:0] y
);

    localparam BITS = A_BITS + B_BITS;

    generate
        if (ROWS == 0 && A_SIGNED == 0 && B_SIGNED == 0) begin : g_plain
            assign y = {{B_BITS{1'b0}}, a} * {{A_BITS{1'b0}}, b};
        end else if (ROWS == 0) begin : g_signed
            // An unsigned operand is a signed one with a zero in front.
            localparam A_WIDE = A_BITS + ((A_SIGNED != 0) ? 0 : 1);
            localparam B_WIDE = B_BITS + ((B_SIGNED != 0) ? 0 : 1);
            wire signed [A_WIDE-1:0] left;
            wire signed [B_WIDE-1:0] right;
            dwell_extend #(.IN_BITS(A_BITS), .IN_SIGNED(A_SIGNED), .UP(0), .OUT_BITS(A_WIDE)) u_left (.a(a), .y(left));
            dwell_extend #(.IN_BITS(B_BITS), .IN_SIGNED(B_SIGNED), .UP(0), .OUT_BITS(B_WIDE)) u_right (.a(b), .y(right));
            wire signed [A_WIDE+B_WIDE-1:0] product = left * right;
            assign y = product[BITS-1:0];
            wire unused_top = &{1'b0, product};
        end else begin : g_rows
            localparam SWAP        = A_BITS < B_BITS;
            localparam WIDE_BITS   = SWAP ? B_BITS : A_BITS;
            localparam WIDE_SIGNED = SWAP ? B_SIGNED : A_SIGNED;
            localparam ROW_BITS    = SWAP ? A_BITS : B_BITS;
            localparam ROW_SIGNED  = SWAP ? A_SIGNED : B_SIGNED;
            wire [WIDE_BITS-1:0] wide;
            wire [ ROW_BITS-1:0] rows;
            if (SWAP) begin : g_swap
                assign wide = b;
                assign rows = a;
            end else begin : g_keep
                assign wide = a;
                assign rows = b;
            end

            wire [BITS-1:0] long;  // the wide operand at the product's width
            dwell_extend #(.IN_BITS(WIDE_BITS), .IN_SIGNED(WIDE_SIGNED), .UP(0), .OUT_BITS(BITS)) u_long (
                .a(wide), .y(long)
            );
            reg [BITS-1:0] sum;
            integer r;
            always @* begin
                sum = {BITS{1'b0}};
                for (r = 0; r < ROW_BITS; r = r + 1) begin
                    if (ROW_SIGNED != 0 && r == ROW_BITS - 1) sum = sum - ((long << r) & {BITS{rows[r]}});
                    else sum = sum + ((long << r) & {BITS{rows[r]}});
                end
            end
            assign y = sum;
        end
    endgenerate

endmodule

`default_nettype wire
