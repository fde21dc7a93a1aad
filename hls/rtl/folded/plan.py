"""A dense network as a chain of islands: folded layers, and small kernels for what lies between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dwell.errors import ConfigError, UnsupportedLayerError
from dwell.hls.qmodel import Dense, Flatten, Input, Node, QModel, Reshape
from dwell.hls.qmodel.graph import ELEMENTWISE_NODES
from dwell.hls.qmodel.recurrence import multiplying
from dwell.hls.rtl.circuit.builder import Range
from dwell.hls.rtl.folded.beats import input_elements
from dwell.hls.rtl.folded.folding import Folding, Matrix, require_foldings, reuse_for_multipliers
from dwell.hls.rtl.folded.lanes import plan_lanes, uniform
from dwell.hls.rtl.folded.layer import FoldedLayer, fifo_log2
from dwell.hls.rtl.folded.matrix import flat_matrix, plan_matrix
from dwell.hls.rtl.kernel.make import Kernel, check_kernel, make_kernel
from dwell.hls.rtl.options import RtlOptions
from dwell.hls.rtl.verilog.names import identifier, unique

#: What style `folded` carries.
SUPPORTED = (
    "Input", "Dense", "Affine", "Relu", "LeakyRelu", "Clip", "Cast", "Table", "Flatten", "Reshape", "TopK", "Softmax",
)  # fmt: skip

#: Multipliers of the example in the error that asks for reuse factors: the DSP slices of a small device.
_SMALL_DEVICE = 220


@dataclass(frozen=True)
class KernelIsland:
    """Nodes without shared multipliers: a kernel that takes `gather` beats at a time, and a credit FIFO."""

    name: str
    module: str
    nodes: tuple[Node, ...]
    kernel: Kernel
    gather: int
    in_spans: tuple[Range, ...]
    compared: int

    @property
    def out_spans(self) -> tuple[Range, ...]:
        return self.kernel.result

    @property
    def depth_log2(self) -> int:
        """log2 of the FIFO's places: enough for a beat every clock."""
        return max((self.kernel.latency + 3 - 1).bit_length(), 2)


@dataclass(frozen=True)
class LayerIsland:
    """A folded layer and the nodes that it computes."""

    layer: FoldedLayer
    nodes: tuple[Node, ...]

    @property
    def out_spans(self) -> tuple[Range, ...]:
        return self.layer.out_spans


IslandPlan = KernelIsland | LayerIsland


@dataclass(frozen=True)
class Plan:
    """The chain. `elements` are those of an input beat, `spans` the elements of one."""

    elements: int
    spans: tuple[Range, ...]
    islands: tuple[IslandPlan, ...]


def carries(model: QModel) -> bool:
    """Whether a network is a chain of dense layers and what may lie between them."""
    return model.is_chain and all(type(node).__name__ in SUPPORTED for node in model.nodes)


def chain_of(model: QModel) -> tuple[Node, ...]:
    """The nodes from input to output.

    Raises `UnsupportedLayerError` for a node that the style does not carry and for branches.
    """
    maker = {node.output: node for node in model.nodes}
    nodes = [maker[model.output]]
    while nodes[-1].inputs:
        node = nodes[-1]
        if type(node).__name__ not in SUPPORTED:
            raise UnsupportedLayerError(
                node.name, type(node).__name__, SUPPORTED, reason="style 'folded'",
                hint="style 'unrolled' or 'stream' carries it",
            )  # fmt: skip
        nodes.append(maker[node.inputs[0]])
    return tuple(reversed(nodes))


def matrices_of(model: QModel) -> tuple[Matrix, ...]:
    """The layers with multipliers, as folding sees them."""
    nodes = chain_of(model)
    return tuple(Matrix(n.name, *(int(v) for v in n.weight.shape)) for n in nodes if isinstance(n, Dense))


def make_plan(model: QModel, options: RtlOptions) -> Plan:
    """Islands for `model`, their circuits held against the golden model.

    Raises `ConfigError` for reuse factors that do not exist, `UnsupportedLayerError` for what is not carried.
    """
    nodes = chain_of(model)
    require_reuse(model, options)
    entry = model.tensors[model.input]
    elements = input_elements(_vector(model, nodes), entry.type.width)
    spans = (Range(entry.type.lo, entry.type.hi, entry.type.frac),) * elements
    matrices = _with_lanes(nodes, model, elements)
    foldings = require_foldings(matrices, options) if matrices else {}
    groups = _groups(nodes)
    names = unique([identifier(group[0].name) for group in groups])
    islands: list[IslandPlan] = []
    at = spans
    for group, name in zip(groups, names, strict=True):
        module = f"{identifier(model.name)}_{name}"
        head = group[0]
        if isinstance(head, Dense) and options.reuse_of(head.name) > 1:
            islands.append(_layer(model, options, group, module, at, foldings))
        else:
            islands.append(_kernel(model, options, group, module, at))
        at = islands[-1].out_spans
    return Plan(elements, spans, tuple(islands))


