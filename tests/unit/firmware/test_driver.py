"""What the driver promises before any board is there: its imports, its Python, its messages and records."""

from __future__ import annotations

import ast
import io
import sys
from pathlib import Path

import numpy as np
import pytest

import dwell.firmware.driver
from dwell.firmware.driver.framing import ProtocolError, pack, unpack
from dwell.firmware.driver.records import EVENT, read_batch, split_decisions

pytestmark = pytest.mark.fast

FILES = sorted(Path(dwell.firmware.driver.__file__).parent.glob("*.py"))
ALLOWED = {"numpy", "pynq"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_imports_nothing_but_pynq_numpy_and_the_standard_library(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        else:
            continue
        for name in names:
            root = name.partition(".")[0]
            assert root in ALLOWED or root in sys.stdlib_module_names, name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_is_python_3_10(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 10))
    newer = {"tomllib", "wsgiref.types"}
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not imported & newer
    # Names that 3.11 brought, in modules that 3.10 has.
    text = path.read_text()
    assert not any(
        word in text for word in ("StrEnum", "datetime.UTC", "ExceptionGroup", "from typing import Self")
    )


def message_of(raw: bytes) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    stream = io.BytesIO(raw)

    def read(count: int) -> bytes:
        part = stream.read(count)
        if len(part) < count:
            raise EOFError
        return part

    return unpack(read)


def test_a_message_comes_back() -> None:
    events = np.zeros(3, dtype=EVENT)
    events["score"] = [-5, 0, 7]
    arrays = {
        "events": events,
        "pixels": np.arange(12, dtype=np.uint8).reshape(3, 4),
        "none": np.zeros((0, 4)),
    }
    head, found = message_of(pack({"do": "x", "with": {"a": 1}}, arrays))
    assert head == {"do": "x", "with": {"a": 1}}
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff\xff\xff\xff",
        b"\x02\x00\x00\x00[]",
        b"\x02\x00\x00\x00{}",
        b"\x03\x00\x00\x00{{{",
        b'\x3a\x00\x00\x00{"arrays":[{"name":"a","type":"<u8","shape":[4294967296]}]}',
        b'\x2f\x00\x00\x00{"arrays":[{"name":"a","type":"O","shape":[1]}]}',
        b'\x2f\x00\x00\x00{"arrays":[{"name":"a","type":"q!","shape":[]}]}',
    ],
)
def test_what_is_no_message_is_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        message_of(raw)


def test_a_message_cut_short_is_the_end() -> None:
    raw = pack({"do": "x"}, {"a": np.zeros(8)})
    with pytest.raises(EOFError):
        message_of(raw[:-1])


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_decisions_are_score_and_mask(bits: int) -> None:
    least, most = -(1 << (bits - 2)), (1 << (bits - 2)) - 1
    scores = np.array([least, -1, 0, 1, most])
    for fired in (0, 1):
        beats = ((scores & ((1 << (bits - 1)) - 1)) | fired << (bits - 1)).astype(f"u{bits // 8}")
        found, mask = split_decisions(beats)
        assert found.tolist() == scores.tolist()
        assert mask.tolist() == [bool(fired)] * 5


def test_a_closing_record_is_no_event() -> None:
    raw = np.zeros(3, dtype=EVENT)
    raw["line"] = [4, 5, 0xFFFF]
    raw[2]["frame"], raw[2]["score"] = 9, -1
    batch = read_batch(raw)
    assert (len(batch.events), batch.closed, batch.frames, batch.dropped) == (2, True, 9, 0xFFFFFFFF)
    assert read_batch(raw[:2]).closed is False
    assert len(read_batch(raw[:0]).events) == 0
