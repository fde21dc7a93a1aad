"""Making this very `dwell` importable in another environment, entry points included, by links."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path, PurePosixPath

from dwell.errors import ConfigError


def _installation() -> tuple[Path, tuple[str, ...]]:
    """The folder that `dwell` is installed in, and the names there that belong to it.

    A wheel brings its package and its metadata; an editable install a finder, a `.pth` file and its metadata.
    """
    for found in metadata.distributions(name="dwell"):
        if found.read_text("RECORD") is None:
            continue  # an .egg-info in the working directory
        inside = [PurePosixPath(str(file)) for file in found.files or ()]
        names = {path.parts[0] for path in inside if path.parts[0] not in ("..", "__pycache__")}
        information = next(name for name in sorted(names) if name.endswith(".dist-info"))
        # Inside an environment these are links: all environments are to agree on what they lead to.
        folder = Path(str(found.locate_file(information))).resolve().parent
        return folder, tuple(sorted(names))
    raise ConfigError("dwell's own installation cannot be found", hint="install it: pip install --editable .")


def link_digest() -> str:
    """What decides the links: where dwell is installed, and under which names."""
    folder, names = _installation()
    return hashlib.sha256("\n".join([str(folder), *names]).encode()).hexdigest()


def link_into(site_packages: Path) -> None:
    """Link dwell's installation into a packages folder, in place of older links."""
    folder, names = _installation()
    for entry in site_packages.iterdir():
        if entry.is_symlink():  # pip makes none: these are ours
            entry.unlink()
    for name in names:
        (site_packages / name).symlink_to(folder / name)
