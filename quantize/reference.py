"""The frames whose codes are kept as reference: scans, and what no scan shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE_MARGIN = 21
"""Decision rows and columns beyond the first: frames have a side of window + 21, 32 for a window of 11."""


def reference_frames(
    scans: NDArray[np.float32], window: int, seed: int, *, count: int = 16, side: int = 0
) -> NDArray[np.float32]:
    """(count + 9, side, side) frames from scans (N, H, W): `count` cut-outs, then nine that reach extremes.

    Without a `side` they are `SIDE_MARGIN` larger than the window.

    These are: darkness; full scale; two of random blacks and whites; a chessboard; two of noise over the
    whole range; values between the input's codes; and values beyond them on both sides.
    """
    side = side or window + SIDE_MARGIN
    rng = np.random.default_rng(np.random.SeedSequence([seed, window]))
    rows, columns = scans.shape[1:]
    cuts = [scans[k % len(scans)] for k in rng.permutation(max(len(scans), count))[:count]]
    # A scan smaller than the side is continued by reflection, which keeps it a plausible scan.
    pad = ((0, max(0, side - rows)), (0, max(0, side - columns)))
    found = []
    for scan in cuts:
        whole = np.pad(scan, pad, mode="reflect")
        y, x = (int(rng.integers(0, n - side + 1)) for n in whole.shape)
        found.append(whole[y : y + side, x : x + side])
    return np.stack([*found, *_extremes(side, rng)]).astype(np.float32)


def _extremes(side: int, rng: np.random.Generator) -> list[NDArray[np.float32]]:
    shape = (side, side)
    top = 255 / 256
    board = np.indices(shape).sum(axis=0) % 2 * top
    made = [np.zeros(shape), np.full(shape, top)]
    made += [rng.integers(0, 2, shape) * top for _ in range(2)]
    made += [board]
    made += [rng.integers(0, 256, shape) / 256 for _ in range(2)]
    # Multiples of a quarter step: ties at the half show how the first cast rounds.
    made += [rng.integers(0, 4 * 255, shape) / 1024, rng.integers(-64, 320, shape) / 256]
    return [np.asarray(frame, dtype=np.float32) for frame in made]
