"""The project file: every problem listed with its place, and the key that was meant."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest

from dwell.environments.locate import checkout
from dwell.errors import ConfigError
from dwell.project import ProjectFileError, load_project

pytestmark = pytest.mark.fast

_GOOD = '[project]\nname = "vac"\n[model]\nname = "vacancy"\n'


def _write(folder: Path, text: str) -> Path:
    (folder / "dwell.toml").write_text(text)
    return folder


def test_a_folder_or_a_file_and_defaults(tmp_path: Path) -> None:
    project = load_project(_write(tmp_path, _GOOD))
    assert project == load_project(tmp_path / "dwell.toml")
    assert (project.name, project.seed, project.quantize.frontend) == ("vac", 1, "brevitas")
    assert project.accept.max_metric_drop == 0.02
    assert project.work == tmp_path / ".dwell"


def test_every_problem_is_listed_with_its_place_and_the_nearest_key(tmp_path: Path) -> None:
    text = """
[project]
name = "vac"
sed = 3
[model]
name = "vacancy"
dose_that_is_unknown = 1
[quantize]
frontend = "brevitos"
[simulate]
vectors = 0
[convertt]
style = "stream"
"""
    with pytest.raises(ProjectFileError) as caught:
        load_project(_write(tmp_path, text))
    found = {p["place"]: (p["message"], p["hint"]) for p in caught.value.problems}
    assert found["project.sed"] == ("unknown key", "did you mean 'seed'?")
    assert found["convertt"] == ("unknown key", "did you mean 'convert'?")
    assert found["quantize.frontend"][1] == "did you mean 'brevitas'?"
    assert "greater than or equal to 1, not 0" in found["simulate.vectors"][0]
    assert found["model.dose_that_is_unknown"][0] == "unknown key"
    assert len(found) == 5
    assert all(place in caught.value.message for place in found)
    assert caught.value.exit_code == 2
    json.dumps(caught.value.to_json())


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[project]\nname = "vac"\n', "model"),
        ('[model]\nname = "vacancy"\n', "project"),
        ('[project]\nname = "vac"\n[model]\ndose = 1\n', "model.name"),
        ('[project]\nname = "vac"\n[model]\nname = "vacany"\n', "model.name"),
        ('[project]\nname = "9 lives"\n[model]\nname = "vacancy"\n', "project.name"),
        ('[project]\nname = "vac"\nseed = "x"\n[model]\nname = "vacancy"\n', "project.seed"),
        ('model = 3\n[project]\nname = "vac"\n', "model"),
    ],
)
def test_one_problem_each(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(ProjectFileError) as caught:
        load_project(_write(tmp_path, text))
    assert [p["place"] for p in caught.value.problems] == [place]


def test_an_unknown_model_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ProjectFileError, match="did you mean 'vacancy'"):
        load_project(_write(tmp_path, '[project]\nname = "vac"\n[model]\nname = "vacany"\n'))


def test_overrides_are_toml_values(tmp_path: Path) -> None:
    _write(tmp_path, _GOOD)
    given = ["quantize.frontend=hgq2", "quantize.epochs=3", "simulate.stalls=false", 'board.name="pynq-z1"']
    project = load_project(tmp_path, given)
    assert project.quantize.frontend == "hgq2"
    assert project.quantize.params.model_dump()["epochs"] == 3
    assert project.simulate.stalls is False
    assert project.board.name == "pynq-z1"


@pytest.mark.parametrize(
    "given", ["epochs=3", "quantize.epochs", "quantize.epochs=3 4", "=3", "project.name.x=1"]
)
def test_overrides_that_cannot_be_read(tmp_path: Path, given: str) -> None:
    with pytest.raises(ConfigError):
        load_project(_write(tmp_path, _GOOD), [given])


def test_an_unknown_override_is_a_problem_like_any_other(tmp_path: Path) -> None:
    with pytest.raises(ProjectFileError, match=r"quantize\.epoch: unknown key \(did you mean 'epochs'\?\)"):
        load_project(_write(tmp_path, _GOOD), ["quantize.epoch=3"])


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no project file") as caught:
        load_project(tmp_path / "nowhere")
    assert "dwell init" in caught.value.hint
    with pytest.raises(ConfigError, match="is not TOML"):
        load_project(_write(tmp_path, "[project\n"))
    (tmp_path / "dwell.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not TOML"):
        load_project(tmp_path)


def test_the_example_is_the_template() -> None:
    root = checkout()
    if root is None:
        pytest.skip("examples/ is only in a checkout")
    template = Path(str(resources.files("dwell.templates"))) / "vacancy" / "dwell.toml"
    assert (root / "examples" / "vacancy" / "dwell.toml").read_bytes() == template.read_bytes()
    assert load_project(template).name == "vacancy"
