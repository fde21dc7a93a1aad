"""The driver's codes in beats, against the packing that the simulations use."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwell.firmware.driver.beats import TensorStream, fired, pack_codes, tensor_stream, unpack_codes
from dwell.hls.qmodel import FixedPoint
from dwell.sim.dut import Port
from dwell.sim.packing import pack

pytestmark = pytest.mark.fast

KINDS = st.builds(FixedPoint, st.booleans(), st.integers(1, 32), st.just(0))
GROUPS = st.sampled_from([1, 2, 3, 5, 8, 16, 31])


def power_of_two(bits: int) -> int:
    return max(8, 1 << (bits - 1).bit_length())


def stream_of(kind: FixedPoint, shape: tuple[int, ...], elements: int, beat_bits: int) -> TensorStream:
    beats = int(np.prod(shape)) // elements
    return TensorStream(shape, kind.width, kind.signed, elements, beats, beat_bits // 8)


def some_codes(kind: FixedPoint, shape: tuple[int, ...], seed: int) -> np.ndarray:
    codes = np.random.default_rng(seed).integers(kind.lo, kind.hi, shape, endpoint=True)
    codes[0], codes[-1] = kind.lo, kind.hi
    return codes


@given(KINDS, GROUPS, st.integers(1, 4), st.integers(0, 2**32))
def test_beats_are_those_of_the_simulations(kind: FixedPoint, elements: int, beats: int, seed: int) -> None:
    bits = power_of_two(elements * kind.width)
    stream = stream_of(kind, (beats * elements,), elements, bits)
    codes = some_codes(kind, (7, *stream.shape), seed)
    sent = pack_codes(codes, stream)
    port = Port(kind, stream.shape, elements, bits // 8, beats, False)
    assert sent.shape == (7, beats, bits // 8)
    assert (sent.reshape(-1, bits // 8) == pack(codes.reshape(-1, elements), port)).all()


@given(KINDS.filter(lambda k: k.signed or k.width < 32), GROUPS, st.integers(1, 3), st.integers(0, 2**32))
def test_what_comes_back_is_what_was_meant(kind: FixedPoint, elements: int, groups: int, seed: int) -> None:
    """Decisions as the firmware sends them: sign-extended, and in the top bit of the last beat: fired."""
    bits = power_of_two(elements * kind.width + 1)
    stream = stream_of(kind, (2, 3, groups * elements), elements, bits)
    codes = some_codes(kind, (4, *stream.shape), seed)
    port = Port(kind, stream.shape, elements, bits // 8, 1, True)
    beats = pack(codes.reshape(-1, elements), port).reshape(4, 6, groups, bits // 8)
    random = np.random.default_rng(seed)
    beats[..., -1] = beats[..., -1] & 0x7F | (random.integers(0, 2, (4, 6, groups)) << 7).astype(np.uint8)
    mask = beats[:, :, -1, -1] >= 0x80
    got = beats.reshape(4, stream.beats, bits // 8)
    assert unpack_codes(got, stream).dtype == np.int32
    assert (unpack_codes(got, stream) == codes).all()
    assert (fired(got, stream) == mask.reshape(4, 2, 3)).all()


@pytest.mark.parametrize("width", [1, 7, 8, 16, 31, 32])
@pytest.mark.parametrize("signed", [False, True])
def test_beats_of_1024_bits(width: int, signed: bool) -> None:
    kind = FixedPoint(signed, width, 0)
    elements = 1023 // width
    stream = stream_of(kind, (3 * elements,), elements, 1024)
    codes = some_codes(kind, (5, *stream.shape), width)
    wrapped = codes.astype(np.int64).astype(np.uint32).view(np.int32)
    assert (unpack_codes(pack_codes(codes, stream), stream) == wrapped).all()


def test_the_whole_of_a_frame_is_packed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = FixedPoint(True, 5, 0)
    stream = stream_of(kind, (40, 6), 6, 32)
    codes = some_codes(kind, (3, 40, 6), 1)
    whole = pack_codes(codes, stream)
    monkeypatch.setattr("dwell.firmware.driver.beats._BITS_AT_ONCE", 7 * 6 * 32)
    assert (pack_codes(codes, stream) == whole).all()
    assert (unpack_codes(whole, stream) == codes).all()


def test_types_and_decisions_without_places() -> None:
    stream = TensorStream((10,), 7, True, 10, 1, 16)
    assert (stream.lowest, stream.highest) == (-64, 63)
    assert stream._replace(signed=False).highest == 127
    beats = np.zeros((3, 1, 16), np.uint8)
    beats[1, 0, 15] = 0x80
    assert fired(beats, stream).shape == (3,)
    assert fired(beats, stream).tolist() == [False, True, False]
    described = {"shape": [10], "width": 7, "signed": True, "elements": 10, "beats": 1, "dma_bits": 128}
    assert tensor_stream(described) == stream


def test_packing_is_not_a_loop_over_codes() -> None:
    stream = TensorStream((1 << 18, 4), 6, False, 4, 1 << 18, 4)
    codes = np.random.default_rng(2).integers(0, 64, (1, *stream.shape))
    started = time.perf_counter()
    assert (unpack_codes(pack_codes(codes, stream), stream) == codes).all()
    assert time.perf_counter() - started < 3  # 0.2 s for a million codes; a loop takes ten times as long
