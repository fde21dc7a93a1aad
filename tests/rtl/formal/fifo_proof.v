// Beats are numbered as they enter; the proof is that they leave in order, none lost and none twice, whatever
// source and sink do.
`default_nettype none

module fifo_proof #(
    parameter DEPTH = 3
) (
    input wire clk,
    input wire s_valid,
    input wire m_ready
);

    reg on = 1'b0;  // out of reset
    reg [3:0] sent = 0;
    reg [3:0] got = 0;

    wire s_ready, m_valid;
    wire [3:0] m_data;

    always @(posedge clk) begin
        on <= 1'b1;
        if (on & s_valid & s_ready) sent <= sent + 1'b1;
        if (on & m_valid & m_ready) got <= got + 1'b1;
    end

    dwell_fifo #(.BITS(4), .DEPTH(DEPTH)) dut (
        .f_on(on), .f_sent(sent), .f_got(got),
        .clk(clk), .rst_n(on), .s_valid(s_valid), .s_ready(s_ready), .s_data(sent),
        .m_valid(m_valid), .m_ready(m_ready), .m_data(m_data)
    );

    // A beat that waits is there, unchanged, a clock later.
    reg waits = 1'b0;
    reg [3:0] held = 0;
    always @(posedge clk) begin
        waits <= on & m_valid & ~m_ready;
        held  <= m_data;
        if (on & waits) assert (m_valid & (m_data == held));
    end

endmodule

`default_nettype wire
