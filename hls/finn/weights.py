"""Weights of FINN's matrix units in memories of ours, that can be written while frames run.

In place of each memory of FINN's stands `dwell_weight_stream` with two banks behind it; the bank of a frame is pushed
to all of them when its first beat enters, so that a frame is computed wholly with one. What a memory holds is made
of the golden model's weights, and has to be what FINN made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dwell.errors import ConfigError, VerificationError
from dwell.hls.finn.golden import same_steps
from dwell.hls.qmodel import Codes, Conv2D, Dense, Flatten, Node, QModel, Reshape, Table, checked, value_range
from dwell.hls.rtl.folded.memory import Memory, packed

_SIZES = ("mw", "mh", "pe", "simd", "width", "low", "vectors")

#: Frames that may be on the way to a layer whose words it has not begun: beyond them the input waits.
FRAMES = 32
#: Clocks to read a memory: with the register at a block RAM's output.
READS = 2


@dataclass(frozen=True)
class Matrix:
    """A matrix unit: `mw` inputs, `mh` outputs, `pe` × `simd` weights of `width` bits a word, `vectors` a frame.

    `layer` is its name in FINN's graph, `node` that of the golden model's layer; `low` is the lowest weight that
    its multipliers take. Of the outputs `flipped` FINN computes the negative: those whose quantizer falls.
    """

    layer: str
    node: str
    mw: int
    mh: int
    pe: int
    simd: int
    width: int
    low: int
    vectors: int
    flipped: tuple[int, ...] = ()

    @classmethod
    def from_json(cls, body: Mapping[str, Any], node: str) -> Matrix:
        """Of an entry as `dwell.hls.finn.matrices` writes it, or `to_json`."""
        sizes = {key: int(body[key]) for key in _SIZES}
        return cls(str(body["layer"]), node, **sizes, flipped=tuple(body.get("flipped", ())))

    def to_json(self) -> dict[str, Any]:
        """As `design.json` has it: enough to make new words."""
        sizes = {name: getattr(self, name) for name in _SIZES}
        return {"layer": self.layer, "node": self.node, **sizes, "flipped": list(self.flipped)}

    @property
    def signs(self) -> Codes:
        """1 or, of a flipped output, -1 for each output."""
        signs = np.ones(self.mh, dtype=np.int64)
        signs[list(self.flipped)] = -1
        return signs

    def memory(self, model: QModel) -> Memory:
        """What the memory holds with the weights of `model`.

        Raises `ConfigError` for weights that the multipliers do not take.
        """
        codes = _weights(model, self.node) * self.signs
        high = (1 << (self.width - 1)) - 1
        if int(codes.min()) < self.low or int(codes.max()) > high:
            raise ConfigError(
                f"'{self.node}': weights from {int(codes.min())} to {int(codes.max())}, "
                f"and its multipliers take {self.low} to {high}",
                hint="train with the same bits and narrow_range=True",
                place=self.node,
            )
        return Memory(self.node, "weight", self.pe * self.simd * self.width, self.words(codes), READS)

    def words(self, codes: Codes) -> tuple[int, ...]:
        """Weights (`mw`, `mh`), signs as FINN has them, as FINN streams them: for each group of `pe` outputs, `simd`
        inputs after another; in a word the inputs of the first output lowest."""
        folded = codes.T.reshape(self.mh // self.pe, self.pe, self.mw // self.simd, self.simd)
        lines = folded.transpose(0, 2, 1, 3).reshape(-1, self.pe * self.simd)
        return tuple(packed([int(code) for code in line], self.width) for line in lines)

    def codes(self, words: Sequence[int]) -> Codes:
        """The weights (`mw`, `mh`) that `words` hold."""
        mask, half = (1 << self.width) - 1, 1 << (self.width - 1)
        lanes = [[word >> self.width * lane & mask for lane in range(self.pe * self.simd)] for word in words]
        folded = np.array(lanes, dtype=np.int64).reshape(
            self.mh // self.pe, self.mw // self.simd, self.pe, self.simd
        )
        codes: Codes = ((folded ^ half) - half).transpose(0, 2, 1, 3).reshape(self.mh, self.mw).T
        return codes


def _weights(model: QModel, name: str) -> Codes:
    """The weights of a layer as FINN lowers it: (inputs of a window, outputs)."""
    node = next(n for n in model.nodes if n.name == name)
    assert isinstance(node, Conv2D | Dense)
    codes: npt.NDArray[np.int64] = node.weight.reshape(-1, node.weight.shape[-1])
    return codes


def match(
    model: QModel, entries: Sequence[Mapping[str, Any]], sources: Path, *, all_of_them: bool = True
) -> tuple[Matrix, ...]:
    """The matrix units of FINN's graph with their layers in the golden model.

    Raises `VerificationError` where the words made of the model's weights are not FINN's own, if `all_of_them` have
    to be; else such a unit is left out.
    """
    layers = [node for node in model.order() if isinstance(node, Conv2D | Dense)]
    found = []
    for entry in entries:
        lines = (sources / f"{entry['layer']}_memblock.dat").read_text().split()
        wanted = tuple(int(line, 16) for line in lines)
        fitting = [m for m in (_fitted(model, entry, node.name, wanted) for node in layers) if m]
        if not fitting and not all_of_them:
            continue
        if not fitting:
            raise VerificationError(
                f"{entry['layer']}: FINN's weights are not those of a layer of the network as they stand",
                first_mismatch={"layer": entry["layer"]},
                hint="FINN changed them on the way: convert without --reload",
            )
        layers = [node for node in layers if node.name != fitting[0].node]
        found.append(fitting[0])
    return tuple(found)


def _fitted(model: QModel, entry: Mapping[str, Any], node: str, wanted: tuple[int, ...]) -> Matrix | None:
    """The matrix unit with the weights of `node`, of some outputs the negative; None where they are others."""
    matrix, codes = Matrix.from_json(entry, node), _weights(model, node)
    if codes.shape != (matrix.mw, matrix.mh):
        return None
    differs = (matrix.codes(wanted) != codes).any(axis=0)
    whole = replace(matrix, flipped=tuple(int(output) for output in np.flatnonzero(differs)))
    return whole if whole.words(codes * whole.signs) == wanted else None


# ---- the golden model of any weights


def for_any_weights(
    model: QModel, found: Sequence[Matrix], lowest: Mapping[str, int], steps: Mapping[str, Codes], width: int
) -> QModel:
    """`model` with its quantizers as FINN has them, `steps` and the `lowest` code by FINN's layer, for all sums that
    other weights may give and not only those of its own; its result of `width` bits.

    Raises `ConfigError` for a layer whose sums go elsewhere than to one quantizer or the output.
    """
    nodes = list(model.nodes)
    for matrix in found:
        layer = next(n for n in nodes if n.name == matrix.node)
        assert isinstance(layer, Conv2D | Dense)
        readers = _readers(nodes, layer.output)
        if not readers and not matrix.flipped:
            continue
        if len(readers) > 1 or not isinstance(readers[0], Table) or matrix.layer not in lowest:
            raise ConfigError(
                f"'{matrix.node}': its sums do not go to one quantizer alone, and new weights could leave their range",
                hint="put a quantizer behind it, or convert without --reload",
                place=matrix.node,
            )
        whole = _as_finn_has_it(model, matrix, layer, readers[0], lowest, steps)
        _require_same(model, readers[0], whole)
        nodes[nodes.index(readers[0])] = whole
    out = model.tensors[model.output]
    wide = replace(out, type=replace(out.type, signed=True, width=width))
    return checked(replace(model, nodes=tuple(nodes), tensors={**model.tensors, model.output: wide}))


def _as_finn_has_it(
    model: QModel,
    matrix: Matrix,
    layer: Conv2D | Dense,
    table: Table,
    lowest: Mapping[str, int],
    steps: Mapping[str, Codes],
) -> Table:
    """`table` with the thresholds of FINN's quantizer behind a layer, over the golden model's sums."""
    sums = model.tensors[layer.output].type
    exact = model.tensors[layer.inputs[0]].type.frac + layer.weight_type.frac
    bias = layer.bias << (sums.frac - layer.bias_frac)
    rising, levels = _steps(matrix, steps[matrix.layer], lowest[matrix.layer])
    breaks = (rising << (sums.frac - exact)) + bias[:, None]
    if (breaks == breaks[:1]).all() and not matrix.flipped:
        breaks, levels = breaks[:1], levels[:1]
    return replace(table, breaks=breaks, levels=levels)


def _steps(matrix: Matrix, thresholds: Codes, lowest: int) -> tuple[Codes, Codes]:
    """Breaks (`mh`, T) and levels (`mh`, T + 1) over a layer's own sums: of a flipped output they fall."""
    count = thresholds.shape[1]
    rising = np.broadcast_to(thresholds, (matrix.mh, count)).copy()
    levels = np.broadcast_to(lowest + np.arange(count + 1), (matrix.mh, count + 1)).copy()
    fall = list(matrix.flipped)
    rising[fall] = 1 - rising[fall, ::-1]  # t <= -x is x < 1 - t
    levels[fall] = levels[fall, ::-1]
    return rising, levels


def _readers(nodes: Sequence[Node], tensor: str) -> list[Node]:
    """What reads a tensor, looking through changes of shape."""
    found: list[Node] = []
    for node in nodes:
        if tensor in node.inputs:
            found += _readers(nodes, node.output) if isinstance(node, Flatten | Reshape) else [node]
    return found


def _require_same(model: QModel, own: Table, whole: Table) -> None:
    if not same_steps(own, whole, *value_range(model, own.inputs[0])):
        raise VerificationError(
            f"'{own.name}': FINN's thresholds are not the network's",
            first_mismatch={"layer": own.name},
            hint="FINN changed them on the way: convert without --reload",
        )
