// dwell_trigger: a threshold with a dead time, and the pulse.
//
// A decision that is `allowed` to fires when its score is at or above the threshold. The first that fires triggers; the
// DEAD_TIME decisions after it cannot. A new frame starts without dead time, so that what triggers in
// a frame does not depend on the frame before.
`default_nettype none

module dwell_trigger #(
    parameter SCORE_BITS = 32
) (
    input  wire                         clk,
    input  wire                         rst_n,
    input  wire signed [SCORE_BITS-1:0] threshold,
    input  wire        [          31:0] dead_time,     // decisions
    input  wire        [          31:0] pulse_length,  // clocks
    input  wire                         pulse_enable,
    input  wire                         valid,         // a decision in this clock
    input  wire                         first,         // the first of its frame
    input  wire                         allowed,       // it may fire
    input  wire signed [SCORE_BITS-1:0] score,
    output wire                         fired,         // same clock as `valid`
    output wire                         trigger,       // same clock as `valid`
    output reg                          pulse          // from the next clock on
);

    reg [31:0] quiet;  // decisions that still cannot trigger
    reg [31:0] left;   // clocks of the pulse

    wire dead = (quiet != 32'd0) & ~first;
    assign fired   = allowed & (score >= threshold);
    assign trigger = valid & fired & ~dead;

    always @(posedge clk) begin
        if (!rst_n) begin
            quiet <= 32'd0;
            left  <= 32'd0;
            pulse <= 1'b0;
        end else begin
            if (trigger) quiet <= dead_time;
            else if (valid & first) quiet <= 32'd0;
            else if (valid & dead) quiet <= quiet - 32'd1;
            if (trigger & pulse_enable) begin
                left  <= pulse_length;
                pulse <= pulse_length != 32'd0;
            end else begin
                if (left != 32'd0) left <= left - 32'd1;
                pulse <= left > 32'd1;
            end
        end
    end

endmodule

`default_nettype wire
