"""`Dwell` as an external back end of hls4ml, found through the entry-point group ``hls4ml.backends``.

hls4ml's graph is left as it was parsed: none of its passes runs, for some lose what decides a bit. The design
is made from the network itself by our own readers (`dwell.hls.hls4ml.graph_network`); the graph says what the
user has configured.
"""

from __future__ import annotations

from typing import Any

NAME = "Dwell"
_FLOW = "dwell"


def register(*, register_backend: Any, register_writer: Any) -> None:
    """What hls4ml calls when it loads its plug-ins; hls4ml is not imported before."""
    from hls4ml.backends.fpga.fpga_backend import FPGABackend
    from hls4ml.model.flow import register_flow
    from hls4ml.writer.writers import Writer

    class DwellWriter(Writer):  # type: ignore[misc]
        """Writes the Verilog design of a graph instead of C++."""

        def write_hls(self, model: Any) -> None:
            from dwell.hls.hls4ml.graph_design import write_graph

            write_graph(model)

    class DwellBackend(FPGABackend):  # type: ignore[misc]
        """Conversion ends in a design, or in an error that names the layer."""

        def __init__(self) -> None:
            super().__init__(NAME)
            self._default_flow = register_flow("ip", None, requires=None, backend=self.name)
            self._writer_flow = register_flow(
                "write", [f"{_FLOW}:write_hls"], requires=[self._default_flow], backend=self.name
            )

        def get_default_flow(self) -> Any:
            return self._default_flow

        def get_writer_flow(self) -> Any:
            return self._writer_flow

        def create_initial_config(
            self,
            board: str = "pynq-z2",
            part: str | None = None,
            clock_period: float = 10,
            io_type: str = "io_parallel",
            input_type: str | None = None,
            latency_cutoff: float | None = None,
            output: str = "logits",
        ) -> dict[str, Any]:
            """`input_type`, such as ``fixed<16,6>``, is for networks that do not quantize their input;
            `part` goes before `board`, `clock_period` is in ns, `latency_cutoff` in adder levels; `output` is
            what comes out: ``logits`` (a final softmax is left out), ``class`` or ``probabilities``."""
            from dwell.hls.synthesis import load_board

            return {
                "Part": part or load_board(board).part,
                "ClockPeriod": clock_period,
                "IOType": io_type,
                "InputType": input_type,
                "LatencyCutoff": latency_cutoff,
                "Output": output,
                "HLSConfig": {},
                "WriterConfig": {},
            }

        def compile(self, model: Any) -> None:
            """Nothing is left to do: `ModelGraph.compile` has had the design written.

            hls4ml loads the library that is named here; None is this process itself, which does no harm.
            """

        def predict(self, model: Any, x: Any, *, simulator: str = "golden") -> Any:
            from dwell.hls.hls4ml import graph_design

            return graph_design.predict(model, x, simulator=simulator)

        def build(
            self,
            model: Any,
            reset: bool = False,
            csim: bool = False,
            synth: bool = True,
            cosim: bool = False,
            validation: bool = False,
            export: bool = False,
            vsynth: bool = False,
            tool: str = "yosys",
        ) -> dict[str, Any]:
            """hls4ml's own switches. `csim` is what `predict` does; `cosim` or `validation`: `dwell simulate`."""
            from dwell.errors import ConfigError
            from dwell.hls.hls4ml import graph_design

            if export:
                hint = "leave export out, then run `dwell package` on the output directory"
                raise ConfigError("build() of the back end Dwell exports no IP", hint=hint, place="export")
            if reset:
                graph_design.write_graph(model)
            chosen = "vivado" if vsynth else tool
            return graph_design.build(model, synth=synth or vsynth, cosim=cosim or validation, tool=chosen)

    register_writer(NAME, DwellWriter)
    register_backend(NAME, DwellBackend)
