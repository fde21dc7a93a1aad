// dwell_scores: a decision of DECISION_BEATS beats of LANES elements into its score.
//
// The score is element `select`, counted over the beats of the decision; `largest` says that no element
// is larger and none before it is equal. A tree of registered comparisons looks at the lanes of a beat,
// the last stage goes through the beats of a decision. A beat in every clock; nothing in here waits.
// Latency: 2 clocks and one for each doubling of the lanes, from a beat to its `m_valid`.
`default_nettype none

module dwell_scores #(
    parameter LANES          = 1,  // elements of a beat
    parameter ELEMENT_BITS   = 8,  // bits of an element, 32 at most
    parameter SIGNED         = 1,  // 0: elements are unsigned, of 31 bits at most
    parameter DECISION_BEATS = 1   // beats of a decision
) (
    input  wire                          clk,
    input  wire                          rst_n,
    input  wire [                  15:0] select,
    input  wire                          s_valid,
    input  wire [LANES*ELEMENT_BITS-1:0] s_data,
    input  wire [                   2:0] s_tags,    // pass with the beat
    output reg                           m_valid,   // a beat
    output reg                           m_first,   // the first of a decision
    output reg                           m_last,    // the last of it: score and largest are there
    output reg  [                   2:0] m_tags,
    output wire [                  31:0] m_score,
    output reg                           m_found,   // `select` is one of the elements
    output reg                           m_largest
);

    localparam BITS       = ELEMENT_BITS;
    localparam LEVELS     = (LANES > 1) ? $clog2(LANES) : 0;
    localparam PLACE_BITS = (LEVELS > 0) ? LEVELS : 1;
    localparam BEAT_BITS  = (DECISION_BEATS > 1) ? $clog2(DECISION_BEATS) : 1;
    localparam WAY_BITS   = 6 + PLACE_BITS;
    localparam [31:0] LANES_32 = LANES, END_32 = DECISION_BEATS - 1;
    localparam [31:0] TOP_32   = (SIGNED != 0) ? 32'd1 << (BITS - 1) : 32'd0;
    localparam [BITS-1:0] TOP = TOP_32[BITS-1:0];
    localparam [BEAT_BITS-1:0] END = END_32[BEAT_BITS-1:0];

    // The nodes of all levels lie one after the other; level 0 are the lanes.
    function integer node;
        input integer level;
        integer i;
        begin
            node = 0;
            for (i = 0; i < level; i = i + 1) node = node + ((LANES + (1 << i) - 1) >> i);
        end
    endfunction
    localparam NODES = node(LEVELS + 1);

    // ---- which beat of the decision this is, and where the selected element lies from its first lane on
    reg  [BEAT_BITS-1:0] beat;
    reg  [         16:0] ahead;
    wire                 first    = beat == {BEAT_BITS{1'b0}};
    wire                 last     = beat == END;
    wire [         16:0] at_ahead = first ? {1'b0, select} : ahead;
    wire                 here     = at_ahead < LANES_32[16:0];

    always @(posedge clk) begin
        if (!rst_n) beat <= {BEAT_BITS{1'b0}};
        else if (s_valid) beat <= last ? {BEAT_BITS{1'b0}} : beat + 1'b1;
        if (s_valid) ahead <= at_ahead - LANES_32[16:0];
    end

    // ---- the lanes in a register; with its top bit turned a signed value compares as an unsigned one
    wire [NODES*BITS-1:0] best;
    wire [NODES*BITS-1:0] pick;
    wire [     NODES-1:0] mark;
    reg  [LANES*BITS-1:0] lanes;
    reg  [     LANES-1:0] marks;

    assign best[LANES*BITS-1:0] = lanes;
    assign pick[LANES*BITS-1:0] = lanes;
    assign mark[LANES-1:0]      = marks;

    integer lane;
    always @(posedge clk) begin
        lanes <= s_data ^ {LANES{TOP}};
        for (lane = 0; lane < LANES; lane = lane + 1) marks[lane] <= at_ahead == lane[16:0];
    end

    // ---- what goes beside the tree
    reg [WAY_BITS-1:0] way [0:LEVELS];  // tags, first, last, here, the selected lane
    reg [  LEVELS  :0] valid;

    integer stage;
    always @(posedge clk) begin
        valid[0] <= rst_n & s_valid;
        way[0]   <= {s_tags, first, last, here, at_ahead[PLACE_BITS-1:0]};
        for (stage = 1; stage <= LEVELS; stage = stage + 1) begin
            valid[stage] <= rst_n & valid[stage-1];
            way[stage]   <= way[stage-1];
        end
    end

    // ---- the tree
    genvar level, pair;
    generate
        for (level = 0; level < LEVELS; level = level + 1) begin : g_level
            localparam FROM = node(level);      // first node of this level
            localparam TO   = node(level + 1);  // first node of the next
            wire step = way[level][level];
            for (pair = 0; pair < (TO - FROM + 1) / 2; pair = pair + 1) begin : g_pair
                localparam A = FROM + 2 * pair;
                localparam B = (A + 1 < TO) ? A + 1 : A;  // an odd one is compared with itself
                dwell_larger #(.BITS(BITS)) u_larger (
                    .clk(clk), .step(step & (A != B)),
                    .a(best[A*BITS+:BITS]), .a_mark(mark[A]), .a_pick(pick[A*BITS+:BITS]),
                    .b(best[B*BITS+:BITS]), .b_mark(mark[B]), .b_pick(pick[B*BITS+:BITS]),
                    .q(best[(TO+pair)*BITS+:BITS]), .q_mark(mark[TO+pair]), .q_pick(pick[(TO+pair)*BITS+:BITS])
                );
            end
        end
    endgenerate

    // ---- through the beats of a decision
    wire [BITS-1:0] beat_best = best[(NODES-1)*BITS+:BITS];
    wire [BITS-1:0] beat_pick = pick[(NODES-1)*BITS+:BITS];
    wire            beat_mark = mark[NODES-1];
    wire [     2:0] beat_tags;
    wire            beat_first, beat_last, beat_here;
    wire [PLACE_BITS-1:0] beat_place;
    reg  [BITS-1:0] most;
    reg  [BITS-1:0] score;

    assign {beat_tags, beat_first, beat_last, beat_here, beat_place} = way[LEVELS];

    always @(posedge clk) begin
        m_valid <= rst_n & valid[LEVELS];
        m_first <= beat_first;
        m_last  <= beat_last;
        m_tags  <= beat_tags;
        if (valid[LEVELS]) begin
            if (beat_first | (beat_best > most)) begin
                most      <= beat_best;
                m_largest <= beat_mark;
            end
            if (beat_here) score <= beat_pick;
            m_found <= beat_here | (m_found & ~beat_first);
        end
    end

    wire [BITS-1:0] code = score ^ TOP;
    generate
        if (BITS < 32) begin : g_extend
            assign m_score = {{(32 - BITS) {(SIGNED != 0) & code[BITS-1]}}, code};
        end else begin : g_whole
            assign m_score = code;
        end
    endgenerate

    wire unused = &{1'b0, beat_place};

endmodule

`default_nettype wire
