// dwell_regroup: beats of LANES pixels into beats of OUT pixels, where a line is a whole number of the latter.
//
// The last beat of a line holds LAST pixels. A line is passed on whole before the next one comes in; with OUT at
// least LANES that costs no clock. `first` and `last` go with a frame's first and last beat.
`default_nettype none

module dwell_regroup #(
    parameter BITS  = 8,  // bits of a pixel
    parameter LANES = 4,  // pixels of a beat that comes in
    parameter BEATS = 3,  // of these in a line
    parameter LAST  = 2,  // pixels in the last of them
    parameter OUT   = 5   // pixels of a beat that goes out, a divisor of the line's
) (
    input  wire                  clk,
    input  wire                  rst_n,
    input  wire                  in_valid,
    output wire                  in_ready,
    input  wire                  in_first,
    input  wire                  in_last,
    input  wire                  in_bank,
    input  wire [LANES*BITS-1:0] in_data,
    output wire                  out_valid,
    input  wire                  out_ready,
    output wire                  out_first,
    output wire                  out_last,
    output wire                  out_bank,
    output wire [  OUT*BITS-1:0] out_data
);

    localparam SIZE       = LANES + OUT - 1;
    localparam COUNT_BITS = $clog2(SIZE + 1);
    localparam BEAT_BITS  = (BEATS > 1) ? $clog2(BEATS) : 1;
    localparam [31:0] OUT_32 = OUT, LANES_32 = LANES, LAST_32 = LAST, BEAT_END_32 = BEATS - 1;
    localparam [COUNT_BITS-1:0] NONE = 0, PART = OUT_32[COUNT_BITS-1:0];
    localparam [BEAT_BITS-1:0] NO_BEAT = 0;

    reg [ SIZE*BITS-1:0] held;   // the oldest pixel lowest
    reg [COUNT_BITS-1:0] count;  // pixels held
    reg [ BEAT_BITS-1:0] beat;   // of the next beat in its line
    reg                  whole;  // what is held ends a line
    reg                  opens;  // it begins a frame
    reg                  closes; // it ends one
    reg                  bank;

    wire                  moves     = out_valid & out_ready;
    wire [COUNT_BITS-1:0] left      = moves ? count - PART : count;
    wire [ SIZE*BITS-1:0] kept      = moves ? {{(OUT * BITS) {1'b0}}, held[SIZE*BITS-1:OUT*BITS]} : held;
    wire                  line_ends = beat == BEAT_END_32[BEAT_BITS-1:0];
    wire                  take      = in_valid & in_ready;
    wire [COUNT_BITS-1:0] more      = line_ends ? LAST_32[COUNT_BITS-1:0] : LANES_32[COUNT_BITS-1:0];

    assign in_ready  = whole ? (left == NONE) : (left < PART);
    assign out_valid = count >= PART;
    assign out_first = opens;
    assign out_last  = closes & (count == PART);
    assign out_bank  = bank;
    assign out_data  = held[OUT*BITS-1:0];

    // ---- new pixels behind those that stay; what lies above them is written over later
    wire [SIZE*BITS-1:0] wide;
    generate
        if (SIZE > LANES) begin : g_wide
            assign wide = {{((SIZE - LANES) * BITS) {1'b0}}, in_data};
        end else begin : g_same
            assign wide = in_data;
        end
    endgenerate

    genvar k, s;
    wire [(COUNT_BITS+1)*SIZE*BITS-1:0] stages;  // shifted by the bits of `left` in turn
    assign stages[SIZE*BITS-1:0] = wide;
    generate
        for (s = 0; s < COUNT_BITS; s = s + 1) begin : g_shift
            localparam UP = (1 << s) * BITS;
            wire [SIZE*BITS-1:0] here = stages[s*SIZE*BITS+:SIZE*BITS];
            if (UP < SIZE * BITS) begin : g_some
                assign stages[(s+1)*SIZE*BITS+:SIZE*BITS] =
                    left[s] ? {here[SIZE*BITS-UP-1:0], {UP{1'b0}}} : here;
            end else begin : g_all
                assign stages[(s+1)*SIZE*BITS+:SIZE*BITS] = here;
                wire unused_bit = &{1'b0, left[s]};
            end
        end
        for (k = 0; k < SIZE; k = k + 1) begin : g_slot
            localparam [31:0] K_32 = k;
            wire fresh;
            if (k == 0) begin : g_lowest
                assign fresh = left == NONE;
            end else begin : g_other
                assign fresh = left <= K_32[COUNT_BITS-1:0];
            end
            always @(posedge clk) begin
                held[k*BITS+:BITS] <= (take & fresh) ? stages[COUNT_BITS*SIZE*BITS+k*BITS+:BITS]
                                                     : kept[k*BITS+:BITS];
            end
        end
    endgenerate

    always @(posedge clk) begin
        if (!rst_n) begin
            count <= NONE;
            beat  <= NO_BEAT;
            whole <= 1'b0;
            opens <= 1'b0;
        end else begin
            count <= take ? left + more : left;
            if (take) beat <= line_ends ? NO_BEAT : beat + 1'b1;
            if (take) whole <= line_ends;
            if (take & in_first) opens <= 1'b1;
            else if (moves) opens <= 1'b0;
        end
        if (take) {closes, bank} <= {in_last, in_bank};
    end

endmodule

`default_nettype wire
