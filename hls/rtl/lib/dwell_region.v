// dwell_region: where in the frame are we, and is the window whole?
//
// Counts columns (from the end of a line) and rows (from the first pixel of a frame). A result is
// valid once ROWS rows and COLUMNS columns lie before the present pixel. The first valid result
// after the start of a frame carries `first`; a result at the end of a line carries `last`. The
// start of a frame is obeyed wherever it comes, so that a frame may break off in mid-line.
`default_nettype none

module dwell_region #(
    parameter ROWS        = 4,  // rows above that a window needs
    parameter COLUMNS     = 4,  // columns to the left that a window needs
    parameter COLUMN_BITS = 8,  // bits of a column number
    parameter ROW_BITS    = 3,  // bits that hold ROWS
    parameter LATENCY     = 1   // clocks from in_valid to out_valid: those of the line buffer, 0 or 1
) (
    input  wire                   clk,
    input  wire                   rst_n,
    input  wire                   in_valid,
    input  wire                   in_first,   // first pixel of a frame
    input  wire                   in_last,    // last pixel of a line
    output wire [COLUMN_BITS-1:0] in_column,  // column of the present pixel
    output wire                   out_valid,
    output wire                   out_first,
    output wire                   out_last
);

    reg [COLUMN_BITS-1:0] column;  // column of the next pixel, unless a frame starts with it
    reg [   ROW_BITS-1:0] row;     // rows above it, ROWS at most
    reg                   armed;   // no valid result yet in this frame

    localparam [           31:0] ROWS_32        = ROWS;
    localparam [           31:0] COLUMNS_32     = COLUMNS;
    localparam [   ROW_BITS-1:0] ROWS_NEEDED    = ROWS_32[ROW_BITS-1:0];
    localparam [COLUMN_BITS-1:0] COLUMNS_NEEDED = COLUMNS_32[COLUMN_BITS-1:0];

    wire [ROW_BITS-1:0] in_row = in_first ? {ROW_BITS{1'b0}} : row;
    wire                wide_enough;
    assign in_column = in_first ? {COLUMN_BITS{1'b0}} : column;

    generate
        if (COLUMNS == 0) begin : g_any
            assign wide_enough = 1'b1;
        end else begin : g_count
            assign wide_enough = in_column >= COLUMNS_NEEDED;
        end
    endgenerate

    wire whole = in_valid & wide_enough & (in_row == ROWS_NEEDED);
    wire first = whole & (in_first | armed);

    always @(posedge clk) begin
        if (!rst_n) begin
            column <= {COLUMN_BITS{1'b0}};
            row    <= {ROW_BITS{1'b0}};
            armed  <= 1'b0;
        end else if (in_valid) begin
            column <= in_last ? {COLUMN_BITS{1'b0}} : in_column + 1'b1;
            row    <= (in_last && in_row != ROWS_NEEDED) ? in_row + 1'b1 : in_row;
            armed  <= (in_first | armed) & ~whole;
        end
    end

    dwell_delay #(.BITS(1), .DEPTH(LATENCY), .RESET(1)) u_valid (.clk(clk), .rst_n(rst_n), .d(whole), .q(out_valid));
    dwell_delay #(.BITS(2), .DEPTH(LATENCY)) u_marks (
        .clk(clk), .rst_n(rst_n), .d({first, in_last}), .q({out_first, out_last})
    );

endmodule

`default_nettype wire
