// dwell_weight_port: AXI4-Lite to the weight memories of a design, and the bank that the next frames use.
//
// Byte addresses, top bit first: {1, bank, bus word, 2 bits} is a word of a memory, {0, …} a register:
//
//   0x00 ID         0x4457_4C57
//   0x04 VERSION    1
//   0x08 STRUCTURE  digest of the memories' names and sizes
//   0x0C MEMORIES   how many there are
//   0x10 WORDS      bus words of a bank
//   0x14 CONTROL    bit 0: bank of the frames that begin from now on (read and write)
//   0x18 STATUS     bit 0: bank selected; bit 1: bank of the frame that began last; bits 3:2: bank 1, 0 in use
//   0x1C FRAMES_0   frames in flight that use bank 0
//   0x20 FRAMES_1   the same of bank 1
//   0x24 WRITTEN    memory words written since reset
//   0x28 REFUSED    writes to a bank in use, since reset
//
// A bank is in use while it is selected and while any frame in flight uses it. A write to it changes nothing, is
// answered SLVERR and counted. SLVERR is also the answer to a write of part of a word, to a write to a register
// other than CONTROL and to a read of a memory or of no register.
// One transfer at a time; a write waits until address and data are there.
`default_nettype none

module dwell_weight_port #(
    parameter [31:0] STRUCTURE = 0,
    parameter        BITS      = 8,  // bits of a bus word's number in its bank, at least 4
    parameter        MEMORIES  = 1,
    parameter        WORDS     = 1
) (
    input  wire            clk,
    input  wire            rst_n,
    input  wire [BITS+3:0] s_axil_awaddr,
    input  wire [     2:0] s_axil_awprot,
    input  wire            s_axil_awvalid,
    output wire            s_axil_awready,
    input  wire [    31:0] s_axil_wdata,
    input  wire [     3:0] s_axil_wstrb,
    input  wire            s_axil_wvalid,
    output wire            s_axil_wready,
    output wire [     1:0] s_axil_bresp,
    output reg             s_axil_bvalid,
    input  wire            s_axil_bready,
    input  wire [BITS+3:0] s_axil_araddr,
    input  wire [     2:0] s_axil_arprot,
    input  wire            s_axil_arvalid,
    output wire            s_axil_arready,
    output reg  [    31:0] s_axil_rdata,
    output wire [     1:0] s_axil_rresp,
    output reg             s_axil_rvalid,
    input  wire            s_axil_rready,
    output reg             select,        // bank of the frames to come
    input  wire            current,       // bank of the frame that began last
    input  wire [    31:0] flying,        // frames that use bank 1, bank 0
    output reg             load,          // a word for a memory
    output reg             load_bank,
    output reg  [BITS-1:0] load_address,
    output reg  [    31:0] load_data
);

    localparam [31:0] MEMORIES_32 = MEMORIES, WORDS_32 = WORDS;

    wire busy_0 = ~select | (flying[15:0] != 16'd0);
    wire busy_1 = select | (flying[31:16] != 16'd0);

    // ---- writes: address and data are taken in one clock, the answer is there in the next one
    reg         write_bad;
    reg  [31:0] written, refused;
    reg         open;  // out of reset
    wire        go        = open & s_axil_awvalid & s_axil_wvalid & ~s_axil_bvalid;
    wire        to_memory = s_axil_awaddr[BITS+3];
    wire        to_bank   = s_axil_awaddr[BITS+2];
    wire        in_use    = to_bank ? busy_1 : busy_0;
    wire        whole     = &s_axil_wstrb;
    wire        is_reg    = s_axil_awaddr[BITS+2:6] == {(BITS - 3) {1'b0}};
    wire        control   = ~to_memory & is_reg & (s_axil_awaddr[5:2] == 4'd5) & whole;
    wire        word      = to_memory & whole & ~in_use;

    assign s_axil_awready = go;
    assign s_axil_wready  = go;
    assign s_axil_bresp   = {write_bad, 1'b0};

    // A clock before the reset must not write: the first contents of the memories come with the configuration.
    initial load = 1'b0;

    always @(posedge clk) begin
        if (!rst_n) begin
            open          <= 1'b0;
            s_axil_bvalid <= 1'b0;
            select        <= 1'b0;
            load          <= 1'b0;
            written       <= 32'd0;
            refused       <= 32'd0;
        end else begin
            open          <= 1'b1;
            s_axil_bvalid <= go | (s_axil_bvalid & ~s_axil_bready);
            load          <= go & word;
            if (go & control) select <= s_axil_wdata[0];
            if (go & word) written <= written + 32'd1;
            if (go & to_memory & in_use) refused <= refused + 32'd1;
        end
        if (go) write_bad <= ~(control | word);
        load_bank    <= to_bank;
        load_address <= s_axil_awaddr[BITS+1:2];
        load_data    <= s_axil_wdata;
    end

    // ---- reads
    reg         read_bad;
    wire        get  = open & s_axil_arvalid & ~s_axil_rvalid;
    wire [ 3:0] from = s_axil_araddr[5:2];
    wire        none = (s_axil_araddr[BITS+3:6] != {(BITS - 2) {1'b0}}) | (from > 4'd10);

    assign s_axil_arready = get;
    assign s_axil_rresp   = {read_bad, 1'b0};

    always @(posedge clk) begin
        if (!rst_n) s_axil_rvalid <= 1'b0;
        else s_axil_rvalid <= get | (s_axil_rvalid & ~s_axil_rready);
        if (get) begin
            read_bad <= none;
            case (none ? 4'd15 : from)
                4'd0:    s_axil_rdata <= 32'h44574c57;
                4'd1:    s_axil_rdata <= 32'd1;
                4'd2:    s_axil_rdata <= STRUCTURE;
                4'd3:    s_axil_rdata <= MEMORIES_32;
                4'd4:    s_axil_rdata <= WORDS_32;
                4'd5:    s_axil_rdata <= {31'd0, select};
                4'd6:    s_axil_rdata <= {28'd0, busy_1, busy_0, current, select};
                4'd7:    s_axil_rdata <= {16'd0, flying[15:0]};
                4'd8:    s_axil_rdata <= {16'd0, flying[31:16]};
                4'd9:    s_axil_rdata <= written;
                4'd10:   s_axil_rdata <= refused;
                default: s_axil_rdata <= 32'd0;
            endcase
        end
    end

    wire unused = &{1'b0, s_axil_awprot, s_axil_arprot, s_axil_awaddr[1:0], s_axil_araddr[1:0]};

endmodule

`default_nettype wire
