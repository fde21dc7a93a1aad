// The programmable logic of a simulated board: the Verilated firmware, two AXI DMA engines and memory.
//
// Loaded into Python as a shared library. Every call advances the clock as far as it needs; between calls
// time stands still. The DMA engines answer like AXI DMA 7.1 in direct register mode (Xilinx PG021):
// register map, halt and idle, the length field's width, interrupt and error bits, start latencies.
// The design's class is always called Vdut, so that this file fits every design; DWELL_WEIGHTS is defined
// for one whose weights can be written.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <type_traits>

#include "Vdut.h"
#include "verilated.h"

double sc_time_stamp() { return 0; }

namespace {

constexpr uint32_t kHalted = 1u << 0, kIdle = 1u << 1, kInternal = 1u << 4, kDecode = 1u << 6;
constexpr uint32_t kDone = 1u << 12, kFailed = 1u << 14;
constexpr uint32_t kRun = 1u << 0, kReset = 1u << 2;
constexpr uint32_t kSendLatency = 44, kReceiveLatency = 39;  // clocks, PG021 at 100 MHz
constexpr int kBusLimit = 1000;                              // clocks an AXI4-Lite access may take

// A Verilated port is an integer or an array of 32-bit words; either holds its bits little-endian.
template <typename Port>
void put(Port& port, const uint8_t* bytes, size_t count) {
    std::memset(static_cast<void*>(&port), 0, sizeof(port));
    std::memcpy(static_cast<void*>(&port), bytes, count);
}
template <typename Port>
void get(const Port& port, uint8_t* bytes, size_t count) {
    std::memcpy(bytes, static_cast<const void*>(&port), count);
}

class Random {  // xorshift64*
  public:
    explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ull + 1) {}
    bool percent(uint32_t chance) {
        if (chance == 0) return false;
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return (state_ * 0x2545F4914F6CDD1Dull >> 40) % 100 < chance;
    }

  private:
    uint64_t state_;
};

struct Memory {
    uint8_t* bytes;
    uint64_t base;
    uint64_t size;
    bool holds(uint64_t address, uint64_t count) const {
        return address >= base && count <= size && address - base <= size - count;
    }
};

// One direction of a DMA engine.
struct Channel {
    bool present = false;
    uint32_t control = 0, status = kHalted;
    uint64_t address = 0;
    uint32_t length = 0;       // as written; after a transfer the bytes moved
    uint32_t moved = 0;
    uint32_t delay = 0;        // clocks until it starts or ends
    bool active = false, ending = false;
    bool stuck = false;        // planted fault: never completes
    uint32_t beat_bytes = 1;

    void reset() {
        control = 0;
        status = kHalted;
        active = ending = false;
        length = moved = 0;
    }
    void fail(uint32_t bit) {
        status |= bit | kFailed | kHalted;
        control &= ~kRun;
        active = ending = false;
    }
    void finish() {
        if (stuck) return;
        active = ending = false;
        length = moved;
        status |= kIdle | kDone;
    }
    bool busy() const { return active; }
};

// The pins of an AXI4-Lite slave.
template <typename Address>
struct Lite {
    Address& awaddr;
    CData& awvalid;
    CData& awready;
    IData& wdata;
    CData& wstrb;
    CData& wvalid;
    CData& wready;
    CData& bresp;
    CData& bvalid;
    CData& bready;
    Address& araddr;
    CData& arvalid;
    CData& arready;
    IData& rdata;
    CData& rresp;
    CData& rvalid;
    CData& rready;

    // A processor's bus is quiet; Verilator starts inputs at random like everything else.
    void rest() { awvalid = wvalid = bready = arvalid = rready = 0; }
};
#define LITE(dut, port)                                                                                    \
    Lite<std::remove_reference_t<decltype((dut).port##_awaddr)>> {                                         \
        (dut).port##_awaddr, (dut).port##_awvalid, (dut).port##_awready, (dut).port##_wdata,               \
            (dut).port##_wstrb, (dut).port##_wvalid, (dut).port##_wready, (dut).port##_bresp,              \
            (dut).port##_bvalid, (dut).port##_bready, (dut).port##_araddr, (dut).port##_arvalid,           \
            (dut).port##_arready, (dut).port##_rdata, (dut).port##_rresp, (dut).port##_rvalid,             \
            (dut).port##_rready                                                                            \
    }

}  // namespace

struct Board {
    VerilatedContext context;
    std::unique_ptr<Vdut> dut;
    Memory memory{};
    Channel send;             // frames, memory to stream
    Channel decisions;        // stream to memory
    Channel events;           // stream to memory
    uint32_t length_mask = 0;
    uint64_t clocks = 0;
    uint64_t pulses = 0, pulse_clocks = 0;
    bool pulse_before = false;
    uint32_t gap_percent = 0, stall_percent = 0;
    Random random{1};
    bool offering = false;    // the beat on the stream was not taken yet
    bool frame_bus_stuck = false;

