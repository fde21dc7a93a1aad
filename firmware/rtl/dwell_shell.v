// dwell_shell: everything of the firmware but the network, which is wired to the `net_` ports.
//
// pixels -> tap -> network -> decisions -+-> decision stream (score, and in the top bit: fired)
//                                        +-> trigger -> pulse pin
//                                        +-> event records -> event stream
// Registers, counters and the accounting of what is on its way live here. The network's reset is
// `net_aresetn`: reset or soft reset.
`default_nettype none

module dwell_shell #(
    parameter         PIXEL_BITS     = 8,      // bits of a pixel's beat
    parameter         NET_BITS       = 16,     // bits of the network's output beat, sign-extended
    parameter         SCORE_BITS     = 16,     // bits of a score that mean something, for information
    parameter         DECISION_BITS  = 32,     // bits of a decision's beat, more than NET_BITS or SCORE_BITS
    parameter         WINDOW_LINES   = 3,
    parameter         WINDOW_PIXELS  = 3,
    parameter         MAX_LINE       = 256,    // longest line that the network takes
    parameter         EVENT_LOG2     = 9,      // log2 of the event records that can wait
    parameter         EVENT_BATCH    = 256,    // most event records in a batch
    parameter [ 31:0] VERSION        = 32'h0002_0000,
    parameter [127:0] BUILD_DIGEST   = 128'd0
) (
    input  wire                     aclk,
    input  wire                     aresetn,
    // registers
    input  wire [             11:0] s_axil_awaddr,
    input  wire                     s_axil_awvalid,
    output wire                     s_axil_awready,
    input  wire [             31:0] s_axil_wdata,
    input  wire [              3:0] s_axil_wstrb,
    input  wire                     s_axil_wvalid,
    output wire                     s_axil_wready,
    output wire [              1:0] s_axil_bresp,
    output wire                     s_axil_bvalid,
    input  wire                     s_axil_bready,
    input  wire [             11:0] s_axil_araddr,
    input  wire                     s_axil_arvalid,
    output wire                     s_axil_arready,
    output wire [             31:0] s_axil_rdata,
    output wire [              1:0] s_axil_rresp,
    output wire                     s_axil_rvalid,
    input  wire                     s_axil_rready,
    // pixels
    input  wire [   PIXEL_BITS-1:0] s_axis_tdata,
    input  wire                     s_axis_tvalid,
    output wire                     s_axis_tready,
    input  wire                     s_axis_tlast,
    input  wire                     s_axis_tuser,
    // decisions
    output wire [DECISION_BITS-1:0] m_axis_tdata,
    output wire                     m_axis_tvalid,
    input  wire                     m_axis_tready,
    output wire                     m_axis_tlast,
    // event records
    output wire [            127:0] m_axis_events_tdata,
    output wire                     m_axis_events_tvalid,
    input  wire                     m_axis_events_tready,
    output wire                     m_axis_events_tlast,
    // the pin
    output wire                     trigger_pulse,
    // the network
    output wire                     net_aresetn,
    output wire [   PIXEL_BITS-1:0] net_s_axis_tdata,
    output wire                     net_s_axis_tvalid,
    input  wire                     net_s_axis_tready,
    output wire                     net_s_axis_tlast,
    output wire                     net_s_axis_tuser,
    input  wire [     NET_BITS-1:0] net_m_axis_tdata,
    input  wire                     net_m_axis_tvalid,
    output wire                     net_m_axis_tready,
    input  wire                     net_m_axis_tlast,
    input  wire                     net_m_axis_tuser
);

    localparam [31:0] WINDOW_LINES_32   = WINDOW_LINES;
    localparam [31:0] WINDOW_PIXELS_32  = WINDOW_PIXELS;
    localparam [31:0] MAX_LINE_32       = MAX_LINE;
    localparam [31:0] PIXEL_BITS_32     = PIXEL_BITS;
    localparam [31:0] SCORE_BITS_32     = SCORE_BITS;
    localparam [31:0] DECISION_BITS_32  = DECISION_BITS;
    localparam [31:0] EVENT_DEPTH_32    = 1 << EVENT_LOG2;
    localparam [31:0] EVENT_BATCH_32    = EVENT_BATCH;
    localparam [31:0] OFFSET_LINE_32    = (WINDOW_LINES - 1) / 2;
    localparam [31:0] OFFSET_PIXEL_32   = (WINDOW_PIXELS - 1) / 2;
    localparam        TAGS_LOG2         = 3;

    // ---- registers
    wire        reg_write, reg_write_ok, reg_read_ok;
    wire [11:0] reg_write_address, reg_read_address;
    wire [31:0] reg_write_data, reg_read_data;
    wire [ 3:0] reg_write_strobe;

    wire        enable, never_stall, external_framing, decisions_on, line_packets, pulse_on, class_trigger;
    wire        soft_reset, clear, restart, flush_events, snapshot;
    wire [31:0] threshold, dead_time, pulse_length;
    wire [15:0] line_pixels, frame_lines, select_element;

    wire        tap_busy, network_busy, events_waiting, flushing, source_waiting;
    reg         fault_surplus, fault_frames;
    wire [EVENT_LOG2:0] events_level;

    wire [63:0] n_clocks, n_frames, n_pixels, n_decided, n_dropped, n_decisions;
    wire [63:0] n_decisions_dropped, n_triggers, n_events, n_events_dropped;
    wire [31:0] stamp, events_dropped_now;

    dwell_axil_slave #(.ADDR_BITS(12)) u_axil (
        .aclk(aclk), .aresetn(aresetn),
        .s_axil_awaddr(s_axil_awaddr), .s_axil_awvalid(s_axil_awvalid), .s_axil_awready(s_axil_awready),
        .s_axil_wdata(s_axil_wdata), .s_axil_wstrb(s_axil_wstrb),
        .s_axil_wvalid(s_axil_wvalid), .s_axil_wready(s_axil_wready),
        .s_axil_bresp(s_axil_bresp), .s_axil_bvalid(s_axil_bvalid), .s_axil_bready(s_axil_bready),
        .s_axil_araddr(s_axil_araddr), .s_axil_arvalid(s_axil_arvalid), .s_axil_arready(s_axil_arready),
        .s_axil_rdata(s_axil_rdata), .s_axil_rresp(s_axil_rresp),
        .s_axil_rvalid(s_axil_rvalid), .s_axil_rready(s_axil_rready),
        .write(reg_write), .write_address(reg_write_address), .write_data(reg_write_data),
        .write_strobe(reg_write_strobe), .write_ok(reg_write_ok),
        .read_address(reg_read_address), .read_data(reg_read_data), .read_ok(reg_read_ok)
    );

    dwell_registers u_registers (
        .clk(aclk), .rst_n(aresetn),
        .write(reg_write), .write_address(reg_write_address), .write_data(reg_write_data),
        .write_strobe(reg_write_strobe), .write_ok(reg_write_ok),
        .read_address(reg_read_address), .read_data(reg_read_data), .read_ok(reg_read_ok),
        .id(32'h4457454C),
        .version_minor(VERSION[15:0]), .version_major(VERSION[31:16]),
        .build_digest0(BUILD_DIGEST[127:96]), .build_digest1(BUILD_DIGEST[95:64]),
        .build_digest2(BUILD_DIGEST[63:32]), .build_digest3(BUILD_DIGEST[31:0]),
        .window_window_lines(WINDOW_LINES_32[7:0]), .window_window_pixels(WINDOW_PIXELS_32[7:0]),
        .window_max_line(MAX_LINE_32[15:0]),
        .design_frames(1'b0), .design_weights(1'b0), .design_signed_elements(1'b1),
        .stream_format_source_bits(PIXEL_BITS_32[11:0]), .stream_format_score_bits(SCORE_BITS_32[7:0]),
        .stream_format_decision_bits(DECISION_BITS_32[11:0]),
        .frame_beats(32'd0), .positions_pixels(16'd0), .positions_lines(16'd0),
        .decision_format_elements(16'd1), .decision_format_beats(16'd1), .tap_depth(32'd16),
        .event_memory_depth(EVENT_DEPTH_32[15:0]), .event_memory_batch(EVENT_BATCH_32[15:0]),
        .control_enable(enable), .control_never_stall(never_stall),
        .control_external_framing(external_framing), .control_decisions(decisions_on),
        .control_line_packets(line_packets), .control_pulse(pulse_on),
        .control_class_trigger(class_trigger), .select_element(select_element),
        .command_soft_reset(soft_reset), .command_clear(clear), .command_restart(restart),
        .command_flush_events(flush_events), .command_snapshot(snapshot),
        .threshold(threshold), .dead_time(dead_time), .pulse_length(pulse_length),
        .frame_size_line_pixels(line_pixels), .frame_size_frame_lines(frame_lines),
        .status_tap_busy(tap_busy), .status_network_busy(network_busy),
        .status_decisions_waiting(m_axis_tvalid), .status_events_waiting(events_waiting),
        .status_flushing(flushing), .status_source_waiting(source_waiting),
        .status_fault_surplus(fault_surplus), .status_fault_frames(fault_frames),
        .events_level({{(15 - EVENT_LOG2) {1'b0}}, events_level}),
        .counter_clocks(n_clocks), .counter_frames(n_frames), .counter_pixels(n_pixels),
        .counter_pixels_decided(n_decided), .counter_pixels_dropped(n_dropped),
        .counter_decisions(n_decisions), .counter_decisions_dropped(n_decisions_dropped),
        .counter_triggers(n_triggers), .counter_events(n_events), .counter_events_dropped(n_events_dropped),
        .counter_frames_dropped(64'd0), .counter_frames_cut(64'd0)
    );

    // ---- reset of all but the registers and counters
    reg [4:0] resetting;
    reg       core_rst_n;
    assign net_aresetn = core_rst_n;

    always @(posedge aclk) begin
        if (!aresetn) begin
            resetting  <= 5'd0;
            core_rst_n <= 1'b0;
        end else begin
            if (soft_reset) resetting <= 5'd16;
            else if (resetting != 5'd0) resetting <= resetting - 5'd1;
            core_rst_n <= ~soft_reset & (resetting == 5'd0);
        end
    end

    // ---- pixels to the network
    wire taken, dropped, decided, frame_started, owed, owed_first;

    dwell_tap #(
        .PIXEL_BITS(PIXEL_BITS), .WINDOW_LINES(WINDOW_LINES), .WINDOW_PIXELS(WINDOW_PIXELS), .MAX_LINE(MAX_LINE)
    ) u_tap (
        .clk(aclk), .rst_n(core_rst_n),
        .enable(enable), .never_stall(never_stall), .external_framing(external_framing), .restart(restart),
        .line_pixels(line_pixels), .frame_lines(frame_lines),
        .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid), .s_axis_tready(s_axis_tready),
        .s_axis_tlast(s_axis_tlast), .s_axis_tuser(s_axis_tuser),
        .m_axis_tdata(net_s_axis_tdata), .m_axis_tvalid(net_s_axis_tvalid), .m_axis_tready(net_s_axis_tready),
        .m_axis_tlast(net_s_axis_tlast), .m_axis_tuser(net_s_axis_tuser),
        .busy(tap_busy), .taken(taken), .dropped(dropped), .decided(decided),
        .frame_started(frame_started), .owed(owed), .owed_first(owed_first)
    );

    assign source_waiting = s_axis_tvalid & ~s_axis_tready;

    // ---- frames are numbered where they enter; the number waits until its first decision comes
    reg  [31:0] next_frame;
    wire [31:0] this_frame = frame_started ? next_frame : next_frame - 32'd1;
    wire        tags_room, tag_there;
    wire [31:0] tag;
    wire        decision;
    wire        decision_first = decision & net_m_axis_tuser;
    wire [TAGS_LOG2:0] tags_level;

    dwell_word_fifo #(.BITS(32), .DEPTH_LOG2(TAGS_LOG2)) u_tags (
        .clk(aclk), .rst_n(core_rst_n),
        .s_valid(owed_first), .s_ready(tags_room), .s_data(this_frame),
        .m_valid(tag_there), .m_ready(decision_first), .m_data(tag), .level(tags_level)
    );

    // ---- decisions the network owes
    reg [15:0] pending;
    assign network_busy = pending != 16'd0;

    always @(posedge aclk) begin
        if (!aresetn) begin
            next_frame <= 32'd0;
        end else begin
            if (clear) next_frame <= 32'd0;
            else if (frame_started) next_frame <= next_frame + 32'd1;
        end
        if (!core_rst_n) begin
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

    // ---- where a decision lies: input pixel under the middle of its window
    reg  [15:0] dec_column;
    reg  [15:0] dec_line;
    reg  [31:0] dec_frame;
    wire [15:0] at_column = net_m_axis_tuser ? 16'd0 : dec_column;
    wire [15:0] at_line   = net_m_axis_tuser ? 16'd0 : dec_line;
    wire [31:0] at_frame  = net_m_axis_tuser ? tag : dec_frame;

    always @(posedge aclk) begin
        if (decision) begin
            dec_frame  <= at_frame;
            dec_column <= net_m_axis_tlast ? 16'd0 : at_column + 16'd1;
            dec_line   <= net_m_axis_tlast ? at_line + 16'd1 : at_line;
        end
    end

    // ---- trigger
    wire signed [31:0] score = {{(32 - NET_BITS) {net_m_axis_tdata[NET_BITS-1]}}, net_m_axis_tdata};
    wire               fired, trigger;

    dwell_trigger #(.SCORE_BITS(32)) u_trigger (
        .clk(aclk), .rst_n(core_rst_n),
        .threshold(threshold), .dead_time(dead_time), .pulse_length(pulse_length), .pulse_enable(pulse_on),
        .valid(decision), .first(net_m_axis_tuser), .score(score),
        .fired(fired), .trigger(trigger), .pulse(trigger_pulse)
    );

    // ---- event records, one clock later
    reg         event_push;
    reg [127:0] event_record;
    wire        event_dropped, event_sent;
    wire        quiet = ~tap_busy & ~network_busy & ~event_push;

    always @(posedge aclk) begin
        event_push   <= core_rst_n & trigger;
        event_record <= {
            stamp, score, at_column + OFFSET_PIXEL_32[15:0], at_line + OFFSET_LINE_32[15:0], at_frame
        };
    end

    dwell_event_fifo #(.DEPTH_LOG2(EVENT_LOG2), .BATCH(EVENT_BATCH)) u_events (
        .clk(aclk), .rst_n(core_rst_n),
        .push(event_push), .record(event_record), .dropped(event_dropped),
        .flush(flush_events), .quiet(quiet),
        .frames(next_frame), .dropped_count(events_dropped_now), .stamp(stamp),
        .flushing(flushing), .level(events_level),
        .m_axis_tdata(m_axis_events_tdata), .m_axis_tvalid(m_axis_events_tvalid),
        .m_axis_tready(m_axis_events_tready), .m_axis_tlast(m_axis_events_tlast), .sent(event_sent)
    );
    assign events_waiting = m_axis_events_tvalid | (events_level != {(EVENT_LOG2 + 1) {1'b0}});

    // ---- decision stream. A frame with a hole in it is of no use: after a drop, the rest of it is dropped.
    reg                      broken;
    wire                     out_room;
    wire                     whole    = net_m_axis_tuser | ~broken;
    wire                     send     = decision & decisions_on & out_room & whole;
    wire                     lost     = decision & decisions_on & ~send;
    wire                     end_line = net_m_axis_tlast;
    wire                     end_all  = end_line & (at_line + WINDOW_LINES_32[15:0] == frame_lines);
    wire                     end_send = (line_packets | external_framing) ? end_line : end_all;
    wire [DECISION_BITS-2:0] sent_score;
    wire [              2:0] out_level;

    generate
        if (DECISION_BITS - 1 > NET_BITS) begin : g_extend
            assign sent_score = {{(DECISION_BITS - 1 - NET_BITS) {net_m_axis_tdata[NET_BITS-1]}}, net_m_axis_tdata};
        end else begin : g_cut
            // The bits above the score's own are copies of its sign.
            assign sent_score = net_m_axis_tdata[DECISION_BITS-2:0];
        end
    endgenerate

    assign net_m_axis_tready = ~decisions_on | never_stall | out_room;
    assign decision          = net_m_axis_tvalid & net_m_axis_tready;

    always @(posedge aclk) begin
        if (!core_rst_n) broken <= 1'b0;
        else if (lost) broken <= 1'b1;
        else if (decision & net_m_axis_tuser) broken <= 1'b0;
    end

    dwell_word_fifo #(.BITS(DECISION_BITS + 1), .DEPTH_LOG2(2)) u_decisions (
        .clk(aclk), .rst_n(core_rst_n),
        .s_valid(send), .s_ready(out_room), .s_data({end_send, fired, sent_score}),
        .m_valid(m_axis_tvalid), .m_ready(m_axis_tready), .m_data({m_axis_tlast, m_axis_tdata}),
        .level(out_level)
    );

    // ---- counters
    wire [31:0] low_frames, low_pixels, low_decided, low_dropped, low_decisions, low_lost, low_triggers, low_events;

    dwell_counter u_clocks (.clk(aclk), .rst_n(aresetn), .clear(1'b0), .step(1'b1),
        .snapshot(snapshot), .now_low(stamp), .copy(n_clocks));
    dwell_counter u_frames (.clk(aclk), .rst_n(aresetn), .clear(clear), .step(frame_started),
        .snapshot(snapshot), .now_low(low_frames), .copy(n_frames));
    dwell_counter u_pixels (.clk(aclk), .rst_n(aresetn), .clear(clear), .step(taken),
        .snapshot(snapshot), .now_low(low_pixels), .copy(n_pixels));
    dwell_counter u_decided (.clk(aclk), .rst_n(aresetn), .clear(clear), .step(decided),
        .snapshot(snapshot), .now_low(low_decided), .copy(n_decided));
    dwell_counter u_dropped (.clk(aclk), .rst_n(aresetn), .clear(clear), .step(dropped),
        .snapshot(snapshot), .now_low(low_dropped), .copy(n_dropped));
    dwell_counter u_made (.clk(aclk), .rst_n(aresetn), .clear(clear), .step(decision),
        .snapshot(snapshot), .now_low(low_decisions), .copy(n_decisions));
    dwell_counter u_lost (.clk(aclk), .rst_n(aresetn), .clear(clear), .step(lost),
        .snapshot(snapshot), .now_low(low_lost), .copy(n_decisions_dropped));
    dwell_counter u_triggers (.clk(aclk), .rst_n(aresetn), .clear(clear), .step(trigger),
        .snapshot(snapshot), .now_low(low_triggers), .copy(n_triggers));
    dwell_counter u_sent (.clk(aclk), .rst_n(aresetn), .clear(clear), .step(event_sent),
        .snapshot(snapshot), .now_low(low_events), .copy(n_events));
    dwell_counter u_events_dropped (.clk(aclk), .rst_n(aresetn), .clear(clear), .step(event_dropped),
        .snapshot(snapshot), .now_low(events_dropped_now), .copy(n_events_dropped));

    wire unused = &{1'b0, low_frames, low_pixels, low_decided, low_dropped, low_decisions, low_lost,
                    low_triggers, low_events, tags_level, out_level, WINDOW_LINES_32, WINDOW_PIXELS_32,
                    MAX_LINE_32, PIXEL_BITS_32, SCORE_BITS_32, DECISION_BITS_32, EVENT_DEPTH_32,
                    EVENT_BATCH_32, class_trigger, select_element, OFFSET_LINE_32, OFFSET_PIXEL_32};

endmodule

`default_nettype wire
