// dwell_larger: one node of a tree that looks for the largest value. Latency: 1 clock.
//
// The larger of two values, the first of equals, with its mark; and the one that `step` picks.
`default_nettype none

module dwell_larger #(
    parameter BITS = 8  // bits of a value, unsigned
) (
    input  wire            clk,
    input  wire [BITS-1:0] a,
    input  wire            a_mark,
    input  wire [BITS-1:0] a_pick,
    input  wire [BITS-1:0] b,
    input  wire            b_mark,
    input  wire [BITS-1:0] b_pick,
    input  wire            step,    // 0: a's pick, 1: b's
    output reg  [BITS-1:0] q,
    output reg             q_mark,
    output reg  [BITS-1:0] q_pick
);

    wire second = b > a;

    always @(posedge clk) begin
        q      <= second ? b : a;
        q_mark <= second ? b_mark : a_mark;
        q_pick <= step ? b_pick : a_pick;
    end

endmodule

`default_nettype wire
