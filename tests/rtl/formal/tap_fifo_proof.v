// Beats are numbered as they enter; the proof is that they leave in order, none lost and none twice, whatever
// source and sink do.
`default_nettype none

module tap_fifo_proof #(
    parameter DEPTH_LOG2 = 2
) (
    input wire clk,
    input wire s_valid,
    input wire m_ready
);

    reg on = 1'b0;  // out of reset
    reg [3:0] sent = 0;
    reg [3:0] got = 0;

    wire s_ready, m_valid, busy;
    wire [3:0] m_data;
    wire [DEPTH_LOG2:0] level;

    always @(posedge clk) begin
        on <= 1'b1;
        if (on & s_valid & s_ready) sent <= sent + 1'b1;
        if (on & m_valid & m_ready) got <= got + 1'b1;
    end

    dwell_tap_fifo #(.BITS(4), .DEPTH_LOG2(DEPTH_LOG2)) dut (
        .f_on(on), .f_sent(sent), .f_got(got),
        .clk(clk), .rst_n(on), .s_valid(on & s_valid), .s_ready(s_ready), .s_data(sent),
        .m_valid(m_valid), .m_ready(m_ready), .m_data(m_data), .level(level), .busy(busy)
    );

endmodule

`default_nettype wire
