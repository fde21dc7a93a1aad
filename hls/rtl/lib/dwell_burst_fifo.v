// dwell_burst_fifo: flow control behind a pipeline that is started for BURST results at a time and cannot stall.
//
// `start` takes BURST credits, a beat that leaves gives one back. `room` says that there are BURST left, so
// every result finds a place. With the sink ready a result passes straight into the output register: 1 clock.
`default_nettype none

module dwell_burst_fifo #(
    parameter BITS       = 8,  // bits of a result
    parameter BURST      = 4,  // results of a start
    parameter DEPTH_LOG2 = 4   // log2 of the places; there are at least BURST
) (
    input  wire            clk,
    input  wire            rst_n,
    input  wire            start,
    output reg             room,
    input  wire            in_valid,  // the pipeline has a result
    input  wire [BITS-1:0] in_data,
    output reg             m_valid,
    input  wire            m_ready,
    output reg  [BITS-1:0] m_data
);

    localparam DEPTH = 1 << DEPTH_LOG2;
    localparam [31:0] BURST_32 = BURST, MOST_32 = DEPTH - BURST;
    localparam [DEPTH_LOG2:0] TAKEN = BURST_32[DEPTH_LOG2:0], MOST = MOST_32[DEPTH_LOG2:0];
    localparam [DEPTH_LOG2:0] NONE = {(DEPTH_LOG2 + 1) {1'b0}};

    reg  [DEPTH_LOG2:0] used;  // promised to a start, in the memory, in the output register
    wire                leaves = m_valid & m_ready;
    wire [DEPTH_LOG2:0] left   = used + (start ? TAKEN : NONE) - {{DEPTH_LOG2{1'b0}}, leaves};

    reg  [    BITS-1:0] memory [0:DEPTH-1];
    reg  [DEPTH_LOG2:0] head;
    reg  [DEPTH_LOG2:0] tail;
    wire                empty = head == tail;
    wire                load  = ~m_valid | m_ready;
    wire                pass  = load & empty;
    wire [    BITS-1:0] front = memory[head[DEPTH_LOG2-1:0]];

    always @(posedge clk) begin
        if (!rst_n) begin
            used    <= NONE;
            room    <= 1'b0;
            head    <= NONE;
            tail    <= NONE;
            m_valid <= 1'b0;
        end else begin
            used <= left;
            room <= left <= MOST;
            if (in_valid & ~pass) tail <= tail + 1'b1;
            if (load & ~empty) head <= head + 1'b1;
            if (load) m_valid <= in_valid | ~empty;
        end
        if (in_valid & ~pass) memory[tail[DEPTH_LOG2-1:0]] <= in_data;
        if (load) m_data <= empty ? in_data : front;
    end

endmodule

`default_nettype wire
