"""What is sent from a user's file, and what the file says must come out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dwell.errors import ConfigError, VerificationError
from dwell.hls.qmodel import quantize_input, run_model
from dwell.sim.dut import Dut
from dwell.sim.given import check_reference, read_vectors

pytestmark = pytest.mark.fast


def _save(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def test_a_file_of_frames_is_cast_by_the_model(box3: Dut, tmp_path: Path) -> None:
    x = np.linspace(0, 1.2, 2 * 5 * 7).reshape(2, 5, 7)
    given = read_vectors(box3, _save(tmp_path / "v.npz", x=x))
    assert [f.codes.shape for f in given.frames] == [(5, 7, 1)] * 2
    assert (np.stack([f.codes for f in given.frames]) == quantize_input(box3.model, x[..., None])).all()
    assert given.frames[1].origin == "v.npz frame 1"
    assert check_reference(box3, given) == {}


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
    y = box3.model.to_real("score", run_model(box3.model, x[..., None]))[..., 0]
    assert check_reference(box3, read_vectors(box3, _save(tmp_path / "good.npz", x=x, y=y))) == {
        "reference_values": 32
    }
    y[1, 2, 3] += 2.0**-8
    with pytest.raises(VerificationError, match="frame 1") as caught:
        check_reference(box3, read_vectors(box3, _save(tmp_path / "bad.npz", x=x, y=y)))
    assert caught.value.first_mismatch == {
        "frame": 1, "place": [2, 3, 0], "expected": y[1, 2, 3], "got": y[1, 2, 3] - 2.0**-8
    }  # fmt: skip
    with pytest.raises(ConfigError, match="'y' in"):
        check_reference(box3, read_vectors(box3, _save(tmp_path / "odd.npz", x=x, y=y[:, :3])))


def test_samples_come_in_their_shape_or_flat(sums4: Dut, tmp_path: Path) -> None:
    x = np.random.default_rng(1).uniform(0, 8, (4, 2, 2, 3))
    wanted = [f.codes.tolist() for f in read_vectors(sums4, _save(tmp_path / "a.npz", x=x)).frames]
    assert wanted == quantize_input(sums4.model, x).tolist()
    flat = read_vectors(sums4, _save(tmp_path / "b.npz", x=x.reshape(4, 12)))
    assert [f.codes.tolist() for f in flat.frames] == wanted
    with pytest.raises(ConfigError, match=r"takes \(N, 2, 2, 3\)"):
        read_vectors(sums4, _save(tmp_path / "c.npz", x=x[:, 0]))


def test_an_array_of_another_name_is_found_by_its_shape(sums4: Dut, tmp_path: Path) -> None:
    x = np.zeros((4, 12))
    found = read_vectors(sums4, _save(tmp_path / "a.npz", x_raw=x, x_other=np.zeros((4, 13)), z=x))
    assert (found.name, len(found.frames)) == ("x_raw", 4)
    with pytest.raises(ConfigError, match=r"no array 'x'; it holds x_raw \(4, 12\), x_too"):
        read_vectors(sums4, _save(tmp_path / "b.npz", x_raw=x, x_too=x))


def test_outputs_of_samples_are_compared_and_labels_counted(sums4: Dut, tmp_path: Path) -> None:
    x = np.random.default_rng(1).uniform(0, 8, (40, 2, 2, 3))
    y = sums4.model.to_real("sums", run_model(sums4.model, x))
    good = read_vectors(sums4, _save(tmp_path / "a.npz", x=x, y=y.astype(np.float32)))
    assert check_reference(sums4, good) == {"reference_values": 120}
    labels = np.argmax(y, axis=1)
    labels[:7] += 1
    given = read_vectors(sums4, _save(tmp_path / "b.npz", x=x, y=labels))
    assert check_reference(sums4, given) == {"labels": 40, "labels_equal": 33}
    y[3, 2] += 0.25
    with pytest.raises(VerificationError, match=r"the first at frame 3, place \(2,\)"):
        check_reference(sums4, read_vectors(sums4, _save(tmp_path / "c.npz", x=x, y=y)))


def test_a_scale_for_each_channel_is_reckoned_with(sums4: Dut, tmp_path: Path) -> None:
    model = sums4.model
    scaled = replace(model.tensors["sums"], scale=(0.3, 2.0, 1.7), offset=(0.0, 0.1, 0.0))
    dut = replace(sums4, model=replace(model, tensors={**model.tensors, "sums": scaled}))
    x = np.random.default_rng(1).uniform(0, 8, (5, 2, 2, 3))
    y = np.ldexp(run_model(model, x), -2) * [0.3, 2.0, 1.7] + [0.0, 0.1, 0.0]
    path = _save(tmp_path / "a.npz", x=x, y=y.astype(np.float32))
    assert check_reference(dut, read_vectors(dut, path)) == {"reference_values": 15}
    path = _save(tmp_path / "b.npz", x=x, y=y * [1.0, 1.0, 1.01])
    with pytest.raises(VerificationError, match="5 of 15"):
        check_reference(dut, read_vectors(dut, path))
