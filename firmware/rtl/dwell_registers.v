// dwell_registers: dwell firmware shell, storage and decoding.
// Generated from dwell_shell.rdl (sha256 6d0ba47cfb12a4b7); change that and run
// `python -m dwell.firmware.registers.generate`.
`default_nettype none

module dwell_registers (
    input  wire        clk,
    input  wire        rst_n,
    input  wire        write,  // a word is written in this clock
    input  wire [11:0] write_address,
    input  wire [31:0] write_data,
    input  wire [ 3:0] write_strobe,
    output reg         write_ok,  // the address may be written
    input  wire [11:0] read_address,
    output reg  [31:0] read_data,
    output reg         read_ok,  // the address may be read
    input  wire [31:0] id,
    input  wire [15:0] version_minor,
    input  wire [15:0] version_major,
    input  wire design_frames,
    input  wire design_weights,
    input  wire design_signed_elements,
    input  wire [31:0] build_digest0,
    input  wire [31:0] build_digest1,
    input  wire [31:0] build_digest2,
    input  wire [31:0] build_digest3,
    input  wire [7:0] window_window_lines,
    input  wire [7:0] window_window_pixels,
    input  wire [15:0] window_max_line,
    input  wire [11:0] stream_format_source_bits,
    input  wire [11:0] stream_format_decision_bits,
    input  wire [7:0] stream_format_score_bits,
    input  wire [15:0] event_memory_depth,
    input  wire [15:0] event_memory_batch,
    input  wire [31:0] frame_beats,
    input  wire [15:0] positions_pixels,
    input  wire [15:0] positions_lines,
    input  wire [15:0] decision_format_elements,
    input  wire [15:0] decision_format_beats,
    input  wire [31:0] tap_depth,
    output reg  control_enable,
    output reg  control_never_stall,
    output reg  control_external_framing,
    output reg  control_decisions,
    output reg  control_line_packets,
    output reg  control_pulse,
    output reg  control_class_trigger,
    output reg  command_soft_reset,
    output reg  command_clear,
    output reg  command_restart,
    output reg  command_flush_events,
    output reg  command_snapshot,
    output reg  [31:0] threshold,
    output reg  [31:0] dead_time,
    output reg  [31:0] pulse_length,
    output reg  [15:0] frame_size_line_pixels,
    output reg  [15:0] frame_size_frame_lines,
    input  wire status_tap_busy,
    input  wire status_network_busy,
    input  wire status_decisions_waiting,
    input  wire status_events_waiting,
    input  wire status_flushing,
    input  wire status_source_waiting,
    input  wire status_fault_surplus,
    input  wire status_fault_frames,
    input  wire [15:0] events_level,
    output reg  [15:0] select_element,
    input  wire [63:0] counter_clocks,
    input  wire [63:0] counter_frames,
    input  wire [63:0] counter_pixels,
    input  wire [63:0] counter_pixels_decided,
    input  wire [63:0] counter_pixels_dropped,
    input  wire [63:0] counter_decisions,
    input  wire [63:0] counter_decisions_dropped,
    input  wire [63:0] counter_triggers,
    input  wire [63:0] counter_events,
    input  wire [63:0] counter_events_dropped,
    input  wire [63:0] counter_frames_dropped,
    input  wire [63:0] counter_frames_cut
);

    wire [31:0] lanes = {{8{write_strobe[3]}}, {8{write_strobe[2]}}, {8{write_strobe[1]}}, {8{write_strobe[0]}}};
    wire [31:0] ones  = write_data & lanes;

    always @(posedge clk) begin
        if (!rst_n) begin
            control_enable <= 1'h0;
            control_never_stall <= 1'h0;
            control_external_framing <= 1'h0;
            control_decisions <= 1'h0;
            control_line_packets <= 1'h0;
            control_pulse <= 1'h0;
            control_class_trigger <= 1'h0;
            command_soft_reset <= 1'h0;
            command_clear <= 1'h0;
            command_restart <= 1'h0;
            command_flush_events <= 1'h0;
            command_snapshot <= 1'h0;
            threshold <= 32'h7FFFFFFF;
            dead_time <= 32'h0;
            pulse_length <= 32'h64;
            frame_size_line_pixels <= 16'h100;
            frame_size_frame_lines <= 16'h100;
            select_element <= 16'h0;
        end else begin
            if (write && write_address == 12'h040) begin
                control_enable <= (control_enable & ~lanes[0]) | ones[0];
                control_never_stall <= (control_never_stall & ~lanes[1]) | ones[1];
                control_external_framing <= (control_external_framing & ~lanes[2]) | ones[2];
                control_decisions <= (control_decisions & ~lanes[3]) | ones[3];
                control_line_packets <= (control_line_packets & ~lanes[4]) | ones[4];
                control_pulse <= (control_pulse & ~lanes[5]) | ones[5];
                control_class_trigger <= (control_class_trigger & ~lanes[6]) | ones[6];
            end
            command_soft_reset <= write && write_address == 12'h044 && ones[0];
            command_clear <= write && write_address == 12'h044 && ones[1];
            command_restart <= write && write_address == 12'h044 && ones[2];
            command_flush_events <= write && write_address == 12'h044 && ones[3];
            command_snapshot <= write && write_address == 12'h044 && ones[4];
            if (write && write_address == 12'h048) begin
                threshold <= (threshold & ~lanes[31:0]) | ones[31:0];
            end
            if (write && write_address == 12'h04C) begin
                dead_time <= (dead_time & ~lanes[31:0]) | ones[31:0];
            end
            if (write && write_address == 12'h050) begin
                pulse_length <= (pulse_length & ~lanes[31:0]) | ones[31:0];
            end
            if (write && write_address == 12'h054) begin
                frame_size_line_pixels <= (frame_size_line_pixels & ~lanes[15:0]) | ones[15:0];
                frame_size_frame_lines <= (frame_size_frame_lines & ~lanes[31:16]) | ones[31:16];
            end
            if (write && write_address == 12'h060) begin
                select_element <= (select_element & ~lanes[15:0]) | ones[15:0];
            end
        end
    end

    always @(*) begin
        case (write_address)
            12'h040: write_ok = 1'b1;  // control
            12'h044: write_ok = 1'b1;  // command
            12'h048: write_ok = 1'b1;  // threshold
            12'h04C: write_ok = 1'b1;  // dead_time
            12'h050: write_ok = 1'b1;  // pulse_length
            12'h054: write_ok = 1'b1;  // frame_size
            12'h060: write_ok = 1'b1;  // select
            default: write_ok = 1'b0;
        endcase
    end

    always @(*) begin
        read_ok = 1'b1;
        case (read_address)
            12'h000: read_data = id;
            12'h004: read_data = {version_major, version_minor};
            12'h008: read_data = {29'd0, design_signed_elements, design_weights, design_frames};
            12'h010: read_data = build_digest0;
            12'h014: read_data = build_digest1;
            12'h018: read_data = build_digest2;
            12'h01C: read_data = build_digest3;
            12'h020: read_data = {window_max_line, window_window_pixels, window_window_lines};
            12'h024: read_data = {stream_format_score_bits, stream_format_decision_bits, stream_format_source_bits};
            12'h028: read_data = {event_memory_batch, event_memory_depth};
            12'h02C: read_data = frame_beats;
            12'h030: read_data = {positions_lines, positions_pixels};
            12'h034: read_data = {decision_format_beats, decision_format_elements};
            12'h038: read_data = tap_depth;
            12'h040: read_data = {25'd0, control_class_trigger, control_pulse, control_line_packets, control_decisions, control_external_framing, control_never_stall, control_enable};
            12'h044: read_data = {27'd0, 1'd0, 1'd0, 1'd0, 1'd0, 1'd0};
            12'h048: read_data = threshold;
            12'h04C: read_data = dead_time;
            12'h050: read_data = pulse_length;
            12'h054: read_data = {frame_size_frame_lines, frame_size_line_pixels};
            12'h058: read_data = {22'd0, status_fault_frames, status_fault_surplus, 2'd0, status_source_waiting, status_flushing, status_events_waiting, status_decisions_waiting, status_network_busy, status_tap_busy};
            12'h05C: read_data = {16'd0, events_level};
            12'h060: read_data = {16'd0, select_element};
            12'h080: read_data = counter_clocks[31:0];
            12'h084: read_data = counter_clocks[63:32];
            12'h088: read_data = counter_frames[31:0];
            12'h08C: read_data = counter_frames[63:32];
            12'h090: read_data = counter_pixels[31:0];
            12'h094: read_data = counter_pixels[63:32];
            12'h098: read_data = counter_pixels_decided[31:0];
            12'h09C: read_data = counter_pixels_decided[63:32];
            12'h0A0: read_data = counter_pixels_dropped[31:0];
            12'h0A4: read_data = counter_pixels_dropped[63:32];
            12'h0A8: read_data = counter_decisions[31:0];
            12'h0AC: read_data = counter_decisions[63:32];
            12'h0B0: read_data = counter_decisions_dropped[31:0];
            12'h0B4: read_data = counter_decisions_dropped[63:32];
            12'h0B8: read_data = counter_triggers[31:0];
            12'h0BC: read_data = counter_triggers[63:32];
            12'h0C0: read_data = counter_events[31:0];
            12'h0C4: read_data = counter_events[63:32];
            12'h0C8: read_data = counter_events_dropped[31:0];
            12'h0CC: read_data = counter_events_dropped[63:32];
            12'h0D0: read_data = counter_frames_dropped[31:0];
            12'h0D4: read_data = counter_frames_dropped[63:32];
            12'h0D8: read_data = counter_frames_cut[31:0];
            12'h0DC: read_data = counter_frames_cut[63:32];
            default: begin
                read_data = 32'd0;
                read_ok = 1'b0;
            end
        endcase
    end

endmodule

`default_nettype wire