def require_reuse(model: QModel, options: RtlOptions) -> None:
    """Raise `ConfigError`, with factors that a small device has multipliers for, where none are given."""
    if options.folds:
        return
    layers = [node for _, node in multiplying(model)]
    if not layers:
        raise ConfigError(
            f"{model.name} has no layer to fold", hint="use style 'unrolled'", place="convert.style"
        )
    matrices = [Matrix(n.name, *(int(v) for v in flat_matrix(n).shape)) for n in layers]
    fits = reuse_for_multipliers(matrices, max(_SMALL_DEVICE, len(matrices)))
    proposal = ",".join(f"{name}={reuse}" for name, reuse in fits.items())
    raise ConfigError(
        "style 'folded' needs reuse factors",
        hint=f"--reuse {proposal} takes at most {_SMALL_DEVICE} multipliers",
        place="convert.reuse",
    )


def _vector(model: QModel, nodes: Sequence[Node]) -> int:
    """Elements that a beat's must divide: those of the first vector that is read as one."""
    size = model.tensors[model.input].shape[-1]
    for node in nodes[1:]:
        moves = isinstance(node, Flatten | Reshape)
        if not moves and not (isinstance(node, ELEMENTWISE_NODES) and uniform(node)):
            break
        size = model.tensors[node.output].shape[-1]
    return size


def _with_lanes(nodes: Sequence[Node], model: QModel, elements: int) -> tuple[Matrix, ...]:
    """Matrices with the lanes of the design's own beats where those reach them."""
    found: list[Matrix] = []
    for node in nodes:
        if isinstance(node, Dense):
            inputs, outputs = (int(v) for v in node.weight.shape)
            lanes = elements if not found and inputs % elements == 0 else 0
            found.append(Matrix(node.name, inputs, outputs, lanes or 1))
    return tuple(found)


def _groups(nodes: Sequence[Node]) -> list[list[Node]]:
    """Each `Dense`, `TopK` or `Softmax` with the element-wise nodes after it; element-wise nodes before."""
    groups: list[list[Node]] = []
    fresh = True
    for node in nodes:
        if isinstance(node, Input):
            continue
        if isinstance(node, Flatten | Reshape):
            fresh = True
            continue
        if fresh or not isinstance(node, ELEMENTWISE_NODES):
            groups.append([])
        groups[-1].append(node)
        fresh = False
    return groups


def _layer(
    model: QModel,
    options: RtlOptions,
    nodes: Sequence[Node],
    module: str,
    spans: tuple[Range, ...],
    foldings: Mapping[str, Folding],
) -> LayerIsland:
    head = nodes[0]
    assert isinstance(head, Dense)
    fold = foldings[head.name]
    _check_lanes(head, len(spans), fold.inputs)
    whole = list(spans) * (fold.inputs // len(spans))
    unit = plan_matrix(head, fold, whole, options.multiplier, any_weights=options.reload)
    unit, lanes = plan_lanes(
        unit, nodes[1:], model.tensors, cutoff=options.latency_cutoff, any_weights=options.reload
    )
    layer = FoldedLayer(head.name, module, unit, lanes, spans, len(spans), slots=2, whole=False, rigid=False)
    pace = max(f.reuse for f in foldings.values())
    return LayerIsland(replace(layer, fifo_log2=fifo_log2(layer.beats, layer.pipeline, pace)), tuple(nodes))


def _kernel(
    model: QModel, options: RtlOptions, nodes: Sequence[Node], module: str, spans: tuple[Range, ...]
) -> KernelIsland:
    head = nodes[0]
    channels = model.tensors[head.inputs[0]].shape[-1]
    alike = all(isinstance(n, ELEMENTWISE_NODES) and uniform(n) for n in nodes)
    gather = 1
    if not alike:
        _check_lanes(head, len(spans), channels)
        gather = channels // len(spans)
    taps = list(spans) * gather
    if alike:
        kernel, compared = _alike_kernel(model, options, nodes, taps)
    else:
        kernel = make_kernel(nodes, model.tensors, taps, cutoff=options.latency_cutoff)
        compared = check_kernel(kernel, nodes, model.tensors)
    return KernelIsland(head.name, module, tuple(nodes), kernel, gather, tuple(taps), compared)


def _check_lanes(head: Node, lanes: int, channels: int) -> None:
    if channels % lanes:
        raise UnsupportedLayerError(
            head.name, type(head).__name__, SUPPORTED,
            reason=f"its vectors of {channels} elements do not begin with a beat of {lanes}",
            hint="leave out the reshape before it, or use style 'unrolled'",
        )  # fmt: skip


def _alike_kernel(
    model: QModel, options: RtlOptions, nodes: Sequence[Node], taps: list[Range]
) -> tuple[Kernel, int]:
    """A kernel of nodes that treat all channels alike, for beats of any number of elements."""
    tensors = {name: replace(tensor, shape=(len(taps),)) for name, tensor in model.tensors.items()}
    kernel = make_kernel(nodes, tensors, taps, cutoff=options.latency_cutoff)
    return kernel, check_kernel(kernel, nodes, tensors)
