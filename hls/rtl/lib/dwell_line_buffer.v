// dwell_line_buffer: the pixels above the present one.
//
// A RAM with one word for each column. A word holds the ROWS previous rows of its column. When a
// pixel arrives, the word of its column is read; one clock later the word is written back with the
// new pixel in and the oldest out. No frame is ever stored, and the line may have any length up to
// MAX_WIDTH: whoever counts the columns decides.
//
// One clock after in_valid, `column` holds the new pixel (lowest bits) and the ROWS pixels above it,
// nearest first. What lies above the first row of a frame is left over from the frame before.
`default_nettype none

module dwell_line_buffer #(
    parameter PIXEL_BITS  = 8,                  // bits of a pixel, all its channels
    parameter ROWS        = 4,                  // previous rows kept, at least 1
    parameter MAX_WIDTH   = 256,                // columns
    parameter COLUMN_BITS = 8,                  // bits of a column number
    parameter FORWARD     = 0                   // 1: a line may be a single pixel, so that a word can be
                                                //    read at the very clock at which it is written
) (
    input  wire                           clk,
    input  wire                           in_valid,
    input  wire [        COLUMN_BITS-1:0] in_column,
    input  wire [         PIXEL_BITS-1:0] in_pixel,
    output wire [(ROWS+1)*PIXEL_BITS-1:0] column
);

    localparam WORD_BITS = ROWS * PIXEL_BITS;

    reg [  WORD_BITS-1:0] memory [0:MAX_WIDTH-1];
    reg [  WORD_BITS-1:0] word;
    reg [ PIXEL_BITS-1:0] pixel;
    reg [COLUMN_BITS-1:0] address;
    reg                   write;

    wire [WORD_BITS-1:0] above;  // the previous rows of this column
    wire [WORD_BITS-1:0] next;   // what the next row will find

    always @(posedge clk) begin
        if (in_valid) word <= memory[in_column];
        if (write) memory[address] <= next;
        write   <= in_valid;
        address <= in_column;
        pixel   <= in_pixel;
    end

    generate
        if (ROWS > 1) begin : g_rows
            assign next = {above[WORD_BITS-PIXEL_BITS-1:0], pixel};
        end else begin : g_row
            assign next = pixel;
        end
        if (FORWARD != 0) begin : g_forward
            reg                 same;
            reg [WORD_BITS-1:0] newest;
            always @(posedge clk) begin
                same   <= write & (address == in_column);
                newest <= next;
            end
            assign above = same ? newest : word;
        end else begin : g_plain
            assign above = word;
        end
    endgenerate

    assign column = {above, pixel};

endmodule

`default_nettype wire
