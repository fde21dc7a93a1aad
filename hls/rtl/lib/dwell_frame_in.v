// dwell_frame_in: the front door of a streaming design. Keeps the rest of it out of trouble.
//
// - Before the first TUSER after reset, pixels are accepted and dropped: there is no frame yet.
// - A line longer than MAX_WIDTH is cut: its pixel number MAX_WIDTH becomes the last one, the
//   pixels after it are accepted and dropped up to and including its TLAST (or up to a TUSER,
//   which starts a frame).
// Latency: 1 clock.
`default_nettype none

module dwell_frame_in #(
    parameter PIXEL_BITS = 8,   // bits of a pixel, all its channels
    parameter MAX_WIDTH  = 256  // longest line
) (
    input  wire                  clk,
    input  wire                  rst_n,
    input  wire                  in_valid,   // a beat has been accepted
    input  wire                  in_first,   // TUSER: first pixel of a frame
    input  wire                  in_last,    // TLAST: last pixel of a line
    input  wire [PIXEL_BITS-1:0] in_pixel,
    output reg                   out_valid,
    output reg                   out_first,
    output reg                   out_last,
    output reg  [PIXEL_BITS-1:0] out_pixel
);

    localparam                   COLUMN_BITS = (MAX_WIDTH > 1) ? $clog2(MAX_WIDTH) : 1;
    localparam [31:0]            END_32      = MAX_WIDTH - 1;
    localparam [COLUMN_BITS-1:0] END         = END_32[COLUMN_BITS-1:0];

    reg [COLUMN_BITS-1:0] column;  // of the next pixel, unless a frame starts with it
    reg                   open;    // pixels belong to a frame and to a line that is not cut
    reg                   cut;     // dropping the rest of a line

    wire [COLUMN_BITS-1:0] in_column = in_first ? {COLUMN_BITS{1'b0}} : column;
    wire                   take      = in_valid & (in_first | open);
    wire                   full      = in_column == END;

    always @(posedge clk) begin
        if (!rst_n) begin
            out_valid <= 1'b0;
            column    <= {COLUMN_BITS{1'b0}};
            open      <= 1'b0;
            cut       <= 1'b0;
        end else begin
            out_valid <= take;
            if (take) begin
                column <= (in_last | full) ? {COLUMN_BITS{1'b0}} : in_column + 1'b1;
                open   <= in_last | ~full;
                cut    <= full & ~in_last;
            end else if (in_valid & cut & in_last) begin
                open <= 1'b1;
                cut  <= 1'b0;
            end
        end
        out_first <= in_first;
        out_last  <= in_last | full;
        out_pixel <= in_pixel;
    end

endmodule

`default_nettype wire
