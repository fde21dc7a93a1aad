"""Widths of weights at equal cost: the same for all layers, by the Hessian, learnt by HGQ2; on the vacancy network.

    python bench/hessian_bits.py [--project DIR] [--epochs N] [--out DIR] [POINT …]
    python bench/hessian_bits.py --calibrate

A POINT is `uniform:B`, `hessian:B` (the budget is what uniform B-bit weights are estimated to take) or
`hgq2:BETA`. Each is trained from the project's float network with the project's data, converted, its recall
measured at one false alarm in 10,000 pixels of the linear test set, its whole design synthesized by Yosys. Results
are kept in --out, one file a point; points that lie there are not run again. `--calibrate` prints the points
and the error of the model of LUTs that budgets are counted in.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np

from dwell import plugins
from dwell.hls.cost import convolution_cost, convolution_kernel, kernel_bits
from dwell.hls.rtl import RtlOptions, write_design
from dwell.hls.synthesis import load_board, synthesize_design, synthesize_sources
from dwell.models.evaluate import real_scores
from dwell.project import Project, load_project
from dwell.quantize.hessian_job import quantized_weights
from dwell.quantize.source import read_float_network
from dwell.quantize.stages import run_quantize
from dwell.stage import StageContext

POINTS = (
    "uniform:4",
    "hessian:4",
    "uniform:5",
    "hessian:5",
    "uniform:6",
    "hessian:6",
    "hgq2:3e-7",
    "hgq2:1e-7",
)
ACTIVATION_BITS = 6
#: (layer, bits of its weights, bits of activations) whose kernels the model of LUTs is fitted to.
CALIBRATED_AT = ((0, 3, 6), (0, 7, 6), (1, 4, 6), (2, 5, 6), (3, 3, 6), (3, 5, 6), (3, 4, 4), (3, 7, 4))


def artifact(project: Project, stage: str) -> Path:
    """The newest artifact of a stage. Raises `SystemExit` where it was not built."""
    path = project.work / "latest" / stage
    if not path.exists():
        sys.exit(f"{project.root}: run `dwell build --until train` there first")
    return path.resolve()


def kernel_luts(train: Path, bits: list[int], activation: int) -> float:
    """Estimated LUTs of the adder graphs of the float network rounded to `bits` for each layer."""
    layers, weights = read_float_network(train)
    total = 0.0
    for number, (layer, width) in enumerate(zip(layers, bits, strict=True)):
        codes, fracs = quantized_weights(weights[layer.name].weight, width)
        total += convolution_cost(
            codes,
            fracs.tolist(),
            input_bits=8 if number == 0 else activation,
            output_bits=activation if layer.relu else None,
        ).lut
    return total


def params_of(point: str, train: Path, epochs: int) -> tuple[str, dict[str, Any]]:
    """Front end and keys of [quantize]."""
    kind, _, value = point.partition(":")
    if kind == "hgq2":
        return "hgq2", {"beta": float(value), "epochs": epochs}
    keys: dict[str, Any] = {"activation_bits": ACTIVATION_BITS, "epochs": epochs, "learning_rate": 4e-3}
    if kind == "uniform":
        return "brevitas", {**keys, "weight_bits": int(value)}
    layers, _ = read_float_network(train)
    budget = kernel_luts(train, [int(value)] * len(layers), ACTIVATION_BITS)
    return "brevitas", {**keys, "bits": "hessian", "budget": {"lut": round(budget)}}


def measure(project: Project, point: str, epochs: int) -> dict[str, Any]:
    """Train, convert, evaluate and synthesize one point."""
    from dwell.hls.frontends.network import network_from_artifact

    data, train = artifact(project, "data"), artifact(project, "train")
    model = plugins.load_plugin(plugins.MODELS, project.model.name)
    frontend, keys = params_of(point, train, epochs)
    params = {
        "frontend": frontend,
        "quantize": plugins.load_plugin(plugins.QUANTIZERS, frontend).params(**keys).model_dump(mode="json"),
        "model": project.model.name,
        "training": model.stage_params(project.model.params, "train"),
    }
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "quantize"
        out.mkdir()
        inputs = {"data": data, "train": train}
        log = logging.getLogger("hessian_bits")
        metrics = run_quantize(StageContext(inputs, params, out, project.seed, log))
        trained = time.monotonic() - begin
        qmodel = network_from_artifact(out).read("vacancy")
        said = json.loads((out / "frontend.json").read_text())
        test = model.load_data(data)["test_linear"]
        recall = model.recall(real_scores(qmodel, test.frames), test, project.model.params)
        design = write_design(qmodel, RtlOptions(), Path(scratch) / "design")
        cells = synthesize_design(design, load_board("pynq-z2")).cells
    return {
        "point": point,
        "epochs": epochs,
        "recall_linear": round(recall, 4),
        "val_recall": metrics["val_recall_quantized"],
        "lut": cells.lut,
        "ff": cells.ff,
        "dsp": cells.dsp,
        "latency_cycles": design.latency_cycles,
        "bits": said.get("allocation", {}).get("bits"),
        "kernel_lut_budget": said.get("allocation", {}).get("budgets", {}).get("lut"),
        "kernel_lut_estimate": said.get("allocation", {}).get("costs", {}).get("lut"),
        "traces": said.get("allocation", {}).get("traces"),
        "seconds_training": round(trained, 1),
        "seconds": round(time.monotonic() - begin, 1),
    }


def calibrate(project: Project) -> None:
    """Kernels of the float network's layers at several widths: what Yosys counts, and what the model says."""
    from dwell.hls.rtl.design.write import library_files
    from dwell.hls.rtl.kernel.kernel import print_kernel

    layers, weights = read_float_network(artifact(project, "train"))
    rows: list[tuple[float, float, float, float]] = []
    for number, bits, activation in CALIBRATED_AT:
        layer = layers[number]
        codes, fracs = quantized_weights(weights[layer.name].weight, bits)
        choice: dict[str, Any] = {
            "input_bits": 8 if number == 0 else activation,
            "output_bits": activation if layer.relu else None,
        }
        kernel = convolution_kernel(codes, fracs.tolist(), **choice)
        with tempfile.TemporaryDirectory() as scratch:
            source = Path(scratch) / "kernel.v"
            source.write_text(print_kernel(kernel, "kernel", ""))
            found = synthesize_sources([*library_files(), source], "kernel", load_board("pynq-z2"))
        lut = found.cells.lut
        estimate = convolution_cost(codes, fracs.tolist(), **choice).lut
        rows.append((*kernel_bits(kernel), float(lut), estimate))
        print(
            f"{layer.name}: {bits}-bit weights, {activation}-bit activations: {lut} LUT, model {estimate:.0f}"
        )
    table = np.array(rows)
    fit, *_ = np.linalg.lstsq(table[:, :2] / table[:, 2:3], np.ones(len(table)), rcond=None)
    error = table[:, 3] / table[:, 2] - 1
    print(f"least squares: {fit[0]:.3f} LUT an adder bit, {fit[1]:.2f} an output bit")
    print(f"error of the model: r.m.s. {np.sqrt(np.mean(error**2)):.3f}, largest {np.abs(error).max():.3f}")


