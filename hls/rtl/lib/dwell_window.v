// dwell_window: columns into windows.
//
// Shift registers behind the newest column. Tap (y, x) of the window, counted from its upper left
// corner, is at bits [(y * KERNEL_W + x) * PIXEL_BITS +: PIXEL_BITS]; the newest pixel is the last
// tap. The newest column is passed on unregistered, so that the window is there with the column.
`default_nettype none

module dwell_window #(
    parameter PIXEL_BITS = 8,                             // bits of a pixel, all its channels
    parameter KERNEL_H   = 3,                             // window, in taps
    parameter KERNEL_W   = 3,
    parameter DILATION_H = 1,                             // rows from tap to tap
    parameter DILATION_W = 1,                             // columns from tap to tap
    parameter ROWS       = (KERNEL_H - 1) * DILATION_H    // rows above the newest one
) (
    input  wire                                    clk,
    input  wire                                    in_valid,  // `column` is a new one
    input  wire [         (ROWS+1)*PIXEL_BITS-1:0] column,    // newest row in the lowest bits
    output wire [KERNEL_H*KERNEL_W*PIXEL_BITS-1:0] taps
);

    localparam TALL = KERNEL_H * PIXEL_BITS;
    localparam PAST = (KERNEL_W - 1) * DILATION_W;  // columns remembered

    wire [TALL-1:0] picked;  // the rows that the window uses, top row in the lowest bits

    genvar y, x;
    generate
        for (y = 0; y < KERNEL_H; y = y + 1) begin : g_pick
            localparam FROM = (KERNEL_H - 1 - y) * DILATION_H * PIXEL_BITS;
            assign picked[y*PIXEL_BITS+:PIXEL_BITS] = column[FROM+:PIXEL_BITS];
        end

        wire [(PAST+1)*TALL-1:0] history;  // newest column in the lowest bits
        if (PAST > 0) begin : g_past
            reg [PAST*TALL-1:0] past;
            assign history = {past, picked};
            always @(posedge clk) if (in_valid) past <= history[PAST*TALL-1:0];
        end else begin : g_now
            assign history = picked;
            wire unused_clock = &{1'b0, clk, in_valid};
        end

        for (y = 0; y < KERNEL_H; y = y + 1) begin : g_row
            for (x = 0; x < KERNEL_W; x = x + 1) begin : g_tap
                localparam AGE = (KERNEL_W - 1 - x) * DILATION_W;
                assign taps[(y*KERNEL_W+x)*PIXEL_BITS+:PIXEL_BITS] =
                    history[AGE*TALL+y*PIXEL_BITS+:PIXEL_BITS];
            end
        end
    endgenerate

    // Rows and columns between the taps of a dilated window.
    wire unused_between = &{1'b0, column, history};

endmodule

`default_nettype wire
