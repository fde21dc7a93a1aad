// dwell_limited_fifo: dwell_fifo with a depth that a port sets, for finding out how deep one has to be.
//
// With `limit` = DEPTH it behaves, clock for clock, as dwell_fifo of that DEPTH. In simulation only.
`default_nettype none

module dwell_limited_fifo #(
    parameter BITS   = 8,     // bits of a beat
    parameter PLACES = 16384  // the largest limit; a power of two
) (
    input  wire            clk,
    input  wire            rst_n,
    input  wire     [15:0] limit,    // places of the memory in use, 1 .. PLACES
    input  wire            s_valid,
    output wire            s_ready,
    input  wire [BITS-1:0] s_data,
    output reg             m_valid,
    input  wire            m_ready,
    output reg  [BITS-1:0] m_data
);

    localparam PLACE_BITS = $clog2(PLACES);

    reg [      BITS-1:0] memory [0:PLACES-1];
    reg [PLACE_BITS-1:0] head;
    reg [PLACE_BITS-1:0] tail;
    reg           [15:0] count;
    reg                  room;

    wire        put  = s_valid & room;
    wire        load = ~m_valid | m_ready;
    wire        get  = load & (count != 16'd0);
    wire [15:0] left = count + {15'd0, put} - {15'd0, get};

    assign s_ready = room;

    always @(posedge clk) begin
        if (!rst_n) begin
            head    <= {PLACE_BITS{1'b0}};
            tail    <= {PLACE_BITS{1'b0}};
            count   <= 16'd0;
            room    <= 1'b0;
            m_valid <= 1'b0;
        end else begin
            count <= left;
            room  <= left < limit;
            if (put) tail <= tail + 1'b1;
            if (get) head <= head + 1'b1;
            if (load) m_valid <= get;
        end
        if (put) memory[tail] <= s_data;
        if (get) m_data <= memory[head];
    end

endmodule

`default_nettype wire
