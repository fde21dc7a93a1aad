"""What the report shows, read from the artifacts of a build.

The report reads files only: no room's code is imported. An artifact that is missing leaves its part of the
page out, and the rung it would have climbed is shown as not climbed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwell.artifact import Artifact, Manifest
from dwell.errors import ConfigError
from dwell.report.loop import Loop

#: The ladder of proof: what each rung compares.
RUNGS: Mapping[int, str] = {
    1: "float network with quantized network, by the task's metric",
    2: "quantized framework with the integer graph, codes at every quantizer",
    3: "integer graph with hls4ml's C++ emulation",
    4: "integer graph with the Verilated core, in bulk",
    5: "integer graph with the design in cocotb: gaps, back-pressure, protocol",
    6: "simulated board through the pynq API",
    7: "real board",
}

_CLIMBED_BY = ("convert", "emulate", "evaluate", "simulate_core", "simulate_bench", "simulate_board")


@dataclass(frozen=True)
class Gallery:
    """A held-out scan: frame (H, W), the network's scores (h, w), vacancies (M, 2) as row and column."""

    label: str
    frame: NDArray[np.float32]
    scores: NDArray[np.float32]
    vacancies: NDArray[np.float32]
    threshold: float
    pixel_size_A: float


@dataclass(frozen=True)
class ReportData:
    """Everything on the page. A mapping that is empty stands for an artifact that is not there."""

    name: str
    manifests: Mapping[str, Manifest]
    design: Mapping[str, Any]
    synthesis: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    bench: Mapping[str, Any]
    core: Mapping[str, Any]
    rungs: Mapping[int, Mapping[str, Any]]
    roc: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    gallery: tuple[Gallery, ...] = ()
    loop: Loop | None = None


def collect(artifacts: Mapping[str, Path], name: str) -> ReportData:
    """Read the artifacts, given by stage name. Raises `ConfigError` when none of them holds a design."""
    found = {stage: Artifact.load(path) for stage, path in artifacts.items()}
    if "convert" not in found:
        raise ConfigError(
            "there is no design to report on", hint="build the project first: dwell build PROJECT", place=name
        )
    return ReportData(
        name=name,
        manifests={stage: artifact.manifest for stage, artifact in found.items()},
        design=_json(found, "convert", "design.json"),
        synthesis=_json(found, "synthesize", "synthesis.json"),
        evaluation=_json(found, "evaluate", "evaluation.json"),
        bench=_json(found, "simulate_bench", "simulation.json"),
        core=_json(found, "simulate_core", "simulation.json"),
        rungs=_rungs(found),
        roc=_arrays(found, "evaluate", "roc.npz"),
        gallery=_gallery(_arrays(found, "evaluate", "gallery.npz")),
    )


def _json(found: Mapping[str, Artifact], stage: str, file: str) -> Mapping[str, Any]:
    if stage not in found:
        return {}
    path = found[stage].file(file)
    try:
        value = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(
            f"{path} is not JSON", hint="remove the artifact and build again", place=str(path)
        ) from error
    return dict(value)


def _arrays(found: Mapping[str, Artifact], stage: str, file: str) -> dict[str, NDArray[Any]]:
    if stage not in found:
        return {}
    with np.load(found[stage].file(file), allow_pickle=False) as data:
        return {key: data[key] for key in data.files}


def _rungs(found: Mapping[str, Artifact]) -> dict[int, Mapping[str, Any]]:
    climbed = {}
    for stage in _CLIMBED_BY:
        if stage in found:
            for path in sorted((found[stage].path / "rungs").glob("*.json")):
                rung = json.loads(path.read_text())
                climbed[int(rung["rung"])] = rung
    return climbed


def _gallery(arrays: Mapping[str, NDArray[Any]]) -> tuple[Gallery, ...]:
    """Scans are stored as `<k>/frame`, `<k>/scores`, `<k>/vacancies`, `<k>/label`, … for k = 0, 1, …"""
    scans: list[Gallery] = []
    while f"{len(scans)}/frame" in arrays:
        key = f"{len(scans)}/"
        scans.append(
            Gallery(
                label=str(arrays[key + "label"]),
                frame=arrays[key + "frame"],
                scores=arrays[key + "scores"],
                vacancies=arrays[key + "vacancies"],
                threshold=float(arrays[key + "threshold"]),
                pixel_size_A=float(arrays[key + "pixel_A"]),
            )
        )
    return tuple(scans)
