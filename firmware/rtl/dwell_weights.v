// dwell_weights: the weights' port as a block of its own in a block design. Wires only.
//
// PYNQ names an address region after the block it belongs to; with both ports on one block the shell's
// registers would change their name with the design. The overlay's top takes the plain side.
`default_nettype none

module dwell_weights #(
    parameter ADDR_BITS = 12  // bits of a byte address
) (
    (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 aclk CLK", X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF s_axil, ASSOCIATED_RESET aresetn" *)
    input  wire                 aclk,
    input  wire                 aresetn,
    // from the processor
    input  wire [ADDR_BITS-1:0] s_axil_awaddr,
    input  wire [          2:0] s_axil_awprot,
    input  wire                 s_axil_awvalid,
    output wire                 s_axil_awready,
    input  wire [         31:0] s_axil_wdata,
    input  wire [          3:0] s_axil_wstrb,
    input  wire                 s_axil_wvalid,
    output wire                 s_axil_wready,
    output wire [          1:0] s_axil_bresp,
    output wire                 s_axil_bvalid,
    input  wire                 s_axil_bready,
    input  wire [ADDR_BITS-1:0] s_axil_araddr,
    input  wire [          2:0] s_axil_arprot,
    input  wire                 s_axil_arvalid,
    output wire                 s_axil_arready,
    output wire [         31:0] s_axil_rdata,
    output wire [          1:0] s_axil_rresp,
    output wire                 s_axil_rvalid,
    input  wire                 s_axil_rready,
    // to the overlay's top
    output wire [ADDR_BITS-1:0] weights_awaddr,
    output wire [          2:0] weights_awprot,
    output wire                 weights_awvalid,
    input  wire                 weights_awready,
    output wire [         31:0] weights_wdata,
    output wire [          3:0] weights_wstrb,
    output wire                 weights_wvalid,
    input  wire                 weights_wready,
    input  wire [          1:0] weights_bresp,
    input  wire                 weights_bvalid,
    output wire                 weights_bready,
    output wire [ADDR_BITS-1:0] weights_araddr,
    output wire [          2:0] weights_arprot,
    output wire                 weights_arvalid,
    input  wire                 weights_arready,
    input  wire [         31:0] weights_rdata,
    input  wire [          1:0] weights_rresp,
    input  wire                 weights_rvalid,
    output wire                 weights_rready
);

    assign weights_awaddr  = s_axil_awaddr;
    assign weights_awprot  = s_axil_awprot;
    assign weights_awvalid = s_axil_awvalid;
    assign s_axil_awready  = weights_awready;
    assign weights_wdata   = s_axil_wdata;
    assign weights_wstrb   = s_axil_wstrb;
    assign weights_wvalid  = s_axil_wvalid;
    assign s_axil_wready   = weights_wready;
    assign s_axil_bresp    = weights_bresp;
    assign s_axil_bvalid   = weights_bvalid;
    assign weights_bready  = s_axil_bready;
    assign weights_araddr  = s_axil_araddr;
    assign weights_arprot  = s_axil_arprot;
    assign weights_arvalid = s_axil_arvalid;
    assign s_axil_arready  = weights_arready;
    assign s_axil_rdata    = weights_rdata;
    assign s_axil_rresp    = weights_rresp;
    assign s_axil_rvalid   = weights_rvalid;
    assign weights_rready  = s_axil_rready;

    wire unused = &{1'b0, aclk, aresetn};

endmodule

`default_nettype wire
