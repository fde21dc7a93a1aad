// dwell_frame_path: the way of the beats through a network of frames of one size.
//
// beats -> tap -> network -> decisions, each of one or more beats, with where each lies in the output and
// how many frames are on their way. The network's result beats go out as they come, the answer of the
// trigger in the top bit of a decision's last beat; they wait here for the scores, which come
// LATENCY = 2 + log2(LANES) clocks after a decision's last beat.
`default_nettype none

module dwell_frame_path #(
    parameter SOURCE_BITS    = 8,   // bits of the source's beat; what is above INPUT_BITS is not looked at
    parameter INPUT_BITS     = 8,   // bits of the network's input beat
    parameter OUTPUT_BITS    = 16,  // bits of its output beat
    parameter DECISION_BITS  = 32,  // bits of a decision's beat, more than OUTPUT_BITS
    parameter FRAME_BEATS    = 16,  // beats of a frame
    parameter OUTPUT_LINES   = 1,   // positions of the output: lines
    parameter OUTPUT_PIXELS  = 1,   // and positions of a line
    parameter LANES          = 1,   // elements of an output beat
    parameter ELEMENT_BITS   = 16,  // bits of an element
    parameter SIGNED         = 1,   // whether elements are signed
    parameter DECISION_BEATS = 1,   // output beats of a decision
    parameter TAP_LOG2       = 5    // log2 of the beats that can wait
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
    input  wire                     class_trigger,
    input  wire [             15:0] select,
    input  wire [             31:0] next_frame,     // number of the next frame
    // beats
    input  wire [  SOURCE_BITS-1:0] s_axis_tdata,
    input  wire                     s_axis_tvalid,
    output wire                     s_axis_tready,
    input  wire                     s_axis_tuser,
    // the network
    output wire [   INPUT_BITS-1:0] net_s_axis_tdata,
    output wire                     net_s_axis_tvalid,
    input  wire                     net_s_axis_tready,
    output wire                     net_s_axis_tlast,
    output wire                     net_s_axis_tuser,
    input  wire [  OUTPUT_BITS-1:0] net_m_axis_tdata,
    input  wire                     net_m_axis_tvalid,
    output wire                     net_m_axis_tready,
    input  wire                     net_m_axis_tuser,
    // a decision, and the trigger's answer in the same clock
    output wire                     decision,
    output wire                     decision_first, // of its frame
    output wire                     allowed,        // it may fire
    output wire [             31:0] score,
    output wire [             31:0] at_frame,
    output wire [             15:0] at_line,        // in the output
    output wire [             15:0] at_pixel,
    input  wire                     fired,
    // decisions out
    output wire [DECISION_BITS-1:0] m_axis_tdata,
    output wire                     m_axis_tvalid,
    input  wire                     m_axis_tready,
    output wire                     m_axis_tlast,
    // strobes and state
    output wire                     tap_busy,
    output wire                     network_busy,   // a whole frame is on its way
    output wire                     taken,
    output wire                     dropped,
    output wire                     decided,
    output wire                     frame_started,
    output wire                     frame_dropped,
    output wire                     frame_cut,
    output wire                     lost,           // a decision that was to be sent found no room
    output reg                      fault_surplus,
    output reg                      fault_frames
);

    localparam [31:0] END_LINE_32  = OUTPUT_LINES - 1;
    localparam [31:0] END_PIXEL_32 = OUTPUT_PIXELS - 1;
    localparam        CODES_BITS   = LANES * ELEMENT_BITS;
    localparam        WAIT_LOG2    = 4;  // places: at least the latency of the scores and 2

    // ---- beats to the network
    wire unfinished;

    dwell_frame_tap #(.BITS(INPUT_BITS), .FRAME_BEATS(FRAME_BEATS), .DEPTH_LOG2(TAP_LOG2)) u_tap (
        .clk(clk), .rst_n(rst_n),
        .enable(enable), .never_stall(never_stall), .external_framing(external_framing), .restart(restart),
        .s_axis_tdata(s_axis_tdata[INPUT_BITS-1:0]), .s_axis_tvalid(s_axis_tvalid),
        .s_axis_tready(s_axis_tready), .s_axis_tuser(s_axis_tuser),
        .m_axis_tdata(net_s_axis_tdata), .m_axis_tvalid(net_s_axis_tvalid), .m_axis_tready(net_s_axis_tready),
        .m_axis_tlast(net_s_axis_tlast), .m_axis_tuser(net_s_axis_tuser),
        .busy(tap_busy), .unfinished(unfinished), .taken(taken), .dropped(dropped),
        .frame_dropped(frame_dropped), .decided(decided), .frame_started(frame_started), .frame_cut(frame_cut)
    );

    // ---- beats from the network. A frame with a hole in it is of no use: after a drop, the rest is dropped.
    reg  going;  // this frame's beats so far were all sent
    wire room;
    wire beat   = net_m_axis_tvalid & net_m_axis_tready;
    wire send   = beat & decisions_on & room & (net_m_axis_tuser | going);
    wire missed = decisions_on & ~send;
    assign net_m_axis_tready = ~decisions_on | never_stall | room;

    always @(posedge clk) begin
        if (!rst_n) going <= 1'b0;
        else if (beat) going <= send;
    end

    // ---- their scores
    wire scored, first_beat, last_beat, sent, unsent, user, found, largest;

    dwell_scores #(
        .LANES(LANES), .ELEMENT_BITS(ELEMENT_BITS), .SIGNED(SIGNED), .DECISION_BEATS(DECISION_BEATS)
    ) u_scores (
        .clk(clk), .rst_n(rst_n), .select(select),
        .s_valid(beat), .s_data(net_m_axis_tdata[CODES_BITS-1:0]), .s_tags({send, missed, net_m_axis_tuser}),
        .m_valid(scored), .m_first(first_beat), .m_last(last_beat), .m_tags({sent, unsent, user}),
        .m_score(score), .m_found(found), .m_largest(largest)
    );

    assign decision = scored & last_beat;
    assign allowed  = found & (largest | ~class_trigger);
    assign lost     = decision & unsent;

    // ---- where a decision lies, and the frames on their way
    reg  [15:0] line;
    reg  [15:0] pixel;
    reg  [15:0] flying;  // frames that the network has, as a whole or in part
    wire        origin    = (line == 16'd0) & (pixel == 16'd0);
    wire        end_line  = pixel == END_PIXEL_32[15:0];
    wire        end_frame = end_line & (line == END_LINE_32[15:0]);
    wire        done      = decision & end_frame & (flying != 16'd0);

    assign at_line        = line;
    assign at_pixel       = pixel;
    assign at_frame       = next_frame - {16'd0, flying};
    assign decision_first = decision & origin;
    assign network_busy   = flying > {15'd0, unfinished};

    always @(posedge clk) begin
        if (!rst_n) begin
            line          <= 16'd0;
            pixel         <= 16'd0;
            flying        <= 16'd0;
            fault_surplus <= 1'b0;
            fault_frames  <= 1'b0;
        end else begin
            if (decision) begin
                pixel <= end_line ? 16'd0 : pixel + 16'd1;
                if (end_line) line <= end_frame ? 16'd0 : line + 16'd1;
            end
            if (frame_started & ~done) flying <= flying + 16'd1;
            else if (done & ~frame_started) flying <= flying - 16'd1;
            if (decision & (flying == 16'd0)) fault_surplus <= 1'b1;
            if (scored & (user != (first_beat & origin))) fault_frames <= 1'b1;
        end
    end

    // ---- beats out: the data wait for what the trigger says of them
    wire [OUTPUT_BITS-1:0] data;
    wire                   data_there, marks_room, fired_out;
    wire [    WAIT_LOG2:0] data_level, marks_level;
    wire                   leave    = m_axis_tvalid & m_axis_tready;
    wire                   end_send = last_beat & (line_packets ? end_line : end_frame);
    wire                   sign     = (SIGNED != 0) & data[OUTPUT_BITS-1];

    dwell_word_fifo #(.BITS(OUTPUT_BITS), .DEPTH_LOG2(WAIT_LOG2)) u_data (
        .clk(clk), .rst_n(rst_n),
        .s_valid(send), .s_ready(room), .s_data(net_m_axis_tdata),
        .m_valid(data_there), .m_ready(leave), .m_data(data), .level(data_level)
    );

    dwell_word_fifo #(.BITS(2), .DEPTH_LOG2(WAIT_LOG2)) u_marks (
        .clk(clk), .rst_n(rst_n),
        .s_valid(scored & sent), .s_ready(marks_room), .s_data({end_send, last_beat & fired}),
        .m_valid(m_axis_tvalid), .m_ready(m_axis_tready), .m_data({m_axis_tlast, fired_out}),
        .level(marks_level)
    );

    generate
        if (DECISION_BITS - 1 > OUTPUT_BITS) begin : g_extend
            assign m_axis_tdata = {fired_out, {(DECISION_BITS - 1 - OUTPUT_BITS) {sign}}, data};
        end else begin : g_whole
            assign m_axis_tdata = {fired_out, data};
        end
    endgenerate

    wire unused = &{1'b0, s_axis_tdata, net_m_axis_tdata, data_there, data_level, marks_room, marks_level, sign,
                    END_LINE_32, END_PIXEL_32};

endmodule

`default_nettype wire
