// dwell_counter: 64 bits, read from a copy that `snapshot` takes, so that the two halves belong together.
`default_nettype none

module dwell_counter (
    input  wire        clk,
    input  wire        rst_n,
    input  wire        clear,
    input  wire        step,      // count one
    input  wire        snapshot,  // copy; a step in the same clock is in the next copy
    output wire [31:0] now_low,   // low half as it is, not the copy
    output reg  [63:0] copy
);

    reg [63:0] count;
    assign now_low = count[31:0];

    always @(posedge clk) begin
        if (!rst_n) begin
            count <= 64'd0;
            copy  <= 64'd0;
        end else begin
            if (clear) count <= 64'd0;
            else if (step) count <= count + 64'd1;
            if (snapshot) copy <= count;
        end
    end

endmodule

`default_nettype wire
