// dwell_lookup: any function of the bits of a, as a table. Combinational.
//
// VALUES holds a plane for each bit of y, bit 0 lowest; in a plane, bit number a (a taken as an
// unsigned number) is what y's bit is for that a. Planes and not words, so that each bit of y is
// one look-up of A_BITS inputs.
`default_nettype none

module dwell_lookup #(
    parameter A_BITS = 2,                          // bits of a
    parameter Y_BITS = 2,                          // bits of y
    parameter [(Y_BITS<<A_BITS)-1:0] VALUES = 8'hC6
) (
    input  wire [A_BITS-1:0] a,
    output wire [Y_BITS-1:0] y
);

    localparam ENTRIES = 1 << A_BITS;

    genvar bit_of_y;
    generate
        for (bit_of_y = 0; bit_of_y < Y_BITS; bit_of_y = bit_of_y + 1) begin : g_plane
            wire [ENTRIES-1:0] plane = VALUES[bit_of_y*ENTRIES+:ENTRIES];
            assign y[bit_of_y] = plane[a];
        end
    endgenerate

endmodule

`default_nettype wire
