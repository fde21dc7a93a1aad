"""How a tensor lies on a link, and the geometry of a window that slides over it."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from dwell.hls.rtl.circuit.builder import Range


@dataclass(frozen=True)
class Layout:
    """A tensor of `rows` by `columns` pixels in C order, `lanes` pixels of a row a beat.

    `spans` are a pixel's channels, each at its own exact width, the first one lowest. Where `lanes` does
    not divide `columns`, the last beat of a row is filled up with anything.
    """

    rows: int
    columns: int
    lanes: int
    spans: tuple[Range, ...]

    @property
    def row_beats(self) -> int:
        """Beats of a row."""
        return -(-self.columns // self.lanes)

    @property
    def beats(self) -> int:
        """Beats of a frame."""
        return self.rows * self.row_beats

    @property
    def pixel_bits(self) -> int:
        """Bits of a pixel."""
        return sum(span.bits for span in self.spans)

    @property
    def bits(self) -> int:
        """Bits of a beat."""
        return self.lanes * self.pixel_bits

    @property
    def whole_lanes(self) -> int:
        """The most lanes, at most `lanes` and a divisor of them, at which every beat of a row is full."""
        return gcd(self.lanes, self.columns)

    @property
    def uniform(self) -> bool:
        """Whether all elements have one interval, so that channels and pixels can be regrouped."""
        return len(set(self.spans)) == 1


@dataclass(frozen=True)
class Geometry:
    """A window of `kernel` taps over a frame: all (rows, columns); `padding` is (top, bottom, left, right)."""

    kernel: tuple[int, int]
    dilation: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]

    @property
    def reach(self) -> tuple[int, int]:
        """Rows and columns from the first tap to the last."""
        rows, columns = self.kernel
        return (rows - 1) * self.dilation[0], (columns - 1) * self.dilation[1]

    @property
    def latency(self) -> int:
        """Clocks from a step to its window: those of `dwell_scan_window`."""
        return 2 if self.kernel[0] > 1 else 1

    def results(self, frame: Layout) -> tuple[int, int]:
        """Rows and columns of windows."""
        top, bottom, left, right = self.padding
        return (
            (frame.rows + top + bottom - self.reach[0] - 1) // self.stride[0] + 1,
            (frame.columns + left + right - self.reach[1] - 1) // self.stride[1] + 1,
        )

    def lanes(self, frame: Layout) -> int:
        """Lanes that the window can be run at: the stride divides them, or they divide the stride."""
        lanes, stride = frame.lanes, self.stride[1]
        while lanes % stride and stride % lanes:
            lanes -= 1
            while frame.lanes % lanes:
                lanes -= 1
        return lanes

    def out_lanes(self, lanes: int) -> int:
        """Windows of a beat."""
        return max(lanes // self.stride[1], 1)


@dataclass(frozen=True)
class Scan:
    """The steps of a window over a frame, as `dwell_scan` takes them (see there for the names)."""

    rows: int
    beats: int
    step_rows: int
    step_beats: int
    lag: int
    result_rows: int
    result_beats: int
    stride_rows: int
    stride_beats: int

    @property
    def steps(self) -> int:
        """Steps of a frame."""
        return self.step_rows * self.step_beats


def scan(frame: Layout, geometry: Geometry) -> Scan:
    """The scan that `dwell_scan_window` makes of these parameters."""
    out_rows, out_columns = geometry.results(frame)
    result_rows = (out_rows - 1) * geometry.stride[0] + 1
    result_beats = ((out_columns - 1) * geometry.stride[1] + frame.lanes) // frame.lanes
    ahead = -(-(geometry.reach[1] - geometry.padding[2]) // frame.lanes)
    step_beats = max(frame.row_beats, result_beats)
    lag = (geometry.reach[0] - geometry.padding[0]) * step_beats + ahead
    return Scan(
        rows=frame.rows,
        beats=frame.row_beats,
        step_rows=max(frame.rows, result_rows, lag // step_beats + 1),
        step_beats=step_beats,
        lag=lag,
        result_rows=result_rows,
        result_beats=result_beats,
        stride_rows=geometry.stride[0],
        stride_beats=max(geometry.stride[1] // frame.lanes, 1),
    )
