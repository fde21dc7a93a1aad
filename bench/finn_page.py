"""The comparison of back ends as a page: what was found for each network, and its text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """A design as it was measured. `asked`: what decided its folds; `folds`: them.

    `first` and `last`: clocks from the first beat of a frame alone to its first and last result. `build_s` and
    `synthesis_s`: processor time, of all processes. `mismatches` among `decisions` of `frames` frames.
    """

    flow: str
    asked: str
    folds: str
    frame_cycles: int
    first: int
    last: int
    lut: int
    ff: int
    dsp: int
    bram36: float
    mhz: float
    build_s: float
    synthesis_s: float
    frames: int
    decisions: int
    mismatches: int


@dataclass(frozen=True)
class Estimate:
    """What hls4ml's loops say of its design: clocks at least, DSP and block RAM at most."""

    asked: str
    folds: str
    frame_cycles: int
    lone_cycles: int
    dsp: int
    bram36: float


@dataclass(frozen=True)
class Source:
    """The golden model against the source network: codes compared over `frames` frames; `fault` says what differed."""

    tool: str
    frames: int
    codes: int
    fault: str


@dataclass(frozen=True)
class Group:
    """FINN at one frame rate, and the others at about its clocks a frame."""

    finn: Row
    rtl: Row
    hls4ml: Estimate


@dataclass(frozen=True)
class Network:
    """A network and all that was found for it. `obstacle`: why hls4ml cannot be exact, or nothing."""

    title: str
    about: str
    source: Source
    obstacle: str
    groups: tuple[Group, ...]


HEAD = """# FINN, our folded layers, and what hls4ml would need

Made by `make finn-comparison` (`bench/finn_comparison.py`); not written by hand. Every number comes from the run
that wrote the page, but for the published errors under [hls4ml](#hls4ml). For machines:
[finn-comparison.json](finn-comparison.json).

{setup}

"""

COLUMNS = (
    "flow", "asked for", "clocks a frame", "first result", "last result", "LUT", "FF", "DSP", "BRAM36",
    "est. MHz", "build, s", "× rtl", "wrong",
)  # fmt: skip

NOTES = """## What the columns are, and what they are not
- *asked for*: `finn` got a frame rate at 100 MHz, as `--target-fps`. `rtl` got reuse factors that the script looked
  for: those whose clocks a frame come closest to what `finn` was measured at. Both take the same codes, those of the
  network's first quantizer, and give the same codes.
- *clocks a frame*: measured in Verilator, frames back to back, source and sink never pausing, once buffers are full.
- *first result*, *last result*: a frame alone after reset, clocks from the edge that takes its first beat to the edges
  that hand over its first and its last result. Measured; no bound from `design.json`.
- *LUT, FF, DSP, BRAM36*: cells of the netlist that the same Yosys maps to xc7z020 with the same settings. Nothing was
  placed or routed, and nothing was loaded into a device. They are not what Vivado would report.
- *est. MHz*: the longest path of that netlist by cell delays, with half of the period allowed for routing. An estimate.
- *build, s*: processor time (all processes) from the integer graph to the design's directory, one run on one machine
  with an empty cache; *× rtl* is that over the `rtl` design's below it. FINN's has FIFO sizing by simulation and FINN's
  own Python execution in it, ours the comparison of its circuits with the golden model. Synthesis is not in it.
- *wrong*: results that differ from the golden model's, of how many, at full speed; extremes of the input type are among
  the frames. `dwell simulate` does more: gaps, stalls, cut frames.

"""

HLS4ML = """## hls4ml
hls4ml's resources and clocks come from Vitis HLS, which is not here. The rows say what its C++ says before that
(`bench/hls4ml_bound.py`): strategy Resource, convolutions as `io_stream`, the largest reuse factors with which it keeps
up with `finn`, of those that hls4ml itself takes. A loop of RF turns needs RF clocks, so clocks are **at least** that;
Vitis HLS adds the depths of its pipelines. DSP: **at most** one a product; Vitis HLS builds narrow products of LUTs,
and with weights of 2 to 4 bits it may use none. BRAM36: if weights go to block RAM, as the code asks for. LUT and FF
have no such bound: none is given.

There are predictors trained on synthesized designs. [rule4ml](https://pypi.org/project/rule4ml/) 0.2.0 (GPL-3; paper
[arXiv:2408.05314](https://arxiv.org/abs/2408.05314)) states R² of 0.8 to 0.98 and sMAPE of 10 % to 30 % on its
validation set. It is not used here. The generator in its repository draws dense layers of up to 4,096 parameters, reuse
factors up to 64, and 2, 8 or 16 bits for everything: most of what is on this page lies outside of that. It also
needs PyTorch Geometric, Optuna and Keras Tuner.
"""


