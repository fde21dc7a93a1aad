"""Is this board what its overlay says? Registers, golden frames, and counters that add up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import registers as regs

if TYPE_CHECKING:
    from .board import Board

_PATTERNS = (0x00000000, 0xFFFFFFFF, 0xA5A5A5A5, 0x12345678)


def run(board: Board) -> dict[str, Any]:
    """All checks: `ok`, `compared` decisions, `mismatches`, `first_mismatch` and each check's result."""
    vectors = np.load(board.folder / "self_test.npz")
    pixels, golden = vectors["pixels"], vectors["scores"]
    checks = {"registers": _registers(board)}
    threshold = int(np.quantile(golden, 0.9))
    board.configure(threshold, lines=pixels.shape[1], pixels=pixels.shape[2])
    board.clear()
    frames = [board.process_frame(frame) for frame in pixels]
    scores = np.stack([frame.scores for frame in frames])
    wrong = np.argwhere(scores != golden)
    checks["scores"] = not len(wrong)
    checks["mask"] = all(bool((f.mask == (g >= threshold)).all()) for f, g in zip(frames, golden))  # noqa: B905 - 3.10 has strict, but the lengths are equal
    checks["counters"] = _adds_up(board.counters(), pixels, golden, threshold)
    checks["events"] = _events(board, frames, golden, threshold)
    first = None
    if len(wrong):
        at = tuple(int(i) for i in wrong[0])
        first = {
            "frame": at[0],
            "line": at[1],
            "pixel": at[2],
            "expected": int(golden[at]),
            "found": int(scores[at]),
        }
    return {
        "ok": all(checks.values()),
        "checks": checks,
        "compared": int(golden.size),
        "mismatches": len(wrong),
        "first_mismatch": first,
    }


def _registers(board: Board) -> bool:
    good = True
    for pattern in _PATTERNS:
        board.trigger.write(regs.DEAD_TIME, pattern)
        board.trigger.write(regs.THRESHOLD, pattern ^ 0xFFFFFFFF)
        good = good and board.trigger.read(regs.DEAD_TIME) == pattern
        good = good and board.trigger.read(regs.THRESHOLD) == pattern ^ 0xFFFFFFFF
    return good


def _adds_up(counters: dict[str, int], pixels: np.ndarray, golden: np.ndarray, threshold: int) -> bool:
    return (
        counters["frames"] == len(pixels)
        and counters["pixels"] == pixels.size
        and counters["pixels"] == counters["pixels_decided"] + counters["pixels_dropped"]
        and counters["decisions"] == golden.size
        and counters["triggers"] == int((golden >= threshold).sum())
        and counters["triggers"] == counters["events"] + counters["events_dropped"]
    )


def _events(board: Board, frames: list[Any], golden: np.ndarray, threshold: int) -> bool:
    """Every event lies where the golden score is, in order, with that score; none is missing."""
    top = (board.geometry["window_lines"] - 1) // 2
    left = (board.geometry["window_pixels"] - 1) // 2
    events = np.concatenate([frame.events for frame in frames])
    if len(events) != int((golden >= threshold).sum()):
        return False
    number, line, pixel = np.nonzero(golden >= threshold)
    return bool(
        (events["frame"] == number).all()
        and (events["line"] == line + top).all()
        and (events["pixel"] == pixel + left).all()
        and (events["score"] == golden[number, line, pixel]).all()
    )