def show(results: list[dict[str, Any]]) -> None:
    """The table."""
    print(
        f"{'point':12} {'epochs':>6} {'recall':>7} {'LUT':>7} {'FF':>7} {'clocks':>6}  weight bits by layer"
    )
    for one in results:
        bits = " ".join(str(b) for b in one["bits"].values()) if one["bits"] else one["point"].split(":")[1]
        print(
            f"{one['point']:12} {one['epochs']:6} {one['recall_linear']:7.4f} {one['lut']:7,} {one['ff']:7,} "
            f"{one['latency_cycles']:6}  {bits}"
        )


def main() -> int:
    """Run what is missing, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("points", nargs="*", default=list(POINTS), metavar="POINT")
    parser.add_argument("--project", type=Path, default=Path("examples/vacancy"))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("build/hessian_bits"))
    parser.add_argument("--calibrate", action="store_true")
    args = parser.parse_args()
    project = load_project(args.project)
    if args.calibrate:
        calibrate(project)
        return 0
    args.out.mkdir(parents=True, exist_ok=True)
    results = []
    for point in args.points:
        file = args.out / f"{point.replace(':', '_')}_{args.epochs}.json"
        if not file.exists():
            file.write_text(json.dumps(measure(project, point, args.epochs), indent=1) + "\n")
        results.append(json.loads(file.read_text()))
        print(
            json.dumps({k: v for k, v in results[-1].items() if k != "traces"}), file=sys.stderr, flush=True
        )
    show(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
