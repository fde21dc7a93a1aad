// dwell_frame_tap: between the source and a network of fixed frames of FRAME_BEATS beats.
//
// A frame begins with TUSER (`external_framing`) or is counted out. Its beats go on as they come. Where
// the source cannot wait (`never_stall`), `s_axis_tready` is always high, and a frame's first beat decides:
// if there are not FRAME_BEATS places free, the whole frame is dropped; if there are, every beat of it
// will find one. So no frame is torn here. A frame that the source itself cuts short, by TUSER or `restart`
// or by switching off, is counted when the next one enters the network, which fills it up with zeros.
// Beats of no frame (after FRAME_BEATS and before the next TUSER) are dropped. Every beat that is taken is
// counted, and either goes to the network or is counted as dropped. Way through: 3 clocks.
`default_nettype none

module dwell_frame_tap #(
    parameter BITS        = 8,   // bits of a beat
    parameter FRAME_BEATS = 16,  // beats of a frame
    parameter DEPTH_LOG2  = 5    // log2 of the beats that can wait; more than FRAME_BEATS
) (
    input  wire            clk,
    input  wire            rst_n,
    // settings
    input  wire            enable,
    input  wire            never_stall,
    input  wire            external_framing,
    input  wire            restart,         // strobe: the next beat starts a frame
    // from the source
    input  wire [BITS-1:0] s_axis_tdata,
    input  wire            s_axis_tvalid,
    output wire            s_axis_tready,
    input  wire            s_axis_tuser,
    // to the network
    output wire [BITS-1:0] m_axis_tdata,
    output wire            m_axis_tvalid,
    input  wire            m_axis_tready,
    output wire            m_axis_tlast,    // last beat of a whole frame
    output wire            m_axis_tuser,
    // strobes and state
    output wire            busy,
    output wire            unfinished,      // the network has a part of a frame
    output wire            taken,           // a beat came from the source
    output wire            dropped,         // it was dropped
    output wire            frame_dropped,   // it was the first of a frame that is dropped
    output wire            decided,         // a beat went to the network
    output wire            frame_started,   // it was the first of a frame
    output wire            frame_cut        // and the frame before it was not whole
);

    localparam PLACE_BITS = (FRAME_BEATS > 1) ? $clog2(FRAME_BEATS) : 1;
    localparam           [31:0] END_32   = FRAME_BEATS - 1;
    localparam           [31:0] LEVEL_32 = (1 << DEPTH_LOG2) - FRAME_BEATS;
    localparam [PLACE_BITS-1:0] END      = END_32[PLACE_BITS-1:0];
    localparam [PLACE_BITS-1:0] BEGIN    = {PLACE_BITS{1'b0}};
    localparam [DEPTH_LOG2:0]   LEVEL    = LEVEL_32[DEPTH_LOG2:0];

    reg [PLACE_BITS-1:0] place;  // of the next beat in its frame, unless TUSER says otherwise
    reg                  open;   // this frame's beats go to the network

    wire [DEPTH_LOG2:0]  level;
    wire                 room;
    assign s_axis_tready = rst_n & (never_stall | ~enable | room);
    assign taken         = s_axis_tvalid & s_axis_tready;

    // ---- to the network or not
    wire                  first    = external_framing ? s_axis_tuser : (place == BEGIN);
    wire [PLACE_BITS-1:0] at_place = first ? BEGIN : place;
    wire                  last     = at_place == END;
    wire                  admitted = never_stall ? (level <= LEVEL) : room;
    wire                  goes     = first ? admitted : (open & room);
    wire                  push     = taken & enable & goes;
    assign dropped       = taken & ~push;
    assign frame_dropped = taken & enable & first & ~admitted;

    always @(posedge clk) begin
        if (!rst_n | restart | ~enable) begin
            // What follows belongs to no frame until one starts.
            place <= BEGIN;
            open  <= 1'b0;
        end else if (taken) begin
            place <= last ? BEGIN : at_place + 1'b1;
            open  <= goes & ~last;
        end
    end

    // ---- the beats that wait
    dwell_tap_fifo #(.BITS(BITS + 1), .DEPTH_LOG2(DEPTH_LOG2)) u_wait (
        .clk(clk), .rst_n(rst_n),
        .s_valid(push), .s_ready(room), .s_data({first, s_axis_tdata}),
        .m_valid(m_axis_tvalid), .m_ready(m_axis_tready), .m_data({m_axis_tuser, m_axis_tdata}),
        .level(level), .busy(busy)
    );

    // ---- what the network has
    reg  [PLACE_BITS-1:0] net_place;
    wire [PLACE_BITS-1:0] at_net_place = m_axis_tuser ? BEGIN : net_place;

    assign m_axis_tlast  = at_net_place == END;
    assign unfinished    = net_place != BEGIN;
    assign decided       = m_axis_tvalid & m_axis_tready;
    assign frame_started = decided & m_axis_tuser;
    assign frame_cut     = frame_started & unfinished;

    always @(posedge clk) begin
        if (!rst_n) net_place <= BEGIN;
        else if (decided) net_place <= m_axis_tlast ? BEGIN : at_net_place + 1'b1;
    end

endmodule

`default_nettype wire
