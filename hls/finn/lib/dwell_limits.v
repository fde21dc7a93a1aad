// dwell_limits: the first COUNT beats after reset set limits, low 16 bits each; the later ones pass.
//
// In simulation only: one built model tries many depths of its FIFOs.
`default_nettype none

module dwell_limits #(
    parameter BITS  = 16,  // bits of a beat, 16 or more
    parameter COUNT = 4    // limits to set
) (
    input  wire                clk,
    input  wire                rst_n,
    input  wire                s_valid,
    output wire                s_ready,
    input  wire     [BITS-1:0] s_data,
    output reg  [16*COUNT-1:0] limits,
    output wire                m_valid,
    input  wire                m_ready,
    output wire     [BITS-1:0] m_data
);

    reg  [15:0] set;
    wire [31:0] count_32 = COUNT;
    wire        done     = set == count_32[15:0];

    assign s_ready = done ? m_ready : 1'b1;
    assign m_valid = done & s_valid;
    assign m_data  = s_data;

    always @(posedge clk) begin
        if (!rst_n) begin
            set    <= 16'd0;
            limits <= {COUNT{16'd1}};
        end else if (s_valid & ~done) begin
            set    <= set + 16'd1;
            limits <= {s_data[15:0], limits[16*COUNT-1:16]};
        end
    end

endmodule

`default_nettype wire
