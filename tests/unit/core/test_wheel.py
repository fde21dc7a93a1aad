"""The wheel holds every package and data file of the tree, and nothing that the tree does not hold."""

from __future__ import annotations

import fnmatch
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from dwell.environments.locate import checkout

#: The folders at the top that are packages of `dwell`.
ROOMS = ("envs", "firmware", "hls", "host", "models", "quantize", "sim")
_BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout as git knows it, new files included, so that no old build gets in."""
    root = checkout()
    if root is None or not (root / ".git").exists():
        pytest.skip("needs a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    copy = tmp_path_factory.mktemp("tree")
    for name in listed.stdout.decode().split("\0"):
        if name and (root / name).exists():  # a link to a room stays a link
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, copy / name, follow_symlinks=False)
    return copy


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of that tree."""
    out = tmp_path_factory.mktemp("wheel")
    done = subprocess.run([sys.executable, "-c", _BUILD, str(out)], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (found,) = out.glob("*.whl")
    return found


def test_packages_and_data_files(tree: Path, wheel: Path) -> None:
    inside = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}

    patterns = tomllib.loads((tree / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["*"]
    expected = set()
    for folder in ("dwell", *ROOMS):
        for path in (tree / folder).rglob("*"):  # rglob does not follow links
            # a script beside a package is none of it; a data file is
            source = path.suffix == ".py" and (path.parent / "__init__.py").exists()
            if path.is_file() and (source or any(fnmatch.fnmatch(path.name, p) for p in patterns)):
                relative = path.relative_to(tree).as_posix()
                expected.add(relative if folder == "dwell" else f"dwell/{relative}")
    assert expected - inside == set(), "in the tree, but not in the wheel: list it in pyproject.toml"
    assert inside - expected == set(), "in the wheel, but not in the tree"


def test_every_room_at_the_top_is_linked_into_the_package(tree: Path) -> None:
    links = {path.name: path.readlink() for path in (tree / "dwell").iterdir() if path.is_symlink()}
    assert links == {room: Path("..") / room for room in ROOMS}


def test_a_source_distribution_makes_the_same_wheel(tree: Path, wheel: Path, tmp_path: Path) -> None:
    code = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=tree, capture_output=True, check=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    source = archive.name.removesuffix(".tar.gz")
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, str(tmp_path)], cwd=tmp_path / source, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (again,) = tmp_path.glob("*.whl")
    assert zipfile.ZipFile(again).namelist() == zipfile.ZipFile(wheel).namelist()


def test_an_installed_wheel_is_linked_into_environments(wheel: Path, tmp_path: Path) -> None:
    site, other = tmp_path / "site", tmp_path / "other"
    zipfile.ZipFile(wheel).extractall(site)
    other.mkdir()
    (other / "stale").symlink_to(tmp_path / "nowhere")
    code = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1])\n"
        "from dwell.environments.link import link_into\n"
        "from dwell.environments.locate import checkout\n"
        "assert checkout() is None\n"
        "link_into(pathlib.Path(sys.argv[2]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(site), str(other)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in other.iterdir())
    assert names == ["dwell", f"dwell-{version('dwell')}.dist-info"]
    assert (other / "dwell" / "hls" / "__init__.py").is_file()
