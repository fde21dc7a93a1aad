// dwell_add3: y = a ± b ± c, modulo 2**BITS, in the cells of a Xilinx 7-series slice. Combinational.
//
// Stands in for the module of the same name in the library where Yosys synthesizes: it does not find by
// itself that a LUT with two outputs adds three bits. LUT i compresses bit i of the three terms to a
// sum and a carry (O5); its main output adds the sum and the carry of LUT i - 1, and the carry chain
// does the rest. What is taken away goes in inverted, with a one for the chain and a one for the
// lowest carry.
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

    // Upper half: a ^ b ^ c ^ (carry from below); lower half: at least two of a, b and c.
    localparam [63:0] INIT = (MINUS_B != 0) ? ((MINUS_C != 0) ? 64'h699669962b2b2b2b : 64'h96699669b2b2b2b2)
                                            : ((MINUS_C != 0) ? 64'h966996698e8e8e8e : 64'h69966996e8e8e8e8);
    localparam GROUPS = (BITS + 3) / 4;
    localparam PADDED = 4 * GROUPS;

    wire [PADDED-1:0] lower;  // carries of the compressors, each one place up
    wire [PADDED-1:0] whole;  // propagate
    wire [PADDED-1:0] sum;
    wire [    BITS:0] carry;
    wire [  GROUPS:0] chain;

    assign carry[0] = (MINUS_B != 0) || (MINUS_C != 0);
    assign chain[0] = 1'b0;
    assign lower[BITS-1:0] = carry[BITS-1:0];

    genvar i;
    generate
        for (i = 0; i < BITS; i = i + 1) begin : g_bit
            LUT6_2 #(.INIT(INIT)) u_lut (
                .I0(a[i]), .I1(b[i]), .I2(c[i]), .I3(carry[i]), .I4(1'b0), .I5(1'b1), .O5(carry[i+1]), .O6(whole[i])
            );
        end
        if (PADDED > BITS) begin : g_pad
            assign lower[PADDED-1:BITS] = {(PADDED - BITS) {1'b0}};
            assign whole[PADDED-1:BITS] = {(PADDED - BITS) {1'b0}};
        end
        for (i = 0; i < GROUPS; i = i + 1) begin : g_chain
            wire [3:0] out;
            CARRY4 u_carry (
                .CI(chain[i]), .CYINIT((i == 0) && (MINUS_B != 0) && (MINUS_C != 0)),
                .DI(lower[4*i+:4]), .S(whole[4*i+:4]), .O(sum[4*i+:4]), .CO(out)
            );
            assign chain[i+1] = out[3];
        end
    endgenerate

    assign y = sum[BITS-1:0];

endmodule

`default_nettype wire
