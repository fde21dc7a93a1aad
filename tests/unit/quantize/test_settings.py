"""The keys of [quantize], by front end."""

from __future__ import annotations

from pathlib import Path

import pytest

from dwell.errors import ConfigError
from dwell.project import load_project
from dwell.quantize.stages import QUANTIZE

_HEAD = '[project]\nname = "p"\n[model]\nname = "vacancy"\n'


def project(folder: Path, lines: str) -> Path:
    (folder / "dwell.toml").write_text(f"{_HEAD}[quantize]\n{lines}\n")
    return folder


def test_brevitas_is_what_runs_when_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "dwell.toml").write_text(_HEAD)
    loaded = load_project(tmp_path)
    assert loaded.quantize.frontend == "brevitas"
    params = QUANTIZE.params(loaded)
    assert params["frontend"] == "brevitas" and params["quantize"]["weight_bits"] == [7]
    assert "learning_rate" in params["training"]["training"]


def test_one_width_or_a_list(tmp_path: Path) -> None:
    loaded = load_project(project(tmp_path, "weight_bits = [6, 4, 4, 5]\nactivation_bits = 5"))
    assert loaded.quantize.params.model_dump()["weight_bits"] == (6, 4, 4, 5)
    assert loaded.quantize.params.model_dump()["activation_bits"] == (5,)


def test_a_budget_survives_the_way_into_the_stage(tmp_path: Path) -> None:
    loaded = load_project(project(tmp_path, 'bits = "hessian"\nbudget = { lut = 9000 }'))
    kept = QUANTIZE.params(loaded)["quantize"]
    assert kept["budget"] == {"lut": 9000, "latency_cycles": None, "mean_weight_bits": None}
    assert type(loaded.quantize.params).model_validate(kept) == loaded.quantize.params


@pytest.mark.parametrize(
    ("lines", "place", "message"),
    [
        ('frontend = "brevita"', "quantize.frontend", "did you mean 'brevitas'"),
        ('frontend = "hgq"', "quantize.frontend", "did you mean 'hgq2'"),
        ("weight_bits = 1", "quantize.weight_bits.0", "greater than or equal to 2"),
        ("weight_bits = [4, 9]", "quantize.weight_bits.1", "less than or equal to 8"),
        ("activation_bits = 0", "quantize.activation_bits.0", "greater than or equal to 1"),
        ("weight_bit = 4", "quantize.weight_bit", "did you mean 'weight_bits'"),
        ("beta = 1e-6", "quantize.beta", "unknown key"),
        ('frontend = "hgq2"\nweight_bits = [4, 4]', "quantize.weight_bits", "integer"),
        ('frontend = "hgq2"\nbeta = -1', "quantize.beta", "greater than or equal to 0"),
        ('bits = "hessian"', "quantize", "needs a budget"),
        ("budget = { lut = 100 }", "quantize", 'is for bits = "hessian"'),
        ('bits = "hessian"\nbudget = {}', "quantize.budget", "names lut, latency_cycles or mean_weight_bits"),
        ('bits = "hessian"\nbudget = { luts = 3 }', "quantize.budget.luts", "did you mean 'lut'"),
        ('bits = "hessian"\nweight_bits = 4\nbudget = { lut = 3 }', "quantize", "leave weight_bits out"),
        ('bits = "hesian"', "quantize.bits", "did you mean 'hessian'"),
        ("epochs = 0", "quantize.epochs", "greater than or equal to 1"),
    ],
)
def test_what_is_refused(tmp_path: Path, lines: str, place: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_project(project(tmp_path, lines))
    assert caught.value.place == place and caught.value.exit_code == 2
