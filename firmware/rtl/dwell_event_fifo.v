// dwell_event_fifo: event records wait here for the DMA; what finds the memory full is dropped and counted.
//
// Records leave in batches that end with TLAST: after BATCH records, or with the closing record that
// `flush` asks for. The closing record comes once `quiet` (nothing is on its way here) and the memory is
// empty; it is told from an event by line = 0xFFFF, which no event has.
//
// A record, lowest bits first: frame 32, line 16, pixel 16, score 32 (signed), clock stamp 32.
// Closing record: frames so far 32, 0xFFFF, 0, events dropped 32, clock stamp 32.
`default_nettype none

module dwell_event_fifo #(
    parameter DEPTH_LOG2 = 9,   // log2 of the records it holds
    parameter BATCH      = 256  // most records of a batch, the closing one not counted
) (
    input  wire                clk,
    input  wire                rst_n,
    input  wire                push,
    input  wire [       127:0] record,
    output wire                dropped,        // the pushed record found no room
    input  wire                flush,          // strobe
    input  wire                quiet,          // no event is on its way
    input  wire [        31:0] frames,
    input  wire [        31:0] dropped_count,
    input  wire [        31:0] stamp,
    output reg                 flushing,
    output wire [DEPTH_LOG2:0] level,
    output reg  [       127:0] m_axis_tdata,
    output reg                 m_axis_tvalid,
    input  wire                m_axis_tready,
    output reg                 m_axis_tlast,
    output wire                sent            // an event, not a closing record, was handed over
);

    localparam DEPTH = 1 << DEPTH_LOG2;
    localparam [DEPTH_LOG2:0] FULL    = {1'b1, {DEPTH_LOG2{1'b0}}};
    localparam [DEPTH_LOG2:0] ONE     = {{DEPTH_LOG2{1'b0}}, 1'b1};
    localparam [        31:0] LAST_32 = BATCH - 1;
    localparam [        15:0] LAST    = LAST_32[15:0];

    reg  [         127:0] memory [0:DEPTH-1];
    reg  [DEPTH_LOG2-1:0] head;
    reg  [DEPTH_LOG2-1:0] tail;
    reg  [  DEPTH_LOG2:0] used;      // records in the memory or just read from it
    reg  [         127:0] read;      // what the memory gave
    reg                   have;      // `read` holds a record not yet passed on
    reg  [          15:0] in_batch;  // records of the batch so far
    reg                   closing;   // the output register holds a closing record

    wire full  = used == FULL;
    wire keep  = push & ~full;
    wire free  = ~m_axis_tvalid | m_axis_tready;
    wire pass  = have & free;                               // into the output register
    // At most one record is between memory and output: half a record a clock is ample for events.
    wire fetch = (used != {(DEPTH_LOG2 + 1) {1'b0}}) & ~have;
    wire close = flushing & quiet & ~push & ~have & free & (used == {(DEPTH_LOG2 + 1) {1'b0}});

    assign dropped = push & full;
    assign level   = used;
    assign sent    = m_axis_tvalid & m_axis_tready & ~closing;

    always @(posedge clk) begin
        if (keep) memory[tail] <= record;
        if (fetch) read <= memory[head];
    end

    always @(posedge clk) begin
        if (!rst_n) begin
            head          <= {DEPTH_LOG2{1'b0}};
            tail          <= {DEPTH_LOG2{1'b0}};
            used          <= {(DEPTH_LOG2 + 1) {1'b0}};
            have          <= 1'b0;
            in_batch      <= 16'd0;
            closing       <= 1'b0;
            flushing      <= 1'b0;
            m_axis_tvalid <= 1'b0;
            m_axis_tlast  <= 1'b0;
        end else begin
            if (keep) tail <= tail + 1'b1;
            if (fetch) head <= head + 1'b1;
            have <= fetch | (have & ~pass);
            if (keep & ~fetch) used <= used + ONE;
            else if (fetch & ~keep) used <= used - ONE;
            if (flush) flushing <= 1'b1;
            else if (close) flushing <= 1'b0;
            if (free) begin
                m_axis_tvalid <= pass | close;
                m_axis_tlast  <= close | (in_batch == LAST);
                closing       <= close;
            end
            if (close) in_batch <= 16'd0;
            else if (pass) in_batch <= (in_batch == LAST) ? 16'd0 : in_batch + 16'd1;
        end
        if (pass) m_axis_tdata <= read;
        else if (close) m_axis_tdata <= {stamp, dropped_count, 16'd0, 16'hFFFF, frames};
    end

endmodule

`default_nettype wire
