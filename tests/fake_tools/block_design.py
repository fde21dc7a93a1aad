"""Vivado's block designs as far as FINN's script uses them: cells, pins, nets, and one Verilog wrapper of them all.

What the script names has to exist. Data nets are wider than any port, for only Vivado works out widths.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from tcl_tool import FAULT, existing

WIDEST = 512
_REMARKS = re.compile(r"\(\*.*?\*\)|//[^\n]*|/\*.*?\*/", re.S)
_PORT = re.compile(r"\b(input|output)\s+(?:wire\s+|logic\s+|reg\s+)?(?:\[[^\n]*?\]\s*)*(\w+)\s*(?=[,\n)])")
_STREAM = re.compile(r"(\w+)_(tdata|tvalid|tready)$", re.IGNORECASE)
_IDLE = (
    "set_msg_config", "current_project", "update_ip_catalog", "save_bd_design", "current_fileset",
    "ipx::current_core", "ipx::find_open_core", "ipx::create_xgui_files", "ipx::get_bus_parameters",
    "ipx::get_bus_interfaces", "ipx::get_file_groups", "ipx::add_file_group", "ipx::get_files",
    "ipx::update_checksums", "ipx::save_core",
)  # fmt: skip


class BlockDesign:
    """The state of a session."""

    def __init__(self) -> None:
        self.project = Path()
        self.name = ""
        self.files: list[Path] = []
        self.cells: dict[str, str] = {}  # path: module, or nothing for a hierarchy
        self.pins: dict[str, str] = {}  # of hierarchies and of modules: CELL/PIN, its direction
        self.above: dict[str, str] = {}
        self.external: dict[str, str] = {}  # name of a port or an interface: its pin
        self.checked = False

    def commands(self) -> dict[str, Callable[..., object]]:
        """Tcl's names for them."""
        names = (
            "create_project", "create_bd_design", "add_files", "create_bd_cell", "create_bd_pin", "create_bd_intf_pin",
            "connect_bd_net", "make_bd_pins_external", "set_property", "validate_bd_design", "make_wrapper",
            "get_files",
        )  # fmt: skip
        found: dict[str, Callable[..., object]] = {name: getattr(self, name) for name in names}
        found["connect_bd_intf_net"] = self.connect_bd_net
        found["make_bd_intf_pins_external"] = self.make_bd_pins_external
        found["get_bd_pins"] = found["get_bd_intf_pins"] = self.pin
        found["get_bd_ports"] = found["get_bd_intf_ports"] = self.port
        found["get_bd_cells"] = self.cell
        found["ipx::package_project"] = self.package
        found["ipx::add_file"] = lambda name, group: existing(str(Path("ip") / name)) and ""
        return found | {name: lambda *words: "" for name in _IDLE}

    def create_project(self, name: str, folder: str, option: str, part: str) -> None:
        if option != "-part" or not part.startswith("xc"):
            raise ValueError(f"unexpected {option} {part}")
        self.project = existing(folder) / name

    def create_bd_design(self, name: str) -> None:
        self.name = name

    def add_files(self, *words: str) -> None:
        self.files += [existing(word) for word in words if not word.startswith("-")]

    def create_bd_cell(self, *words: str) -> None:
        path = words[-1].strip("/")
        if words[:2] == ("-type", "hier") and len(words) == 3:
            self.cells[path] = ""
        elif words[0] == "-type" and words[1] in ("module", "hier") and words[2] == "-reference":
            self.cells[path] = words[3]
            for direction, port in self._ports(words[3]):
                stream = _STREAM.match(port)
                self.pins[f"{path}/{stream[1] if stream else port}"] = direction
        else:
            raise ValueError(f"unknown kind of cell: {words}")

    def create_bd_pin(self, *words: str) -> None:
        self.pins[words[-1].strip("/")] = "hierarchy"

    create_bd_intf_pin = create_bd_pin

    def pin(self, name: str) -> str:
        if name.strip("/") not in self.pins:
            raise KeyError(f"no pin {name}")
        return name.strip("/")

    def cell(self, name: str) -> str:
        if name.strip("/") not in self.cells:
            raise KeyError(f"no cell {name}")
        return name.strip("/")

    def port(self, *words: str) -> str:
        if words[0] == "-filter":
            return ""  # no AXI4-Lite port in these designs
        name = words[0].strip("/")
        if name not in self.external:
            raise KeyError(f"no port {name}")
        return name

    def connect_bd_net(self, one: str, other: str) -> None:
        first, second = (self.external.get(name, name) for name in (one, other))
        self.above[self.root(first)] = self.root(second)

    def make_bd_pins_external(self, pin: str) -> None:
        base, number = pin.split("/")[-1], 0
        while f"{base}_{number}" in self.external:
            number += 1
        self.external[f"{base}_{number}"] = pin

    def set_property(self, *words: str) -> None:
        if words[0] == "name" and words[2] in self.external:
            self.external[words[1]] = self.external.pop(words[2])
        if words[0] == "ip_repo_paths":
            for folder in words[1].split():
                existing(folder)

    def validate_bd_design(self) -> None:
        for pin in self.pins:
            if (
                re.search(r"/(in0|out\d)_V$", pin)
                and self.cells[pin.rpartition("/")[0]]
                and not self.joined(pin)
            ):
                raise ValueError(f"{pin} is not connected")
        self.checked = True

    def joined(self, pin: str) -> bool:
        """Whether a pin is on a net with another, or outside."""
        root = self.root(pin)
        others = any(other != pin and self.root(other) == root for other in self.pins)
        return others or root in map(self.root, self.external.values())

    def get_files(self, *words: str) -> str:
        if words[0] == "-filter":
            return " ".join(dict.fromkeys(str(file) for file in self.files))
        return words[0]

    def make_wrapper(self, *words: str) -> None:
        if not self.checked:
            raise ValueError("the design was not validated")
        path = Path(words[words.index("-files") + 1]).parent / "hdl" / f"{self.name}_wrapper.v"
        if FAULT == "no_wrapper":
            os._exit(0)  # a tool that ends well and leaves nothing
        path.parent.mkdir(parents=True)
        path.write_text(self.wrapper())

    def package(self, *words: str) -> None:
        folder = Path(words[words.index("-root_dir") + 1])
        folder.mkdir()
        (folder / "component.xml").write_text("<spirit:fileSet>\n</spirit:fileSet>\n")

    def root(self, pin: str) -> str:
        while pin in self.above and self.above[pin] != pin:
            pin = self.above[pin]
        return pin

    def _ports(self, module: str) -> list[tuple[str, str]]:
        for file in self.files:
            text = _REMARKS.sub("", file.read_text(errors="replace"))
            found = re.search(rf"^\s*module\s+{module}\b", text, re.M)
            if found:
                head = text[found.start() :]
                return _PORT.findall(head[: head.index(");")] + "\n")
        raise KeyError(f"no module {module}")

    def wrapper(self) -> str:
        """All cells in one module."""
        roots = dict.fromkeys(self.root(pin) for pin in self.pins)
        nets = {root: f"net{number}" for number, root in enumerate(roots)}
        streams = {self.root(f"{path}/{found[1]}") for path, module in self.cells.items() if module
                   for _, port in self._ports(module) if (found := _STREAM.match(port))}  # fmt: skip
        lines = []
        for root, net in nets.items():
            lines.append(
                f"wire [{WIDEST - 1}:0] {net}_tdata; wire {net}_tvalid, {net}_tready;"
                if root in streams
                else f"wire {net};"
            )
        ports = []
        for name, pin in sorted(self.external.items()):
            net = nets[self.root(pin)]
            if self.root(pin) not in streams:
                ports.append(f"input wire {name}")
                lines.append(f"assign {net} = {name};")
                continue
            enters = name.startswith("s_axis")
            for signal, bits in (("tdata", f"[{WIDEST - 1}:0] "), ("tvalid", ""), ("tready", "")):
                inward = enters != (signal == "tready")
                ports.append(f"{'input' if inward else 'output'} wire {bits}{name}_{signal}")
                ends = (f"{net}_{signal}", f"{name}_{signal}")
                lines.append("assign {} = {};".format(*(ends if inward else ends[::-1])))
        for path, module in self.cells.items():
            if module:
                lines.append(self._instance(path, module, nets))
        return f"module {self.name}_wrapper (\n{', '.join(ports)}\n);\n" + "\n".join(lines) + "\nendmodule\n"

    def _instance(self, path: str, module: str, nets: dict[str, str]) -> str:
        wired = []
        for direction, port in self._ports(module):
            stream = _STREAM.match(port)
            pin = f"{path}/{stream[1] if stream else port}"
            open_end = "" if direction == "output" else "'0"
            net = f"{nets[self.root(pin)]}{f'_{stream[2].lower()}' if stream else ''}"
            wired.append(f".{port}({net if self.joined(pin) else open_end})")
        return f"{module} {path.replace('/', '_')} ({', '.join(wired)});"
