// dwell_check: says in simulation which condition did not hold. Nothing of it is left in hardware.
//
// It speaks once, in a line that begins with "dwell_check:"; what it sees in a reset does not count.
`default_nettype none

module dwell_check #(
    parameter NAME  = "",  // what the line says
    parameter COUNT = 1    // conditions
) (
    input wire             clk,
    input wire             rst_n,
    input wire [COUNT-1:0] enable,  // which of them are asked in this clock
    input wire [COUNT-1:0] holds
);

`ifndef SYNTHESIS
    reg open, told;

    initial told = 1'b0;

    always @(posedge clk) begin
        open <= rst_n;
        if (open & rst_n & ~told & (|(enable & ~holds))) begin
            told <= 1'b1;
            $display("dwell_check: %0s", NAME);
        end
    end
`else
    wire unused = &{1'b0, clk, rst_n, enable, holds, NAME};
`endif

endmodule

`default_nettype wire
