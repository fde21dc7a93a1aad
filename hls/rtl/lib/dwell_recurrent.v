// dwell_recurrent: the steps of a frame through one body, with a state from step to step.
//
// A beat of the input is a step. The body is a design from one beat to one: what it takes is the step's features
// beside `step_state`, what it gives are results (`done_data`) and the state for the next step (`done_state`).
// The first step of a frame finds INITIAL, whatever was before. One step is in the body at a time: the next one
// is offered a clock after the result was taken. With SEQUENCE every step's results leave, else the last one's.
// A result that has to leave stays in the body until the one before has left, so none is lost.
`default_nettype none

module dwell_recurrent #(
    parameter                  STATE_BITS = 8,  // bits of the state
    parameter                  DATA_BITS  = 8,  // bits of a step's results
    parameter                  SEQUENCE   = 0,
    parameter [STATE_BITS-1:0] INITIAL    = 0
) (
    input  wire                  clk,
    input  wire                  rst_n,
    input  wire                  in_valid,
    output wire                  in_ready,
    input  wire                  in_first,    // first step of a frame
    input  wire                  in_last,     // last step of a frame
    input  wire                  in_bank,
    output wire                  step_valid,  // to the body
    input  wire                  step_ready,
    output wire [STATE_BITS-1:0] step_state,
    input  wire                  done_valid,  // from the body
    output wire                  done_ready,
    input  wire [STATE_BITS-1:0] done_state,
    input  wire [ DATA_BITS-1:0] done_data,
    output wire                  out_valid,
    input  wire                  out_ready,
    output wire                  out_first,
    output wire                  out_last,
    output wire                  out_bank,
    output wire [ DATA_BITS-1:0] out_data
);

    reg                  busy;               // a step is in the body,
    reg                  first, last, bank;  // and this is what it is of its frame
    reg [STATE_BITS-1:0] state;
    reg                  held;               // a result waits to leave
    reg                  held_first, held_last, held_bank;
    reg [ DATA_BITS-1:0] data;

    wire leaves = last | (SEQUENCE != 0);
    wire starts = step_valid & step_ready;
    wire ends   = done_valid & done_ready;

    assign step_valid = in_valid & ~busy;
    assign in_ready   = step_ready & ~busy;
    assign step_state = in_first ? INITIAL : state;
    assign done_ready = ~(leaves & held);
    assign out_valid  = held;
    assign out_first  = held_first;
    assign out_last   = held_last;
    assign out_bank   = held_bank;
    assign out_data   = data;

    always @(posedge clk) begin
        if (!rst_n) begin
            busy <= 1'b0;
            held <= 1'b0;
        end else begin
            busy <= starts | (busy & ~ends);
            held <= (ends & leaves) | (held & ~out_ready);
        end
        if (starts) {first, last, bank} <= {in_first, in_last, in_bank};
        if (ends) state <= done_state;
        if (ends & leaves) begin
            {held_first, held_last, held_bank} <= {first | (SEQUENCE == 0), last, bank};
            data <= done_data;
        end
    end

endmodule

`default_nettype wire
