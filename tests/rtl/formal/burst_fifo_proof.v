// Results are numbered as they enter; the proof is that they leave in order, none lost and none twice,
// whenever the pipeline is started, whenever its results come and whatever the sink does.
`default_nettype none

module burst_fifo_proof #(
    parameter BURST      = 2,
    parameter DEPTH_LOG2 = 2
) (
    input wire clk,
    input wire want,     // the pipeline would start
    input wire deliver,  // a result that has been promised comes
    input wire m_ready
);

    localparam [31:0] BURST_32 = BURST;

    reg on = 1'b0;  // out of reset
    reg [5:0] owed = 0;  // results that a start has promised
    reg [3:0] sent = 0;
    reg [3:0] got = 0;

    wire room, m_valid;
    wire [3:0] m_data;
    wire start = on & want & room;
    wire gives = on & deliver & (owed != 0);

    always @(posedge clk) begin
        on   <= 1'b1;
        owed <= owed + (start ? BURST_32[5:0] : 6'd0) - {5'd0, gives};
        if (gives) sent <= sent + 1'b1;
        if (on & m_valid & m_ready) got <= got + 1'b1;
    end

    dwell_burst_fifo #(.BITS(4), .BURST(BURST), .DEPTH_LOG2(DEPTH_LOG2)) dut (
        .f_on(on), .f_sent(sent), .f_got(got), .f_owed(owed),
        .clk(clk), .rst_n(on), .start(start), .room(room), .in_valid(gives), .in_data(sent),
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
