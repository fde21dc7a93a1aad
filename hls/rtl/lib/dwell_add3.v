// dwell_add3: y = a ± b ± c, modulo 2**BITS. Combinational.
`default_nettype none

module dwell_add3 #(
    parameter BITS    = 8,  // bits of every port
    parameter MINUS_B = 0,  // 1: b is taken away
    parameter MINUS_C = 0   // 1: c is taken away
) (
    input  wire [BITS-1:0] a,
    input  wire [BITS-1:0] b,
    input  wire [BITS-1:0] c,
    output wire [BITS-1:0] y
);

    generate
        if (MINUS_B != 0 && MINUS_C != 0) begin : g_both
            assign y = a - b - c;
        end else if (MINUS_B != 0) begin : g_b
            assign y = a + c - b;
        end else if (MINUS_C != 0) begin : g_c
            assign y = a + b - c;
        end else begin : g_none
            assign y = a + b + c;
        end
    endgenerate

endmodule

`default_nettype wire
