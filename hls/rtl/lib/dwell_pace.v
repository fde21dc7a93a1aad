// dwell_pace: one beat every INTERVAL clocks at most. `open` is a register.
`default_nettype none

module dwell_pace #(
    parameter INTERVAL = 8  // clocks, at least 2
) (
    input  wire clk,
    input  wire rst_n,
    input  wire accept,  // a beat is taken: only while `open`
    output reg  open
);

    localparam            BITS    = (INTERVAL > 2) ? $clog2(INTERVAL - 1) : 1;
    localparam [    31:0] WAIT_32 = INTERVAL - 2;
    localparam [BITS-1:0] WAIT    = WAIT_32[BITS-1:0];

    reg [BITS-1:0] left;

    always @(posedge clk) begin
        if (!rst_n) begin
            open <= 1'b0;
            left <= {BITS{1'b0}};
        end else begin
            open <= ~accept & (left == {BITS{1'b0}});
            if (accept) left <= WAIT;
            else if (left != {BITS{1'b0}}) left <= left - 1'b1;
        end
    end

endmodule

`default_nettype wire
