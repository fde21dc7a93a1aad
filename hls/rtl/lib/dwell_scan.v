// dwell_scan: where in its frame is a layer with a window, which result belongs there, and may it go on?
//
// The scan goes over STEP_ROWS rows of STEP_BEATS steps. A step inside the input frame takes a beat, one
// beside or below it (padding that makes more results than there is input) goes on by itself. Results
// lag by LAG_ROWS rows and LAG_BEATS beats, so that the last ones of a frame fall into the steps at the
// start of the next: where that frame is there already, both go on together and nothing is lost; where
// it is not, the scan finishes alone and begins anew.
//
// A step happens at a clock with `step`, which is (want & credit) of the FIFO behind. `in_ready` depends
// on registers alone.
`default_nettype none

module dwell_scan #(
    parameter ROWS         = 8,  // rows of the input frame
    parameter BEATS        = 8,  // its beats in a row
    parameter STEP_ROWS    = 8,  // rows of the scan, at least ROWS, LAG_ROWS + 1 and RESULT_ROWS
    parameter STEP_BEATS   = 8,  // its steps in a row, at least BEATS, LAG_BEATS + 1 and RESULT_BEATS
    parameter LAG_ROWS     = 1,  // row and beat of the step that gives a frame's first result
    parameter LAG_BEATS    = 1,
    parameter RESULT_ROWS  = 8,  // rows and beats from a frame's first result to its last, both included
    parameter RESULT_BEATS = 8,
    parameter STRIDE_ROWS  = 1,  // rows and beats from result to result
    parameter STRIDE_BEATS = 1,
    parameter ROW_BITS     = 3,  // bits of a row number below STEP_ROWS
    parameter BEAT_BITS    = 3   // bits of a beat number below STEP_BEATS
) (
    input  wire                 clk,
    input  wire                 rst_n,
    input  wire                 in_valid,
    output wire                 in_ready,
    input  wire                 in_bank,      // which weights the frame is computed with
    output wire                 want,         // could take a step
    input  wire                 credit,       // there is a place for its result
    output wire                 step,         // takes it
    output wire [ ROW_BITS-1:0] step_row,     // where the step is
    output wire [BEAT_BITS-1:0] step_beat,
    output wire                 result,       // the step gives a result
    output wire                 result_first, // the frame's first one
    output wire                 result_last,  // the frame's last one
    output wire                 result_bank,
    output wire [BEAT_BITS-1:0] result_beat   // where in its row the result is, without stride
);

    localparam WIDE_ROWS  = (STRIDE_ROWS > 1) ? $clog2(STRIDE_ROWS) : 1;
    localparam WIDE_BEATS = (STRIDE_BEATS > 1) ? $clog2(STRIDE_BEATS) : 1;
    localparam [31:0] ROWS_32 = ROWS, BEATS_32 = BEATS, ROW_END_32 = STEP_ROWS - 1, BEAT_END_32 = STEP_BEATS - 1;
    localparam [31:0] LAG_ROWS_32 = LAG_ROWS, LAG_BEATS_32 = LAG_BEATS;
    localparam [31:0] LAST_ROW_32 = RESULT_ROWS - 1, LAST_BEAT_32 = RESULT_BEATS - 1;
    localparam [31:0] PHASE_ROW_32 = STRIDE_ROWS - 1, PHASE_BEAT_32 = STRIDE_BEATS - 1;
    localparam [ROW_BITS-1:0] NO_ROW = 0, ROW_END = ROW_END_32[ROW_BITS-1:0];
    localparam [ROW_BITS-1:0] LAG_ROW = LAG_ROWS_32[ROW_BITS-1:0], LAST_ROW = LAST_ROW_32[ROW_BITS-1:0];
    localparam [BEAT_BITS-1:0] NO_BEAT = 0, BEAT_END = BEAT_END_32[BEAT_BITS-1:0];
    localparam [BEAT_BITS-1:0] LAG_BEAT = LAG_BEATS_32[BEAT_BITS-1:0], LAST_BEAT = LAST_BEAT_32[BEAT_BITS-1:0];

    // ---- the step
    reg  [ ROW_BITS-1:0] row;
    reg  [BEAT_BITS-1:0] beat;
    reg                  alone;  // finishing a frame without the next one
    reg                  live;   // results of a frame are due
    reg                  bank;   // of the frame that comes in

    wire on_frame;  // the step is in the input frame
    generate
        if (STEP_ROWS > ROWS && STEP_BEATS > BEATS) begin : g_both
            assign on_frame = (row < ROWS_32[ROW_BITS-1:0]) & (beat < BEATS_32[BEAT_BITS-1:0]);
        end else if (STEP_ROWS > ROWS) begin : g_rows
            assign on_frame = row < ROWS_32[ROW_BITS-1:0];
        end else if (STEP_BEATS > BEATS) begin : g_beats
            assign on_frame = beat < BEATS_32[BEAT_BITS-1:0];
        end else begin : g_all
            assign on_frame = 1'b1;
        end
    endgenerate

    wire begins  = (row == NO_ROW) & (beat == NO_BEAT);
    wire finish  = begins & live;                          // a frame is due and may be finished alone
    wire by_self = alone | (finish & ~in_valid);
    wire fresh   = (begins & ~by_self) ? in_bank : bank;

    assign want      = in_valid | ~on_frame | alone | finish;
    assign step      = want & credit;
    assign in_ready  = credit & on_frame & ~alone;
    assign step_row  = row;
    assign step_beat = beat;

    // ---- the result
    reg  [ ROW_BITS-1:0] place_row;
    reg  [BEAT_BITS-1:0] place_beat;
    reg                  place_bank;

    wire                 starts = ~by_self & (row == LAG_ROW) & (beat == LAG_BEAT);
    wire [ ROW_BITS-1:0] at_row  = starts ? NO_ROW : place_row;
    wire [BEAT_BITS-1:0] at_beat = starts ? NO_BEAT : place_beat;
    wire                 shows  = starts | live;
    wire                 row_on_stride, beat_on_stride, beat_counts;
    wire                 row_ends  = at_beat == BEAT_END;
    wire                 frame_ends = shows & (at_row == LAST_ROW) & (at_beat == LAST_BEAT);

    assign result       = shows & row_on_stride & beat_on_stride & beat_counts;
    assign result_first = starts;
    assign result_last  = frame_ends;
    assign result_bank  = starts ? fresh : place_bank;
    assign result_beat  = at_beat;

    generate
        if (STEP_BEATS > RESULT_BEATS) begin : g_some
            assign beat_counts = at_beat <= LAST_BEAT;
        end else begin : g_every
            assign beat_counts = 1'b1;
        end
        if (STRIDE_ROWS > 1) begin : g_row_phase
            reg  [WIDE_ROWS-1:0] phase;
            wire [WIDE_ROWS-1:0] now = starts ? {WIDE_ROWS{1'b0}} : phase;
            assign row_on_stride = now == {WIDE_ROWS{1'b0}};
            always @(posedge clk) if (step & row_ends)
                phase <= (now == PHASE_ROW_32[WIDE_ROWS-1:0]) ? {WIDE_ROWS{1'b0}} : now + 1'b1;
                else if (step) phase <= now;
        end else begin : g_row_each
            assign row_on_stride = 1'b1;
        end
        if (STRIDE_BEATS > 1) begin : g_beat_phase
            reg  [WIDE_BEATS-1:0] phase;
            wire [WIDE_BEATS-1:0] now = starts ? {WIDE_BEATS{1'b0}} : phase;
            wire                  over = row_ends | (now == PHASE_BEAT_32[WIDE_BEATS-1:0]);
            assign beat_on_stride = now == {WIDE_BEATS{1'b0}};
            always @(posedge clk) if (step) phase <= over ? {WIDE_BEATS{1'b0}} : now + 1'b1;
        end else begin : g_beat_each
            assign beat_on_stride = 1'b1;
        end
    endgenerate

    wire over = by_self & frame_ends;  // finished alone: the next frame begins with the next step

    always @(posedge clk) begin
        if (!rst_n) begin
            row   <= NO_ROW;
            beat  <= NO_BEAT;
            alone <= 1'b0;
            live  <= 1'b0;
        end else if (step) begin
            live  <= shows & ~frame_ends;
            alone <= by_self & ~over;
            beat  <= (over | (beat == BEAT_END)) ? NO_BEAT : beat + 1'b1;
            if (over | ((beat == BEAT_END) & (row == ROW_END))) row <= NO_ROW;
            else if (beat == BEAT_END) row <= row + 1'b1;
        end
        if (step) begin
            bank       <= fresh;
            place_bank <= result_bank;
            place_beat <= row_ends ? NO_BEAT : at_beat + 1'b1;
            place_row  <= row_ends ? at_row + 1'b1 : at_row;
        end
    end

endmodule

`default_nettype wire
