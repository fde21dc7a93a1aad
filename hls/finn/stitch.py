"""FINN's layers as cells and links, from the block-design commands that each layer gives for Vivado.

The commands are few; they are read here in Vivado's place, and an unknown one is an error. Runs in
environment `finn`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dwell.errors import InternalError

#: Commands that only wire clock and reset, or make a pin that the wires follow anyway.
_IDLE = ("connect_bd_net", "create_bd_pin", "create_bd_intf_pin", "save_bd_design", "update_compile_order")
_PINS = re.compile(r"get_bd_intf_pins\s+([\w/]+)\]")
_REMARKS = re.compile(r"\(\*.*?\*\)|//[^\n]*|/\*.*?\*/", re.S)
_PORT = re.compile(r"\b(input|output)\s+(?:wire\s+|logic\s+|reg\s+)?(?:\[[^\n]*?\]\s*)*(\w+)\s*(?=[,\n)])")
_STREAM = re.compile(r"(\w+?)_(tdata|tvalid|tready)$", re.IGNORECASE)


@dataclass(frozen=True)
class Cell:
    """An instance.

    `ports` maps its ports to ``clock``, ``reset``, ``0``, nothing (open), or ``LINK.from|to.data|valid|ready``:
    a link is left on its side `from` and entered by its side `to`.
    """

    name: str
    module: str
    parameters: Mapping[str, str]
    ports: Mapping[str, str]


@dataclass(frozen=True)
class Link:
    """A stream of `bits` (whole bytes). `layers` are those it joins; empty inside one layer."""

    name: str
    bits: int
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Stitched:
    """A whole graph; `entry` and `final` name the links at its ends."""

    cells: tuple[Cell, ...]
    links: tuple[Link, ...]
    entry: str
    final: str
    sources: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


class _Nets:
    """Interface pins joined into nets."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def root(self, pin: str) -> str:
        self._above.setdefault(pin, pin)
        while self._above[pin] != pin:
            pin = self._above[pin]
        return pin

    def join(self, one: str, other: str) -> None:
        self._above[self.root(one)] = self.root(other)

    def known(self, pin: str) -> bool:
        return pin in self._above


def stitch(model: Any, sources: Path) -> Stitched:
    """Copy every source and data file that the layers of `model` use into `sources`, and wire them."""
    from qonnx.custom_op.registry import getCustomOp

    sources.mkdir(parents=True)
    nets = _Nets()
    made: list[tuple[str, str, Any]] = []
    files: dict[str, Path] = {}
    for node in model.graph.node:
        operation = getCustomOp(node)
        for command in operation.code_generation_ipi():
            _obey(command, node, nets, made, files)
    for node in model.graph.node:
        _join_layers(model, node, nets)
    for name, file in files.items():
        shutil.copyfile(file, sources / name)
    ends = [nets.root(_end(model, side)) for side in ("in", "out")]  # known, though they join nothing
    links, names = _links(model, nets)
    cells = tuple(_cell(*one, files, sources, nets, names) for one in made)
    return Stitched(cells, links, names[ends[0]], names[ends[1]], tuple(sorted(files)))


def _obey(
    command: str, node: Any, nets: _Nets, made: list[tuple[str, str, Any]], files: dict[str, Path]
) -> None:
    words = command.split()
    if words[0] == "add_files":
        for word in words[1:]:
            if not word.startswith("-"):
                file = Path(word)
                if file.name in files and files[file.name].read_bytes() != file.read_bytes():
                    raise InternalError(f"two different files {file.name} in one FINN graph")
                files[file.name] = file
    elif words[0] == "create_bd_cell":
        if "-reference" in words:
            made.append((words[-1].strip("/"), words[words.index("-reference") + 1], node))
        elif "hier" not in words:
            raise InternalError(f"{node.name}: FINN makes a cell that is not RTL: {command}")
    elif words[0] == "connect_bd_intf_net":
        one, other = _PINS.findall(command)
        nets.join(one.strip("/"), other.strip("/"))
    elif words[0] not in _IDLE:
        raise InternalError(f"{node.name}: FINN asks for {words[0]!r}, which is not known here: {command}")


def _pin(node: Any, side: str, index: int) -> tuple[str, int]:
    """The interface pin of a layer and its width in bits."""
    from qonnx.custom_op.registry import getCustomOp

    name, bits = getCustomOp(node).get_verilog_top_module_intf_names()[side][index]
    return f"{node.name}/{name}", int(bits)


