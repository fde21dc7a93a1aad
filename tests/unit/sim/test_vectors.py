"""What is sent: made up, or from a user's file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dwell.errors import ConfigError, VerificationError
from dwell.sim.dut import Dut
from dwell.sim.vectors import check_reference, default_frames, read_vectors

pytestmark = pytest.mark.fast


def test_a_full_run_has_its_extremes_and_many_sizes(box3: Dut) -> None:
    frames, extremes = default_frames(box3, 60_000, seed=1)
    total = sum(box3.decisions(f.codes.shape) for f in frames)
    at_limits = [f for f in frames if np.isin(f.codes, (0, 255)).all()]
    assert 60_000 <= total < 61_000
    assert 10_000 <= extremes <= sum(box3.decisions(f.codes.shape) for f in at_limits)
    names = {f.origin for f in frames}
    assert {"all lowest", "all highest", "checkerboard of 1", "signs of score filter 0", "noise"} <= names
    shapes = {f.codes.shape[:2] for f in frames}
    assert len(shapes) > 5
    assert min(h for h, _ in shapes) == 3
    assert {3, 32} <= {w for _, w in shapes}
    assert max(w for _, w in shapes) == 32
    assert any((f.codes == 0).all() for f in frames)
    assert any((f.codes == 255).all() for f in frames)


def test_the_signs_of_the_weights_drive_the_sum_to_its_limits(box3: Dut) -> None:
    frames, _ = default_frames(box3, 30_000, seed=1)
    lo, hi = box3.model.value_range("score")
    results = [box3.model.run_codes(f.codes[None]) for f in frames]
    assert min(int(r.min()) for r in results) == int(lo[0])
    assert max(int(r.max()) for r in results) == int(hi[0])


def test_same_seed_same_frames(box3: Dut) -> None:
    first, second = default_frames(box3, 3_000, seed=5)[0], default_frames(box3, 3_000, seed=5)[0]
    other = default_frames(box3, 3_000, seed=6)[0]
    assert all(np.array_equal(a.codes, b.codes) for a, b in zip(first, second, strict=True))
    assert not all(np.array_equal(a.codes, b.codes) for a, b in zip(first, other, strict=False))


def test_a_small_run_is_half_extremes(box3: Dut) -> None:
    frames, extremes = default_frames(box3, 100, seed=1)
    assert 50 <= extremes < 100 <= sum(box3.decisions(f.codes.shape) for f in frames)


def test_signed_inputs_reach_both_ends(box3: Dut) -> None:
    model = box3.model
    tensor = model.tensors["x"]
    signed = replace(tensor, type=replace(tensor.type, signed=True, frac=7))
    score = model.tensors["score"]
    wide = replace(score, type=replace(score.type, frac=7, width=14))
    other = replace(
        model,
        tensors={"x": signed, "score": wide},
        nodes=(model.nodes[0], replace(model.nodes[1], bias_frac=7)),
    )
    frames, _ = default_frames(replace(box3, model=other), 20_000, seed=1)
    assert min(int(f.codes.min()) for f in frames) == -128
    assert max(int(f.codes.max()) for f in frames) == 127


def _save(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def test_a_file_of_frames_is_cast_by_the_model(box3: Dut, tmp_path: Path) -> None:
    x = np.linspace(0, 1.2, 2 * 5 * 7).reshape(2, 5, 7)
    given = read_vectors(box3, _save(tmp_path / "v.npz", x=x))
    assert [f.codes.shape for f in given.frames] == [(5, 7, 1)] * 2
    assert (np.stack([f.codes for f in given.frames]) == box3.model.quantize(x[..., None])).all()
    assert given.frames[1].origin == "v.npz frame 1"
    assert check_reference(box3, given) == 0


BAD = {
    "no array 'x'": {"y": np.zeros((1, 5, 5))},
    "takes (N, H, W)": {"x": np.zeros((5, 5))},
    "has shape (1, 5, 5, 2)": {"x": np.zeros((1, 5, 5, 2))},
    "at least 3 rows and 3 to 32 columns": {"x": np.zeros((1, 2, 9))},
    "frames in": {"x": np.zeros((1, 9, 33))},
    "holds no frame": {"x": np.zeros((0, 5, 5))},
    "not real numbers": {"x": np.array([["a"]])},
    "holds complex128": {"x": np.zeros((1, 5, 5), dtype=complex)},
    "frame 1, pixel (row 2, column 3)": {"x": np.where(np.arange(75).reshape(3, 5, 5) == 38, np.nan, 0.5)},
    "is inf; 1 values are not finite": {"x": np.where(np.arange(25).reshape(1, 5, 5) == 3, np.inf, 0.5)},
}


@pytest.mark.parametrize("message", BAD)
def test_a_bad_file_is_told(box3: Dut, tmp_path: Path, message: str) -> None:
    path = _save(tmp_path / "v.npz", **BAD[message])
    with pytest.raises(ConfigError) as caught:
        read_vectors(box3, path)
    assert message in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_archive_is_told(box3: Dut, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "v.npz"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_vectors(box3, path)


def test_other_files_are_told(box3: Dut, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no vectors file"):
        read_vectors(box3, tmp_path / "absent.npz")
    np.save(tmp_path / "v.npy", np.zeros((1, 5, 5)))
    with pytest.raises(ConfigError, match=r"\.npy file"):
        read_vectors(box3, tmp_path / "v.npy")


def test_pickled_objects_are_not_loaded(box3: Dut, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_vectors(box3, _save(tmp_path / "v.npz", x=np.array([{"a": 1}], dtype=object)))


def test_given_outputs_are_compared(box3: Dut, tmp_path: Path) -> None:
    x = np.random.default_rng(1).random((2, 6, 6))
    y = box3.model.to_real("score", box3.model.run(x[..., None]))[..., 0]
    assert check_reference(box3, read_vectors(box3, _save(tmp_path / "good.npz", x=x, y=y))) == 32
    y[1, 2, 3] += 2.0**-8
    with pytest.raises(VerificationError, match="frame 1") as caught:
        check_reference(box3, read_vectors(box3, _save(tmp_path / "bad.npz", x=x, y=y)))
    assert caught.value.first_mismatch == {
        "frame": 1, "place": [2, 3, 0], "expected": y[1, 2, 3], "got": y[1, 2, 3] - 2.0**-8
    }  # fmt: skip
    with pytest.raises(ConfigError, match="'y' in"):
        check_reference(box3, read_vectors(box3, _save(tmp_path / "odd.npz", x=x, y=y[:, :3])))
