// dwell_fork: one link to several. A beat leaves upstream once every branch has taken it; each branch
// takes it when it can, without waiting for the others.
`default_nettype none

module dwell_fork #(
    parameter WAYS = 2  // branches
) (
    input  wire            clk,
    input  wire            rst_n,
    input  wire            in_valid,
    output wire            in_ready,
    output wire [WAYS-1:0] out_valid,
    input  wire [WAYS-1:0] out_ready
);

    reg [WAYS-1:0] done;  // branches that have the present beat

    assign out_valid = {WAYS{in_valid}} & ~done;
    assign in_ready  = &(out_ready | done);

    always @(posedge clk) begin
        if (!rst_n) done <= {WAYS{1'b0}};
        else if (in_valid) done <= in_ready ? {WAYS{1'b0}} : (done | out_ready);
    end

endmodule

`default_nettype wire
