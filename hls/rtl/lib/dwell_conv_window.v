// dwell_conv_window: a stream of pixels into a stream of windows.
//
// Line buffer, window and region tracking of one convolution, stride 1, no padding. A window comes
// out for every pixel at which it is whole. Latency: 1 clock, or 0 where KERNEL_H is 1 (no memory).
`default_nettype none

module dwell_conv_window #(
    parameter PIXEL_BITS  = 8,                    // bits of a pixel, all its channels
    parameter KERNEL_H    = 3,                    // window, in taps
    parameter KERNEL_W    = 3,
    parameter DILATION_H  = 1,                    // rows from tap to tap
    parameter DILATION_W  = 1,                    // columns from tap to tap
    parameter MAX_WIDTH   = 256                   // longest line
) (
    input  wire                                    clk,
    input  wire                                    rst_n,
    input  wire                                    in_valid,
    input  wire                                    in_first,  // first pixel of a frame
    input  wire                                    in_last,   // last pixel of a line
    input  wire [                  PIXEL_BITS-1:0] in_pixel,
    output wire                                    out_valid,
    output wire                                    out_first,
    output wire                                    out_last,
    output wire [KERNEL_H*KERNEL_W*PIXEL_BITS-1:0] out_taps   // see dwell_window for the order
);

    localparam ROWS        = (KERNEL_H - 1) * DILATION_H;
    localparam COLUMNS     = (KERNEL_W - 1) * DILATION_W;
    localparam COLUMN_BITS = (MAX_WIDTH > 1) ? $clog2(MAX_WIDTH) : 1;
    localparam ROW_BITS    = (ROWS > 0) ? $clog2(ROWS + 1) : 1;
    localparam LATENCY     = (KERNEL_H > 1) ? 1 : 0;

    wire [        COLUMN_BITS-1:0] in_column;
    wire [(ROWS+1)*PIXEL_BITS-1:0] column;
    wire                           column_valid;

    dwell_region #(
        .ROWS(ROWS), .COLUMNS(COLUMNS), .COLUMN_BITS(COLUMN_BITS), .ROW_BITS(ROW_BITS), .LATENCY(LATENCY)
    ) u_region (
        .clk(clk), .rst_n(rst_n),
        .in_valid(in_valid), .in_first(in_first), .in_last(in_last), .in_column(in_column),
        .out_valid(out_valid), .out_first(out_first), .out_last(out_last)
    );

    generate
        if (KERNEL_H > 1) begin : g_lines
            dwell_line_buffer #(
                .PIXEL_BITS(PIXEL_BITS), .ROWS(ROWS), .MAX_WIDTH(MAX_WIDTH), .COLUMN_BITS(COLUMN_BITS),
                .FORWARD(KERNEL_W == 1)
            ) u_lines (
                .clk(clk), .in_valid(in_valid), .in_column(in_column), .in_pixel(in_pixel), .column(column)
            );
        end else begin : g_line
            assign column = in_pixel;
            wire unused_column = &{1'b0, in_column};
        end
    endgenerate

    dwell_delay #(.BITS(1), .DEPTH(LATENCY), .RESET(1)) u_shift (
        .clk(clk), .rst_n(rst_n), .d(in_valid), .q(column_valid)
    );

    dwell_window #(
        .PIXEL_BITS(PIXEL_BITS), .KERNEL_H(KERNEL_H), .KERNEL_W(KERNEL_W),
        .DILATION_H(DILATION_H), .DILATION_W(DILATION_W), .ROWS(ROWS)
    ) u_window (
        .clk(clk), .in_valid(column_valid), .column(column), .taps(out_taps)
    );

endmodule

`default_nettype wire