def wrong(networks: Sequence[Network]) -> list[str]:
    """What is not exact, a line each."""
    found = []
    for network in networks:
        if network.source.fault:
            found.append(f"{network.title}: golden model against the network: {network.source.fault}")
        for group in network.groups:
            found += [
                f"{network.title}, {row.flow}, {row.asked}: {row.mismatches:,} of {row.decisions:,} results"
                for row in (group.finn, group.rtl)
                if row.mismatches
            ]
    return found


@dataclass(frozen=True)
class Found:
    """All that a run found, by what it was made with, and why a network is left out."""

    setup: str
    networks: tuple[Network, ...]
    left_out: tuple[str, ...] = ()


def to_json(found: Found) -> str:
    """`found` for machines."""
    return json.dumps(asdict(found), indent=1) + "\n"


def from_json(text: str) -> Found:
    """What `to_json` wrote."""
    data = json.loads(text)
    return Found(data["setup"], tuple(_network(one) for one in data["networks"]), tuple(data["left_out"]))


def _network(data: dict[str, Any]) -> Network:
    groups = tuple(
        Group(Row(**group["finn"]), Row(**group["rtl"]), Estimate(**group["hls4ml"]))
        for group in data["groups"]
    )
    return Network(**{**data, "source": Source(**data["source"]), "groups": groups})


def page(found: Found) -> str:
    """The page's text."""
    networks, setup, left_out = found.networks, found.setup, found.left_out
    parts = [HEAD.format(setup=setup)]
    if faults := wrong(networks):
        parts.append("**Not exact:**\n\n" + "".join(f"- {fault}\n" for fault in faults) + "\n")
    parts += [_section(network) for network in networks]
    parts += [f"{reason}\n\n" for reason in left_out]
    parts += [NOTES, HLS4ML]
    return "".join(parts)


def _section(network: Network) -> str:
    source = network.source
    if source.fault:
        exact = f"**The golden model is not the network** ({source.tool}): {source.fault}."
    else:
        exact = (
            f"Golden model against the source network ({source.tool}): {source.codes:,} codes at its quantizers "
            f"over {source.frames:,} frames, 0 differ."
        )
    lines = [f"| {' | '.join(COLUMNS)} |", f"| --- | --- |{' ---: |' * (len(COLUMNS) - 2)}"]
    for group in network.groups:
        for row in (group.finn, group.rtl):
            lines.append(_row(row, group.rtl.build_s))
        lines.append(_estimate(group.hls4ml))
    folds = [
        f"- {_folds(entry)}" for group in network.groups for entry in (group.finn, group.rtl, group.hls4ml)
    ]
    hls4ml = (
        network.obstacle or "nothing speaks against it; `dwell build` compares its C++ emulation (rung 3)"
    )
    return "\n".join(
        [
            f"## {network.title}",
            network.about,
            "",
            exact,
            f"hls4ml, exactness: {hls4ml}.",
            "",
            *lines,
            "",
            "Folds:",
            "",
            *folds,
            "",
            "",
        ]
    )


def _folds(entry: Row | Estimate) -> str:
    name = entry.flow if isinstance(entry, Row) else "hls4ml"
    return f"{name}, {entry.asked}: {entry.folds}"


def _row(row: Row, base_s: float) -> str:
    fault = f"{row.mismatches:,} of {row.decisions:,}"
    cells = [
        f"`{row.flow}`",
        row.asked,
        f"{row.frame_cycles:,}",
        f"{row.first:,}",
        f"{row.last:,}",
        f"{row.lut:,}",
        f"{row.ff:,}",
        f"{row.dsp}",
        f"{row.bram36:g}",
        f"{row.mhz:.0f}",
        f"{row.build_s:.1f}",
        f"{row.build_s / base_s:.0f}",
        f"**{fault}**" if row.mismatches else fault,
    ]
    return f"| {' | '.join(cells)} |"


def _estimate(row: Estimate) -> str:
    cells = [
        "hls4ml, estimate",
        row.asked,
        f"≥ {row.frame_cycles:,}",
        "–",
        f"≥ {row.lone_cycles:,}",
        "–",
        "–",
        f"≤ {row.dsp}",
        f"≤ {row.bram36:g}",
        "–",
        "–",
        "–",
        "–",
    ]
    return f"| {' | '.join(cells)} |"
