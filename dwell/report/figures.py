"""Figures of the report, drawn with matplotlib and returned as text that can be put into a page.

Every function takes plain arrays and returns either an SVG fragment or a ``data:`` URI, so that the
page needs no file beside it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

INK = "#1f2933"
MUTED = "#7b8794"
GRID = "#e4e7eb"
# Okabe and Ito's palette (jfly.uni-koeln.de/color), readable with the common colour-vision deficiencies.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


@dataclass(frozen=True)
class Curve:
    """A ROC curve: `false_alarm` and `recall` are (K,), both in [0, 1], `false_alarm` ascending."""

    label: str
    false_alarm: NDArray[np.float64]
    recall: NDArray[np.float64]
    dashed: bool = False


@dataclass(frozen=True)
class Marks:
    """Points on a scan, (M, 2) arrays of (row, column) in pixels."""

    found: NDArray[np.float64]
    missed: NDArray[np.float64]
    false_alarms: NDArray[np.float64]


def new_axes(width_in: float, height_in: float) -> tuple[Any, Any]:
    """A figure and its axes in the style of the page."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    axes = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)
    axes.tick_params(colors=INK, labelsize=9, length=3)
    axes.grid(True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def svg(figure: Any, seed: str) -> str:
    """SVG text of a figure; `seed` makes the element ids, and so the report, the same every time."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": seed, "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def roc(curves: Sequence[Curve], target_false_alarm: float, name: str) -> str:
    """ROC curves on a logarithmic false-alarm axis with the working point marked."""
    figure, axes = new_axes(5.6, 5.2)
    for index, curve in enumerate(curves):
        shown = curve.false_alarm > 0
        axes.plot(
            curve.false_alarm[shown],
            curve.recall[shown],
            label=curve.label,
            color=SERIES[index % len(SERIES)],
            linewidth=1.8,
            linestyle="--" if curve.dashed else "-",
        )
    axes.axvline(target_false_alarm, color=MUTED, linewidth=1, linestyle=":")
    axes.annotate(
        f"working point\n{target_false_alarm:g} a pixel",
        (target_false_alarm, 0.99),
        xytext=(-4, 0),
        textcoords="offset points",
        ha="right",
        va="top",
        color=MUTED,
        fontsize=8,
    )
    axes.set_xscale("log")
    axes.set_xlim(1e-5, 1.0)
    axes.set_ylim(0, 1.01)
    axes.set_xlabel("false alarms per pixel", color=INK, fontsize=9)
    axes.set_ylabel("recall of vacancies", color=INK, fontsize=9)
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=2)
    return svg(figure, f"roc-{name}")


def recall_bars(rows: Sequence[tuple[str, float, float, float]], name: str) -> str:
    """Recall with its interval, one row a method: (label, recall, low, high)."""
    figure, axes = new_axes(5.6, 0.42 * len(rows) + 0.8)
    positions = np.arange(len(rows))[::-1]
    for position, (_, recall, low, high) in zip(positions, rows, strict=True):
        axes.plot([low, high], [position, position], color=SERIES[0], linewidth=2.2, solid_capstyle="butt")
        axes.plot([recall], [position], "o", color=SERIES[0], markersize=6)
        axes.annotate(
            f"{recall:.3f}",
            (high, position),
            xytext=(6, -3),
            textcoords="offset points",
            fontsize=8,
            color=INK,
        )
    axes.set_yticks(positions, [row[0] for row in rows], fontsize=9)
    axes.set_xlim(0, 1.12)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel("recall, with its 95 % bootstrap interval over specimens", color=INK, fontsize=9)
    return svg(figure, f"recall-{name}")


def scale_bar(axes: Any, shape: tuple[int, ...], bar_nm: float, pixel_nm: float, font_pt: float) -> None:
    """A labelled bar in the lower left corner of a picture of `shape` (H, W), edged to show on any ground."""
    from matplotlib.lines import Line2D
    from matplotlib.patheffects import withStroke

    height, width = shape
    left, base = 0.04 * width, 0.955 * height
    bar = Line2D([left, left + bar_nm / pixel_nm], [base, base], color="white", linewidth=3)
    bar.set_path_effects([withStroke(linewidth=5, foreground="black")])
    axes.add_line(bar)
    text = axes.text(
        left, base - 0.015 * height, f"{bar_nm:g} nm", color="white", fontsize=font_pt, va="bottom"
    )
    text.set_path_effects([withStroke(linewidth=2, foreground="black")])


def scan(frame: NDArray[np.float32], marks: Marks, pixel_size_A: float) -> str:
    """A scan as a PNG ``data:`` URI with true and found vacancies drawn over it and a scale bar.

    `frame` is (H, W) detector counts in [0, 1).
    """
    from matplotlib.figure import Figure

    height, width = frame.shape
    figure = Figure(figsize=(4.2, 4.2 * height / width), dpi=110)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    low, high = np.percentile(frame, (0.5, 99.7))
    axes.imshow(frame, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), interpolation="nearest")
    radius = max(9.0, 90.0 / max(height, width) * 6)
    for points, color, marker in (
        (marks.found, "#2fbf71", "o"),
        (marks.missed, "#ff5d5d", "o"),
        (marks.false_alarms, "#ffb000", "x"),
    ):
        if len(points):
            face = color if marker == "x" else "none"
            axes.scatter(
                points[:, 1],
                points[:, 0],
                s=radius**2,
                marker=marker,
                facecolors=face,
                edgecolors=color,
                linewidths=1.6,
            )
    scale_bar(axes, frame.shape, 1.0, pixel_size_A / 10, 9)
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    axes.set_axis_off()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
