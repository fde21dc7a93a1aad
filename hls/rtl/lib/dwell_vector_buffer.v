// dwell_vector_buffer: beats into vectors, and vectors out again a part at a time, as often as asked.
//
// A vector of SIZE elements comes in beats of IN_LANES elements and is read OUT_LANES elements at a time.
// SLOTS vectors have a place: one is read while the next one arrives. Elements lie in words of WORD elements,
// the least common multiple of both: a beat is gathered into a word, a part is picked out of one.
//
// A beat is taken with in_valid & in_ready. `full` says that a vector lies there that has not been started
// (the one whose last beat is just arriving counts); `start` begins to read it. From the next clock on
// `word` and `pick` say which part is wanted; it is there two clocks later. `finish` with the last part gives
// the place back.
`default_nettype none

module dwell_vector_buffer #(
    parameter BITS      = 8,   // bits of an element
    parameter SIZE      = 24,  // elements of a vector
    parameter IN_LANES  = 6,   // divides SIZE
    parameter OUT_LANES = 4,   // divides SIZE
    parameter WORD      = 12,  // least common multiple of the two
    parameter SLOTS     = 2,   // a power of two
    parameter WORD_BITS = (SIZE > WORD) ? $clog2(SIZE / WORD) : 1,
    parameter PICK_BITS = (WORD > OUT_LANES) ? $clog2(WORD / OUT_LANES) : 1
) (
    input  wire                      clk,
    input  wire                      rst_n,
    input  wire                      in_valid,
    output wire                      in_ready,
    input  wire                      in_first,  // marks, kept with the vector: of its first beat,
    input  wire                      in_last,   // of its last beat,
    input  wire                      in_bank,   // of its first beat
    input  wire [ IN_LANES*BITS-1:0] in_data,
    output wire                      full,
    input  wire                      start,
    input  wire [     WORD_BITS-1:0] word,
    input  wire [     PICK_BITS-1:0] pick,
    input  wire                      finish,
    output wire                      first,     // marks of the vector that is being read
    output wire                      last,
    output wire                      bank,
    output reg  [OUT_LANES*BITS-1:0] data
);

    localparam GATHER    = WORD / IN_LANES;   // beats of a word
    localparam PARTS     = WORD / OUT_LANES;  // parts of a word
    localparam WORDS     = SIZE / WORD;       // words of a vector
    localparam SLOT_BITS = (SLOTS > 1) ? $clog2(SLOTS) : 1;
    localparam USED_BITS = $clog2(SLOTS + 1);
    localparam W         = WORD * BITS;

    localparam [         31:0] SLOTS_32 = SLOTS;
    localparam [USED_BITS-1:0] ALL      = SLOTS_32[USED_BITS-1:0];
    localparam [USED_BITS-1:0] ONE      = 1;

    // ---- beats into words
    wire         take = in_valid & in_ready;
    wire         put;     // a word is whole
    wire         head;    // first beat of a vector
    wire         done;    // last beat of a vector
    wire [W-1:0] whole;
    wire         at_word_end;

    generate
        if (GATHER > 1) begin : g_gather
            localparam COUNT_BITS = $clog2(GATHER);
            localparam [31:0] END_32 = GATHER - 1;
            reg [                      COUNT_BITS-1:0] count;
            reg [(GATHER-1)*IN_LANES*BITS-1:0]         past;
            assign at_word_end = count == END_32[COUNT_BITS-1:0];
            assign whole = {in_data, past};
            always @(posedge clk) begin
                if (!rst_n) count <= {COUNT_BITS{1'b0}};
                else if (take) count <= at_word_end ? {COUNT_BITS{1'b0}} : count + 1'b1;
                if (take) past <= whole[W-1:IN_LANES*BITS];
            end
        end else begin : g_beat
            assign at_word_end = 1'b1;
            assign whole = in_data;
        end
    endgenerate

    assign put = take & at_word_end;

    // ---- which word of which vector is written, which vector is read
    reg  [USED_BITS-1:0] used;     // places taken by whole vectors
    reg  [USED_BITS-1:0] waiting;  // whole vectors not started
    wire [SLOT_BITS-1:0] into;
    wire [SLOT_BITS-1:0] from;

    assign in_ready = (used != ALL) | finish;
    assign full     = (waiting != {USED_BITS{1'b0}}) | done;

    always @(posedge clk) begin
        if (!rst_n) begin
            used    <= {USED_BITS{1'b0}};
            waiting <= {USED_BITS{1'b0}};
        end else begin
            used    <= used + (done ? ONE : {USED_BITS{1'b0}}) - (finish ? ONE : {USED_BITS{1'b0}});
            waiting <= waiting + (done ? ONE : {USED_BITS{1'b0}}) - (start ? ONE : {USED_BITS{1'b0}});
        end
    end

    generate
        if (SLOTS > 1) begin : g_slots
            reg [SLOT_BITS-1:0] write_slot, read_slot;
            assign into = write_slot;
            assign from = read_slot;
            always @(posedge clk) begin
                if (!rst_n) begin
                    write_slot <= {SLOT_BITS{1'b0}};
                    read_slot  <= {SLOT_BITS{1'b0}};
                end else begin
                    if (done) write_slot <= write_slot + 1'b1;
                    if (finish) read_slot <= read_slot + 1'b1;
                end
            end
        end else begin : g_slot
            assign into = 1'b0;
            assign from = 1'b0;
        end
    endgenerate

    // ---- marks
    reg [SLOTS-1:0] firsts, lasts, banks;
    reg             begun;      // a beat of the vector has come
    reg             head_first; // marks of its first beat
    reg             head_bank;
    assign head = ~begun;
    assign first = firsts[from];
    assign last  = lasts[from];
    assign bank  = banks[from];
    always @(posedge clk) begin
        if (!rst_n) begin
            begun <= 1'b0;
        end else if (take) begin
            begun <= ~done;
        end
        if (take & head) begin
            head_first <= in_first;
            head_bank  <= in_bank;
        end
        if (done) begin
            firsts[into] <= head ? in_first : head_first;
            lasts[into]  <= in_last;
            banks[into]  <= head ? in_bank : head_bank;
        end
    end

    // ---- the words
    wire [W-1:0] held;  // the word asked for, one clock later
    reg  [PICK_BITS-1:0] picked;

    generate
        if (WORDS == 1 && SLOTS == 1) begin : g_register
            // The only place: it keeps its word until the clock of `finish`, one before the last part is needed.
            reg [W-1:0] place;
            reg [OUT_LANES*BITS-1:0] part;
            if (PARTS > 1) begin : g_pick
                always @(posedge clk) part <= place[pick*OUT_LANES*BITS+:OUT_LANES*BITS];
            end else begin : g_all
                always @(posedge clk) part <= place;
                wire unused_pick = &{1'b0, pick};
            end
            always @(posedge clk) begin
                if (put) place <= whole;
                data   <= part;
                picked <= {PICK_BITS{1'b0}};
            end
            assign held = place;
            assign done = put;
            wire unused_word = &{1'b0, word, held, picked};
        end else begin : g_memory
            localparam PLACES = SLOTS << WORD_BITS;
            reg  [                  W-1:0] memory [0:PLACES-1];
            reg  [                  W-1:0] q;
            wire [SLOT_BITS+WORD_BITS-1:0] write_at;
            wire [SLOT_BITS+WORD_BITS-1:0] read_at;
            if (WORDS > 1) begin : g_words
                localparam [31:0] END_32 = WORDS - 1;
                reg [WORD_BITS-1:0] count;
                wire at_end = count == END_32[WORD_BITS-1:0];
                assign done = put & at_end;
                assign write_at = {into, count};
                always @(posedge clk) begin
                    if (!rst_n) count <= {WORD_BITS{1'b0}};
                    else if (put) count <= at_end ? {WORD_BITS{1'b0}} : count + 1'b1;
                end
            end else begin : g_word
                assign done = put;
                assign write_at = {into, {WORD_BITS{1'b0}}};
            end
            assign read_at = {from, word};
            always @(posedge clk) begin
                if (put) memory[write_at[$clog2(PLACES)-1:0]] <= whole;
                q      <= memory[read_at[$clog2(PLACES)-1:0]];
                picked <= pick;
            end
            assign held = q;
            if (PARTS > 1) begin : g_pick
                always @(posedge clk) data <= held[picked*OUT_LANES*BITS+:OUT_LANES*BITS];
            end else begin : g_all
                always @(posedge clk) data <= held;
                wire unused_pick = &{1'b0, picked};
            end
            wire unused_at = &{1'b0, write_at, read_at};
        end
    endgenerate

endmodule

`default_nettype wire
