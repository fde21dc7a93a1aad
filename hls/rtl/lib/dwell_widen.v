// dwell_widen: narrow beats into wide ones, the first part lowest.
//
// RATIO parts a beat; a line is LINE_PARTS parts, so that its last beat may have fewer (the rest of it is
// anything). `first` and `last` are those of the first and of the last part. A part waits only while a
// finished beat has not left.
`default_nettype none

module dwell_widen #(
    parameter BITS       = 8,  // bits of a part
    parameter RATIO      = 2,  // parts of a beat, at least 2
    parameter LINE_PARTS = 8   // parts of a line
) (
    input  wire                  clk,
    input  wire                  rst_n,
    input  wire                  in_valid,
    output wire                  in_ready,
    input  wire                  in_first,
    input  wire                  in_last,
    input  wire                  in_bank,
    input  wire [      BITS-1:0] in_data,
    output reg                   out_valid,
    input  wire                  out_ready,
    output reg                   out_first,
    output reg                   out_last,
    output reg                   out_bank,
    output reg  [RATIO*BITS-1:0] out_data
);

    localparam                   PART_BITS = $clog2(RATIO);
    localparam                   LINE_BITS = (LINE_PARTS > 1) ? $clog2(LINE_PARTS) : 1;
    localparam            [31:0] END_32 = RATIO - 1, LINE_32 = LINE_PARTS - 1;
    localparam   [PART_BITS-1:0] NO_PART = 0;
    localparam   [LINE_BITS-1:0] NO_PLACE = 0;

    reg [PART_BITS-1:0] part;
    reg [LINE_BITS-1:0] place;  // in the line

    wire line_ends = place == LINE_32[LINE_BITS-1:0];
    wire ends      = line_ends | (part == END_32[PART_BITS-1:0]);
    wire take      = in_valid & in_ready;

    assign in_ready = ~out_valid | out_ready;

    always @(posedge clk) begin
        if (!rst_n) begin
            out_valid <= 1'b0;
            part      <= NO_PART;
            place     <= NO_PLACE;
        end else begin
            if (in_ready) out_valid <= take & ends;
            if (take) part <= ends ? NO_PART : part + 1'b1;
            if (take) place <= line_ends ? NO_PLACE : place + 1'b1;
        end
        if (take & (part == NO_PART)) out_first <= in_first;
        if (take) {out_last, out_bank} <= {in_last, in_bank};
    end

    genvar k;
    generate
        for (k = 0; k < RATIO; k = k + 1) begin : g_part
            localparam [31:0] K_32 = k;
            always @(posedge clk) if (take & (part == K_32[PART_BITS-1:0])) out_data[k*BITS+:BITS] <= in_data;
        end
    endgenerate

endmodule

`default_nettype wire
