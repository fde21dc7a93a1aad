// dwell_cast: activation and quantizer. Clips negative numbers (RELU), rounds DROP low bits away,
// then brings the result into Y_BITS bits. Combinational.
//
//   ROUND     0  TRN          towards minus infinity
//             1  RND          nearest, half up
//             2  RND_CONV     nearest, half to even
//             3  TRN_ZERO     towards zero
//             4  RND_ZERO     nearest, half towards zero
//             5  RND_INF      nearest, half away from zero
//             6  RND_MIN_INF  nearest, half down
//             7  half to even, for an a to which half a step of y has been added already: what is
//                left to do is to clear the lowest bit of a tie, which needs no incrementer
//   OVERFLOW  0  WRAP         keep the low bits
//             1  SAT          nearest representable number
//             2  SAT_SYM      as SAT, and the most negative number becomes its neighbour
//             3  SAT_ZERO     zero
//
// With RELU = 1 a negative a gives 0 in every mode.
`default_nettype none

module dwell_cast #(
    parameter A_BITS   = 12,  // bits of a
    parameter A_SIGNED = 1,   // 1: a is two's complement
    parameter RELU     = 0,   // 1: max(0, a) first
    parameter DROP     = 4,   // low bits rounded away
    parameter UP       = 0,   // places shifted left; one of DROP and UP is 0
    parameter ROUND    = 0,   // see above
    parameter OVERFLOW = 1,   // see above
    parameter Y_BITS   = 4,   // bits of y
    parameter Y_SIGNED = 0    // 1: y is two's complement
) (
    input  wire [A_BITS-1:0] a,
    output wire [Y_BITS-1:0] y
);

    // Two bits above a, for its sign and for the carry of rounding, and at least two above the cut.
    localparam WIDE = ((A_BITS > DROP) ? A_BITS : DROP) + 2 + UP;
    localparam KEPT = WIDE - DROP;

    wire [WIDE-1:0] wide;

    dwell_extend #(.IN_BITS(A_BITS), .IN_SIGNED(A_SIGNED), .UP(UP), .OUT_BITS(WIDE)) u_wide (.a(a), .y(wide));

    // ---- rounding
    wire [KEPT-1:0] floor = wide[WIDE-1:DROP];
    wire            minus = wide[WIDE-1];
    wire [KEPT-1:0] rounded;

    generate
        if (DROP == 0 || ROUND == 0) begin : g_cut
            assign rounded = floor;
            wire unused_rest = &{1'b0, wide};
        end else if (ROUND == 7) begin : g_even
            assign rounded = {floor[KEPT-1:1], floor[0] & (|wide[DROP-1:0])};
        end else begin : g_carry
            wire half = wide[DROP-1];
            wire more;  // something below the half
            if (DROP > 1) begin : g_more
                assign more = |wide[DROP-2:0];
            end else begin : g_none
                assign more = 1'b0;
            end
            wire up = (ROUND == 1) ? half
                    : (ROUND == 2) ? half & (more | floor[0])
                    : (ROUND == 3) ? minus & (half | more)
                    : (ROUND == 4) ? half & (more | minus)
                    : (ROUND == 5) ? half & (more | ~minus)
                    :                half & more;
            assign rounded = floor + {{(KEPT - 1) {1'b0}}, up};
            wire unused_carry = &{1'b0, minus, more};
        end
    endgenerate

    // ---- overflow
    wire              below = rounded[KEPT-1];  // the sign after rounding
    wire              fits;
    wire [Y_BITS-1:0] low;
    wire [Y_BITS-1:0] bounded;

    dwell_extend #(.IN_BITS(KEPT), .IN_SIGNED(1), .UP(0), .OUT_BITS(Y_BITS)) u_low (.a(rounded), .y(low));

    generate
        if (Y_SIGNED != 0) begin : g_signed
            if (KEPT > Y_BITS) begin : g_check
                wire [KEPT-Y_BITS:0] top = rounded[KEPT-1:Y_BITS-1];
                assign fits = (&top) | ~(|top);
            end else begin : g_always
                assign fits = 1'b1;
            end
        end else begin : g_unsigned
            if (KEPT > Y_BITS) begin : g_check
                assign fits = ~(|rounded[KEPT-1:Y_BITS]);
            end else begin : g_sign
                assign fits = ~below;
            end
        end

        if (OVERFLOW == 0) begin : g_wrap
            assign bounded = low;
            wire unused_fits = &{1'b0, fits, below};
        end else if (OVERFLOW == 3) begin : g_zero
            assign bounded = fits ? low : {Y_BITS{1'b0}};
            wire unused_below = &{1'b0, below};
        end else if (Y_SIGNED == 0) begin : g_sat_unsigned
            assign bounded = fits ? low : {Y_BITS{~below}};
        end else begin : g_sat_signed
            // Lowest number: 100…0, or 100…01 where it must be symmetric. Highest: 011…1.
            wire [Y_BITS-1:0] lowest;
            if (Y_BITS > 1) begin : g_lowest
                wire one = (OVERFLOW == 2);
                if (Y_BITS > 2) begin : g_long
                    assign lowest = {1'b1, {(Y_BITS - 2) {1'b0}}, one};
                end else begin : g_short
                    assign lowest = {1'b1, one};
                end
                wire at_lowest = (OVERFLOW == 2) & low[Y_BITS-1] & ~(|low[Y_BITS-2:0]);
                assign bounded = ~fits ? (below ? lowest : {1'b0, {(Y_BITS - 1) {1'b1}}})
                               : at_lowest ? lowest : low;
            end else begin : g_bit
                assign lowest = (OVERFLOW == 2) ? 1'b0 : 1'b1;
                assign bounded = ~fits ? (below & lowest) : (low & lowest);
            end
        end
    endgenerate

    // ---- activation
    wire clip = (RELU != 0) & (A_SIGNED != 0) & a[A_BITS-1];
    assign y = clip ? {Y_BITS{1'b0}} : bounded;

    wire unused_minus = &{1'b0, minus};

endmodule

`default_nettype wire
