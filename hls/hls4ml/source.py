"""hls4ml's graph of a network file, converted so that nothing is lost on the way.

- `merge_linear_activation` is left out of hls4ml's flow: it drops the type of a quantizer whose input has
  another reader, or that follows a signed one.
- Poolings get a type that holds their result exactly: hls4ml truncates a mean to the type of its input.
- A final softmax is cut off, as it is from the integer graph.
- The input has the type that the integer graph has for it.
- Scales of constants that differ by channel become one (`qonnx_scales`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from dwell.errors import ConfigError, UnsupportedLayerError
from dwell.hls.frontends.network import QuantizedNetwork
from dwell.hls.hls4ml.obstacles import HINT
from dwell.hls.hls4ml.qonnx_scales import merge_channel_scales
from dwell.hls.qmodel import MAX_WIDTH, QModel

BACKEND = "Vitis"
_LOSSY_PASS = "merge_linear_activation"
KERAS_DOORS = ("keras", "keras_h5")


def read_graph(model: QModel, network: QuantizedNetwork, choices: dict[str, Any]) -> Any:
    """The graph of `network` for Vitis HLS; `choices` are arguments of hls4ml's converters.

    Raises `UnsupportedLayerError` for what hls4ml refuses, and for what it would convert to something else.
    """
    from hls4ml.model.flow import get_flow, update_flow

    if _LOSSY_PASS in get_flow("convert").optimizers:
        update_flow("convert", remove_optimizers=[_LOSSY_PASS])
    if network.door.name in KERAS_DOORS:
        return _from_keras(model, network, choices)
    if network.door.name == "qonnx":
        return _from_qonnx(model, network, choices)
    raise ConfigError(f"hls4ml does not read files of the front end {network.door.name}", hint=HINT)


def _from_keras(model: QModel, network: QuantizedNetwork, choices: dict[str, Any]) -> Any:
    import hls4ml

    from dwell.hls.frontends.keras_net.files import is_keras2
    from dwell.hls.frontends.keras_net.graph import graph_of
    from dwell.hls.frontends.keras_net.load import load_keras
    from dwell.hls.frontends.keras_net.softmax import WithoutActivation, last_softmax

    loaded, old = load_keras(network.path), is_keras2(network.path)
    _refuse_relu_layers(loaded, old)
    _refuse_unsigned_bits(loaded)
    softmax = last_softmax(graph_of(loaded))
    with ExitStack() as stack:
        if softmax is not None and softmax.whole:
            loaded = type(loaded)(loaded.inputs, softmax.call.layer.input) if old else _cut(loaded, softmax)
        elif softmax is not None:
            stack.enter_context(WithoutActivation(softmax.call.layer))
        if old:
            config = _named_types(model, network, loaded)
            return _converted(network, hls4ml.converters.convert_from_keras_model, loaded, config, choices)
        # Placeholder precision: every type follows from the network's own quantizers.
        config = {"Model": {"Precision": "ap_fixed<1,0>", "ReuseFactor": 1, "Strategy": "Latency"}}
        strict = {**choices, "allow_da_fallback": False, "allow_v2_fallback": False}
        return _converted(network, hls4ml.converters.convert_from_keras_model, loaded, config, strict)


def _cut(loaded: Any, softmax: Any) -> Any:
    import keras

    return keras.Model(loaded.inputs, softmax.call.layer.input)


def _named_types(model: QModel, network: QuantizedNetwork, loaded: Any) -> dict[str, Any]:
    """A configuration for Keras 2: wide types where a layer declares none, the input as it is, exact poolings."""
    import hls4ml

    wide = wide_enough(model)
    config: dict[str, Any] = hls4ml.utils.config_from_keras_model(
        loaded, granularity="name", backend=BACKEND, default_precision=wide
    )
    for layer in loaded.layers:
        said = config["LayerName"].get(layer.name)
        if said is not None and "Pooling" in type(layer).__name__:
            said["Precision"] = {"result": wide, "accum": wide}
    _type_input(model, config)
    return config


def _type_input(model: QModel, config: dict[str, Any]) -> None:
    """Give the input layer its type, where no quantizer of the network does."""
    if model.input in dict(model.quantizers).values():
        return
    entry = model.tensors[model.input].type
    text = f"{'' if entry.signed else 'u'}fixed<{entry.width},{entry.width - entry.frac},TRN,SAT>"
    for name, said in config["LayerName"].items():
        if "input" in name.lower() or name == "global_in":
            said["Precision"] = {"result": text}
            return


def _refuse_relu_layers(loaded: Any, old: bool) -> None:
    for layer in loaded.layers:
        if type(layer).__name__ == "ReLU" and not old:
            raise UnsupportedLayerError(
                str(layer.name),
                "ReLU",
                ("Activation('relu')",),
                reason="hls4ml turns keras.layers.ReLU into a thresholded ReLU",
                hint=HINT,
            )


#: Where QKeras' layers keep their quantizers.
_QUANTIZERS = (
    "quantizer",
    "activation",
    *(f"{part}_quantizer_internal" for part in ("kernel", "depthwise", "pointwise", "recurrent", "bias")),
)


def _refuse_unsigned_bits(loaded: Any) -> None:
    for layer in loaded.layers:
        for name in _QUANTIZERS:
            quantizer: Any = getattr(layer, name, None)
            if type(quantizer).__name__ == "quantized_bits" and not quantizer.keep_negative:
                raise UnsupportedLayerError(
                    str(layer.name),
                    "quantized_bits",
                    ("quantized_relu",),
                    reason="hls4ml takes keep_negative=False for signed",
                    hint=f"write quantized_relu for it, or {HINT}",
                )


def _from_qonnx(model: QModel, network: QuantizedNetwork, choices: dict[str, Any]) -> Any:
    import hls4ml
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.channels_last import ConvertToChannelsLastAndClean
    from qonnx.transformation.gemm_to_matmul import GemmToMatMul
    from qonnx.util.cleanup import cleanup_model

    # hls4ml leaves a constant with a scale for each channel as a layer that it cannot compile.
    wrapper = merge_channel_scales(cleanup_model(ModelWrapper(str(network.path))))
    wrapper = cleanup_model(wrapper.transform(ConvertToChannelsLastAndClean()).transform(GemmToMatMul()))
    _cut_softmax(wrapper)
    wide = wide_enough(model)
    config = hls4ml.utils.config_from_onnx_model(
        wrapper, granularity="name", backend=BACKEND, default_precision=wide
    )
    _type_input(model, config)
    return _converted(network, hls4ml.converters.convert_from_onnx_model, wrapper, config, choices)


def _converted(
    network: QuantizedNetwork, convert: Callable[..., Any], source: Any, config: Any, choices: dict[str, Any]
) -> Any:
    """What hls4ml makes of `source`; what it raises becomes `UnsupportedLayerError`, in its own words."""
    try:
        return convert(source, hls_config=config, **choices)
    except Exception as error:  # hls4ml raises whatever it comes upon, a bare Exception among it
        reason = f"hls4ml says: {str(error) or type(error).__name__}"
        raise UnsupportedLayerError(
            network.path.name, "network", ("what hls4ml converts",), reason=reason, hint=HINT
        ) from error


def _cut_softmax(wrapper: Any) -> None:
    """Leave out a final softmax of a `ModelWrapper`: the integer graph ends before it."""
    graph = wrapper.graph
    last = wrapper.find_producer(graph.output[0].name)
    if last is None or last.op_type != "Softmax":
        return
    for known in [info for info in graph.value_info if info.name == last.input[0]]:
        graph.value_info.remove(known)  # the output is described once more, among the outputs
    graph.output[0].name = last.input[0]  # of the softmax' own shape
    graph.node.remove(last)


def wide_enough(model: QModel) -> str:
    """A type that holds every tensor of the graph: hls4ml gives it to layers that declare none."""
    frac = max(tensor.type.frac for tensor in model.tensors.values())
    integer = max(t.type.width - t.type.frac + int(not t.type.signed) for t in model.tensors.values())
    width = frac + max(integer, 1)
    if width > MAX_WIDTH:
        raise UnsupportedLayerError(
            model.name,
            "network",
            (f"types of {MAX_WIDTH} bits",),
            reason=f"one type for all needs {width} bits",
        )
    return f"fixed<{width},{width - frac}>"
