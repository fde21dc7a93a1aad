// dwell_stream_add: two streams added lane by lane. Stands for FINN's ElementwiseAdd.
//
// A beat leaves its streams when both have one; the sum waits in a register.
`default_nettype none

module dwell_stream_add #(
    parameter LANES    = 1,  // elements of a beat
    parameter A_BITS   = 4,
    parameter A_SIGNED = 0,  // 1 or 0
    parameter B_BITS   = 4,
    parameter B_SIGNED = 0,
    parameter OUT_BITS = 6   // more than A_BITS and B_BITS
) (
    input  wire                             clk,
    input  wire                             rst_n,
    input  wire [                      1:0] s_valid,  // of A, of B
    output wire [                      1:0] s_ready,
    input  wire [LANES*(A_BITS+B_BITS)-1:0] s_data,   // all lanes of A, then all of B
    output reg                              m_valid,
    input  wire                             m_ready,
    output reg  [       LANES*OUT_BITS-1:0] m_data
);

    localparam A_SIGN = (A_SIGNED != 0) ? 1'b1 : 1'b0;
    localparam B_SIGN = (B_SIGNED != 0) ? 1'b1 : 1'b0;

    wire                      load = ~m_valid | m_ready;
    wire                      both = &s_valid;
    wire [LANES*OUT_BITS-1:0] sums;

    assign s_ready = {2{load & both}};

    genvar lane;
    generate
        for (lane = 0; lane < LANES; lane = lane + 1) begin : g_lane
            wire [  A_BITS-1:0] a      = s_data[lane*A_BITS+:A_BITS];
            wire [  B_BITS-1:0] b      = s_data[LANES*A_BITS+lane*B_BITS+:B_BITS];
            wire [OUT_BITS-1:0] wide_a = {{(OUT_BITS - A_BITS) {A_SIGN & a[A_BITS-1]}}, a};
            wire [OUT_BITS-1:0] wide_b = {{(OUT_BITS - B_BITS) {B_SIGN & b[B_BITS-1]}}, b};
            assign sums[lane*OUT_BITS+:OUT_BITS] = wide_a + wide_b;
        end
    endgenerate

    always @(posedge clk) begin
        if (!rst_n) m_valid <= 1'b0;
        else if (load) m_valid <= both;
        if (load) m_data <= sums;
    end

endmodule

`default_nettype wire
