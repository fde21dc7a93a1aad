// dwell_stream_max: the largest of each run of BEATS beats, lane by lane. Stands for FINN's Pool with MaxPool.
//
// FINN's window generator in front gives the positions of a window one after the other, LANES channels each.
`default_nettype none

module dwell_stream_max #(
    parameter LANES  = 1,  // channels of a beat
    parameter BITS   = 4,
    parameter SIGNED = 0,  // 1 or 0
    parameter BEATS  = 4   // positions of a window
) (
    input  wire                  clk,
    input  wire                  rst_n,
    input  wire                  s_valid,
    output wire                  s_ready,
    input  wire [LANES*BITS-1:0] s_data,
    output reg                   m_valid,
    input  wire                  m_ready,
    output reg  [LANES*BITS-1:0] m_data
);

    localparam              COUNT_BITS = (BEATS > 1) ? $clog2(BEATS) : 1;
    localparam       [31:0] END_32     = BEATS - 1;
    localparam [COUNT_BITS-1:0] END    = END_32[COUNT_BITS-1:0];
    localparam              SIGN       = (SIGNED != 0) ? 1'b1 : 1'b0;

    reg  [COUNT_BITS-1:0] count;
    reg  [LANES*BITS-1:0] best;    // of the window so far
    wire [LANES*BITS-1:0] larger;  // with the present beat

    wire first = count == {COUNT_BITS{1'b0}};
    wire last  = count == END;
    wire room  = ~m_valid | m_ready;
    wire take  = s_valid & s_ready;

    assign s_ready = ~last | room;

    genvar lane;
    generate
        for (lane = 0; lane < LANES; lane = lane + 1) begin : g_lane
            wire [BITS-1:0] was = best[lane*BITS+:BITS];
            wire [BITS-1:0] now = s_data[lane*BITS+:BITS];
            // with the sign's bit turned over, signed codes are in the order of unsigned ones
            wire more = {now[BITS-1] ^ SIGN, now[BITS-2:0]} > {was[BITS-1] ^ SIGN, was[BITS-2:0]};
            assign larger[lane*BITS+:BITS] = (first | more) ? now : was;
        end
    endgenerate

    always @(posedge clk) begin
        if (!rst_n) begin
            count   <= {COUNT_BITS{1'b0}};
            m_valid <= 1'b0;
        end else begin
            if (take) count <= last ? {COUNT_BITS{1'b0}} : count + 1'b1;
            if (room) m_valid <= take & last;
        end
        if (take) best <= larger;
        if (take & last) m_data <= larger;
    end

endmodule

`default_nettype wire
