// dwell_pixel_path: the way of the pixels through a network that gives a signed score a beat.
//
// pixels -> tap -> network -> decisions, with where each lies and how many the network still owes.
// Frames may be of any size from the window up. A decision's beat is its score, and in the top bit: fired.
`default_nettype none

module dwell_pixel_path #(
    parameter PIXEL_BITS    = 8,   // bits of a pixel's beat
    parameter OUTPUT_BITS   = 16,  // bits of the network's output beat, sign-extended
    parameter DECISION_BITS = 32,  // bits of a decision's beat, more than OUTPUT_BITS or the score has
    parameter WINDOW_LINES  = 3,
    parameter WINDOW_PIXELS = 3,
    parameter MAX_LINE      = 256, // longest line that the network takes
    parameter TAP_LOG2      = 4    // log2 of the pixels that can wait
) (
    input  wire                     clk,
    input  wire                     rst_n,
    // settings
    input  wire                     enable,
    input  wire                     never_stall,
    input  wire                     external_framing,
    input  wire                     restart,
    input  wire                     decisions_on,
    input  wire                     line_packets,
    input  wire [             15:0] line_pixels,
    input  wire [             15:0] frame_lines,
    input  wire [             31:0] next_frame,     // number of the next frame
    // pixels
    input  wire [   PIXEL_BITS-1:0] s_axis_tdata,
    input  wire                     s_axis_tvalid,
    output wire                     s_axis_tready,
    input  wire                     s_axis_tlast,
    input  wire                     s_axis_tuser,
    // the network
    output wire [   PIXEL_BITS-1:0] net_s_axis_tdata,
    output wire                     net_s_axis_tvalid,
    input  wire                     net_s_axis_tready,
    output wire                     net_s_axis_tlast,
    output wire                     net_s_axis_tuser,
    input  wire [  OUTPUT_BITS-1:0] net_m_axis_tdata,
    input  wire                     net_m_axis_tvalid,
    output wire                     net_m_axis_tready,
    input  wire                     net_m_axis_tlast,
    input  wire                     net_m_axis_tuser,
    // a decision, and the trigger's answer in the same clock
    output wire                     decision,
    output wire                     decision_first, // of its frame
    output wire [             31:0] score,
    output wire [             31:0] at_frame,
    output wire [             15:0] at_line,        // input pixel under the middle of the window
    output wire [             15:0] at_pixel,
    input  wire                     fired,
    // decisions out
    output wire [DECISION_BITS-1:0] m_axis_tdata,
    output wire                     m_axis_tvalid,
    input  wire                     m_axis_tready,
    output wire                     m_axis_tlast,
    // strobes and state
    output wire                     tap_busy,
    output wire                     network_busy,   // the network owes decisions
    output wire                     taken,
    output wire                     dropped,
    output wire                     decided,
    output wire                     frame_started,
    output wire                     lost,           // a decision that was to be sent found no room
    output reg                      fault_surplus,
    output reg                      fault_frames
);

    localparam [31:0] WINDOW_LINES_32 = WINDOW_LINES;
    localparam [31:0] OFFSET_LINE_32  = (WINDOW_LINES - 1) / 2;
    localparam [31:0] OFFSET_PIXEL_32 = (WINDOW_PIXELS - 1) / 2;
    localparam        TAGS_LOG2       = 3;

    // ---- pixels to the network
    wire owed, owed_first;

    dwell_tap #(
        .PIXEL_BITS(PIXEL_BITS), .WINDOW_LINES(WINDOW_LINES), .WINDOW_PIXELS(WINDOW_PIXELS),
        .MAX_LINE(MAX_LINE), .DEPTH_LOG2(TAP_LOG2)
    ) u_tap (
        .clk(clk), .rst_n(rst_n),
        .enable(enable), .never_stall(never_stall), .external_framing(external_framing), .restart(restart),
        .line_pixels(line_pixels), .frame_lines(frame_lines),
        .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid), .s_axis_tready(s_axis_tready),
        .s_axis_tlast(s_axis_tlast), .s_axis_tuser(s_axis_tuser),
        .m_axis_tdata(net_s_axis_tdata), .m_axis_tvalid(net_s_axis_tvalid), .m_axis_tready(net_s_axis_tready),
        .m_axis_tlast(net_s_axis_tlast), .m_axis_tuser(net_s_axis_tuser),
        .busy(tap_busy), .taken(taken), .dropped(dropped), .decided(decided),
        .frame_started(frame_started), .owed(owed), .owed_first(owed_first)
    );

    // ---- frames are numbered where they enter; the number waits until its first decision comes
    wire [31:0] this_frame = frame_started ? next_frame : next_frame - 32'd1;
    wire        tags_room, tag_there;
    wire [31:0] tag;
    wire [TAGS_LOG2:0] tags_level;

    assign decision_first = decision & net_m_axis_tuser;

    dwell_word_fifo #(.BITS(32), .DEPTH_LOG2(TAGS_LOG2)) u_tags (
        .clk(clk), .rst_n(rst_n),
        .s_valid(owed_first), .s_ready(tags_room), .s_data(this_frame),
        .m_valid(tag_there), .m_ready(decision_first), .m_data(tag), .level(tags_level)
    );

    // ---- decisions the network owes
    reg [15:0] pending;
    assign network_busy = pending != 16'd0;

    always @(posedge clk) begin
        if (!rst_n) begin
            pending       <= 16'd0;
            fault_surplus <= 1'b0;
            fault_frames  <= 1'b0;
        end else begin
            if (owed & ~decision) pending <= pending + 16'd1;
            else if (decision & ~owed & network_busy) pending <= pending - 16'd1;
            if (decision & ~network_busy) fault_surplus <= 1'b1;
            if ((owed_first & ~tags_room) | (decision_first & ~tag_there)) fault_frames <= 1'b1;
        end
    end

    // ---- where a decision lies
    reg  [15:0] dec_column;
    reg  [15:0] dec_line;
    reg  [31:0] dec_frame;
    wire [15:0] out_column = net_m_axis_tuser ? 16'd0 : dec_column;
    wire [15:0] out_line   = net_m_axis_tuser ? 16'd0 : dec_line;

    assign at_frame = net_m_axis_tuser ? tag : dec_frame;
    assign at_pixel = out_column + OFFSET_PIXEL_32[15:0];
    assign at_line  = out_line + OFFSET_LINE_32[15:0];
    assign score    = {{(32 - OUTPUT_BITS) {net_m_axis_tdata[OUTPUT_BITS-1]}}, net_m_axis_tdata};

    always @(posedge clk) begin
        if (decision) begin
            dec_frame  <= at_frame;
            dec_column <= net_m_axis_tlast ? 16'd0 : out_column + 16'd1;
            dec_line   <= net_m_axis_tlast ? out_line + 16'd1 : out_line;
        end
    end

    // ---- decisions out. A frame with a hole in it is of no use: after a drop, the rest of it is dropped.
    reg                      broken;
    wire                     room;
    wire                     whole    = net_m_axis_tuser | ~broken;
    wire                     send     = decision & decisions_on & room & whole;
    wire                     end_line = net_m_axis_tlast;
    wire                     end_all  = end_line & (out_line + WINDOW_LINES_32[15:0] == frame_lines);
    wire                     end_send = (line_packets | external_framing) ? end_line : end_all;
    wire [DECISION_BITS-2:0] sent_score;
    wire [              2:0] level;

    generate
        if (DECISION_BITS - 1 > OUTPUT_BITS) begin : g_extend
            assign sent_score = {
                {(DECISION_BITS - 1 - OUTPUT_BITS) {net_m_axis_tdata[OUTPUT_BITS-1]}}, net_m_axis_tdata
            };
        end else begin : g_cut
            // The bits above the score's own are copies of its sign.
            assign sent_score = net_m_axis_tdata[DECISION_BITS-2:0];
        end
    endgenerate

    assign net_m_axis_tready = ~decisions_on | never_stall | room;
    assign decision          = net_m_axis_tvalid & net_m_axis_tready;
    assign lost              = decision & decisions_on & ~send;

    always @(posedge clk) begin
        if (!rst_n) broken <= 1'b0;
        else if (lost) broken <= 1'b1;
        else if (decision_first) broken <= 1'b0;
    end

    dwell_word_fifo #(.BITS(DECISION_BITS + 1), .DEPTH_LOG2(2)) u_decisions (
        .clk(clk), .rst_n(rst_n),
        .s_valid(send), .s_ready(room), .s_data({end_send, fired, sent_score}),
        .m_valid(m_axis_tvalid), .m_ready(m_axis_tready), .m_data({m_axis_tlast, m_axis_tdata}),
        .level(level)
    );

    wire unused = &{1'b0, tags_level, level, WINDOW_LINES_32, OFFSET_LINE_32, OFFSET_PIXEL_32};

endmodule

`default_nettype wire
