// dwell_axil_slave: AXI4-Lite to a word bus, one access at a time each way.
//
// Address and data of a write may come in any order. Addresses that the far side does not know are
// answered with SLVERR. Words only: the two lowest address bits are not looked at.
`default_nettype none

module dwell_axil_slave #(
    parameter ADDR_BITS = 12  // bits of a byte address
) (
    input  wire                 aclk,
    input  wire                 aresetn,
    input  wire [ADDR_BITS-1:0] s_axil_awaddr,
    input  wire                 s_axil_awvalid,
    output wire                 s_axil_awready,
    input  wire [         31:0] s_axil_wdata,
    input  wire [          3:0] s_axil_wstrb,
    input  wire                 s_axil_wvalid,
    output wire                 s_axil_wready,
    output reg  [          1:0] s_axil_bresp,
    output reg                  s_axil_bvalid,
    input  wire                 s_axil_bready,
    input  wire [ADDR_BITS-1:0] s_axil_araddr,
    input  wire                 s_axil_arvalid,
    output wire                 s_axil_arready,
    output reg  [         31:0] s_axil_rdata,
    output reg  [          1:0] s_axil_rresp,
    output reg                  s_axil_rvalid,
    input  wire                 s_axil_rready,
    output wire                 write,          // a word is written in this clock
    output wire [ADDR_BITS-1:0] write_address,
    output wire [         31:0] write_data,
    output wire [          3:0] write_strobe,
    input  wire                 write_ok,       // there is a register to write
    output wire [ADDR_BITS-1:0] read_address,
    input  wire [         31:0] read_data,
    input  wire                 read_ok         // there is a register to read
);

    localparam [1:0] OKAY   = 2'b00;
    localparam [1:0] SLVERR = 2'b10;

    // Held until both halves of a write are there.
    reg                 have_address;
    reg                 have_data;
    reg [ADDR_BITS-1:2] held_address;
    reg [         31:0] held_data;
    reg [          3:0] held_strobe;
    reg                 have_read;
    reg [ADDR_BITS-1:2] held_read;

    assign s_axil_awready = ~have_address;
    assign s_axil_wready  = ~have_data;
    assign s_axil_arready = ~have_read;

    assign write         = have_address & have_data & ~s_axil_bvalid;
    assign write_address = {held_address, 2'b00};
    assign write_data    = held_data;
    assign write_strobe  = held_strobe;
    assign read_address  = {held_read, 2'b00};

    wire reading = have_read & ~s_axil_rvalid;

    always @(posedge aclk) begin
        if (!aresetn) begin
            have_address  <= 1'b0;
            have_data     <= 1'b0;
            have_read     <= 1'b0;
            s_axil_bvalid <= 1'b0;
            s_axil_rvalid <= 1'b0;
        end else begin
            if (s_axil_awvalid & s_axil_awready) have_address <= 1'b1;
            else if (write) have_address <= 1'b0;
            if (s_axil_wvalid & s_axil_wready) have_data <= 1'b1;
            else if (write) have_data <= 1'b0;
            if (s_axil_arvalid & s_axil_arready) have_read <= 1'b1;
            else if (reading) have_read <= 1'b0;
            if (write) s_axil_bvalid <= 1'b1;
            else if (s_axil_bready) s_axil_bvalid <= 1'b0;
            if (reading) s_axil_rvalid <= 1'b1;
            else if (s_axil_rready) s_axil_rvalid <= 1'b0;
        end
        if (s_axil_awvalid & s_axil_awready) held_address <= s_axil_awaddr[ADDR_BITS-1:2];
        if (s_axil_wvalid & s_axil_wready) begin
            held_data   <= s_axil_wdata;
            held_strobe <= s_axil_wstrb;
        end
        if (s_axil_arvalid & s_axil_arready) held_read <= s_axil_araddr[ADDR_BITS-1:2];
        if (write) s_axil_bresp <= write_ok ? OKAY : SLVERR;
        if (reading) begin
            s_axil_rdata <= read_data;
            s_axil_rresp <= read_ok ? OKAY : SLVERR;
        end
    end

    wire unused = &{1'b0, s_axil_awaddr[1:0], s_axil_araddr[1:0]};

endmodule

`default_nettype wire
