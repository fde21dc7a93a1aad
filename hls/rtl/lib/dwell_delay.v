// dwell_delay: q is d, DEPTH clocks later.
//
// Without RESET nothing is cleared, so that synthesis may use shift-register LUTs; with RESET = 1
// every stage is cleared while rst_n is low, as a valid bit needs.
`default_nettype none

module dwell_delay #(
    parameter BITS  = 1,  // bits of d
    parameter DEPTH = 1,  // clocks; 0 is a wire
    parameter RESET = 0   // 1: cleared by rst_n
) (
    input  wire            clk,
    input  wire            rst_n,  // synchronous, active low; ignored without RESET
    input  wire [BITS-1:0] d,
    output wire [BITS-1:0] q
);

    generate
        if (DEPTH == 0) begin : g_wire
            assign q = d;
            wire unused_clock = &{1'b0, clk, rst_n};
        end else begin : g_line
            reg [DEPTH*BITS-1:0] line;
            wire [DEPTH*BITS-1:0] moved;
            if (DEPTH > 1) begin : g_long
                assign moved = {line[(DEPTH-1)*BITS-1:0], d};
            end else begin : g_short
                assign moved = d;
            end
            if (RESET != 0) begin : g_reset
                always @(posedge clk) line <= rst_n ? moved : {(DEPTH * BITS) {1'b0}};
            end else begin : g_free
                always @(posedge clk) line <= moved;
                wire unused_reset = &{1'b0, rst_n};
            end
            assign q = line[DEPTH*BITS-1:(DEPTH-1)*BITS];
        end
    endgenerate

endmodule

`default_nettype wire
