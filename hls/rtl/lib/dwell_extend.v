// dwell_extend: a number in more (or fewer) bits, shifted left.
//
//   y = a * 2**UP, modulo 2**OUT_BITS
//
// Wires only. Bits above OUT_BITS are dropped, which is exact wherever the result is known to fit.
`default_nettype none

module dwell_extend #(
    parameter IN_BITS   = 8,  // bits of a
    parameter IN_SIGNED = 0,  // 1: a is two's complement
    parameter UP        = 0,  // places to shift left
    parameter OUT_BITS  = 9   // bits of y
) (
    input  wire [ IN_BITS-1:0] a,
    output wire [OUT_BITS-1:0] y
);

    wire fill = (IN_SIGNED != 0) & a[IN_BITS-1];

    generate
        if (OUT_BITS > IN_BITS + UP) begin : g_wider
            assign y = {{(OUT_BITS - IN_BITS - UP) {fill}}, a, {UP{1'b0}}};
        end else begin : g_narrower
            wire [IN_BITS+UP-1:0] shifted = {a, {UP{1'b0}}};
            assign y = shifted[OUT_BITS-1:0];
            // What is cut off carries nothing that the result needs.
            wire unused_above = &{1'b0, fill, shifted};
        end
    endgenerate

endmodule

`default_nettype wire
