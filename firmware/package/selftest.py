"""The golden vectors that travel with an overlay, so that a board can be tested where it stands."""

from __future__ import annotations

import io
import zipfile

import numpy as np

from dwell.firmware.package.plan import Kind, ShellPlan
from dwell.hls.qmodel import QModel, run_codes

_FRAMES = 2
_LEAST_DECISIONS = 32


def self_test_vectors(model: QModel, plan: ShellPlan) -> bytes:
    """An `.npz` of inputs and `scores`, int32, that the golden model gives for them.

    Kind pixels: `pixels` uint (N, H, W), beats as the DMA sends them, and scores (N, H', W'). Kind frames:
    `codes` (N, *input shape) and scores (N, *output shape), every element.
    """
    return _frames(model) if plan.kind is Kind.FRAMES else _pixels(model, plan)


def _frames(model: QModel) -> bytes:
    source = model.tensors[model.input]
    kind, size = source.type, int(np.prod(source.shape))
    decisions = int(np.prod(model.tensors[model.output].shape[:-1]))
    count = max(_FRAMES, _LEAST_DECISIONS // decisions)
    codes = np.random.default_rng(20).integers(kind.lo, kind.hi + 1, (count, size), dtype=np.int64)
    codes[1] = kind.lo + np.arange(size) * (kind.hi - kind.lo) // max(1, size - 1)
    codes = codes.reshape(count, *source.shape)
    scores = run_codes(model, codes).astype(np.int32)
    return _npz({"codes": codes.astype(np.int32 if kind.hi < 1 << 31 else np.int64), "scores": scores})


def _pixels(model: QModel, plan: ShellPlan) -> bytes:
    kind = model.tensors[model.input].type
    lines, columns = plan.window
    shape = (_FRAMES, lines + 12, min(plan.max_line, columns + 21), 1)
    random = np.random.default_rng(20)
    codes = random.integers(kind.lo, kind.hi + 1, shape, dtype=np.int64)
    codes[1, :, :, 0] = np.clip(np.arange(shape[2]) * (kind.hi // shape[2]) + kind.lo, kind.lo, kind.hi)
    scores = run_codes(model, codes)[..., 0].astype(np.int32)
    pixels = (codes[..., 0] & ((1 << kind.width) - 1)).astype(f"u{plan.source_bits // 8}")
    return _npz({"pixels": pixels, "scores": scores})


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    # numpy.savez stamps the time into the file, which would change it with every run.
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            one = io.BytesIO()
            np.lib.format.write_array(one, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), one.getvalue())
    return out.getvalue()
