// A source that cannot wait, frames counted out or marked wherever it likes, and a network that takes beats
// when it likes: the source is never stalled, and of a frame whose first beat went in, every beat goes in.
`default_nettype none

module frame_tap_proof #(
    parameter FRAME_BEATS = 3,
    parameter DEPTH_LOG2  = 2
) (
    input wire clk,
    input wire external_framing,
    input wire s_valid,
    input wire s_user,
    input wire s_data,
    input wire m_ready
);

    reg on = 1'b0;  // out of reset
    always @(posedge clk) on <= 1'b1;

    wire s_ready, m_data, m_valid, m_last, m_user, busy, unfinished;
    wire taken, dropped, frame_dropped, decided, frame_started, frame_cut;

    dwell_frame_tap #(.BITS(1), .FRAME_BEATS(FRAME_BEATS), .DEPTH_LOG2(DEPTH_LOG2)) dut (
        .f_on(on),
        .clk(clk), .rst_n(on), .enable(1'b1), .never_stall(1'b1), .external_framing(external_framing),
        .restart(1'b0),
        .s_axis_tdata(s_data), .s_axis_tvalid(s_valid), .s_axis_tready(s_ready), .s_axis_tuser(s_user),
        .m_axis_tdata(m_data), .m_axis_tvalid(m_valid), .m_axis_tready(m_ready),
        .m_axis_tlast(m_last), .m_axis_tuser(m_user),
        .busy(busy), .unfinished(unfinished), .taken(taken), .dropped(dropped), .frame_dropped(frame_dropped),
        .decided(decided), .frame_started(frame_started), .frame_cut(frame_cut)
    );

    always @(posedge clk) if (on) assert (s_ready);

endmodule

`default_nettype wire
