// Results are numbered as they enter; the proof is that they leave in order, none lost and none twice,
// whatever source and sink do and whichever beats give no result.
`default_nettype none

module credit_fifo_proof #(
    parameter LATENCY    = 2,
    parameter DEPTH_LOG2 = 1
) (
    input wire clk,
    input wire s_valid,
    input wire m_ready,
    input wire keep      // the present beat will give a result
);

    reg on = 1'b0;  // out of reset
    reg [LATENCY-1:0] tokens = 0;
    reg [LATENCY-1:0] alive = 0;
    reg [LATENCY*4-1:0] number = 0;
    reg [3:0] sent = 0;
    reg [3:0] got = 0;

    wire s_ready, accept, m_valid;
    wire [3:0] m_data;
    wire enters = accept & keep;

    always @(posedge clk) begin
        on     <= 1'b1;
        tokens <= {tokens[LATENCY-2:0], accept & on};
        alive  <= {alive[LATENCY-2:0], enters & on};
        number <= {number[(LATENCY-1)*4-1:0], sent};
        if (on & enters) sent <= sent + 1'b1;
        if (on & m_valid & m_ready) got <= got + 1'b1;
    end

    dwell_credit_fifo #(.BITS(4), .LATENCY(LATENCY), .DEPTH_LOG2(DEPTH_LOG2)) dut (
        .f_on(on), .f_sent(sent), .f_got(got), .f_tokens(tokens), .f_alive(alive),
        .clk(clk), .rst_n(on), .s_valid(s_valid), .s_ready(s_ready), .accept(accept),
        .out_valid(alive[LATENCY-1]), .out_data(number[LATENCY*4-1-:4]),
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
