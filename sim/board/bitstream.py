"""What a simulated board takes for a bitstream: digests, which are checked against the files beside it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pynq.pl_server.embedded_device import parse_bit_header

from dwell.errors import DeviceError

MARK = b"DWELL SIMULATION ONLY, NOT A BITSTREAM\n"


def read_bitstream(bit: Path) -> dict[str, Any]:
    """The digests in a `.bit`, found true. Raises `DeviceError` for another file, or for one that is stale.

    A bitstream configures a board with what it was made from; here that is the Verilog beside it, so
    Verilog that has been changed since is refused as a board would be unable to run it.
    """
    try:
        payload = bytes(parse_bit_header(bit.read_bytes())["data"])
    except Exception as error:
        raise DeviceError(f"{bit.name} is no .bit file: {error}", place=str(bit)) from error
    if not payload.startswith(MARK):
        raise DeviceError(
            f"{bit.name} is not for a simulated board: it is configuration for a device",
            hint="package the design again; the simulated board runs the overlay's Verilog",
            place=str(bit),
        )
    content: dict[str, Any] = json.loads(payload[len(MARK) :])
    _check(bit, "hand-off file", bit.with_suffix(".hwh"), content["hwh"])
    found = {path.name for path in (bit.parent / "rtl").glob("*.v")}
    listed = {Path(name).name for name in content["rtl"]}
    if found != listed:
        raise _stale(bit, f"rtl/{min(found ^ listed)} was added or removed")
    for name, digest in content["rtl"].items():
        _check(bit, "Verilog file", bit.parent / name, digest)
    return content


def _check(bit: Path, what: str, file: Path, digest: str) -> None:
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
        raise _stale(bit, f"the {what} {file.name} is not the one it was made from")


def _stale(bit: Path, why: str) -> DeviceError:
    return DeviceError(
        f"{bit.name} does not belong to this overlay: {why}", hint="package the design again", place=str(bit)
    )
