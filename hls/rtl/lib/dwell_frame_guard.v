// dwell_frame_guard: beats of an AXI4-Stream into whole frames of a fixed number of beats.
//
// - A beat without TUSER where a frame should begin is accepted and dropped.
// - TUSER inside a frame: the frame so far is completed with zeros, then the new one begins.
// Behind it every frame is whole, whatever the source does. s_ready comes from registers; the way
// through takes 1 clock.
`default_nettype none

module dwell_frame_guard #(
    parameter BITS  = 8,  // bits of a beat
    parameter BEATS = 16  // beats of a frame
) (
    input  wire            clk,
    input  wire            rst_n,
    input  wire            s_valid,
    output wire            s_ready,
    input  wire            s_user,   // TUSER: first beat of a frame
    input  wire [BITS-1:0] s_data,
    output wire            m_valid,
    input  wire            m_ready,
    output wire            m_first,  // first beat of a frame
    output wire            m_last,   // last beat of a frame
    output wire [BITS-1:0] m_data
);

    localparam                 COUNT_BITS = (BEATS > 1) ? $clog2(BEATS) : 1;
    localparam          [31:0] END_32     = BEATS - 1;
    localparam [COUNT_BITS-1:0] END       = END_32[COUNT_BITS-1:0];

    reg                  open;   // out of reset
    reg                  held;   // `beat` holds a beat
    reg       [BITS:0]   beat;   // TUSER, data
    reg                  more;   // `spare` holds the one after it
    reg       [BITS:0]   spare;
    reg [COUNT_BITS-1:0] place;  // of the next beat in its frame

    wire begins = place == {COUNT_BITS{1'b0}};
    wire user   = beat[BITS];
    wire drop   = held & begins & ~user;
    wire fill   = ~begins & user;
    wire leave  = m_valid & m_ready;
    wire used   = drop | (leave & ~fill);
    wire taken  = s_valid & s_ready;

    assign s_ready = open & ~more;
    assign m_valid = held & ~drop;
    assign m_first = begins;
    assign m_last  = place == END;
    assign m_data  = fill ? {BITS{1'b0}} : beat[BITS-1:0];

    always @(posedge clk) begin
        if (!rst_n) begin
            open  <= 1'b0;
            held  <= 1'b0;
            more  <= 1'b0;
            place <= {COUNT_BITS{1'b0}};
        end else begin
            open <= 1'b1;
            held <= (held & ~used) | more | taken;
            more <= held & ~used & (more | taken);
            if (leave) place <= m_last ? {COUNT_BITS{1'b0}} : place + 1'b1;
        end
        if (~held | used) beat <= more ? spare : {s_user, s_data};
        if (~more) spare <= {s_user, s_data};
    end

endmodule

`default_nettype wire
