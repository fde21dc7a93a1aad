"""A folded layer as a module: matrix-vector unit, memories, activations, and a FIFO where it may have to wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dwell.hls.rtl.circuit.builder import Range
from dwell.hls.rtl.folded.lanes import Lanes, result_range
from dwell.hls.rtl.folded.matrix import MatrixUnit
from dwell.hls.rtl.folded.memory import BUS_BITS, Memory, module_name, print_memory
from dwell.hls.rtl.folded.search import search_lines
from dwell.hls.rtl.folded.steps import StepUnit
from dwell.hls.rtl.folded.text import (
    INDENT,
    delay,
    extended,
    instance,
    link_ports,
    module_text,
    vector,
    wires,
)
from dwell.hls.rtl.kernel.kernel import print_kernel

#: The bus from the weight port to the memories.
LOAD_PORTS = {name: name for name in ("load", "load_bank", "load_address", "load_data")}


@dataclass(frozen=True)
class Loads:
    """Where the memories of a design lie for whoever writes them.

    `windows` gives the number of each one's first bus word by the memory's name; a number has `bits` bits. A bank
    of all memories is `words` bus words, `structure` a digest of what they are.
    """

    windows: Mapping[str, int]
    bits: int
    words: int
    structure: int


@dataclass(frozen=True)
class FoldedLayer:
    """One layer in hardware.

    Its input link carries `in_lanes` elements of `in_spans` a beat (a whole window or vector where that is all of
    them), packed at their own widths. Its results come fold by fold, PE at a time and all of one width
    (`result`); or, `whole`, all channels at once, each at its own width. `rigid`: without back-pressure on either
    side; a result comes `latency` clocks after its window, and windows come at least `reuse` clocks apart.
    """

    name: str
    module: str
    unit: MatrixUnit
    lanes: Lanes
    in_spans: tuple[Range, ...]
    in_lanes: int
    slots: int
    whole: bool
    rigid: bool
    fifo_log2: int = 0

    @property
    def result(self) -> Range:
        """Type of a result that comes fold by fold."""
        return result_range(self.lanes)

    @property
    def gathers(self) -> bool:
        """Whether all folds are brought together before they leave."""
        return self.whole or self.lanes.gathered

    @property
    def out_spans(self) -> tuple[Range, ...]:
        """The elements of an output beat."""
        if self.whole:
            return self.lanes.channels
        return (self.result,) * (self.unit.folding.outputs if self.gathers else self.unit.folding.pe)

    @property
    def out_lanes(self) -> int:
        return len(self.out_spans)

    @property
    def beats(self) -> int:
        """Output beats of a vector."""
        return self.unit.folding.outputs // self.out_lanes

    @property
    def in_bits(self) -> int:
        return sum(s.bits for s in self.in_spans)

    @property
    def out_bits(self) -> int:
        return sum(s.bits for s in self.out_spans)

    @property
    def pipeline(self) -> int:
        """Clocks from the start of a vector to its first result beat, FIFO apart."""
        fold = self.unit.folding
        waited = fold.sf * (fold.nf - 1) if self.gathers else 0
        return self.unit.latency + waited + self.lanes.latency

    @property
    def latency(self) -> int:
        """Clocks from a window to its result, where it is `rigid`."""
        return self.pipeline

    def memories(self) -> tuple[Memory, ...]:
        steps = self.lanes.steps.memories() if self.lanes.steps is not None else ()
        return (*self.unit.memories(), *steps)


def fifo_log2(layer_beats: int, pipeline: int, pace: int) -> int:
    """log2 of the places behind a layer that has a vector every `pace` clocks: two vectors, and one more for
    each that is in its pipeline."""
    vectors = 2 + (pipeline + 4) // pace
    return max((layer_beats * vectors - 1).bit_length(), 2)


def print_layer(layer: FoldedLayer, top: str, header: str, loads: Loads | None) -> dict[str, str]:
    """All modules of a layer by file name."""
    files = {f"{layer.module}.v": _Printer(layer, top, header, loads).text()}
    for memory in layer.memories():
        name = module_name(top, memory)
        window = loads.windows[memory.name] if loads else None
        files[f"{name}.v"] = print_memory(memory, name, header, window, loads.bits if loads else 0)
    if layer.lanes.kernel is not None:
        name = f"{layer.module}_lanes"
        files[f"{name}.v"] = print_kernel(layer.lanes.kernel, name, header)
    return files


class _Printer:
    def __init__(self, layer: FoldedLayer, top: str, header: str, loads: Loads | None) -> None:
        self.layer, self.top, self.header, self.loads = layer, top, header, loads
        self.unit, self.fold = layer.unit, layer.unit.folding
        self.fold_bits = max((self.fold.nf - 1).bit_length(), 1)

    def text(self) -> str:
        layer, fold = self.layer, self.fold
        ports = [
            f"{INDENT}input  wire aclk,",
            f"{INDENT}input  wire aresetn,",
            *link_ports("in", layer.in_bits, "input"),
            *link_ports("out", layer.out_bits, "output"),
        ]
        if self.loads:
            ports += [
                f"{INDENT}input  wire load,",
                f"{INDENT}input  wire load_bank,",
                f"{INDENT}input  wire {vector(self.loads.bits)} load_address,",
                f"{INDENT}input  wire {vector(BUS_BITS)} load_data,",
            ]
        remarks = [
            f"Layer '{layer.name}': {fold.inputs} by {fold.outputs} on {fold.multipliers} multipliers "
            f"({fold.simd} inputs, {fold.pe} outputs at a time), a vector every {fold.reuse} clocks.",
            f"Sums of {self.unit.acc_bits} bits: {self.unit.sum_range}; results: {layer.result}.",
        ]
        body = [*self._input(), *self._unit(), *self._results(), *self._output()]
        return module_text(self.header, remarks, layer.module, ports, body)

    def _input(self) -> list[str]:
        layer, element = self.layer, self.unit.element
        lines = [f"{INDENT}wire {vector(layer.in_lanes * element.bits)} elements;"]
        if all(span == element for span in layer.in_spans):
            return [*lines, f"{INDENT}assign elements = in_data;"]
        return lines + extended("in_data", layer.in_spans, "elements", element, "u_element")

    def _unit(self) -> list[str]:
        unit, layer = self.unit, self.layer
        weights, starts = unit.memories()
        sums = self.fold.pe * unit.acc_bits
        lines = [
            f"{INDENT}wire room, start;",
            f"{INDENT}wire {vector(weights.address_bits + 1)} weight_address;",
            f"{INDENT}wire {vector(weights.width)} weight_word;",
            f"{INDENT}wire {vector(starts.address_bits + 1)} start_address;",
            f"{INDENT}wire {vector(starts.width)} start_word;",
            *wires("sum", {"valid": 1, "first": 1, "last": 1, "bank": 1}),
            f"{INDENT}wire {vector(self.fold_bits)} sum_fold;",
            f"{INDENT}wire {vector(sums)} sum_data;",
        ]
        lines += instance(
            "dwell_mvu", "u_unit", unit.parameters(layer.in_lanes, layer.slots),
            {
                "clk": "aclk", "rst_n": "aresetn", "in_valid": "in_valid", "in_ready": "in_ready",
                "in_first": "in_first", "in_last": "in_last", "in_bank": "in_bank", "in_data": "elements",
                "room": "room", "start": "start",
                "weight_address": "weight_address", "weight_word": "weight_word",
                "start_address": "start_address", "start_word": "start_word",
                "out_valid": "sum_valid", "out_first": "sum_first", "out_last": "sum_last",
                "out_bank": "sum_bank", "out_fold": "sum_fold", "out_data": "sum_data",
            },
        )  # fmt: skip
        lines += self._memory(weights, "weight_address", "weight_word")
        return lines + self._memory(starts, "start_address", "start_word")

    def _memory(self, memory: Memory, address: str, word: str) -> list[str]:
        ports = {"clk": "aclk", "address": address, "word": word}
        if self.loads:
            ports |= LOAD_PORTS
        return instance(module_name(self.top, memory), f"u_{memory.kind}", {}, ports)

    # ---- sums to results

    def _results(self) -> list[str]:
        """From sum_* to result_*: whole or a fold at a time, at the widths that leave."""
        lanes = self.layer.lanes
        if lanes.steps is not None:
            lines, at, bits = self._steps(lanes.steps), "level", lanes.steps.result.bits
        elif lanes.kernel is not None and not lanes.gathered:
            lines, at, bits = self._kernel("sum"), "lane", lanes.kernel.result[0].bits
        else:
            lines, at, bits = [], "sum", self.unit.acc_bits
        if not self.layer.gathers:
            return [*lines, *self._alias(at)]
        lines += self._gather(at, bits)
        if lanes.gathered:
            lines += self._sliced("whole", bits, self.unit.sums)
            lines += self._kernel("taps")
            return [*lines, *self._packed("lane", lanes.channels)]
        return lines + self._packed("whole", (Range(0, (1 << bits) - 1),) * self.fold.outputs)

    def _alias(self, at: str) -> list[str]:
        lines = [f"{INDENT}wire result_{n} = {at}_{n};" for n in ("valid", "first", "last", "bank")]
        return [
            *lines,
            f"{INDENT}wire {vector(self.layer.out_bits)} result_data = {at}_data;",
            f"{INDENT}wire unused_fold = &{{1'b0, {at}_fold}};",
        ]

    def _kernel(self, source: str) -> list[str]:
        kernel = self.layer.lanes.kernel
        assert kernel is not None
        bits = self.fold_bits
        lines = wires("lane", {"valid": 1, "first": 1, "last": 1, "bank": 1})
        lines += [
            f"{INDENT}wire {vector(bits)} lane_fold;",
            f"{INDENT}wire {vector(kernel.result_bits)} lane_data;",
            f"{INDENT}{self.layer.module}_lanes u_lanes "
            f"(.aclk(aclk), .taps({source}_data), .result(lane_data));",
        ]
        lines += delay("u_lane_valid", kernel.latency, f"{source}_valid", "lane_valid", 1, reset=True)
        return lines + delay(
            "u_lane_marks", kernel.latency,
            f"{{{source}_first, {source}_last, {source}_bank, {source}_fold}}",
            "{lane_first, lane_last, lane_bank, lane_fold}", 3 + bits,
        )  # fmt: skip

    def _gather(self, source: str, bits: int) -> list[str]:
        fold = self.fold
        lines = wires("whole", {"valid": 1, "first": 1, "last": 1, "bank": 1})
        lines += [
            f"{INDENT}wire {vector(self.fold_bits)} whole_fold = {source}_fold;",
            f"{INDENT}wire {vector(fold.outputs * bits)} whole_data;",
            f"{INDENT}assign whole_last = {source}_last;",
            f"{INDENT}assign whole_bank = {source}_bank;",
        ]
        return lines + instance(
            "dwell_gather", "u_gather", {"BITS": fold.pe * bits, "PARTS": fold.nf},
            {
                "clk": "aclk", "rst_n": "aresetn", "in_valid": f"{source}_valid",
                "in_first": f"{source}_first",
                "in_end": f"{source}_fold == {self.fold_bits}'d{fold.nf - 1}", "in_data": f"{source}_data",
                "out_valid": "whole_valid", "out_first": "whole_first", "out_data": "whole_data",
            },
        )  # fmt: skip

    def _sliced(self, source: str, bits: int, spans: Sequence[Range]) -> list[str]:
        """Fields of `bits` cut to their own widths."""
        parts = [f"{source}_data[{n * bits + s.bits - 1}:{n * bits}]" for n, s in enumerate(spans)]
        lines = [f"{INDENT}wire taps_{n} = {source}_{n};" for n in ("valid", "first", "last", "bank")]
        return [
            *lines,
            f"{INDENT}wire {vector(self.fold_bits)} taps_fold = {source}_fold;",
            f"{INDENT}wire {vector(sum(s.bits for s in spans))} taps_data = {{{', '.join(reversed(parts))}}};",
            f"{INDENT}wire unused_high = &{{1'b0, {source}_data}};",
        ]

    def _packed(self, source: str, spans: Sequence[Range]) -> list[str]:
        """Elements of `spans` at the widths that leave; where they have those already, as they are.

        Fields of one width hold each channel at the same binary point, so its own bits are its lowest ones.
        """
        lines = [f"{INDENT}wire result_{n} = {source}_{n};" for n in ("valid", "first", "last", "bank")]
        lines += [
            f"{INDENT}wire {vector(self.layer.out_bits)} result_data;",
            f"{INDENT}wire unused_fold = &{{1'b0, {source}_fold}};",
        ]
        if self.layer.lanes.gathered and not self.layer.whole:
            return lines + extended(f"{source}_data", spans, "result_data", self.layer.result, "u_result")
        if self.layer.lanes.gathered:
            return [*lines, f"{INDENT}assign result_data = {source}_data;"]
        bits, parts = spans[0].bits, []
        for number, span in enumerate(self.layer.out_spans):
            parts.append(f"{source}_data[{number * bits + span.bits - 1}:{number * bits}]")
        return [
            *lines,
            f"{INDENT}assign result_data = {{{', '.join(reversed(parts))}}};",
            f"{INDENT}wire unused_high = &{{1'b0, {source}_data}};",
        ]

    def _steps(self, steps: StepUnit) -> list[str]:
        lines = search_lines(steps, self.fold_bits)
        for memory in steps.memories():
            lines += self._memory(memory, f"{memory.kind}_address", f"{memory.kind}_word")
        return lines

    # ---- results out

    def _output(self) -> list[str]:
        layer = self.layer
        bits = layer.out_bits + 3
        if layer.rigid:
            return [
                f"{INDENT}assign room = 1'b1;",
                *(
                    f"{INDENT}assign out_{n} = result_{n};"
                    for n in ("valid", "first", "last", "bank", "data")
                ),
                f"{INDENT}wire unused_flow = &{{1'b0, start, out_ready}};",
            ]
        return instance(
            "dwell_burst_fifo", "u_out",
            {"BITS": bits, "BURST": layer.beats, "DEPTH_LOG2": layer.fifo_log2},
            {
                "clk": "aclk", "rst_n": "aresetn", "start": "start", "room": "room",
                "in_valid": "result_valid",
                "in_data": "{result_first, result_last, result_bank, result_data}",
                "m_valid": "out_valid", "m_ready": "out_ready",
                "m_data": "{out_first, out_last, out_bank, out_data}",
            },
        )  # fmt: skip
