// dwell_scan_window: beats of a frame of fixed size into windows, LANES pixels a beat.
//
// Stride, dilation and padding as parameters. Padding is masked into the window, no beat is spent on it:
// where a layer gives as many rows and columns as it takes, it takes a beat every clock. In a row whose
// length is no multiple of LANES the last beat is filled up with anything.
//
// The window of result x of a beat lies at out_taps[x * KERNEL_H * KERNEL_W * PIXEL_BITS +: …], its tap
// (ky, kx) at [(ky * KERNEL_W + kx) * PIXEL_BITS +: PIXEL_BITS]. Windows come LATENCY clocks after their
// step: 2, or 1 for a window of one row. out_valid is low at LATENCY clocks after a step without result.
`default_nettype none

module dwell_scan_window #(
    parameter PIXEL_BITS = 8,   // bits of a pixel, all its channels
    parameter LANES      = 1,   // pixels of a beat
    parameter ROWS       = 8,   // the input frame
    parameter COLUMNS    = 8,
    parameter KERNEL_H   = 3,   // window, in taps
    parameter KERNEL_W   = 3,
    parameter DILATION_H = 1,   // rows from tap to tap
    parameter DILATION_W = 1,   // columns from tap to tap
    parameter STRIDE_H   = 1,   // rows from window to window
    parameter STRIDE_W   = 1,   // columns: divides LANES, or is a multiple of it
    parameter TOP        = 1,   // padding, at most the reach of the window
    parameter LEFT       = 1,
    parameter OUT_ROWS    = 8,  // results, with padding below and to the right as that implies
    parameter OUT_COLUMNS = 8,
    parameter [PIXEL_BITS-1:0] PAD = 0,  // a pixel of padding
    // ---- what follows from these; not to be set
    parameter REACH_H = (KERNEL_H - 1) * DILATION_H,
    parameter REACH_W = (KERNEL_W - 1) * DILATION_W,
    parameter OUT_LANES = (STRIDE_W < LANES) ? LANES / STRIDE_W : 1
) (
    input  wire clk,
    input  wire rst_n,
    input  wire in_valid,
    output wire in_ready,
    input  wire in_bank,
    input  wire [LANES*PIXEL_BITS-1:0] in_data,
    output wire want,    // to the credit FIFO behind: could take a step …
    input  wire credit,  // … and may
    output wire out_valid,
    output wire out_first,
    output wire out_last,
    output wire out_bank,
    output wire [OUT_LANES*KERNEL_H*KERNEL_W*PIXEL_BITS-1:0] out_taps
);

    localparam BEATS        = (COLUMNS + LANES - 1) / LANES;
    localparam RESULT_ROWS  = (OUT_ROWS - 1) * STRIDE_H + 1;
    localparam RESULT_BEATS = ((OUT_COLUMNS - 1) * STRIDE_W + LANES) / LANES;
    localparam STRIDE_BEATS = (STRIDE_W > LANES) ? STRIDE_W / LANES : 1;
    localparam AHEAD        = (REACH_W - LEFT + LANES - 1) / LANES;  // beats to the right that a result needs
    localparam BEHIND       = (LEFT + LANES - 1) / LANES;            // beats to the left
    localparam BELOW        = REACH_H - TOP;                         // rows below
    localparam STEP_BEATS   = (BEATS > RESULT_BEATS) ? BEATS : RESULT_BEATS;
    localparam LAG_ROWS     = BELOW + AHEAD / STEP_BEATS;
    localparam LAG_BEATS    = AHEAD % STEP_BEATS;
    localparam TALLER       = (ROWS > RESULT_ROWS) ? ROWS : RESULT_ROWS;
    localparam STEP_ROWS    = (TALLER > LAG_ROWS) ? TALLER : LAG_ROWS + 1;
    localparam ROW_BITS     = (STEP_ROWS > 1) ? $clog2(STEP_ROWS) : 1;
    localparam BEAT_BITS    = (STEP_BEATS > 1) ? $clog2(STEP_BEATS) : 1;
    localparam LATENCY      = (KERNEL_H > 1) ? 2 : 1;

    localparam BEAT   = LANES * PIXEL_BITS;
    localparam KEPT   = AHEAD + BEHIND + 1;            // beats of a row that windows reach into
    localparam SPAN   = (OUT_LANES - 1) * STRIDE_W + REACH_W + 1;  // columns that the windows of a beat cover
    localparam OFFSET = BEHIND * LANES - LEFT;         // of the first of them in the oldest beat kept

    wire                 step, result, result_first, result_last, result_bank;
    wire [ ROW_BITS-1:0] step_row;
    wire [BEAT_BITS-1:0] step_beat, result_beat;

    dwell_scan #(
        .ROWS(ROWS), .BEATS(BEATS), .STEP_ROWS(STEP_ROWS), .STEP_BEATS(STEP_BEATS),
        .LAG_ROWS(LAG_ROWS), .LAG_BEATS(LAG_BEATS), .RESULT_ROWS(RESULT_ROWS), .RESULT_BEATS(RESULT_BEATS),
        .STRIDE_ROWS(STRIDE_H), .STRIDE_BEATS(STRIDE_BEATS), .ROW_BITS(ROW_BITS), .BEAT_BITS(BEAT_BITS)
    ) u_scan (
        .clk(clk), .rst_n(rst_n),
        .in_valid(in_valid), .in_ready(in_ready), .in_bank(in_bank),
        .want(want), .credit(credit), .step(step), .step_row(step_row), .step_beat(step_beat),
        .result(result), .result_first(result_first), .result_last(result_last), .result_bank(result_bank),
        .result_beat(result_beat)
    );

    dwell_delay #(.BITS(1), .DEPTH(LATENCY), .RESET(1)) u_valid (
        .clk(clk), .rst_n(rst_n), .d(step & result), .q(out_valid)
    );
    dwell_delay #(.BITS(3), .DEPTH(LATENCY)) u_marks (
        .clk(clk), .rst_n(rst_n), .d({result_first, result_last, result_bank}), .q({out_first, out_last, out_bank})
    );

    // ---- rows above, and which of them are in the frame
    wire                        row_valid;  // `rows` is a new column of beats
    wire [KERNEL_H*BEAT-1:0]    rows;       // row ky of the window at [ky * BEAT +: BEAT]

    genvar y, q, x, k;
    generate
        if (KERNEL_H > 1) begin : g_lines
            wire [(REACH_H+1)*BEAT-1:0] column;
            dwell_line_buffer #(
                .PIXEL_BITS(BEAT), .ROWS(REACH_H), .MAX_WIDTH(STEP_BEATS), .COLUMN_BITS(BEAT_BITS),
                .FORWARD(STEP_BEATS == 1)
            ) u_lines (.clk(clk), .in_valid(step), .in_column(step_beat), .in_pixel(in_data), .column(column));
            dwell_delay #(.BITS(1), .DEPTH(1), .RESET(1)) u_row_valid (
                .clk(clk), .rst_n(rst_n), .d(step), .q(row_valid)
            );
            for (y = 0; y < KERNEL_H; y = y + 1) begin : g_row
                // The row that this tap sees lies AGE above the step's. In the first BELOW rows of the scan the
                // results are those of the frame before, so that its rows go on there.
                localparam AGE = (KERNEL_H - 1 - y) * DILATION_H;
                localparam [31:0] AGE_32 = AGE, ROWS_32 = ROWS, SCAN_32 = STEP_ROWS, BELOW_32 = BELOW;
                wire [31:0] here = {{(32 - ROW_BITS) {1'b0}}, step_row};
                wire [31:0] seen;  // modulo 2**32: what lies above the frame is beyond every row
                if (BELOW > 0) begin : g_before
                    assign seen = ((here < BELOW_32) ? here + SCAN_32 : here) - AGE_32;
                end else begin : g_same
                    assign seen = here - AGE_32;
                end
                reg keep;
                always @(posedge clk) keep <= seen < ROWS_32;
                assign rows[y*BEAT+:BEAT] = keep ? column[AGE*BEAT+:BEAT] : {LANES{PAD}};
            end
            wire unused_between = &{1'b0, column};
        end else begin : g_line
            assign row_valid = step;
            assign rows      = in_data;
            wire unused_place = &{1'b0, step_row, step_beat};
        end
    endgenerate

    // ---- columns of the present beat and of those beside it, and which of them are in the frame
    wire [SPAN-1:0] column_kept;
    wire            unused_beat = &{1'b0, result_beat};  // where no column is ever outside

    generate
        for (q = 0; q < SPAN; q = q + 1) begin : g_column
            // Column q of a beat's windows is column result_beat * LANES + q - LEFT of the frame.
            localparam LOWEST  = q - LEFT;
            localparam HIGHEST = (RESULT_BEATS - 1) * LANES + q - LEFT;
            localparam [31:0] LOWEST_32 = LOWEST, COLUMNS_32 = COLUMNS, LANES_32 = LANES;
            if (LOWEST < 0 || HIGHEST >= COLUMNS) begin : g_edge
                wire [31:0] at = {{(32 - BEAT_BITS) {1'b0}}, result_beat} * LANES_32 + LOWEST_32;
                wire        in_frame = at < COLUMNS_32;  // modulo 2**32 as well
                dwell_delay #(.BITS(1), .DEPTH(LATENCY)) u_keep (
                    .clk(clk), .rst_n(rst_n), .d(in_frame), .q(column_kept[q])
                );
            end else begin : g_inner
                assign column_kept[q] = 1'b1;
            end
        end

        for (y = 0; y < KERNEL_H; y = y + 1) begin : g_tap_row
            reg  [KEPT*BEAT-1:0]       line;  // the newest beat highest
            wire [KEPT*BEAT-1:0]       moved;
            wire [SPAN*PIXEL_BITS-1:0] covered;
            if (KEPT > 1) begin : g_past
                assign moved = {rows[y*BEAT+:BEAT], line[KEPT*BEAT-1:BEAT]};
            end else begin : g_now
                assign moved = rows[y*BEAT+:BEAT];
            end
            always @(posedge clk) if (row_valid) line <= moved;
            for (q = 0; q < SPAN; q = q + 1) begin : g_covered
                assign covered[q*PIXEL_BITS+:PIXEL_BITS] =
                    column_kept[q] ? line[(OFFSET+q)*PIXEL_BITS+:PIXEL_BITS] : PAD;
            end
            for (x = 0; x < OUT_LANES; x = x + 1) begin : g_lane
                for (k = 0; k < KERNEL_W; k = k + 1) begin : g_tap
                    assign out_taps[((x*KERNEL_H+y)*KERNEL_W+k)*PIXEL_BITS+:PIXEL_BITS] =
                        covered[(x*STRIDE_W+k*DILATION_W)*PIXEL_BITS+:PIXEL_BITS];
                end
            end
            // Columns beyond the windows, and those that stride or dilation pass over.
            wire unused_columns = &{1'b0, line, covered};
        end
    endgenerate

endmodule

`default_nettype wire
