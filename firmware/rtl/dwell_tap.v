// dwell_tap: between the detector's pixels and the network.
//
// It marks frames and lines (from the stream's own marks, or by counting), holds the few pixels that
// wait for the network, and knows which pixel completes a window, so that the shell can tell how many
// decisions the network owes. Where the source cannot wait (`never_stall`), `s_axis_tready` is always
// high: a pixel that finds no room is dropped, and with it the rest of its frame, because a frame with
// a hole would shift every decision after it. Pixels beyond MAX_LINE of a line are dropped too. Every
// pixel that is taken from the source is counted, and either goes to the network or is counted as dropped.
`default_nettype none

module dwell_tap #(
    parameter PIXEL_BITS    = 8,   // bits of a pixel's beat
    parameter WINDOW_LINES  = 3,   // lines of the network's window
    parameter WINDOW_PIXELS = 3,   // pixels of a line of it
    parameter MAX_LINE      = 256, // longest line that the network takes
    parameter DEPTH_LOG2    = 4    // log2 of the pixels that can wait
) (
    input  wire                  clk,
    input  wire                  rst_n,
    // settings
    input  wire                  enable,
    input  wire                  never_stall,
    input  wire                  external_framing,
    input  wire                  restart,         // strobe: the next pixel starts a frame
    input  wire [          15:0] line_pixels,
    input  wire [          15:0] frame_lines,
    // from the source
    input  wire [PIXEL_BITS-1:0] s_axis_tdata,
    input  wire                  s_axis_tvalid,
    output wire                  s_axis_tready,
    input  wire                  s_axis_tlast,
    input  wire                  s_axis_tuser,
    // to the network
    output wire [PIXEL_BITS-1:0] m_axis_tdata,
    output wire                  m_axis_tvalid,
    input  wire                  m_axis_tready,
    output wire                  m_axis_tlast,
    output wire                  m_axis_tuser,
    // strobes and state
    output wire                  busy,
    output wire                  taken,           // a pixel came from the source
    output wire                  dropped,         // it was dropped
    output wire                  decided,         // a pixel went to the network
    output wire                  frame_started,   // it was the first of a frame
    output wire                  owed,            // it completes a window: a decision will come
    output wire                  owed_first       // the first decision of its frame
);

    localparam [31:0] END_LINES_32  = WINDOW_LINES - 1;
    localparam [31:0] END_PIXELS_32 = WINDOW_PIXELS - 1;
    localparam [31:0] MAX_LINE_32   = MAX_LINE;
    localparam [15:0] END_LINES     = END_LINES_32[15:0];
    localparam [15:0] END_PIXELS    = END_PIXELS_32[15:0];
    localparam [15:0] LONGEST       = MAX_LINE_32[15:0];

    reg  [15:0] column;   // of the next pixel
    reg  [15:0] line;     // of the next pixel, when no frame starts with it
    reg         open;     // this frame's pixels go to the network
    reg         fresh;    // the next pixel starts a frame
    reg         waiting;  // no window of this frame was complete yet

    wire        room;
    assign s_axis_tready = rst_n & (never_stall | ~enable | room);
    assign taken         = s_axis_tvalid & s_axis_tready;

    // ---- where the pixel lies
    wire        first     = external_framing ? s_axis_tuser : fresh;
    wire [15:0] at_column = first ? 16'd0 : column;
    wire [15:0] at_line   = first ? 16'd0 : line;
    wire        marked    = external_framing ? s_axis_tlast : (at_column + 16'd1 == line_pixels);
    wire        in_line    = at_column < LONGEST;
    wire        last      = marked | (at_column + 16'd1 == LONGEST);
    wire        ends      = ~external_framing & marked & (at_line + 16'd1 == frame_lines);
    wire        completes = (at_line >= END_LINES) & (at_column >= END_PIXELS);

    // ---- to the network or not
    wire        wanted = enable & (first | open);
    wire        push   = taken & wanted & in_line & room;
    assign dropped     = taken & ~push;

    always @(posedge clk) begin
        if (!rst_n) begin
            column  <= 16'd0;
            line    <= 16'd0;
            open    <= 1'b0;
            fresh   <= 1'b1;
            waiting <= 1'b1;
        end else begin
            if (restart | ~enable) begin
                // What follows belongs to no frame until one starts.
                fresh <= 1'b1;
                open  <= 1'b0;
            end else if (taken) begin
                fresh <= ends;
                if (first) open <= room;
                else if (~room) open <= 1'b0;
            end
            if (taken) begin
                column <= marked ? 16'd0 : (at_column == 16'hFFFF) ? at_column : at_column + 16'd1;
                line   <= (marked & (at_line != 16'hFFFF)) ? at_line + 16'd1 : at_line;
                if (push & completes) waiting <= 1'b0;
                else if (first) waiting <= 1'b1;
            end
        end
    end

    // ---- the pixels that wait
    wire               complete_first = completes & (first | waiting);
    wire [DEPTH_LOG2:0] level;
    wire                out_completes;
    wire                out_complete_first;

    dwell_word_fifo #(.BITS(PIXEL_BITS + 4), .DEPTH_LOG2(DEPTH_LOG2)) u_wait (
        .clk(clk), .rst_n(rst_n),
        .s_valid(push), .s_ready(room),
        .s_data({first, last, completes, complete_first, s_axis_tdata}),
        .m_valid(m_axis_tvalid), .m_ready(m_axis_tready),
        .m_data({m_axis_tuser, m_axis_tlast, out_completes, out_complete_first, m_axis_tdata}),
        .level(level)
    );

    assign busy          = m_axis_tvalid;
    assign decided       = m_axis_tvalid & m_axis_tready;
    assign frame_started = decided & m_axis_tuser;
    assign owed          = decided & out_completes;
    assign owed_first    = decided & out_complete_first;

    wire unused = &{1'b0, level};

endmodule

`default_nettype wire
