// dwell_shell: everything of the firmware but the network, which is wired to the `net_` ports.
//
// source -> tap -> network -> decisions -+-> decision stream (codes, and in the top bit: fired)
//                                        +-> trigger -> pulse pin
//                                        +-> event records -> event stream
// Two kinds of network: a score for every pixel of frames of any size (dwell_pixel_path), or decisions of
// one or more elements from frames of one size (dwell_frame_path). Registers, trigger, events and counters
// are here, the same for both. The network's reset is `net_aresetn`: reset or soft reset.
`default_nettype none

module dwell_shell #(
    parameter         FRAMES         = 0,      // kind of the network: 0 pixels, 1 frames
    parameter         SOURCE_BITS    = 8,      // bits of a beat from the source, at least INPUT_BITS
    parameter         INPUT_BITS     = 8,      // bits of the network's input beat
    parameter         OUTPUT_BITS    = 16,     // bits of its output beat
    parameter         DECISION_BITS  = 32,     // bits of a decision's beat
    parameter         ELEMENT_BITS   = 16,     // bits of a score, or of each element of a decision
    parameter         SIGNED         = 1,      // whether they are signed
    parameter         TAP_LOG2       = 4,      // log2 of the beats that can wait in the tap
    // kind pixels
    parameter         WINDOW_LINES   = 3,
    parameter         WINDOW_PIXELS  = 3,
    parameter         MAX_LINE       = 256,    // longest line that the network takes
    // kind frames
    parameter         FRAME_BEATS    = 16,     // input beats of a frame
    parameter         OUTPUT_LINES   = 1,      // positions of the output: lines
    parameter         OUTPUT_PIXELS  = 1,      // and positions of a line
    parameter         LANES          = 1,      // elements of an output beat
    parameter         DECISION_BEATS = 1,      // output beats of a decision
    parameter         WEIGHTS        = 0,      // 1: the weights can be written, elsewhere; for information
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
    // the source
    input  wire [  SOURCE_BITS-1:0] s_axis_tdata,
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
    output wire [   INPUT_BITS-1:0] net_s_axis_tdata,
    output wire                     net_s_axis_tvalid,
    input  wire                     net_s_axis_tready,
    output wire                     net_s_axis_tlast,
    output wire                     net_s_axis_tuser,
    input  wire [  OUTPUT_BITS-1:0] net_m_axis_tdata,
    input  wire                     net_m_axis_tvalid,
    output wire                     net_m_axis_tready,
    input  wire                     net_m_axis_tlast,
    input  wire                     net_m_axis_tuser
);

    localparam [31:0] SOURCE_BITS_32   = SOURCE_BITS;
    localparam [31:0] DECISION_BITS_32 = DECISION_BITS;
    localparam [31:0] ELEMENT_BITS_32  = ELEMENT_BITS;
    localparam [31:0] LINES_32         = (FRAMES != 0) ? 0 : WINDOW_LINES;
    localparam [31:0] PIXELS_32        = (FRAMES != 0) ? 0 : WINDOW_PIXELS;
    localparam [31:0] MAX_LINE_32      = (FRAMES != 0) ? 0 : MAX_LINE;
    localparam [31:0] FRAME_BEATS_32   = (FRAMES != 0) ? FRAME_BEATS : 0;
    localparam [31:0] OUT_LINES_32     = (FRAMES != 0) ? OUTPUT_LINES : 0;
    localparam [31:0] OUT_PIXELS_32    = (FRAMES != 0) ? OUTPUT_PIXELS : 0;
    localparam [31:0] ELEMENTS_32      = (FRAMES != 0) ? LANES * DECISION_BEATS : 1;
    localparam [31:0] DECISION_BEATS_32 = (FRAMES != 0) ? DECISION_BEATS : 1;
    localparam [31:0] TAP_DEPTH_32     = 1 << TAP_LOG2;
    localparam [31:0] EVENT_DEPTH_32   = 1 << EVENT_LOG2;
    localparam [31:0] EVENT_BATCH_32   = EVENT_BATCH;

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
    wire        fault_surplus, fault_frames;
    wire [EVENT_LOG2:0] events_level;

    wire [63:0] n_clocks, n_frames, n_pixels, n_decided, n_dropped, n_decisions;
    wire [63:0] n_decisions_dropped, n_triggers, n_events, n_events_dropped, n_frames_dropped, n_frames_cut;
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
        .window_window_lines(LINES_32[7:0]), .window_window_pixels(PIXELS_32[7:0]),
        .window_max_line(MAX_LINE_32[15:0]),
        .design_frames(FRAMES != 0), .design_weights(WEIGHTS != 0), .design_signed_elements(SIGNED != 0),
        .stream_format_source_bits(SOURCE_BITS_32[11:0]), .stream_format_score_bits(ELEMENT_BITS_32[7:0]),
        .stream_format_decision_bits(DECISION_BITS_32[11:0]),
        .frame_beats(FRAME_BEATS_32),
        .positions_pixels(OUT_PIXELS_32[15:0]), .positions_lines(OUT_LINES_32[15:0]),
        .decision_format_elements(ELEMENTS_32[15:0]), .decision_format_beats(DECISION_BEATS_32[15:0]),
        .tap_depth(TAP_DEPTH_32),
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
        .counter_frames_dropped(n_frames_dropped), .counter_frames_cut(n_frames_cut)
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

    // ---- through the network
    wire        taken, dropped, decided, frame_started, frame_dropped, frame_cut;
    wire        decision, decision_first, allowed, fired, lost, trigger;
    wire [31:0] score, at_frame;
    wire [15:0] at_line, at_pixel;
    reg  [31:0] next_frame;  // frames are numbered where they enter the network

    assign source_waiting = s_axis_tvalid & ~s_axis_tready;

    always @(posedge aclk) begin
        if (!aresetn | clear) next_frame <= 32'd0;
        else if (frame_started) next_frame <= next_frame + 32'd1;
    end

    generate
        if (FRAMES != 0) begin : g_frames
            dwell_frame_path #(
                .SOURCE_BITS(SOURCE_BITS), .INPUT_BITS(INPUT_BITS), .OUTPUT_BITS(OUTPUT_BITS),
                .DECISION_BITS(DECISION_BITS), .FRAME_BEATS(FRAME_BEATS), .OUTPUT_LINES(OUTPUT_LINES),
                .OUTPUT_PIXELS(OUTPUT_PIXELS), .LANES(LANES), .ELEMENT_BITS(ELEMENT_BITS), .SIGNED(SIGNED),
                .DECISION_BEATS(DECISION_BEATS), .TAP_LOG2(TAP_LOG2)
            ) u_path (
                .clk(aclk), .rst_n(core_rst_n),
                .enable(enable), .never_stall(never_stall), .external_framing(external_framing),
                .restart(restart), .decisions_on(decisions_on), .line_packets(line_packets),
                .class_trigger(class_trigger), .select(select_element),
                .next_frame(next_frame),
                .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid), .s_axis_tready(s_axis_tready),
                .s_axis_tuser(s_axis_tuser),
                .net_s_axis_tdata(net_s_axis_tdata), .net_s_axis_tvalid(net_s_axis_tvalid),
                .net_s_axis_tready(net_s_axis_tready), .net_s_axis_tlast(net_s_axis_tlast),
                .net_s_axis_tuser(net_s_axis_tuser),
                .net_m_axis_tdata(net_m_axis_tdata), .net_m_axis_tvalid(net_m_axis_tvalid),
                .net_m_axis_tready(net_m_axis_tready), .net_m_axis_tuser(net_m_axis_tuser),
                .decision(decision), .decision_first(decision_first), .allowed(allowed), .score(score),
                .at_frame(at_frame), .at_line(at_line), .at_pixel(at_pixel), .fired(fired),
                .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready),
                .m_axis_tlast(m_axis_tlast),
                .tap_busy(tap_busy), .network_busy(network_busy), .taken(taken), .dropped(dropped),
                .decided(decided), .frame_started(frame_started), .frame_dropped(frame_dropped), .frame_cut(frame_cut), .lost(lost),
                .fault_surplus(fault_surplus), .fault_frames(fault_frames)
            );
            wire unused = &{1'b0, s_axis_tlast, net_m_axis_tlast, line_pixels, frame_lines};
        end else begin : g_pixels
            dwell_pixel_path #(
                .PIXEL_BITS(INPUT_BITS), .OUTPUT_BITS(OUTPUT_BITS), .DECISION_BITS(DECISION_BITS),
                .WINDOW_LINES(WINDOW_LINES), .WINDOW_PIXELS(WINDOW_PIXELS), .MAX_LINE(MAX_LINE),
                .TAP_LOG2(TAP_LOG2)
            ) u_path (
                .clk(aclk), .rst_n(core_rst_n),
                .enable(enable), .never_stall(never_stall), .external_framing(external_framing),
                .restart(restart), .decisions_on(decisions_on), .line_packets(line_packets),
                .line_pixels(line_pixels), .frame_lines(frame_lines),
                .next_frame(next_frame),
                .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid), .s_axis_tready(s_axis_tready),
                .s_axis_tlast(s_axis_tlast), .s_axis_tuser(s_axis_tuser),
                .net_s_axis_tdata(net_s_axis_tdata), .net_s_axis_tvalid(net_s_axis_tvalid),
                .net_s_axis_tready(net_s_axis_tready), .net_s_axis_tlast(net_s_axis_tlast),
                .net_s_axis_tuser(net_s_axis_tuser),
                .net_m_axis_tdata(net_m_axis_tdata), .net_m_axis_tvalid(net_m_axis_tvalid),
                .net_m_axis_tready(net_m_axis_tready), .net_m_axis_tlast(net_m_axis_tlast), .net_m_axis_tuser(net_m_axis_tuser),
                .decision(decision), .decision_first(decision_first), .score(score),
                .at_frame(at_frame), .at_line(at_line), .at_pixel(at_pixel), .fired(fired),
                .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready),
                .m_axis_tlast(m_axis_tlast),
                .tap_busy(tap_busy), .network_busy(network_busy), .taken(taken), .dropped(dropped),
                .decided(decided), .frame_started(frame_started), .lost(lost),
                .fault_surplus(fault_surplus), .fault_frames(fault_frames)
            );
            assign allowed       = 1'b1;
            assign frame_dropped = 1'b0;
            assign frame_cut     = 1'b0;
            wire unused = &{1'b0, class_trigger, select_element};
        end
    endgenerate

    // ---- trigger
    dwell_trigger #(.SCORE_BITS(32)) u_trigger (
        .clk(aclk), .rst_n(core_rst_n),
        .threshold(threshold), .dead_time(dead_time), .pulse_length(pulse_length), .pulse_enable(pulse_on),
        .valid(decision), .first(decision_first), .allowed(allowed), .score(score),
        .fired(fired), .trigger(trigger), .pulse(trigger_pulse)
    );

    // ---- event records, one clock later
    reg         event_push;
    reg [127:0] event_record;
    wire        event_dropped, event_sent;
    wire        quiet = ~tap_busy & ~network_busy & ~event_push;

    always @(posedge aclk) begin
        event_push   <= core_rst_n & trigger;
        event_record <= {stamp, score, at_pixel, at_line, at_frame};
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

    generate
        if (FRAMES != 0) begin : g_frame_counters
            wire [31:0] low_frames_dropped, low_frames_cut;
            dwell_counter u_frames_dropped (.clk(aclk), .rst_n(aresetn), .clear(clear), .step(frame_dropped),
                .snapshot(snapshot), .now_low(low_frames_dropped), .copy(n_frames_dropped));
            dwell_counter u_frames_cut (.clk(aclk), .rst_n(aresetn), .clear(clear), .step(frame_cut),
                .snapshot(snapshot), .now_low(low_frames_cut), .copy(n_frames_cut));
            wire unused = &{1'b0, low_frames_dropped, low_frames_cut};
        end else begin : g_no_frame_counters
            assign n_frames_dropped = 64'd0;
            assign n_frames_cut     = 64'd0;
            wire unused = &{1'b0, frame_dropped, frame_cut};
        end
    endgenerate

    wire unused = &{1'b0, low_frames, low_pixels, low_decided, low_dropped, low_decisions, low_lost,
                    low_triggers, low_events, SOURCE_BITS_32, DECISION_BITS_32, ELEMENT_BITS_32, LINES_32,
                    PIXELS_32, MAX_LINE_32, FRAME_BEATS_32, OUT_LINES_32, OUT_PIXELS_32, ELEMENTS_32,
                    DECISION_BEATS_32, EVENT_DEPTH_32, EVENT_BATCH_32};

endmodule

`default_nettype wire
