"""Is this board what its overlay says? Registers, golden frames, and counters that add up."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from . import registers as regs
from .records import Frame
from .trigger import DwellTrigger

_PATTERNS = (0x00000000, 0xFFFFFFFF, 0xA5A5A5A5, 0x12345678)
_FIRING = 0.1


class Board(Protocol):
    """What is looked at of a board of either kind; each kind sends its own frames."""

    kind: str
    folder: Path
    trigger: DwellTrigger
    geometry: dict[str, int]

    def counters(self) -> dict[str, int]: ...


class _Pass(NamedTuple):
    """All golden frames under one setting of the trigger; `golden` holds decisions (N, *positions, codes)."""

    sent: np.ndarray
    golden: np.ndarray
    select: int
    class_trigger: bool

    @property
    def score(self) -> np.ndarray:
        return self.golden[..., self.select]

    @property
    def threshold(self) -> int:
        return int(np.quantile(self.score, 1 - _FIRING))

    @property
    def mask(self) -> np.ndarray:
        """Which decisions have to fire, (N, *positions)."""
        mask = self.score >= self.threshold
        return mask & (self.golden.argmax(axis=-1) == self.select) if self.class_trigger else mask


def run(board: Board) -> dict[str, Any]:
    """All checks: `ok`, `compared` decisions, `mismatches`, `first_mismatch` and each check's result."""
    vectors = np.load(board.folder / "self_test.npz")
    checks = {"registers": _registers(board)}
    compared = mismatches = 0
    first = None
    for part in _passes(board, vectors):
        found = _send(board, part)
        golden = part.golden if board.kind == "frames" else part.golden[..., 0]
        wrong = np.argwhere(found.scores != golden)
        if len(wrong) and first is None:
            first = _mismatch(tuple(int(i) for i in wrong[0]), golden, found.scores)
        results = {
            "scores": not len(wrong),
            "mask": bool((found.mask == part.mask).all()),
            "counters": _adds_up(board.counters(), part, board),
            "events": _events(found.events, part, board),
        }
        checks.update({name: good and checks.get(name, True) for name, good in results.items()})
        compared += part.mask.size
        mismatches += len(wrong)
    return {
        "ok": all(checks.values()),
        "checks": checks,
        "compared": int(compared),
        "mismatches": mismatches,
        "first_mismatch": first,
    }


def _passes(board: Board, vectors: Any) -> list[_Pass]:
    golden = vectors["scores"]
    if board.kind == "pixels":
        return [_Pass(vectors["pixels"], golden[..., None], 0, False)]
    codes = golden.shape[-1]
    # The last code as the largest: nothing in common with the first pass but the network.
    more = [_Pass(vectors["codes"], golden, codes - 1, True)] if codes > 1 else []
    return [_Pass(vectors["codes"], golden, 0, False), *more]


def _send(board: Any, part: _Pass) -> Frame:
    if board.kind == "frames":
        board.configure(part.threshold, select=part.select, class_trigger=part.class_trigger)
        board.clear()
        whole: Frame = board.process_frames(part.sent)
        return whole
    board.configure(part.threshold, lines=part.sent.shape[1], pixels=part.sent.shape[2])
    board.clear()
    frames = [board.process_frame(frame) for frame in part.sent]
    return Frame(
        np.stack([frame.scores for frame in frames]),
        np.stack([frame.mask for frame in frames]),
        np.concatenate([frame.events for frame in frames]),
    )


def _mismatch(at: tuple[int, ...], golden: np.ndarray, found: np.ndarray) -> dict[str, Any]:
    where = {"frame": at[0], "place": list(at[1:])}
    return {**where, "expected": int(golden[at]), "found": int(found[at])}


def _registers(board: Board) -> bool:
    good = True
    for pattern in _PATTERNS:
        board.trigger.write(regs.DEAD_TIME, pattern)
        board.trigger.write(regs.THRESHOLD, pattern ^ 0xFFFFFFFF)
        good = good and board.trigger.read(regs.DEAD_TIME) == pattern
        good = good and board.trigger.read(regs.THRESHOLD) == pattern ^ 0xFFFFFFFF
    return good


def _adds_up(counters: dict[str, int], part: _Pass, board: Any) -> bool:
    beats = len(part.sent) * board.input.beats if board.kind == "frames" else part.sent.size
    return (
        counters["frames"] == len(part.sent)
        and counters["pixels"] == beats
        and counters["pixels"] == counters["pixels_decided"] + counters["pixels_dropped"]
        and counters["decisions"] == part.mask.size
        and counters["triggers"] == int(part.mask.sum())
        and counters["triggers"] == counters["events"] + counters["events_dropped"]
    )


def _events(events: np.ndarray, part: _Pass, board: Board) -> bool:
    """Every event lies where the golden score is, in order, with that score; none is missing."""
    shape = board.geometry
    top = (shape["window_lines"] - 1) // 2 if board.kind == "pixels" else 0
    left = (shape["window_pixels"] - 1) // 2 if board.kind == "pixels" else 0
    width = part.mask.shape[-1] if part.mask.ndim > 1 else 1
    number, place = np.nonzero(part.mask.reshape(len(part.mask), -1))
    if len(events) != len(number):
        return False
    return bool(
        (events["frame"] == number).all()
        and (events["line"] == place // width + top).all()
        and (events["pixel"] == place % width + left).all()
        and (events["score"] == part.score[part.mask]).all()
    )
