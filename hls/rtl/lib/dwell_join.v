// dwell_join: several links to one. A beat is there once every branch has one. Wires only.
`default_nettype none

module dwell_join #(
    parameter WAYS = 2  // branches
) (
    input  wire [WAYS-1:0] in_valid,
    output wire [WAYS-1:0] in_ready,
    output wire            out_valid,
    input  wire            out_ready
);

    assign out_valid = &in_valid;
    assign in_ready  = {WAYS{out_valid & out_ready}};

endmodule

`default_nettype wire
