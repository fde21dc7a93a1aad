"""Saving and loading: the same bytes each time, and nothing taken from a damaged file."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dwell.errors import ConfigError
from dwell.hls.qmodel import (
    FixedPoint,
    QModel,
    load_model,
    model_digest,
    run_codes,
    save_model,
    trace_codes,
    trace_model,
    value_range,
)
from dwell.hls.qmodel.build import Builder
from dwell.hls.qmodel.random_models import RandomFamily, models, random_conv_model, random_model

pytestmark = pytest.mark.fast

FAMILY = RandomFamily(dilations=(1, 2), strides=(1, 2), padding=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_a_model_comes_back_the_same(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    folder = tmp_path_factory.mktemp("model")
    model = random_conv_model(seed, FAMILY)
    save_model(model, folder)
    back = load_model(folder)
    assert model_digest(back) == model_digest(model)
    assert back.tensors == model.tensors and back.quantizers == model.quantizers
    x = np.random.default_rng(seed).random((2, *model.tensors[model.input].shape))
    first, second = trace_model(model, x), trace_model(back, x)
    assert all(np.array_equal(first[name], second[name]) for name in first)


@settings(max_examples=60, deadline=None)
@given(models(), st.integers(0, 99))
def test_a_model_of_any_nodes_comes_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, model: QModel, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("model")
    save_model(model, folder)
    back = load_model(folder)
    assert model_digest(back) == model_digest(model) and back.tensors == model.tensors
    codes = np.random.default_rng(seed).integers(0, 2, (5, *model.tensors[model.input].shape))
    codes = np.clip(codes, *(int(v[0]) for v in value_range(model, model.input)))
    assert np.array_equal(run_codes(back, codes), run_codes(model, codes))


def test_scales_per_channel_come_back(tmp_path: Path) -> None:
    build = Builder()
    build.scaled(build.input("x", (3,), FixedPoint(False, 8, 0)), (0.5, 1 / 3, 2.0), -1.0)
    model = build.finish("n", build.scaled(build.relu("y", "x"), 0.1, (1.0, 2.0, 1e-300)))
    save_model(model, tmp_path)
    assert load_model(tmp_path).tensors == model.tensors
    other = replace(model.tensors["y"], offset=(1.0, 2.0, 2e-300))
    assert model_digest(replace(model, tensors={**model.tensors, "y": other})) != model_digest(model)


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    save_model(random_conv_model(5), tmp_path / "here")
    program = (
        "import sys; from dwell.hls.qmodel import save_model; "
        "from dwell.hls.qmodel.random_models import random_conv_model; "
        "save_model(random_conv_model(5), sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "there")], check=True)
    for name in ("qmodel.json", "qmodel.npz"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


def test_different_models_have_different_digests() -> None:
    assert len({model_digest(random_conv_model(seed)) for seed in range(20)}) == 20


def edit_json(folder: Path, change: Callable[[dict[str, object]], object], *, resign: bool) -> None:
    """Change the JSON; `resign` makes its own digest match again, so that the deeper checks are reached."""
    from dwell.hls.qmodel import store

    path = folder / "qmodel.json"
    body = json.loads(path.read_text())
    change(body)
    if resign:
        import hashlib

        body.pop("digest", None)
        body["digest"] = hashlib.sha256(store._canonical(body)).hexdigest()
    path.write_text(json.dumps(body))


def drop_nodes(body: dict[str, object]) -> None:
    body["nodes"] = 3


def odd_rounding(body: dict[str, object]) -> None:
    body["nodes"][0]["rounding"] = "SOMEHOW"  # type: ignore[index]


def huge_width(body: dict[str, object]) -> None:
    body["tensors"][0]["type"]["width"] = 10**9  # type: ignore[index]


def huge_array(body: dict[str, object]) -> None:
    body["nodes"][1]["weight"]["shape"] = [10**6, 10**6, 10, 10]  # type: ignore[index]


def other_array(body: dict[str, object]) -> None:
    body["nodes"][1]["weight"]["array"] = "../../etc/passwd"  # type: ignore[index]


def unknown_node(body: dict[str, object]) -> None:
    body["nodes"][0]["kind"] = "Exec"  # type: ignore[index]


def other_field(body: dict[str, object]) -> None:
    body["nodes"][0]["command"] = "rm"  # type: ignore[index]


def no_stride(body: dict[str, object]) -> None:
    del body["nodes"][1]["stride"]  # type: ignore[index]


def huge_padding(body: dict[str, object]) -> None:
    body["nodes"][1] |= {"padding": [10**18, 0, 0, 0], "stride": [10**8, 1]}  # type: ignore[index]


def huge_stride(body: dict[str, object]) -> None:
    body["nodes"][1]["stride"] = [2**62, 1]  # type: ignore[index]


def huge_dilation(body: dict[str, object]) -> None:
    body["nodes"][1]["dilation"] = [1, 2**62]  # type: ignore[index]


def huge_number(body: dict[str, object]) -> None:
    body["nodes"][1]["groups"] = 10**4000  # type: ignore[index]


def huge_shape(body: dict[str, object]) -> None:
    body["tensors"][0]["shape"] = [1, 1, 10**12]  # type: ignore[index]


def many_axes(body: dict[str, object]) -> None:
    body["tensors"][0]["shape"] = [1] * 100  # type: ignore[index]


def text_scale(body: dict[str, object]) -> None:
    body["tensors"][0]["scale"] = ["1.0"]  # type: ignore[index]


def bad_scale(body: dict[str, object]) -> None:
    body["tensors"][0]["scale"] = -1.0  # type: ignore[index]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop_nodes, "'nodes' is missing or not a list"),
        (odd_rounding, "SOMEHOW"),
        (huge_width, "a type of 1000000000 bits"),
        (huge_array, "not as large as its shape"),
        (other_array, "lacks"),
        (unknown_node, "unknown kind 'Exec'"),
        (other_field, "'command'"),
        (no_stride, "'stride'"),
        (huge_padding, "more than 268435456 elements"),
        (huge_stride, r"stride \(4611686018427387904, 1\)"),
        (huge_dilation, r"dilation \(1, 4611686018427387904\)"),
        (huge_number, "an integer of 13288 bits"),
        (huge_shape, "beyond 268435456 elements"),
        (many_axes, "more than 8 axes"),
        (text_scale, "neither a number nor a list of numbers"),
        (bad_scale, "scale -1.0"),
    ],
)
def test_a_forged_description_is_refused(
    tmp_path: Path, change: Callable[[dict[str, object]], object], words: str
) -> None:
    save_model(random_conv_model(7), tmp_path)
    edit_json(tmp_path, change, resign=True)
    with pytest.raises(ConfigError, match=words):
        load_model(tmp_path)


def test_an_edited_description_is_noticed(tmp_path: Path) -> None:
    save_model(random_conv_model(7), tmp_path)
    edit_json(tmp_path, lambda body: body.update(name="other"), resign=False)
    with pytest.raises(ConfigError, match="digest does not match"):
        load_model(tmp_path)


def test_an_edited_weight_is_noticed(tmp_path: Path) -> None:
    save_model(random_conv_model(7), tmp_path)
    path = tmp_path / "qmodel.npz"
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["conv1/weight"].flat[0] += 1
    np.savez(path, **arrays)
    with pytest.raises(ConfigError, match="conv1/weight' does not match its digest"):
        load_model(tmp_path)


def test_pickles_are_not_loaded(tmp_path: Path) -> None:
    save_model(random_conv_model(7), tmp_path)
    with zipfile.ZipFile(tmp_path / "qmodel.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    evil = io.BytesIO()
    np.save(evil, np.array([print], dtype=object), allow_pickle=True)
    members["conv1/weight.npy"] = evil.getvalue()
    with zipfile.ZipFile(tmp_path / "qmodel.npz", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ConfigError):
        load_model(tmp_path)


def test_packed_and_locked_archives_are_refused(tmp_path: Path) -> None:
    model = random_conv_model(7)
    for damage in ("packed", "locked"):
        save_model(model, tmp_path)
        path = tmp_path / "qmodel.npz"
        if damage == "packed":
            with zipfile.ZipFile(path) as archive:
                members = {name: archive.read(name) for name in archive.namelist()}
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, content in members.items():
                    archive.writestr(name, content)
        else:
            whole = bytearray(path.read_bytes())
            for start in (b"PK\x03\x04", b"PK\x01\x02"):  # the flag that says encrypted
                at = whole.index(start) + (6 if start.endswith(b"\x04") else 8)
                whole[at] |= 1
            path.write_bytes(whole)
        with pytest.raises(ConfigError, match="packed" if damage == "packed" else "encrypted"):
            load_model(tmp_path)


@pytest.mark.parametrize("name", ["qmodel.json", "qmodel.npz"])
def test_truncated_and_random_files_are_refused(tmp_path: Path, name: str) -> None:
    save_model(random_conv_model(7), tmp_path)
    whole = (tmp_path / name).read_bytes()
    rng = np.random.default_rng(0)
    for size in [0, 1, 10, *rng.integers(11, len(whole) - 1, 30)]:
        (tmp_path / name).write_bytes(whole[:size])
        with pytest.raises(ConfigError):
            load_model(tmp_path)
    for _ in range(30):
        damaged = bytearray(whole)
        damaged[int(rng.integers(0, len(whole)))] ^= 0xFF
        (tmp_path / name).write_bytes(damaged)
        try:
            back = load_model(tmp_path)
        except ConfigError:
            continue
        assert model_digest(back) == model_digest(random_conv_model(7))  # the byte meant nothing
    (tmp_path / name).unlink()
    with pytest.raises(ConfigError, match=f"no {name}"):
        load_model(tmp_path)


def places(value: object, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where the numbers, texts, lists and objects of a JSON document are."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*at, key)
        yield from places(item, (*at, key))


JUNK = [
    None,
    0,
    -1,
    2,
    7,
    63,
    -62,
    10**6,
    2**62,
    -(2**63),
    10**30,
    1.5,
    1e308,
    "",
    "x",
    [],
    [1],
    [2, 2],
    {},
    True,
]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 30), st.integers(0, 2**30), st.sampled_from(JUNK))
def test_whatever_a_field_holds_it_is_refused_or_computed_with(
    tmp_path_factory: pytest.TempPathFactory, seed: int, where: int, junk: object
) -> None:
    folder = tmp_path_factory.mktemp("model")
    save_model(random_model(seed), folder)

    def change(body: dict[str, object]) -> None:
        spots = list(places(body))
        *path, last = spots[where % len(spots)]
        holder: Any = body
        for key in path:
            holder = holder[key]
        holder[last] = junk

    edit_json(folder, change, resign=True)
    try:
        model = load_model(folder)
    except ConfigError:
        return
    shape = model.tensors[model.input].shape
    lo, hi = (int(v[0]) for v in value_range(model, model.input))
    trace_codes(model, np.full((1, *shape), min(max(0, lo), hi)))
