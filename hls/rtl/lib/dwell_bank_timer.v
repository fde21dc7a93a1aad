// dwell_bank_timer: how long a bank of weights is in use where frames may be of any size.
//
// Where no one knows which pixel of a frame is its last one, a frame goes on until the next one begins; and what
// has been accepted needs its weights for at most CLOCKS clocks more.
`default_nettype none

module dwell_bank_timer #(
    parameter CLOCKS = 100  // from acceptance to the last sum
) (
    input  wire        clk,
    input  wire        rst_n,
    input  wire        moves,    // a pixel is accepted
    input  wire        bank,     // that its frame uses
    input  wire        current,  // bank of the frame that began last
    output wire [31:0] flying    // 1 where bank 1, bank 0 is in use
);

    localparam                  BITS      = $clog2(CLOCKS + 1);
    localparam [          31:0] CLOCKS_32 = CLOCKS;
    localparam [BITS-1:0]       ALL       = CLOCKS_32[BITS-1:0];

    reg [BITS-1:0] left_0, left_1;
    reg            busy_0, busy_1;

    assign flying = {15'd0, busy_1, 15'd0, busy_0};

    always @(posedge clk) begin
        if (!rst_n) begin
            left_0 <= {BITS{1'b0}};
            left_1 <= {BITS{1'b0}};
            busy_0 <= 1'b1;
            busy_1 <= 1'b0;
        end else begin
            if (moves & ~bank) left_0 <= ALL;
            else if (left_0 != {BITS{1'b0}}) left_0 <= left_0 - 1'b1;
            if (moves & bank) left_1 <= ALL;
            else if (left_1 != {BITS{1'b0}}) left_1 <= left_1 - 1'b1;
            busy_0 <= ~current | (moves & ~bank) | (left_0 != {BITS{1'b0}});
            busy_1 <= current | (moves & bank) | (left_1 != {BITS{1'b0}});
        end
    end

endmodule

`default_nettype wire
