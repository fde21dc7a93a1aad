"""The wheel holds every package and data file of the tree, and nothing that the tree does not hold."""

from __future__ import annotations

import fnmatch
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from dwell.environments.locate import checkout

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
        if name and (root / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, copy / name)
    return copy


def test_packages_and_data_files(tree: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, str(tmp_path)], cwd=tree, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    inside = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}

    settings = tomllib.loads((tree / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = settings["package-dir"]
    patterns = settings["package-data"]["*"]
    expected = set()
    for package, folder in folders.items():
        for path in (tree / folder).rglob("*"):
            relative = path.relative_to(tree / folder)
            # a script beside a package is none of it; a data file is
            source = path.suffix == ".py" and (path.parent / "__init__.py").exists()
            if path.is_file() and (source or any(fnmatch.fnmatch(path.name, p) for p in patterns)):
                expected.add(f"{package.replace('.', '/')}/{relative.as_posix()}")
    assert expected - inside == set(), "in the tree, but not in the wheel: list it in pyproject.toml"
    assert inside - expected == set(), "in the wheel, but not in the tree"
