// dwell_gather: the parts of a vector, one after the other, into a whole, the first part lowest.
//
// The whole is there with its last part, in the same clock. Nothing waits.
`default_nettype none

module dwell_gather #(
    parameter BITS  = 8,  // bits of a part
    parameter PARTS = 3   // parts of a whole
) (
    input  wire                  clk,
    input  wire                  rst_n,
    input  wire                  in_valid,
    input  wire                  in_first,  // a mark that the first part may carry
    input  wire                  in_end,    // the last part
    input  wire [      BITS-1:0] in_data,
    output wire                  out_valid,
    output wire                  out_first,
    output wire [PARTS*BITS-1:0] out_data
);

    generate
        if (PARTS > 1) begin : g_parts
            reg [(PARTS-1)*BITS-1:0] past;
            reg                      mark;
            assign out_valid = in_valid & in_end;
            assign out_first = in_first | mark;
            assign out_data  = {in_data, past};
            always @(posedge clk) begin
                if (!rst_n) mark <= 1'b0;
                else if (in_valid) mark <= out_first & ~in_end;
                if (in_valid) past <= out_data[PARTS*BITS-1:BITS];
            end
        end else begin : g_part
            assign out_valid = in_valid;
            assign out_first = in_first;
            assign out_data  = in_data;
            wire unused = &{1'b0, clk, rst_n, in_end};
        end
    endgenerate

endmodule

`default_nettype wire
