// dwell_stream_fork: a stream to WAYS takers, each of which takes a beat when it can. Stands for FINN's DuplicateStreams.
`default_nettype none

module dwell_stream_fork #(
    parameter BITS = 8,  // bits of a beat
    parameter WAYS = 2   // takers
) (
    input  wire                 clk,
    input  wire                 rst_n,
    input  wire                 s_valid,
    output wire                 s_ready,
    input  wire [     BITS-1:0] s_data,
    output wire [     WAYS-1:0] m_valid,
    input  wire [     WAYS-1:0] m_ready,
    output wire [WAYS*BITS-1:0] m_data
);

    assign m_data = {WAYS{s_data}};

    dwell_fork #(.WAYS(WAYS)) u_fork (
        .clk(clk), .rst_n(rst_n), .in_valid(s_valid), .in_ready(s_ready), .out_valid(m_valid), .out_ready(m_ready)
    );

endmodule

`default_nettype wire
