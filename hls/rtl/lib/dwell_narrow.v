// dwell_narrow: wide beats into narrow ones, the lowest part first.
//
// RATIO parts a beat; a line is LINE_BEATS beats, of whose last one only LAST_PARTS are passed on. `first`
// goes with the first part of its beat, `last` with the last one. All outputs but in_ready are registers.
`default_nettype none

module dwell_narrow #(
    parameter BITS       = 8,  // bits of a part
    parameter RATIO      = 2,  // parts of a beat, at least 2
    parameter LINE_BEATS = 4,  // beats of a line
    parameter LAST_PARTS = 2   // parts in the last of them
) (
    input  wire                  clk,
    input  wire                  rst_n,
    input  wire                  in_valid,
    output wire                  in_ready,
    input  wire                  in_first,
    input  wire                  in_last,
    input  wire                  in_bank,
    input  wire [RATIO*BITS-1:0] in_data,
    output wire                  out_valid,
    input  wire                  out_ready,
    output wire                  out_first,
    output wire                  out_last,
    output wire                  out_bank,
    output wire [      BITS-1:0] out_data
);

    localparam                   PART_BITS = $clog2(RATIO);
    localparam                   BEAT_BITS = (LINE_BEATS > 1) ? $clog2(LINE_BEATS) : 1;
    localparam            [31:0] END_32 = RATIO - 1, LAST_32 = LAST_PARTS - 1, LINE_32 = LINE_BEATS - 1;
    localparam  [PART_BITS-1:0] NO_PART = 0;
    localparam  [BEAT_BITS-1:0] NO_BEAT = 0;

    reg  [RATIO*BITS-1:0] data;
    reg                   valid, first, last, bank;
    reg  [ PART_BITS-1:0] part;
    reg  [ BEAT_BITS-1:0] beat;

    wire line_ends = beat == LINE_32[BEAT_BITS-1:0];
    wire ends      = part == (line_ends ? LAST_32[PART_BITS-1:0] : END_32[PART_BITS-1:0]);
    wire moves     = valid & out_ready;

    assign in_ready  = ~valid | (out_ready & ends);
    assign out_valid = valid;
    assign out_first = first & (part == NO_PART);
    assign out_last  = last & ends;
    assign out_bank  = bank;
    assign out_data  = data[BITS-1:0];

    always @(posedge clk) begin
        if (!rst_n) begin
            valid <= 1'b0;
            part  <= NO_PART;
            beat  <= NO_BEAT;
        end else begin
            if (in_ready) valid <= in_valid;
            if (moves) part <= ends ? NO_PART : part + 1'b1;
            if (moves & ends) beat <= line_ends ? NO_BEAT : beat + 1'b1;
        end
        if (in_ready) {first, last, bank, data} <= {in_first, in_last, in_bank, in_data};
        else if (moves) data <= {{BITS{1'b0}}, data[RATIO*BITS-1:BITS]};
    end

endmodule

`default_nettype wire
