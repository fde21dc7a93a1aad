// Bulk driver of a Verilated AXI4-Stream design: one process, one run.
//
//   driver REQUEST REPLY
//
// REQUEST: the Request header, then n_in * in_bytes bytes of TDATA (little-endian, one beat after
// the other), then n_in flag bytes (bit 0 TUSER, bit 1 TLAST).
// REPLY: the Reply header, then n_out * out_bytes bytes of TDATA, n_out flag bytes, n_in_done and n_out
// 32-bit clock-edge numbers of the handshakes. Clock edges are counted from the release of the reset.
//
// The design's class is always called Vdut, so that this file fits every design. Its parent reads
// progress ("P <beats taken>") from standard error. It dies with its parent.
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "Vdut.h"
#include "verilated.h"

namespace {

constexpr uint64_t kMagic = 0x314c4c4557440a0dULL;

struct Request {
    uint64_t magic;
    uint64_t n_in;          // beats to send
    uint64_t n_expected;    // beats that should come out
    uint32_t in_bytes;      // TDATA bytes of the input
    uint32_t out_bytes;     // TDATA bytes of the output
    uint32_t gap_percent;   // 0: source always valid
    uint32_t stall_percent; // 0: sink always ready
    uint64_t seed;          // of gaps, stalls and of the registers' start values
    uint64_t watchdog;      // clocks without any handshake that count as a deadlock
    uint64_t tail;          // clocks to go on after the last expected beat, looking for surplus ones
    uint64_t max_clocks;    // give up after that many
};

enum Status : uint32_t {
    kDone = 0,
    kDeadlock = 1,
    kValidDropped = 2,      // TVALID fell before the beat was taken
    kPayloadChanged = 3,    // TDATA, TUSER or TLAST changed while the beat waited
    kValidNeedsReady = 4,   // TVALID or the payload depends on TREADY in the same clock
    kSurplus = 5,           // more beats than expected
    kValidInReset = 6,      // TVALID high while in reset
    kTooLong = 7,           // max_clocks passed
    kFinished = 8,          // the design called $finish or $stop
};

struct Reply {
    uint64_t magic;
    uint32_t status;
    uint32_t reserved;
    uint64_t event_clock;   // when the status arose
    uint64_t clocks;
    uint64_t n_in_done;
    uint64_t n_out;
    uint64_t nanoseconds;   // of simulation, without reading and writing files
};

// The types of a Verilated port: 1, 2, 4 or 8 byte integers or an array of 32-bit words. All of them
// hold the bits little-endian, so that whole bytes can be copied.
template <typename Port>
void put(Port& port, const uint8_t* bytes, size_t count) {
    std::memset(static_cast<void*>(&port), 0, sizeof(port));
    std::memcpy(static_cast<void*>(&port), bytes, count);
}
template <typename Port>
void get(const Port& port, uint8_t* bytes, size_t count) {
    std::memcpy(bytes, static_cast<const void*>(&port), count);
}

// A design whose weights can be written has an AXI4-Lite port too; nobody writes here.
template <typename Dut>
auto leave_weights(Dut& dut, int) -> decltype(dut.s_axil_awvalid, void()) {
    dut.s_axil_awaddr = dut.s_axil_awprot = dut.s_axil_awvalid = 0;
    dut.s_axil_wdata = dut.s_axil_wstrb = dut.s_axil_wvalid = 0;
    dut.s_axil_araddr = dut.s_axil_arprot = dut.s_axil_arvalid = 0;
    dut.s_axil_bready = dut.s_axil_rready = 0;
}
template <typename Dut>
void leave_weights(Dut&, long) {}

// xorshift64*, good enough for gaps and the same on every machine.
class Random {
  public:
    explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ULL + 0x1234567ULL) {
        if (!state_) state_ = 1;
    }
    uint32_t next() {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return static_cast<uint32_t>((state_ * 0x2545f4914f6cdd1dULL) >> 32);
    }
    uint32_t below(uint32_t limit) { return next() % limit; }

  private:
    uint64_t state_;
};

// When one side of a stream pauses. Uniform noise finds few faults, so the run is cut into segments:
// steady flow, noise of a rate of its own, alternate clocks, one long pause.
class Pauses {
  public:
    Pauses(uint32_t percent, uint64_t seed) : percent_(percent), random_(seed) {}
    bool now() {
        if (!percent_) return false;
        if (!left_) draw();
        --left_;
        switch (mode_) {
            case 0: return false;
            case 1: return random_.below(100) < rate_;
            case 2: return left_ & 1;
            default: return true;
        }
    }

