// dwell_accumulate: the sum, or the largest, of a frame's values. 1 clock.
`default_nettype none

module dwell_accumulate #(
    parameter A_BITS   = 8,   // bits of a
    parameter A_SIGNED = 0,   // 1: a is two's complement, and so is y
    parameter MAX      = 0,   // 1: the largest, 0: the sum
    parameter Y_BITS   = 14   // bits of y, at least A_BITS
) (
    input  wire              clk,
    input  wire              in_valid,
    input  wire              in_first,  // first value of a frame
    input  wire [A_BITS-1:0] a,
    output reg  [Y_BITS-1:0] y          // so far
);

    wire [Y_BITS-1:0] wide;

    dwell_extend #(.IN_BITS(A_BITS), .IN_SIGNED(A_SIGNED), .UP(0), .OUT_BITS(Y_BITS)) u_wide (.a(a), .y(wide));

    wire [Y_BITS-1:0] next;
    generate
        if (MAX != 0) begin : g_max
            wire more = (A_SIGNED != 0) ? ($signed(wide) > $signed(y)) : (wide > y);
            assign next = more ? wide : y;
        end else begin : g_sum
            assign next = y + wide;
        end
    endgenerate

    always @(posedge clk) if (in_valid) y <= in_first ? wide : next;

endmodule

`default_nettype wire
