// dwell_bank_frames: which bank of weights a frame uses, and how many frames use each.
//
// A frame uses the bank that is selected when its first beat moves on; the bank goes with every beat of it.
// A frame counts from then until its last result has left.
`default_nettype none

module dwell_bank_frames (
    input  wire        clk,
    input  wire        rst_n,
    input  wire        select,    // bank of the frames to come
    input  wire        moves,     // a beat moves on
    input  wire        first,     // it is, or would be, the first one of a frame
    output wire        bank,      // of that beat
    input  wire        ends,      // the last result of a frame leaves
    input  wire        end_bank,  // which bank that frame used
    output reg         current,   // bank of the frame that began last
    output wire [31:0] flying     // frames that use bank 1, bank 0
);

    reg [15:0] count_0, count_1;

    assign bank   = first ? select : current;
    assign flying = {count_1, count_0};

    wire begins_0 = moves & first & ~select;
    wire begins_1 = moves & first & select;
    wire ends_0   = ends & ~end_bank;
    wire ends_1   = ends & end_bank;

    always @(posedge clk) begin
        if (!rst_n) begin
            current <= 1'b0;
            count_0 <= 16'd0;
            count_1 <= 16'd0;
        end else begin
            if (moves & first) current <= select;
            count_0 <= count_0 + {15'd0, begins_0} - {15'd0, ends_0};
            count_1 <= count_1 + {15'd0, begins_1} - {15'd0, ends_1};
        end
    end

endmodule

`default_nettype wire