  private:
    void draw() {
        mode_ = random_.below(8);
        if (mode_ == 3 && random_.below(100) >= percent_) mode_ = 1;
        if (mode_ > 3) mode_ = 1;
        rate_ = random_.below(2 * percent_ > 95 ? 95 : 2 * percent_ + 1);
        left_ = mode_ == 3 ? 1 + random_.below(400) : 1 + random_.below(200);
    }
    uint32_t percent_, mode_ = 0, rate_ = 0, left_ = 0;
    Random random_;
};

struct Beat {
    std::vector<uint8_t> bytes;
    uint8_t flags = 0;
    bool operator==(const Beat& other) const { return flags == other.flags && bytes == other.bytes; }
};

class Run {
  public:
    Run(const Request& request, std::vector<uint8_t> data, std::vector<uint8_t> flags)
        : request_(request), data_(std::move(data)), flags_(std::move(flags)),
          gaps_(request.gap_percent, request.seed * 2 + 1), stalls_(request.stall_percent, request.seed * 2 + 2),
          noise_(request.seed * 2 + 3), idle_(request.in_bytes) {
        context_.randReset(2); // registers that no reset reaches start with rubbish, as they may in the device
        context_.randSeed(static_cast<int>(request.seed % 0x7fffffff) + 1);
        dut_.reset(new Vdut{&context_});
        held_.bytes.resize(request.out_bytes);
        seen_.bytes.resize(request.out_bytes);
        in_clocks_.reserve(request.n_in);
        out_clocks_.reserve(request.n_expected + 1);
        out_data_.reserve((request.n_expected + 1) * request.out_bytes);
        out_flags_.reserve(request.n_expected + 1);
    }

    void reset() {
        dut_->aresetn = 0;
        dut_->s_axis_tvalid = 0;
        dut_->m_axis_tready = 0;
        leave_weights(*dut_, 0);
        for (int i = 0; i < 16; ++i) {
            low();
            if (i > 8 && dut_->m_axis_tvalid) status_ = kValidInReset;
            high();
        }
        dut_->aresetn = 1;
    }

    void stream() {
        const auto start = std::chrono::steady_clock::now();
        play();
        const auto spent = std::chrono::steady_clock::now() - start;
        nanoseconds_ = static_cast<uint64_t>(std::chrono::nanoseconds(spent).count());
    }

    bool write(const char* path) const {
        FILE* file = std::fopen(path, "wb");
        if (!file) return false;
        const Reply reply{kMagic, status_, 0, event_clock_, clock_, in_clocks_.size(), out_clocks_.size(),
                          nanoseconds_};
        bool ok = std::fwrite(&reply, sizeof(reply), 1, file) == 1;
        ok = ok && write_all(file, out_data_.data(), out_data_.size());
        ok = ok && write_all(file, out_flags_.data(), out_flags_.size());
        ok = ok && write_all(file, in_clocks_.data(), in_clocks_.size() * sizeof(uint32_t));
        ok = ok && write_all(file, out_clocks_.data(), out_clocks_.size() * sizeof(uint32_t));
        return (std::fclose(file) == 0) && ok;
    }

  private:
    void play() {
        const bool pauses = request_.gap_percent || request_.stall_percent;
        uint64_t quiet = 0, tail = 0;
        bool offered = false;
        while (status_ == kDone) {
            if (in_clocks_.size() == request_.n_in && out_clocks_.size() >= request_.n_expected) {
                if (tail++ >= request_.tail) break;
            } else if (quiet++ > request_.watchdog) {
                return fail(kDeadlock);
            }
            if (clock_ > request_.max_clocks) return fail(kTooLong);
            if (context_.gotFinish()) return fail(kFinished);

            if (!offered && in_clocks_.size() < request_.n_in && !gaps_.now()) {
                offer(in_clocks_.size());
                offered = true;
            }
            if (!offered && pauses) rubbish();
            dut_->s_axis_tvalid = offered;
            const bool ready = !stalls_.now();
            if (pauses && !check_independent(ready)) return;
            dut_->m_axis_tready = ready;
            low();
            const bool taken = offered && dut_->s_axis_tready;
            const bool valid = dut_->m_axis_tvalid;
            if (pauses && !check_held(valid)) return;
            if (valid && ready) {
                record();
                if (out_clocks_.size() > request_.n_expected) return fail(kSurplus);
            }
            waiting_ = valid && !ready;
            if (waiting_) sample(held_);
            if (taken) {
                in_clocks_.push_back(static_cast<uint32_t>(clock_));
                offered = false;
                if (!(in_clocks_.size() & 0xffff)) std::fprintf(stderr, "P %zu\n", in_clocks_.size());
            }
            if (taken || (valid && ready)) quiet = 0;
            high();
            ++clock_;
        }
    }

