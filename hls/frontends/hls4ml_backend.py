"""`Dwell` as an external back end of hls4ml, found through the entry-point group ``hls4ml.backends``.

Its flow stops where hls4ml would start to derive types: the graph keeps every quantizer as a layer of
its own, and the integer graph takes its types from there. What is left out is what loses information
(`_LEFT_OUT`); the widths of sums are ours, and always exact.
"""

from __future__ import annotations

from typing import Any

NAME = "Dwell"
_FLOW = "dwell"

#: Passes of hls4ml's own ``convert`` flow that this back end does without, and why.
_LEFT_OUT = {
    "merge_linear_activation": "drops the type of a quantizer that follows a layer with other readers",
    "bit_exact": "narrows sums to what the next quantizer needs",
    "fuse_fixed_point_quantizer": "merges a quantizer into the layer before it",
    "fix_input_precision": "guesses a type where the input is not quantized",
    "infer_precision_types": "derives the widths of sums from declared instead of actual weights",
}


def register(*, register_backend: Any, register_writer: Any) -> None:
    """What hls4ml calls when it loads its plug-ins; hls4ml is not imported before."""
    from hls4ml.backends.fpga.fpga_backend import FPGABackend
    from hls4ml.model.flow import get_flow, register_flow
    from hls4ml.model.layers import Layer
    from hls4ml.model.optimizer import layer_optimizer
    from hls4ml.writer.writers import Writer

    class DwellWriter(Writer):  # type: ignore[misc]
        """Writes the Verilog design of a graph instead of C++."""

        def write_hls(self, model: Any) -> None:
            _write_design(model)

    class DwellBackend(FPGABackend):  # type: ignore[misc]
        """The flow of the module's text; conversion ends in a design, or in an error that names the layer."""

        def __init__(self) -> None:
            super().__init__(NAME)
            passes = [name for name in get_flow("convert").optimizers if name not in _LEFT_OUT]
            convert = register_flow("convert", passes, requires=["parse_qonnx"], backend=self.name)
            init = register_flow(
                "init_layers", self._get_layer_initializers(), requires=[convert], backend=self.name
            )
            self._default_flow = register_flow("ip", None, requires=[convert, init], backend=self.name)
            self._writer_flow = register_flow(
                "write", [f"{_FLOW}:write_hls"], requires=[self._default_flow], backend=self.name
            )

        def get_default_flow(self) -> Any:
            return self._default_flow

        def get_writer_flow(self) -> Any:
            return self._writer_flow

        def create_initial_config(
            self,
            part: str = "xc7z020clg400-1",
            clock_period: float = 10,
            io_type: str = "io_stream",
            **_: object,  # hls4ml passes every back end the options of all others
        ) -> dict[str, Any]:
            return {
                "Part": part,
                "ClockPeriod": clock_period,
                "IOType": io_type,
                "HLSConfig": {},
                "WriterConfig": {},
            }

        def compile(self, model: Any) -> Any:
            from dwell.errors import ConfigError

            hint = "write the project, then `dwell simulate` the design in its output directory"
            raise ConfigError("the Dwell back end of hls4ml has no C++ to compile", hint=hint)

        @layer_optimizer(Layer)  # type: ignore[untyped-decorator]
        def init_base_layer(self, layer: Any) -> None:
            layer.set_attr("reuse_factor", layer.model.config.get_reuse_factor(layer))

    register_writer(NAME, DwellWriter)
    register_backend(NAME, DwellBackend)


def _write_design(model: Any) -> None:
    """The design of an hls4ml graph into its output directory, as the writer of the back end."""
    from pathlib import Path

    from dwell.hls.frontends.modelgraph import qmodel_from_graph
    from dwell.hls.rtl import write_design
    from dwell.hls.rtl.options import RtlOptions

    config = model.config
    parallel = config.get_config_value("IOType") == "io_parallel"
    options = RtlOptions(
        style="unrolled" if parallel else "stream",
        clock_mhz=1000.0 / float(config.get_config_value("ClockPeriod")),
    )
    qmodel = qmodel_from_graph(model, name=str(config.get_project_name()))
    write_design(qmodel, options, Path(config.get_output_dir()))
