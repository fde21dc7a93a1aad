// dwell_upsample: each pixel FACTOR_W times side by side, each row FACTOR_H times.
//
// The first pass over a row takes its beats and keeps them, the further ones repeat them from memory.
// A beat of LANES pixels becomes one of LANES * FACTOR_W, 1 clock after its step. See dwell_scan for
// `want` and `credit`.
`default_nettype none

module dwell_upsample #(
    parameter PIXEL_BITS = 8,  // bits of a pixel, all its channels
    parameter LANES      = 1,  // pixels of a beat that comes in
    parameter ROWS       = 8,  // rows of the input frame
    parameter BEATS      = 8,  // beats of its rows
    parameter FACTOR_H   = 2,
    parameter FACTOR_W   = 2
) (
    input  wire clk,
    input  wire rst_n,
    input  wire in_valid,
    output wire in_ready,
    input  wire in_bank,
    input  wire [LANES*PIXEL_BITS-1:0] in_data,
    output wire want,
    input  wire credit,
    output wire out_valid,
    output wire out_first,
    output wire out_last,
    output wire out_bank,
    output wire [LANES*FACTOR_W*PIXEL_BITS-1:0] out_data
);

    localparam ROW_BITS  = (ROWS > 1) ? $clog2(ROWS) : 1;
    localparam BEAT_BITS = (BEATS > 1) ? $clog2(BEATS) : 1;
    localparam PASS_BITS = (FACTOR_H > 1) ? $clog2(FACTOR_H) : 1;
    localparam [31:0] ROW_END_32 = ROWS - 1, BEAT_END_32 = BEATS - 1, PASS_END_32 = FACTOR_H - 1;
    localparam [ROW_BITS-1:0] NO_ROW = 0;
    localparam [BEAT_BITS-1:0] NO_BEAT = 0;
    localparam [PASS_BITS-1:0] NO_PASS = 0;

    reg [ROW_BITS-1:0]  row;
    reg [PASS_BITS-1:0] pass;
    reg [BEAT_BITS-1:0] beat;
    reg                 bank;

    wire takes     = pass == NO_PASS;
    wire step      = want & credit;
    wire beat_ends = beat == BEAT_END_32[BEAT_BITS-1:0];
    wire pass_ends = pass == PASS_END_32[PASS_BITS-1:0];
    wire row_ends  = row == ROW_END_32[ROW_BITS-1:0];
    wire first     = takes & (row == NO_ROW) & (beat == NO_BEAT);
    wire last      = beat_ends & pass_ends & row_ends;
    wire now_bank  = first ? in_bank : bank;

    assign want     = in_valid | ~takes;
    assign in_ready = credit & takes;

    always @(posedge clk) begin
        if (!rst_n) begin
            row  <= NO_ROW;
            pass <= NO_PASS;
            beat <= NO_BEAT;
        end else if (step) begin
            beat <= beat_ends ? NO_BEAT : beat + 1'b1;
            if (beat_ends) pass <= pass_ends ? NO_PASS : pass + 1'b1;
            if (beat_ends & pass_ends) row <= row_ends ? NO_ROW : row + 1'b1;
        end
        if (step) bank <= now_bank;
    end

    dwell_delay #(.BITS(1), .DEPTH(1), .RESET(1)) u_valid (.clk(clk), .rst_n(rst_n), .d(step), .q(out_valid));
    dwell_delay #(.BITS(3), .DEPTH(1)) u_marks (
        .clk(clk), .rst_n(rst_n), .d({first, last, now_bank}), .q({out_first, out_last, out_bank})
    );

    reg  [LANES*PIXEL_BITS-1:0] newest;
    wire [LANES*PIXEL_BITS-1:0] pixels;
    always @(posedge clk) newest <= in_data;

    genvar x;
    generate
        if (FACTOR_H > 1) begin : g_rows
            reg [LANES*PIXEL_BITS-1:0] memory [0:BEATS-1];
            reg [LANES*PIXEL_BITS-1:0] kept;
            reg                        again;
            always @(posedge clk) begin
                if (step & takes) memory[beat] <= in_data;
                kept  <= memory[beat];
                again <= ~takes;
            end
            assign pixels = again ? kept : newest;
        end else begin : g_row
            assign pixels = newest;
        end
        for (x = 0; x < LANES * FACTOR_W; x = x + 1) begin : g_pixel
            assign out_data[x*PIXEL_BITS+:PIXEL_BITS] = pixels[(x/FACTOR_W)*PIXEL_BITS+:PIXEL_BITS];
        end
    endgenerate

endmodule

`default_nettype wire
