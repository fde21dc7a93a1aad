"""The source framework's own kernels, a node at a time: onnxruntime's, and QONNX' for its operators.

This is what QONNX' executor does with a node, with the session kept, so that a table can be found by asking a
node about a million values, and so that thousands of frames take seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dwell.hls.frontends.hush import hushed
from dwell.hls.frontends.onnx_file import QUANT_DOMAINS, Array, OnnxNode

_QONNX_DOMAIN = QUANT_DOMAINS[0]
_IR_VERSION = 9


class Kernel:
    """One node, ready to be run on arrays of any shape that the operator takes."""

    def __init__(self, node: OnnxNode, opsets: Mapping[str, int]) -> None:
        self.node = node
        self._custom = node.domain in QUANT_DOMAINS
        self._opset = opsets.get(node.domain if self._custom else "")
        self._sessions: dict[tuple[str, ...], Any] = {}

    def __call__(self, inputs: Sequence[Array | None]) -> list[Array]:
        """The node's outputs; None stands for an optional input that is left out."""
        return self._run_custom(inputs) if self._custom else self._run_onnx(inputs)

    def _run_custom(self, inputs: Sequence[Array | None]) -> list[Array]:
        from qonnx.core.execute_custom_node import execute_custom_node
        from qonnx.util.basic import get_preferred_qonnx_opset

        proto = type(self.node.proto)()
        proto.CopyFrom(self.node.proto)
        proto.domain = _QONNX_DOMAIN
        context: dict[str, Any] = dict(zip(self.node.inputs, inputs, strict=True))
        version = get_preferred_qonnx_opset() if self._opset is None else self._opset
        with hushed(), np.errstate(all="ignore"):
            execute_custom_node(proto, context, None, onnx_opset_version=version)
        return [np.asarray(context[name], dtype=np.float32) for name in self.node.outputs]

    def _run_onnx(self, inputs: Sequence[Array | None]) -> list[Array]:
        given = {f"i{at}": value for at, value in enumerate(inputs) if value is not None}
        kinds = tuple(value.dtype.str for value in given.values())
        if kinds not in self._sessions:
            self._sessions[kinds] = self._session(given)
        found: list[Array] = self._sessions[kinds].run(None, given)
        return found

    def _session(self, given: Mapping[str, Array]) -> Any:
        import onnxruntime
        from onnx import ValueInfoProto, helper

        proto = type(self.node.proto)()
        proto.CopyFrom(self.node.proto)
        del proto.input[:]
        proto.input.extend(f"i{at}" if f"i{at}" in given else "" for at in range(len(self.node.inputs)))
        entries = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), None)
            for name, value in given.items()
        ]
        results = [ValueInfoProto(name=name) for name in proto.output if name]  # onnxruntime finds the types
        graph = helper.make_graph([proto], "node", entries, results)
        imports = [helper.make_opsetid("", self._opset or 9)]
        model = helper.make_model(graph, opset_imports=imports, ir_version=_IR_VERSION)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
