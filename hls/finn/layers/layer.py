"""What our layers share as FINN sees them. Runs in environment `finn`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finn.custom_op.fpgadataflow.rtlbackend import RTLBackend

from dwell.hls.finn.layers.cell import Kind, print_cell


class OwnLayer(RTLBackend):
    """A layer whose shapes, types, cycles and Python execution are those of FINN's own class, its other base."""

    #: The module of ours that does it.
    kind: Kind

    def parameters(self) -> Mapping[str, int]:
        """Parameters of the module."""
        raise NotImplementedError

    def generate_hdl(self, model: Any, fpgapart: str, clk: float) -> None:
        """Write the layer's module into the folder that FINN gave the layer."""
        name = self.get_verilog_top_module_name()
        folder = Path(self.get_nodeattr("code_gen_dir_ipgen"))
        self.set_nodeattr("gen_top_module", name)
        inputs = [int(self.get_instream_width(i)) for i in range(len(self.onnx_node.input))]
        outputs = [int(self.get_outstream_width(i)) for i in range(len(self.onnx_node.output))]
        (folder / f"{name}.v").write_text(print_cell(name, self.kind, self.parameters(), inputs, outputs))
        self.set_nodeattr("ipgen_path", str(folder))
        self.set_nodeattr("ip_path", str(folder))

    def get_rtl_file_list(self, abspath: bool = False) -> list[str]:
        """Its files."""
        cell = Path(self.get_nodeattr("code_gen_dir_ipgen")) / f"{self.get_nodeattr('gen_top_module')}.v"
        return [str(file) if abspath else file.name for file in (*self.kind.files, cell)]

    def code_generation_ipi(self) -> list[str]:
        """What Vivado is told to wire it."""
        module = self.get_nodeattr("gen_top_module")
        return [
            *(f"add_files -norecurse {file}" for file in self.get_rtl_file_list(abspath=True)),
            f"create_bd_cell -type module -reference {module} {self.onnx_node.name}",
        ]
