// dwell_credit_fifo: flow control round a pipeline that cannot stall.
//
// Every beat that is accepted takes a credit. LATENCY clocks later the pipeline either delivers a
// result for it (out_valid), which is stored here until the sink takes it, or nothing (a pixel whose
// window is not whole), and the credit comes back at once. As there are no more credits than places,
// a result always finds one: back-pressure can stop the input, never lose a beat.
//
// With the sink ready a result passes straight into the output register: 1 clock. For a beat a
// clock without pause, DEPTH is at least LATENCY + 3.
`default_nettype none

module dwell_credit_fifo #(
    parameter BITS       = 8,  // bits of a result
    parameter LATENCY    = 8,  // clocks from acceptance to the result, at least 1
    parameter DEPTH_LOG2 = 4   // log2 of the places
) (
    input  wire            clk,
    input  wire            rst_n,
    input  wire            s_valid,    // the source offers a beat
    output wire            s_ready,    // there is a place for its result
    output wire            accept,     // both: the beat enters the pipeline
    input  wire            out_valid,  // the pipeline has a result
    input  wire [BITS-1:0] out_data,
    output reg             m_valid,
    input  wire            m_ready,
    output reg  [BITS-1:0] m_data
);

    localparam DEPTH = 1 << DEPTH_LOG2;
    localparam [DEPTH_LOG2:0] ALL = {1'b1, {DEPTH_LOG2{1'b0}}};

    // ---- credits
    reg  [DEPTH_LOG2:0] used;   // beats in the pipeline, in the memory and in the output register
    reg                 ready;  // used is below DEPTH
    wire                done;   // the pipeline has finished with a beat

    assign s_ready = ready;
    assign accept  = s_valid & ready;

    dwell_delay #(.BITS(1), .DEPTH(LATENCY), .RESET(1)) u_token (.clk(clk), .rst_n(rst_n), .d(accept), .q(done));

    wire                taken   = m_valid & m_ready;
    wire                nothing = done & ~out_valid;
    wire [DEPTH_LOG2:0] given   = {{DEPTH_LOG2{1'b0}}, accept};
    wire [DEPTH_LOG2:0] back    = {{DEPTH_LOG2{1'b0}}, taken} + {{DEPTH_LOG2{1'b0}}, nothing};
    wire [DEPTH_LOG2:0] left    = used + given - back;

    // ---- memory, and an output register in front of it
    reg  [      BITS-1:0] memory [0:DEPTH-1];
    reg  [  DEPTH_LOG2:0] head;  // next place to read
    reg  [  DEPTH_LOG2:0] tail;  // next place to write
    wire                  empty = head == tail;
    wire                  load  = ~m_valid | m_ready;
    wire                  pass  = load & empty;      // straight into the output register
    wire [      BITS-1:0] front = memory[head[DEPTH_LOG2-1:0]];

    always @(posedge clk) begin
        if (!rst_n) begin
            used    <= {(DEPTH_LOG2 + 1) {1'b0}};
            ready   <= 1'b0;
            head    <= {(DEPTH_LOG2 + 1) {1'b0}};
            tail    <= {(DEPTH_LOG2 + 1) {1'b0}};
            m_valid <= 1'b0;
        end else begin
            used  <= left;
            ready <= left != ALL;
            if (out_valid & ~pass) tail <= tail + 1'b1;
            if (load & ~empty) head <= head + 1'b1;
            if (load) m_valid <= out_valid | ~empty;
        end
        if (out_valid & ~pass) memory[tail[DEPTH_LOG2-1:0]] <= out_data;
        if (load) m_data <= empty ? out_data : front;
    end

endmodule

`default_nettype wire
