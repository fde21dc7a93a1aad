// Behind the guard every frame is whole: first, then BEATS - 1 more, the last of them marked, whatever comes in;
// and what waits does not change.
`default_nettype none

module guard_proof #(
    parameter BEATS = 3
) (
    input wire       clk,
    input wire       s_valid,
    input wire       s_user,
    input wire [1:0] s_data,
    input wire       m_ready
);

    reg on = 1'b0;
    reg [3:0] place = 0;  // of the next beat in its frame

    wire s_ready, m_valid, m_first, m_last;
    wire [1:0] m_data;

    dwell_frame_guard #(.BITS(2), .BEATS(BEATS)) dut (
        .f_on(on), .f_place(place),
        .clk(clk), .rst_n(on), .s_valid(s_valid), .s_ready(s_ready), .s_user(s_user), .s_data(s_data),
        .m_valid(m_valid), .m_ready(m_ready), .m_first(m_first), .m_last(m_last), .m_data(m_data)
    );

    reg waits = 1'b0;
    reg [3:0] held = 0;
    always @(posedge clk) begin
        on <= 1'b1;
        if (on & m_valid & m_ready) place <= (place == BEATS - 1) ? 4'd0 : place + 1'b1;
        waits <= on & m_valid & ~m_ready;
        held  <= {m_first, m_last, m_data};
        if (on & waits) assert (m_valid & ({m_first, m_last, m_data} == held));
        if (on & m_valid) assert (m_first == (place == 0));
        if (on & m_valid) assert (m_last == (place == BEATS - 1));
        if (on) assert (place < BEATS);
    end

endmodule

`default_nettype wire
