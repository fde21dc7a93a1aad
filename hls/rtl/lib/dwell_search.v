// dwell_search: one step of a search among rising thresholds: is x at or above the one asked for?
//
// `found` are the bits known so far of the number of thresholds that are at or below x, the highest first. The
// threshold in the middle of what is left, which a memory holds at {…, found}, must be there one clock after x
// and `found`. Two clocks after them x comes out again, with one bit more.
`default_nettype none

module dwell_search #(
    parameter BITS     = 12,  // bits of x
    parameter SIGNED   = 1,   // 1: two's complement
    parameter KNOWN    = 2,   // bits known so far
    parameter IN_BITS  = (KNOWN > 0) ? KNOWN : 1
) (
    input  wire               clk,
    input  wire [   BITS-1:0] x,
    input  wire [IN_BITS-1:0] found,  // ignored where none is known
    input  wire [   BITS-1:0] threshold,
    output reg  [   BITS-1:0] next_x,
    output reg  [    KNOWN:0] next_found
);

    reg  [   BITS-1:0] held;
    reg  [IN_BITS-1:0] known;
    wire [     BITS:0] left;
    wire [     BITS:0] right;
    dwell_extend #(.IN_BITS(BITS), .IN_SIGNED(SIGNED), .UP(0), .OUT_BITS(BITS + 1)) u_left (.a(held), .y(left));
    dwell_extend #(.IN_BITS(BITS), .IN_SIGNED(SIGNED), .UP(0), .OUT_BITS(BITS + 1)) u_right (.a(threshold), .y(right));
    wire at_least = $signed(left) >= $signed(right);

    always @(posedge clk) begin
        held   <= x;
        known <= found;
        next_x <= held;
    end

    generate
        if (KNOWN > 0) begin : g_more
            always @(posedge clk) next_found <= {known, at_least};
        end else begin : g_first
            always @(posedge clk) next_found <= at_least;
            wire unused_before = &{1'b0, known};
        end
    endgenerate

endmodule

`default_nettype wire
