"""Weights swapped under full load, in simulation: frames before, at and after each swap, and how long it takes.

    python bench/reload_folded.py [--detector] [--frames N] [--seed S]

Frames come back to back while an AXI4-Lite master writes a new network into the bank that no frame uses and then
selects it; twice. Every frame must be that of one network, wholly: of the old one up to a swap, of the new one from
there on. A second run has random gaps and stalls. A third run has a planted fault, the bank bit switched inside a
frame, and must show a mixture. Icarus Verilog.

Without --detector the network is a chain of two small convolutions; with it, one of the vacancy detector's shape at
a pixel every 54 clocks (minutes).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from reload_bench import run_reload
from reload_cases import beats_of, chain_model, frames_of, other_weights, results_of, swaps, which

from dwell.hls.design import Design
from dwell.hls.qmodel import Conv2D, QModel, value_range
from dwell.hls.qmodel.random_models import DETECTOR, random_conv_model
from dwell.hls.reload import plan_writes
from dwell.hls.rtl import RtlOptions, write_design
from dwell.hls.rtl.folded.folding import reuse_for_clocks
from dwell.hls.rtl.folded.window_kernel import window_matrix

MHZ = 100
_RIGHT = "assign bank   = first ? select : current;"
_WRONG = "assign bank   = select;"


def network(detector: bool, seed: int) -> tuple[QModel, int, tuple[int, int]]:
    """A network, its clocks a pixel and the size of the frames sent."""
    if not detector:
        return chain_model(seed), 9, (9, 12)
    return random_conv_model(seed, DETECTOR), 64, (12, 14)


def run(
    design: Design, models: Sequence[QModel], folder: Path, given: argparse.Namespace, size: tuple[int, int],
    *, pauses: int = 0, sources: Sequence[Path] | None = None, pause: int = 0,
) -> tuple[list[int], int]:  # fmt: skip
    """Which network each frame came from, and the clocks that the writes of the first swap took."""
    frames = frames_of(design, given.frames, given.seed, size)
    script = swaps(design, models, given.frames // 4, pause)
    done = run_reload(
        design, folder, beats_of(design, frames), script, sources=sources, gap_percent=pauses, stall_percent=pauses,
        seed=given.seed, timeout_s=3600,
    )  # fmt: skip
    words = len(plan_writes(design, models[1], 1))
    clocks = [clock for _, clock, answer in done.wrote if answer == 0]
    used = [which(got, frame, models) for got, frame in zip(results_of(design, done), frames, strict=True)]
    return used, clocks[words - 1] - clocks[0]


def planted(design: Design, folder: Path) -> list[Path]:
    """The design's files with the bank bit switched wherever a frame stands."""
    out = []
    for source in design.sources:
        text = source.read_text()
        if source.stem == "dwell_bank_frames":
            if text.count(_RIGHT) != 1:
                raise SystemExit("the fault cannot be planted: the module has another text")
            text = text.replace(_RIGHT, _WRONG)
        out.append(folder / source.name)
        out[-1].write_text(text)
    return out


def main() -> int:
    """Print the figures. Returns 1 where a frame is wrong, or where the planted fault is not found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--detector", action="store_true")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--seed", type=int, default=2)
    given = parser.parse_args()
    model, clocks, size = network(given.detector, given.seed)
    matrices = [window_matrix(node) for node in model.nodes if isinstance(node, Conv2D)]
    options = RtlOptions(reuse=reuse_for_clocks(matrices, clocks), reload=True, max_width=32)
    models = [model, narrowed(model, 1), narrowed(model, 2)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        design = write_design(model, options, folder / "design")
        words = len(plan_writes(design, models[1], 1))
        good = True
        for title, pauses in (("full speed", 0), ("gaps and stalls", 40)):
            used, took = run(design, models, folder, given, size, pauses=pauses)
            whole = -1 not in used and used == sorted(used) and set(used) == {0, 1, 2}
            good = good and whole
            print(
                f"{title}: {len(used)} frames, of networks {''.join('x' if u < 0 else 'ABC'[u] for u in used)}; "
                f"{used.count(-1)} mixtures or mismatches"
            )
            print(f"    {words} words written in {took} clocks: {took / MHZ:.2f} us at {MHZ} MHz")
        (folder / "fault").mkdir()
        sources = planted(design, folder / "fault")
        mixed = 0
        frame = size[0] * size[1] * design.ii_cycles  # clocks
        for share in (0.8, 0.6, 0.4, 0.2):  # of a frame, after which the bank is switched
            pause = int(share * frame)
            used, _ = run(design, models, folder, given, size, sources=sources, pause=pause)
            mixed += used.count(-1)
            if mixed:
                break
        print(f"planted fault: {mixed} mixtures or mismatches, {'found' if mixed else 'NOT FOUND'}")
    return 0 if good and mixed else 1


def narrowed(model: QModel, seed: int) -> QModel:
    """Another network of that structure whose results fit the first one's output."""
    low, high = value_range(model, model.output)
    for offset in range(1000):
        other = other_weights(model, seed + 10 * offset)
        least, most = value_range(other, model.output)
        kind = model.tensors[model.output].type
        if kind.lo <= int(least.min()) and int(most.max()) <= kind.hi:
            return other
    raise SystemExit(f"no weights found whose results lie within {int(low.min())} to {int(high.max())}")


if __name__ == "__main__":
    raise SystemExit(main())
