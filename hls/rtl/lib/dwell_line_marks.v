// dwell_line_marks: TUSER and TLAST of the beats that leave. Registers only.
`default_nettype none

module dwell_line_marks #(
    parameter LINE_BEATS = 8,  // beats of a line
    parameter LINES      = 8   // lines of a frame
) (
    input  wire clk,
    input  wire rst_n,
    input  wire leave,  // a beat has been handed over
    output wire user,   // the present beat is the first of a frame
    output wire last    // it is the last of a line
);

    localparam BEAT_BITS = (LINE_BEATS > 1) ? $clog2(LINE_BEATS) : 1;
    localparam LINE_BITS = (LINES > 1) ? $clog2(LINES) : 1;
    localparam [31:0] BEAT_END_32 = LINE_BEATS - 1, LINE_END_32 = LINES - 1;
    localparam [BEAT_BITS-1:0] NO_BEAT = 0;
    localparam [LINE_BITS-1:0] NO_LINE = 0;

    reg [BEAT_BITS-1:0] beat;
    reg [LINE_BITS-1:0] line;

    assign user = (beat == NO_BEAT) & (line == NO_LINE);
    assign last = beat == BEAT_END_32[BEAT_BITS-1:0];

    always @(posedge clk) begin
        if (!rst_n) begin
            beat <= NO_BEAT;
            line <= NO_LINE;
        end else if (leave) begin
            beat <= last ? NO_BEAT : beat + 1'b1;
            if (last) line <= (line == LINE_END_32[LINE_BITS-1:0]) ? NO_LINE : line + 1'b1;
        end
    end

endmodule

`default_nettype wire