    void begin(Channel& channel, uint32_t value, bool sending) {
        if (!(channel.control & kRun) || channel.active) return;
        channel.length = value & length_mask;
        channel.moved = 0;
        if (channel.length == 0) return channel.fail(kInternal);
        if (!memory.holds(channel.address, channel.length)) return channel.fail(kDecode);
        channel.active = true;
        channel.ending = false;
        channel.delay = sending ? kSendLatency : 0;
        channel.status &= ~kIdle;
    }

    void offer_beat() {
        bool valid = send.active && !send.ending && send.delay == 0 && !frame_bus_stuck;
        if (valid && !offering) valid = !random.percent(gap_percent);
        offering = valid;
        dut->s_axis_tvalid = valid;
        if (!valid) return;
        // The last beat of a transfer that is no whole number of beats holds zeros above its bytes.
        const uint32_t count = std::min(send.beat_bytes, send.length - send.moved);
        put(dut->s_axis_tdata, memory.bytes + (send.address - memory.base) + send.moved, count);
        dut->s_axis_tlast = send.moved + send.beat_bytes >= send.length;
        dut->s_axis_tuser = 0;
    }

    bool open(const Channel& channel) {
        return channel.active && !channel.ending && !random.percent(stall_percent);
    }

    template <typename Port>
    void receive(Channel& channel, const Port& data, bool last) {
        if (channel.moved + channel.beat_bytes > channel.length) return channel.fail(kInternal);
        get(data, memory.bytes + (channel.address - memory.base) + channel.moved, channel.beat_bytes);
        channel.moved += channel.beat_bytes;
        if (last) {
            channel.ending = true;
            channel.delay = kReceiveLatency;
        } else if (channel.moved == channel.length) {
            channel.fail(kInternal);  // the packet is longer than the buffer
        }
    }

    static void wind(Channel& channel) {
        if (!channel.active) return;
        if (channel.delay > 0) {
            --channel.delay;
        } else if (channel.ending) {
            channel.finish();
        }
    }

    void tick() {
        offer_beat();
        dut->m_axis_tready = open(decisions);
        dut->m_axis_events_tready = open(events);
        dut->aclk = 0;
        dut->eval();
        const bool beat = dut->s_axis_tvalid && dut->s_axis_tready;
        const bool decision = dut->m_axis_tvalid && dut->m_axis_tready;
        const bool event = dut->m_axis_events_tvalid && dut->m_axis_events_tready;
        wind(send);
        wind(decisions);
        wind(events);
        if (beat) {
            send.moved += send.beat_bytes;
            offering = false;
            if (send.moved >= send.length) send.ending = true;
        }
        if (decision) receive(decisions, dut->m_axis_tdata, dut->m_axis_tlast);
        if (event) receive(events, dut->m_axis_events_tdata, dut->m_axis_events_tlast);
        dut->aclk = 1;
        dut->eval();
        ++clocks;
        if (dut->trigger_pulse) {
            ++pulse_clocks;
            pulses += !pulse_before;
        }
        pulse_before = dut->trigger_pulse;
    }

    void reset() {
        LITE(*dut, s_axil).rest();
#ifdef DWELL_WEIGHTS
        LITE(*dut, s_axil_weights).rest();
        dut->s_axil_weights_awprot = dut->s_axil_weights_arprot = 0;
#endif
        dut->aresetn = 0;
        for (int i = 0; i < 16; ++i) tick();
        dut->aresetn = 1;
        for (int i = 0; i < 4; ++i) tick();
    }

    Channel* channel(uint32_t engine, uint32_t offset) {
        Channel* found = engine == 0 ? (offset < 0x30 ? &send : &decisions) : offset < 0x30 ? nullptr : &events;
        return found && found->present ? found : nullptr;
    }

    // AXI4-Lite. Returns the response (0 OKAY, 2 SLVERR) or -1 if the slave never answers.
    template <typename Address>
    int write(Lite<Address> bus, uint32_t offset, uint32_t value) {
        bus.awaddr = offset;
        bus.wdata = value;
        bus.wstrb = 0xF;
        bus.awvalid = bus.wvalid = bus.bready = 1;
        bool answered = false;
        int response = -1;
        for (int i = 0; i < kBusLimit && !answered; ++i) {
            dut->aclk = 0;
            dut->eval();
            const bool address = bus.awvalid && bus.awready;
            const bool data = bus.wvalid && bus.wready;
            answered = bus.bvalid;
            if (answered) response = bus.bresp;
            tick();
            if (address) bus.awvalid = 0;
            if (data) bus.wvalid = 0;
        }
        bus.rest();
        return response;
    }

