"""Figures of a run: what the board saw, the events as they came, the spectra, the latencies.

As in `figures`, each is an SVG fragment or a ``data:`` URI, and the same every time.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwell.report.figures import INK, MUTED, SERIES, new_axes, scale_bar, svg
from dwell.report.loop import LastFrame, Spectra

#: Colours of the places where spectra were taken, on a grey picture and in the spectra's curves.
AT_EVENTS, AT_REFERENCES = SERIES[1], SERIES[0]
_POINTS = 130

FloatArray = NDArray[np.float64]


def board_view(frame: LastFrame) -> str:
    """The frame as the board saw it, with a scale bar: a PNG ``data:`` URI."""
    return _png(_picture(frame, dimmed=False)[0])


def events_view(frame: LastFrame) -> str:
    """The dimmed frame with its events, coloured by when they came, and where spectra were taken."""
    figure, axes = _picture(frame, dimmed=True)
    for places, marker, color in (
        (frame.references, "s", "#7fd0ff"),
        (frame.visits, "o", "white"),
    ):
        if len(places):
            axes.scatter(
                places[:, 1],
                places[:, 0],
                s=120 if marker == "o" else 70,
                marker=marker,
                facecolors="none",
                edgecolors=color,
                linewidths=1.3,
            )
    if len(frame.events):
        axes.scatter(
            frame.events[:, 1],
            frame.events[:, 0],
            c=frame.events[:, 2],
            cmap=_times(),
            vmin=0.0,
            vmax=max(float(frame.events[:, 2].max()), 1e-9),
            s=14,
            linewidths=0,
        )
    return _png(figure)


def times_bar() -> str:
    """The colours of `events_view`, early to late, as CSS colour stops."""
    from matplotlib.colors import to_hex

    return ", ".join(to_hex(_times()(at)) for at in np.linspace(0, 1, 9))


def _times() -> Any:
    """Matplotlib's plasma without its dark end, which would not show on a dark picture."""
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("times", colormaps["plasma"](np.linspace(0.3, 1.0, 16)))


def _picture(frame: LastFrame, *, dimmed: bool) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    height, width = frame.codes.shape
    figure = Figure(figsize=(5.2, 5.2 * height / width), dpi=150, facecolor="black")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    scanned = frame.codes[frame.codes.any(axis=1)]
    low, high = np.percentile(scanned, (0.5, 99.7)) if len(scanned) else (0.0, 1.0)
    top = max(float(high), float(low) + 1.0)
    if dimmed:
        top += 1.2 * (top - float(low))
    axes.imshow(frame.codes, cmap="gray", vmin=float(low), vmax=top, interpolation="nearest")
    field_nm = width * frame.pitch_nm
    bar_nm = next(bar for bar in (10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.0) if bar <= field_nm / 4)
    scale_bar(axes, frame.codes.shape, bar_nm, frame.pitch_nm, 10)
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    axes.set_axis_off()
    return figure, axes


def _png(figure: Any) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def mean_spectra(spectra: Spectra) -> str:
    """Mean spectra at events and at perfect columns with a band of one standard error, around the windows."""
    figure, axes = new_axes(5.6, 4.5)
    ends = [energy for window in spectra.windows_eV.values() for energy in window]
    margin = 0.2 * (max(ends) - min(ends))
    energies = spectra.energies_eV
    shown = (energies >= min(ends) - 0.1 * margin) & (energies <= max(ends) + margin)
    together = max(1, -(-int(shown.sum()) // _POINTS))
    binned_eV = _binned(energies[shown][None], together)[0]
    lows, highs = [], []
    for data, label, color in (
        (spectra.references, "perfect columns", AT_REFERENCES),
        (spectra.events, "events", AT_EVENTS),
    ):
        if len(data) and len(binned_eV):
            values = _binned(data[:, shown], together)
            mean = values.mean(axis=0)
            axes.plot(binned_eV, mean, color=color, linewidth=1.6, label=f"{label} ({len(data)})")
            error = values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0 * mean
            axes.fill_between(binned_eV, mean - error, mean + error, color=color, alpha=0.25, linewidth=0)
            lows.append(float((mean - error).min()))
            highs.append(float((mean + error).max()))
    for name, (low, high) in spectra.windows_eV.items():
        edge = name == "sulphur"
        axes.axvspan(low, high, color=SERIES[4] if edge else MUTED, alpha=0.16, linewidth=0)
        axes.annotate(
            "S L2,3" if edge else name,
            ((low + high) / 2, 0.985),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="top",
            fontsize=8,
            color=INK,
        )
    if lows:
        axes.set_ylim(min(0.0, *lows), 1.12 * max(highs))
        axes.set_xlim(binned_eV[0], binned_eV[-1])
        axes.legend(frameon=False, fontsize=8, loc="upper right", bbox_to_anchor=(1.0, 0.92))
    axes.set_xlabel("energy loss (eV)", color=INK, fontsize=9)
    axes.set_ylabel("mean counts a channel, ± standard error", color=INK, fontsize=9)
    return svg(figure, "loop-spectra")


def _binned(values: FloatArray, together: int) -> FloatArray:
    """Means of `together` neighbouring columns of (N, E); a remainder at the end is left out."""
    columns = values.shape[1] // together * together
    out: FloatArray = values[:, :columns].reshape(len(values), -1, together).mean(axis=2)
    return out


def latency(values_ms: FloatArray, color: str) -> str:
    """Histogram of times (N,) in ms, N > 0, on a logarithmic axis, with the median marked."""
    figure, axes = new_axes(5.6, 1.85)
    floor = 0.01  # ms: less is not told apart by a host's clock and scheduler
    values = np.maximum(values_ms, floor)
    low, high = np.log10(values.min()), np.log10(values.max())
    bins = int(np.clip(4 * len(values) ** (1 / 3), 8, 40))
    edges = np.logspace(low - 0.1, high + 0.1, bins + 1)
    counts, _ = np.histogram(values, edges)
    axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=color, alpha=0.8, linewidth=0)
    median = float(np.median(values_ms))
    axes.axvline(max(median, floor), color=INK, linewidth=1.2)
    axes.annotate(
        f"median {median:.3g} ms",
        (max(median, floor), 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(4, -2),
        textcoords="offset points",
        va="top",
        fontsize=8,
        color=INK,
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_ylim(0, 1.3 * max(int(counts.max()), 1))
    axes.set_xlabel("ms", color=INK, fontsize=9)
    axes.set_ylabel("count", color=INK, fontsize=9)
    axes.grid(False, axis="x")
    return svg(figure, f"loop-latency-{color}")
