// dwell_fifo: DEPTH places in a memory and one in the output register.
//
// s_ready and m_valid come from registers; m_data is the memory's own output register, so that a deep
// one can be block RAM. A beat takes 2 clocks through an empty FIFO.
`default_nettype none

module dwell_fifo #(
    parameter BITS  = 8,  // bits of a beat
    parameter DEPTH = 16  // places of the memory
) (
    input  wire            clk,
    input  wire            rst_n,
    input  wire            s_valid,
    output wire            s_ready,
    input  wire [BITS-1:0] s_data,
    output reg             m_valid,
    input  wire            m_ready,
    output reg  [BITS-1:0] m_data
);

    localparam                   PLACE_BITS = (DEPTH > 1) ? $clog2(DEPTH) : 1;
    localparam                   COUNT_BITS = $clog2(DEPTH + 1);
    localparam            [31:0] END_32     = DEPTH - 1, DEPTH_32 = DEPTH;
    localparam  [PLACE_BITS-1:0] END        = END_32[PLACE_BITS-1:0];

    reg [      BITS-1:0] memory [0:DEPTH-1];
    reg [PLACE_BITS-1:0] head;
    reg [PLACE_BITS-1:0] tail;
    reg [COUNT_BITS-1:0] count;  // beats in the memory
    reg                  room;   // fewer than DEPTH

    wire                  put   = s_valid & room;
    wire                  load  = ~m_valid | m_ready;
    wire                  get   = load & (count != {COUNT_BITS{1'b0}});
    wire [COUNT_BITS-1:0] given = {{(COUNT_BITS - 1) {1'b0}}, put};
    wire [COUNT_BITS-1:0] gone  = {{(COUNT_BITS - 1) {1'b0}}, get};
    wire [COUNT_BITS-1:0] left  = count + given - gone;

    assign s_ready = room;

    always @(posedge clk) begin
        if (!rst_n) begin
            head    <= {PLACE_BITS{1'b0}};
            tail    <= {PLACE_BITS{1'b0}};
            count   <= {COUNT_BITS{1'b0}};
            room    <= 1'b0;
            m_valid <= 1'b0;
        end else begin
            count <= left;
            room  <= left != DEPTH_32[COUNT_BITS-1:0];
            if (put) tail <= (tail == END) ? {PLACE_BITS{1'b0}} : tail + 1'b1;
            if (get) head <= (head == END) ? {PLACE_BITS{1'b0}} : head + 1'b1;
            if (load) m_valid <= get;
        end
        if (put) memory[tail] <= s_data;
        if (get) m_data <= memory[head];
    end

endmodule

`default_nettype wire
