"""The register map: one source, four files that agree with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("systemrdl", reason="systemrdl-compiler is in the environment `build` only")

from dwell.errors import ConfigError
from dwell.firmware.driver import registers
from dwell.firmware.registers import generate
from dwell.firmware.registers.read_rdl import read_rdl

pytestmark = pytest.mark.fast


def test_generated_files_are_what_the_source_gives() -> None:
    assert generate.stale() == []


def test_check_names_a_stale_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "generated", lambda: {Path(__file__): "something else"})
    assert generate.main(["--check"]) == 1
    assert (
        "test_registers.py is stale: run `python -m dwell.firmware.registers.generate`"
        in capsys.readouterr().err
    )


def test_python_and_c_agree() -> None:
    header = (Path(generate.__file__).parent / "dwell_registers.h").read_text()
    offsets = {
        name: int(value, 16) for name, value in re.findall(r"#define DWELL_(\w+) 0x([0-9A-F]{3})u", header)
    }
    assert offsets == {name.upper(): offset for name, (offset, _, _) in registers.REGISTERS.items()}


def test_no_two_registers_share_an_address() -> None:
    offsets = [offset for offset, _, _ in registers.REGISTERS.values()]
    assert len(set(offsets)) == len(offsets)
    assert all(offset % 4 == 0 for offset in offsets)
    for _, _, fields in registers.REGISTERS.values():
        bits = [bit for _, low, width in fields for bit in range(low, low + width)]
        assert len(set(bits)) == len(bits)
        assert max(bits) < 32


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("reg { field { sw=rw; hw=rw; } a[7:0] = 0; } rr @ 0x0;", "neither stored, nor a strobe"),
        ("reg { field { sw=rw; hw=r; } a[7:0]; } rr @ 0x0;", "has no reset value"),
        ("reg { regwidth=16; field { sw=rw; hw=r; } a[7:0] = 0; } rr @ 0x0;", "is not 32 bits wide"),
        ("reg { field { sw=rw; hw=r; } a[7:0] = 0; } rr @ 0x1000;", "registers up to 0x1000 do not fit"),
        ("reg { field { sw=rw; hw=r; } a[7:0] = 0 } rr @ 0x0;", "does not compile"),
    ],
)
def test_what_the_generators_cannot_make_is_refused(tmp_path: Path, body: str, message: str) -> None:
    source = tmp_path / "x.rdl"
    source.write_text(f"addrmap x {{ {body} }};")
    with pytest.raises(ConfigError, match=message):
        read_rdl(source)