def _join_layers(model: Any, node: Any, nets: _Nets) -> None:
    for index, tensor in enumerate(node.input):
        maker = model.find_producer(tensor)
        if maker is not None:
            source, _ = _pin(maker, "m_axis", list(maker.output).index(tensor))
            target, _ = _pin(node, "s_axis", index)
            nets.join(source, target)


def _links(model: Any, nets: _Nets) -> tuple[tuple[Link, ...], dict[str, str]]:
    """The links, and the link of each net."""
    from qonnx.custom_op.registry import getCustomOp

    layers: dict[str, list[str]] = {}
    bits: dict[str, int] = {}
    for node in model.graph.node:
        sides = getCustomOp(node).get_verilog_top_module_intf_names()
        for name, width in sides["s_axis"] + sides["m_axis"]:
            pin = f"{node.name}/{name}"
            if nets.known(pin):
                layers.setdefault(nets.root(pin), []).append(node.name)
                bits[nets.root(pin)] = int(width)
        if node.op_type.startswith("MVAU"):
            weights = nets.root(f"{node.name}/{node.name}/in1_V")
            layers.setdefault(weights, [])
            bits[weights] = -(-int(getCustomOp(node).get_instream_width(1)) // 8) * 8
    names = {net: f"link{number}" for number, net in enumerate(layers)}
    return tuple(Link(names[net], bits[net], tuple(layers[net])) for net in layers), names


def _end(model: Any, side: str) -> str:
    """The interface pin at one end of the graph."""
    tensor = model.graph.input[0].name if side == "in" else model.graph.output[0].name
    node = model.find_consumers(tensor)[0] if side == "in" else model.find_producer(tensor)
    return _pin(node, "s_axis" if side == "in" else "m_axis", 0)[0]


def _cell(
    path: str,
    module: str,
    node: Any,
    files: Mapping[str, Path],
    sources: Path,
    nets: _Nets,
    names: Mapping[str, str],
) -> Cell:
    from qonnx.custom_op.registry import getCustomOp

    file = next(
        (f for n, f in files.items() if Path(n).suffix in (".v", ".sv") and _declares(f, module)), None
    )
    if file is None:
        raise InternalError(f"{node.name}: no file declares the module {module}")
    text = _REMARKS.sub("", file.read_text())
    text = text[re.search(rf"\bmodule\s+{module}\b", text).start() :]  # type: ignore[union-attr]
    head = text[: text.index(");")]
    folder = Path(getCustomOp(node).get_nodeattr("code_gen_dir_ipgen"))
    parameters = _data_files(node.name, head, folder, sources)
    ports = {}
    for direction, port in _PORT.findall(head + "\n"):
        ports[port] = _wire(path, port, direction, nets, names)
    return Cell(path.replace("/", "_"), module, parameters, ports)


def _declares(file: Path, module: str) -> bool:
    return re.search(rf"^\s*module\s+{module}\b", file.read_text(), re.M) is not None


def _data_files(layer: str, head: str, folder: Path, sources: Path) -> dict[str, str]:
    """Memories' contents beside the sources, and the parameters that name them."""
    for file in sorted(folder.glob("*.dat")):
        name = f"{layer}_memblock.dat" if file.name == "memblock.dat" else file.name
        shutil.copyfile(file, sources / name)
    parameters = {}
    if re.search(r"\bINIT_FILE\s*=", head):
        parameters["INIT_FILE"] = f'"{sources / f"{layer}_memblock.dat"}"'
    if re.search(r"\bTHRESHOLDS_PATH\s*=", head):
        parameters["THRESHOLDS_PATH"] = f'"{sources / f"{layer}_"}"'
    return parameters


def _wire(path: str, port: str, direction: str, nets: _Nets, names: Mapping[str, str]) -> str:
    if port in ("ap_clk", "ap_clk2x"):
        return "clock"
    if port == "ap_rst_n":
        return "reset"
    found = _STREAM.match(port)
    pin = f"{path}/{found[1]}" if found else ""
    if found and nets.known(pin) and nets.root(pin) in names:
        signal = found[2].lower()[1:]
        takes = (direction == "input") == (signal != "ready")
        return f"{names[nets.root(pin)]}.{'to' if takes else 'from'}.{signal}"
    return "0" if direction == "input" else ""
