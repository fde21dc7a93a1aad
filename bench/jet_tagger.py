"""The jet tagger in style `unrolled`: LUTs, registers, clocks, pass by pass, beside alkaid's RTL and beside `*`.

    python bench/jet_tagger.py jettagging_q6.onnx jettagging_vectors.npz [--rows alkaid,naive,solver,…] [--cutoff 4]

Every row is one network, synthesized by the same Yosys for xc7z020. Ours and the naive one are the whole design
with its AXI shell, and give the logits of every vector in Verilator; they are held against the integer graph,
which is first held against the QONNX executor fed with the same quantized inputs. alkaid's is its bare pipeline.
Takes some three minutes a row, one at a time. Returns 1 if a limit is passed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dwell.hls.frontends import QONNX
from dwell.hls.frontends.network import QuantizedNetwork
from dwell.hls.gate import compare_frames
from dwell.hls.qmodel import Cast, Dense, FixedPoint, QModel, quantize_input
from dwell.hls.rtl import RtlOptions
from dwell.hls.rtl.circuit.passes import NO_PASSES, Passes
from dwell.hls.rtl.circuit.schedule import Schedule
from dwell.hls.rtl.design.write import write_netlist
from dwell.hls.rtl.kernel.kernel import Kernel
from dwell.hls.rtl.netlist import header
from dwell.hls.rtl.unrolled.build import build_unrolled
from dwell.hls.rtl.unrolled.lower import lower_network
from dwell.hls.rtl.unrolled.top import SampleTop, print_sample_top
from dwell.hls.synthesis import Synthesis, load_board, synthesize_sources
from dwell.sim.core_rung import climb_core
from dwell.sim.dut import load_dut
from dwell.sim.workload import Frame

INPUT = FixedPoint.parse("fixed<16,6>")
STEPS = {
    "solver": NO_PASSES,
    "+ simplified graph": Passes(simplify=True, resynthesize=False, fuse=False),
    "+ sums shared again": Passes(simplify=True, resynthesize=True, fuse=False),
    "+ sums of three": Passes(),
}
ROWS = ("alkaid", "naive", *STEPS)


@dataclass(frozen=True)
class Row:
    """A line of the table; `clocks` as the design promises and the simulation measured."""

    name: str
    lut: int
    ff: int
    dsp: int
    clocks: int
    mhz: float
    convert_s: float  # processor time
    samples: int
    synthesis_s: float


def rows(args: argparse.Namespace, model: QModel, codes: np.ndarray, folder: Path) -> Iterator[Row]:
    wanted = [name.strip() for name in args.rows.split(",")] if args.rows else list(ROWS)
    for number, name in enumerate(wanted):
        out = folder / str(number)
        if name == "alkaid":
            yield alkaid_row(model, args.cutoff, folder / "alkaid")
            continue
        started = time.process_time()
        options = RtlOptions(style="unrolled", latency_cutoff=args.cutoff, passes=STEPS.get(name, NO_PASSES))
        net = build_unrolled(model, options)
        if name == "naive":
            net = replace(net, **naive_parts(model))
        design = write_netlist(model, net, options, out, backend="bench", tools={})
        seconds = time.process_time() - started
        frames = [Frame(sample, f"vector {i}") for i, sample in enumerate(codes)]
        rung = climb_core(load_dut(out), frames, seed=1, stalls=True)
        found = synthesize_sources(
            list(design.sources), design.top, load_board("pynq-z2"), timeout_s=7200.0, use_dsp=name != "naive"
        )
        yield _row(name, found, rung.latency_cycles, seconds, rung.windows)


def _row(name: str, found: Synthesis, clocks: int, seconds: float, samples: int) -> Row:
    cells = found.cells
    return Row(
        name, cells.lut, cells.ff, cells.dsp, clocks, found.timing.fmax_mhz, seconds, samples, found.seconds
    )


# ---- the others


def alkaid_row(model: QModel, cutoff: float, out: Path) -> Row:
    """The same integer network through alkaid's own tracer, solver and code generator."""
    from alkaid.codegen import RTLModel
    from alkaid.trace import FVArray, trace
    from alkaid.trace.ops import einsum, quantize

    started = time.process_time()
    kind = model.tensors[model.input].type
    size = model.tensors[model.input].shape[0]
    entry = FVArray.from_kif(
        np.full(size, int(kind.signed)),
        np.full(size, kind.width - kind.frac - int(kind.signed)),
        np.full(size, kind.frac),
    )
    value = entry
    for node in model.order()[1:]:
        if isinstance(node, Dense):
            weight = node.weight * 2.0**-node.weight_type.frac
            value = einsum("i,io->o", value, weight) + node.bias * 2.0**-node.bias_frac
        elif isinstance(node, Cast):
            to = node.types[0]
            rule = (node.overflow.value, node.rounding.value)
            value = quantize(value, int(to.signed), to.width - to.frac - int(to.signed), to.frac, *rule)
    project = RTLModel(trace(entry, value), str(out), flavor="verilog", latency_cutoff=cutoff)
    project.write()
    seconds = time.process_time() - started
    sources = [p for p in sorted((out / "src").rglob("*.v")) if not p.stem.endswith("_wrapper")]
    found = synthesize_sources(sources, out.name, load_board("pynq-z2"), timeout_s=7200.0)
    stages = json.loads((out / "metadata.json").read_text())["latency"]
    return _row("alkaid", found, int(stages) + 1, seconds, 0)  # and its input register


