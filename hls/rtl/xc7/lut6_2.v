// LUT6_2 as two cells whose delays are known, for static timing only: Yosys' library gives it none.
`default_nettype none

module LUT6_2 #(
    parameter [63:0] INIT = 64'h0
) (
    input  wire I0,
    input  wire I1,
    input  wire I2,
    input  wire I3,
    input  wire I4,
    input  wire I5,
    output wire O5,
    output wire O6
);

    generate
        if (INIT[31:0] == {4{INIT[7:0]}}) begin : g_three  // no path from inputs that the table ignores
            LUT3 #(.INIT(INIT[7:0])) u_three (.I0(I0), .I1(I1), .I2(I2), .O(O5));
        end else begin : g_five
            LUT5 #(.INIT(INIT[31:0])) u_five (.I0(I0), .I1(I1), .I2(I2), .I3(I3), .I4(I4), .O(O5));
        end
    endgenerate
    LUT6 #(.INIT(INIT)) u_six (.I0(I0), .I1(I1), .I2(I2), .I3(I3), .I4(I4), .I5(I5), .O(O6));

endmodule

`default_nettype wire
