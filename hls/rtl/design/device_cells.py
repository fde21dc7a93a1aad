"""Library modules spelled out in the cells of a device, for synthesis tools that do not find them by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from dwell.hls.rtl.design.write import library_files

#: Families whose slices have LUTs with two outputs and CARRY4, as Yosys maps them.
_FAMILIES = ("xc7", "xcup")


def device_sources(sources: Sequence[Path], family: str) -> list[Path]:
    """`sources` with the versions for `family` in place of library modules that have one.

    A file that is not word for word the library's, because somebody has edited it, stays.
    """
    if family not in _FAMILIES:
        return list(sources)
    folder = Path(str(resources.files("dwell.hls.rtl"))) / "xc7"
    library = {file.name: file for file in library_files()}
    chosen = []
    for source in sources:
        ours, special = library.get(source.name), folder / source.name
        same = ours is not None and special.exists() and ours.read_bytes() == source.read_bytes()
        chosen.append(special if same else source)
    return chosen
