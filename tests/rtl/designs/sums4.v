// Three weighted sums of a frame of 4 beats, 3 unsigned codes of 5 bits a beat; a result is 3 beats of one
// sum each. What is missing of a frame that breaks off counts as zeros; beats of no frame are dropped.
`default_nettype none

module sums4 (
    input  wire        aclk,
    input  wire        aresetn,
    input  wire [15:0] s_axis_tdata,
    input  wire        s_axis_tvalid,
    output wire        s_axis_tready,
    input  wire        s_axis_tlast,
    input  wire        s_axis_tuser,
    output wire [15:0] m_axis_tdata,
    output wire        m_axis_tvalid,
    input  wire        m_axis_tready,
    output wire        m_axis_tlast,
    output wire        m_axis_tuser
);
    wire unused = &{1'b0, s_axis_tlast, s_axis_tdata[15]};

    reg open;       // inside a frame
    reg [1:0] beat; // which beat comes next, inside a frame
    reg [1:0] left; // results that wait
    reg signed [9:0] sum0, sum1, sum2;
    reg signed [9:0] out0, out1, out2;

    // A frame that breaks off is closed first; the beat that broke it waits.
    wire cut = open && s_axis_tuser;
    wire room = left == 2'd0;
    assign s_axis_tready = !(s_axis_tvalid && cut) && (room || !(open && (beat == 2'd3)));
    wire take = s_axis_tvalid && s_axis_tready && (open || s_axis_tuser);
    wire done = take && !s_axis_tuser && (beat == 2'd3);
    wire close = s_axis_tvalid && cut && room;

    wire signed [9:0] a = $signed({5'd0, s_axis_tdata[4:0]});
    wire signed [9:0] b = $signed({5'd0, s_axis_tdata[9:5]});
    wire signed [9:0] c = $signed({5'd0, s_axis_tdata[14:10]});
    wire odd = beat[0] && !s_axis_tuser;
    wire signed [9:0] next0 = (s_axis_tuser ? 10'sd7 : sum0) + a + b + c;
    wire signed [9:0] next1 = (s_axis_tuser ? 10'sd0 : sum1) + a - c;
    wire signed [9:0] next2 = (s_axis_tuser ? -10'sd3 : sum2) + (odd ? -b : b);

    assign m_axis_tvalid = !room;
    assign m_axis_tdata = {{6{out0[9]}}, out0};
    assign m_axis_tuser = left == 2'd3;
    assign m_axis_tlast = left == 2'd1;
    wire give = m_axis_tvalid && m_axis_tready;

    always @(posedge aclk) begin
        if (take) begin
            sum0 <= next0;
            sum1 <= next1;
            sum2 <= next2;
        end
        if (done || close) begin
            out0 <= done ? next0 : sum0;
            out1 <= done ? next1 : sum1;
            out2 <= done ? next2 : sum2;
        end else if (give) begin
            out0 <= out1;
            out1 <= out2;
        end
        if (!aresetn) begin
            open <= 1'b0;
            beat <= 2'd0;
            left <= 2'd0;
        end else begin
            if (take) beat <= s_axis_tuser ? 2'd1 : beat + 2'd1;
            if (done || close) open <= 1'b0;
            else if (take && s_axis_tuser) open <= 1'b1;
            if (done || close) left <= 2'd3;
            else if (give) left <= left - 2'd1;
        end
    end
endmodule

`default_nettype wire