def naive_parts(model: QModel) -> dict[str, object]:
    """Modules and latency of the same network as sums of `*`, a register behind each layer, in our shell."""
    lowered = lower_network(model, NO_PASSES)
    layers = [node for node in model.order() if isinstance(node, Dense)]
    kernel = Kernel(model.name, "the network", lowered.circuit, Schedule((), len(layers)))
    name = build_name(model)
    top = SampleTop(name, f"{name}_network", header(model, "naive"), kernel, model.tensors[model.output].type)
    text = naive_text(model, layers, kernel, top.module)
    return {
        "modules": {f"{name}.v": print_sample_top(top), f"{top.module}.v": text},
        "latency_cycles": top.latency,
        "fifo_depth": 1 << top.depth_log2,
    }


def build_name(model: QModel) -> str:
    return build_unrolled(model, RtlOptions(style="unrolled", passes=NO_PASSES)).top


def naive_text(model: QModel, layers: list[Dense], kernel: Kernel, module: str) -> str:
    """One `*` for each weight that is not zero."""
    lines = [
        "`default_nettype none",
        f"module {module} (input wire aclk, input wire [{kernel.input_bits - 1}:0] taps, "
        f"output wire [{kernel.result_bits - 1}:0] result);",
    ]
    kind = model.tensors[model.input].type
    for i in range(layers[0].weight.shape[0]):
        lines.append(f"wire signed [{kind.width - 1}:0] x0_{i} = taps[{kind.width * i}+:{kind.width}];")
    low = 0
    for number, layer in enumerate(layers, 1):
        total = model.tensors[layer.output].type
        cast = next(
            (n for n in model.order() if isinstance(n, Cast) and _source(model, n) == layer.output), None
        )
        for j in range(layer.weight.shape[1]):
            products = [
                f"{_literal(w, total.width)} * x{number - 1}_{i}"
                for i, w in enumerate(layer.weight[:, j])
                if w
            ]
            bias = int(layer.bias[j]) << (total.frac - layer.bias_frac)
            terms = " + ".join([*products, _literal(bias, total.width)])
            lines.append(f"wire signed [{total.width - 1}:0] s{number}_{j} = {terms};")
            if cast is None:
                bits = kernel.result[j].bits
                lines.append(
                    f"reg [{bits - 1}:0] y_{j}; always @(posedge aclk) y_{j} <= s{number}_{j}[{bits - 1}:0];"
                )
                lines.append(f"assign result[{low}+:{bits}] = y_{j};")
                low += bits
                continue
            to = cast.types[0]
            lines.append(
                f"wire [{to.width - 1}:0] q{number}_{j}; dwell_cast #(.A_BITS({total.width}), .A_SIGNED(1), .RELU(1), "
                f".DROP({total.frac - to.frac}), .ROUND(2), .OVERFLOW(1), .Y_BITS({to.width}), .Y_SIGNED(0)) "
                f"u{number}_{j} (.a(s{number}_{j}), .y(q{number}_{j}));"
            )
            lines.append(
                f"reg signed [{to.width}:0] x{number}_{j}; "
                f"always @(posedge aclk) x{number}_{j} <= {{1'b0, q{number}_{j}}};"
            )
    return "\n".join([*lines, "endmodule", "`default_nettype wire", ""])


def _source(model: QModel, node: Cast) -> str:
    """The linear layer's tensor before a cast and its ReLU."""
    return model.maker(node.inputs[0]).inputs[0]


def _literal(value: int, width: int) -> str:
    return f"{'-' if value < 0 else ''}{width}'sd{abs(int(value))}"


def main() -> int:
    """Print the table. Returns 1 if a limit is passed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("vectors", type=Path, help=".npz with x_raw or x, (N, 16) floats")
    parser.add_argument("--rows", help=f"some of: {', '.join(ROWS)}")
    parser.add_argument("--cutoff", type=float, default=4.0)
    parser.add_argument("--json", type=Path, help="write the rows there as well")
    args = parser.parse_args()
    reading = QONNX.read(args.model, input_type=INPUT)
    model = reading.model
    with np.load(args.vectors) as found:
        x = found["x_raw" if "x_raw" in found else "x"].astype(np.float32)
    network = QuantizedNetwork(args.model, QONNX, INPUT, (), None)
    same = compare_frames(reading, network, x)
    print(f"{len(x)} vectors: integer graph = QONNX executor in {same.compared} codes and the logits")
    codes = quantize_input(model, x)
    print(
        f"{'':>20}  {'LUT':>6} {'FF':>6} {'DSP':>4} {'clocks':>6} {'est. MHz':>8} {'convert s':>9} {'samples':>7}"
    )
    done: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as name:
        for row in rows(args, model, codes, Path(name)):
            done[row.name] = row
            ours = f"{row.samples:>7}" if row.samples else f"{'-':>7}"
            print(
                f"{row.name:>20}  {row.lut:>6} {row.ff:>6} {row.dsp:>4} {row.clocks:>6} {row.mhz:>8.0f} "
                f"{row.convert_s:>9.1f} {ours}",
                flush=True,
            )
            if args.json:
                args.json.write_text(json.dumps([vars(r) for r in done.values()], indent=1) + "\n")
    return verdict(done)


def verdict(done: dict[str, Row]) -> int:
    """Hold our last row against the limits that the other rows give."""
    best = next((done[name] for name in reversed(STEPS) if name in done), None)
    if best is None:
        return 0
    kept = best.convert_s < 60.0 and best.dsp == 0
    for other, most in (("alkaid", 1.0), ("naive", 0.6)):
        if other in done:
            share = best.lut / done[other].lut
            kept &= share <= most
            print(f"{best.name}: {share:.2f} x the LUTs of {other} (at most {most})")
    if "alkaid" in done:
        late = best.clocks - done["alkaid"].clocks
        kept &= late <= 4
        print(f"{best.name}: {late:+d} clocks against alkaid (at most +4)")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