    template <typename Address>
    int read(Lite<Address> bus, uint32_t offset, uint32_t* value) {
        bus.araddr = offset;
        bus.arvalid = bus.rready = 1;
        bool answered = false;
        int response = -1;
        for (int i = 0; i < kBusLimit && !answered; ++i) {
            dut->aclk = 0;
            dut->eval();
            const bool address = bus.arvalid && bus.arready;
            answered = bus.rvalid;
            if (answered) {
                response = bus.rresp;
                *value = bus.rdata;
            }
            tick();
            if (address) bus.arvalid = 0;
        }
        bus.rest();
        return response;
    }
};

extern "C" {

Board* board_new(uint8_t* memory, uint64_t base, uint64_t size, uint32_t frame_bytes, uint32_t decision_bytes,
                 uint32_t length_bits, uint64_t seed) {
    auto* board = new Board;
    board->context.randReset(2);
    board->context.randSeed(static_cast<int>(seed % 0x7FFFFFFF) + 1);
    board->random = Random(seed);
    board->dut = std::make_unique<Vdut>(&board->context);
    board->memory = Memory{memory, base, size};
    board->length_mask = (1u << length_bits) - 1;
    board->send.beat_bytes = frame_bytes;
    board->decisions.beat_bytes = decision_bytes;
    board->events.beat_bytes = 16;
    board->send.present = board->decisions.present = board->events.present = true;
    board->reset();
    return board;
}

void board_delete(Board* board) {
    board->dut->final();
    delete board;
}

void board_run(Board* board, uint64_t clocks) {
    while (clocks--) board->tick();
}

uint64_t board_clocks(const Board* board) { return board->clocks; }
uint64_t board_pulses(const Board* board) { return board->pulses; }
uint64_t board_pulse_clocks(const Board* board) { return board->pulse_clocks; }

// Random idle clocks of the frame stream and stalls of the sinks, per cent.
void board_pauses(Board* board, uint32_t gap_percent, uint32_t stall_percent, uint64_t seed) {
    board->gap_percent = gap_percent;
    board->stall_percent = stall_percent;
    board->random = Random(seed);
}

// Planted faults: 1 frames, 2 decisions, 3 events never complete; 0 none.
void board_fault(Board* board, uint32_t kind) {
    board->frame_bus_stuck = kind == 1;
    board->decisions.stuck = kind == 2;
    board->events.stuck = kind == 3;
}

// AXI4-Lite, port 0: the shell's registers, 1: the network's weights. The response, or -1.
int board_write(Board* board, uint32_t port, uint32_t offset, uint32_t value) {
    if (port == 0) return board->write(LITE(*board->dut, s_axil), offset, value);
#ifdef DWELL_WEIGHTS
    return board->write(LITE(*board->dut, s_axil_weights), offset, value);
#else
    return -1;
#endif
}

int board_read(Board* board, uint32_t port, uint32_t offset, uint32_t* value) {
    if (port == 0) return board->read(LITE(*board->dut, s_axil), offset, value);
#ifdef DWELL_WEIGHTS
    return board->read(LITE(*board->dut, s_axil_weights), offset, value);
#else
    return -1;
#endif
}

// The registers of DMA engine 0 (frames) or 1 (events).
void board_dma_write(Board* board, uint32_t engine, uint32_t offset, uint32_t value) {
    Channel* channel = board->channel(engine, offset);
    if (channel == nullptr) return;
    switch (offset % 0x30) {
        case 0x00:
            if (value & kReset) {  // resets both directions of the engine
                if (engine == 0) {
                    board->send.reset();
                    board->decisions.reset();
                    board->offering = false;
                } else {
                    board->events.reset();
                }
                return;
            }
            channel->control = value;
            if (value & kRun) {
                channel->status &= ~kHalted;
            } else {
                channel->status |= kHalted;
                channel->active = channel->ending = false;
            }
            return;
        case 0x04:
            channel->status &= ~(value & 0x7000u);
            return;
        case 0x18:
            channel->address = (channel->address & ~0xFFFFFFFFull) | value;
            return;
        case 0x1C:
            channel->address = (channel->address & 0xFFFFFFFFull) | (static_cast<uint64_t>(value) << 32);
            return;
        case 0x28:
            board->begin(*channel, value, channel == &board->send);
            return;
        default:
            return;
    }
}

uint32_t board_dma_read(Board* board, uint32_t engine, uint32_t offset) {
    Channel* channel = board->channel(engine, offset);
    if (channel == nullptr) return 0;
    switch (offset % 0x30) {
        case 0x00: return channel->control;
        case 0x04: return channel->status;
        case 0x18: return static_cast<uint32_t>(channel->address);
        case 0x1C: return static_cast<uint32_t>(channel->address >> 32);
        case 0x28: return channel->length;
        default: return 0;
    }
}

// Software polls a busy channel: run at most `clocks`, less if the channel comes to rest.
void board_poll(Board* board, uint32_t engine, uint32_t offset, uint32_t clocks) {
    Channel* channel = board->channel(engine, offset);
    if (channel == nullptr) return;
    while (clocks-- && channel->busy()) board->tick();
}
}