    static bool write_all(FILE* file, const void* data, size_t count) {
        return count == 0 || std::fwrite(data, count, 1, file) == 1;
    }

    void low() { dut_->aclk = 0; dut_->eval(); context_.timeInc(1); }
    void high() { dut_->aclk = 1; dut_->eval(); context_.timeInc(1); }

    void fail(Status status) { status_ = status; event_clock_ = clock_; }

    void offer(size_t beat) {
        put(dut_->s_axis_tdata, &data_[beat * request_.in_bytes], request_.in_bytes);
        dut_->s_axis_tuser = flags_[beat] & 1;
        dut_->s_axis_tlast = (flags_[beat] >> 1) & 1;
    }

    // What lies on the input while TVALID is low must not matter.
    void rubbish() {
        for (uint8_t& byte : idle_) byte = static_cast<uint8_t>(noise_.next());
        put(dut_->s_axis_tdata, idle_.data(), idle_.size());
        dut_->s_axis_tuser = noise_.next() & 1;
        dut_->s_axis_tlast = noise_.next() & 1;
    }

    void sample(Beat& beat) {
        get(dut_->m_axis_tdata, beat.bytes.data(), request_.out_bytes);
        beat.flags = static_cast<uint8_t>((dut_->m_axis_tuser & 1) | (dut_->m_axis_tlast ? 2 : 0));
    }

    void record() {
        sample(seen_);
        out_data_.insert(out_data_.end(), seen_.bytes.begin(), seen_.bytes.end());
        out_flags_.push_back(seen_.flags);
        out_clocks_.push_back(static_cast<uint32_t>(clock_));
    }

    // A master may not wait for TREADY before it raises TVALID: look with the other TREADY first.
    bool check_independent(bool ready) {
        dut_->m_axis_tready = !ready;
        low();
        const bool valid_other = dut_->m_axis_tvalid;
        if (valid_other) sample(seen_);
        dut_->m_axis_tready = ready;
        low();
        if (valid_other != static_cast<bool>(dut_->m_axis_tvalid)) return fail(kValidNeedsReady), false;
        if (!valid_other) return true;
        const Beat other = seen_;
        sample(seen_);
        if (!(other == seen_)) return fail(kValidNeedsReady), false;
        return true;
    }

    bool check_held(bool valid) {
        if (!waiting_) return true;
        if (!valid) return fail(kValidDropped), false;
        sample(seen_);
        if (!(seen_ == held_)) return fail(kPayloadChanged), false;
        return true;
    }

    const Request request_;
    const std::vector<uint8_t> data_, flags_;
    Pauses gaps_, stalls_;
    Random noise_;
    std::vector<uint8_t> idle_;
    VerilatedContext context_;
    std::unique_ptr<Vdut> dut_;
    Beat held_, seen_;
    std::vector<uint8_t> out_data_, out_flags_;
    std::vector<uint32_t> in_clocks_, out_clocks_;
    uint64_t clock_ = 0, event_clock_ = 0, nanoseconds_ = 0;
    uint32_t status_ = kDone;
    bool waiting_ = false;
};

int refuse(const char* why) {
    std::fprintf(stderr, "E %s\n", why);
    return 2;
}

} // namespace

int main(int argc, char** argv) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc != 3) return refuse("usage: driver REQUEST REPLY");
    FILE* file = std::fopen(argv[1], "rb");
    if (!file) return refuse("cannot open the request");
    Request request;
    if (std::fread(&request, sizeof(request), 1, file) != 1 || request.magic != kMagic) {
        return refuse("not a request");
    }
    if (request.in_bytes > sizeof(Vdut::s_axis_tdata) || request.out_bytes > sizeof(Vdut::m_axis_tdata)) {
        return refuse("TDATA of the model is narrower than the design directory says");
    }
    if (request.max_clocks > 0xffffffffULL) return refuse("more clocks than a run can count");
    std::vector<uint8_t> data(request.n_in * request.in_bytes), flags(request.n_in);
    const bool whole = (data.empty() || std::fread(data.data(), data.size(), 1, file) == 1) &&
                       (flags.empty() || std::fread(flags.data(), flags.size(), 1, file) == 1);
    std::fclose(file);
    if (!whole) return refuse("the request is cut short");
    Run run(request, std::move(data), std::move(flags));
    run.reset();
    run.stream();
    return run.write(argv[2]) ? 0 : refuse("cannot write the reply");
}
