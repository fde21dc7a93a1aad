"""A Keras model to the integer graph: its layers one by one, weights and quantizers as the framework computes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dwell.hls.frontends.keras_net import layers, moves, norms, quantizers, recurrent
from dwell.hls.frontends.keras_net.ends import check_ends
from dwell.hls.frontends.keras_net.graph import Call, Graph, graph_of
from dwell.hls.frontends.keras_net.lowering import Lowering
from dwell.hls.frontends.keras_net.softmax import last_softmax
from dwell.hls.frontends.keras_net.values import Raw, Step, Value
from dwell.hls.frontends.reading import Reading
from dwell.hls.qmodel import FixedPoint

Handler = Callable[[Lowering, Any, list[Value | Raw]], Value | Raw]


def _qactivation(low: Lowering, layer: Any, inputs: list[Value | Raw]) -> Value | Raw:
    """QKeras' QActivation: of the raw input too, which it may quantize."""
    function = layer.quantizer
    if quantizers.is_qkeras(function):
        return low.quantize(inputs[0], quantizers.of_qkeras(function, low.place), low.place)
    return layers.activation(low, function, low.entered(inputs[0]), low.place)


def _activation(low: Lowering, layer: Any, inputs: list[Value | Raw]) -> Value:
    return layers.activation(low, layer.activation, low.entered(inputs[0]), low.place)


def _quantizer(low: Lowering, layer: Any, inputs: list[Value | Raw]) -> Value | Raw:
    """HGQ2's Quantizer as a layer of its own."""
    return low.quantize(inputs[0], quantizers.of_hgq(layer, low.shape(inputs[0]), low.place), low.place)


def _function(low: Lowering, layer: Any, inputs: list[Value | Raw]) -> Value:
    """An activation that is a layer: its own kernels, tabulated at the next quantizer."""
    text = f"a float {type(layer).__name__}"
    return low.padded(low.entered(inputs[0])).then(Step(text, lambda x: layers.run(layer, x)))


def _affine_function(low: Lowering, layer: Any, inputs: list[Value | Raw]) -> Value:
    """HGQ2's affine before a unary function."""
    value = low.padded(low.entered(inputs[0]))
    text = f"a float {type(layer).__name__}"
    return value.then(
        Step(text, lambda x: layers.run(lambda t: layer.activation(t * layer.scale + layer.bias), x))
    )


_BY_KIND: dict[str, Handler] = {
    "Dense": layers.dense,
    "BatchNormDense": layers.dense,
    "EinsumDense": layers.einsum_dense,
    "EinsumDenseBatchnorm": layers.einsum_dense,
    "Conv1D": layers.convolution,
    "Conv2D": layers.convolution,
    "Conv2DBatchnorm": layers.convolution,
    "DepthwiseConv1D": layers.depthwise,
    "DepthwiseConv2D": layers.depthwise,
    "DepthwiseConv2DBatchnorm": layers.depthwise,
    "SeparableConv1D": layers.separable,
    "SeparableConv2D": layers.separable,
    "MaxPooling1D": moves.max_pool,
    "MaxPooling2D": moves.max_pool,
    "GlobalMaxPooling1D": moves.max_pool,
    "GlobalMaxPooling2D": moves.max_pool,
    "AveragePooling1D": moves.average_pool,
    "AveragePooling2D": moves.average_pool,
    "GlobalAveragePooling1D": moves.average_pool,
    "GlobalAveragePooling2D": moves.average_pool,
    "BatchNormalization": norms.batch_norm,
    "Add": moves.add,
    "Subtract": moves.subtract,
    "Average": moves.average,
    "AveragePow2": moves.average,
    "Multiply": moves.multiply,
    "Maximum": moves.maximum,
    "Concatenate": moves.concatenate,
    "Flatten": moves.reshaped,
    "Reshape": moves.reshaped,
    "Permute": moves.permuted,
    "ZeroPadding1D": moves.zero_padded,
    "ZeroPadding2D": moves.zero_padded,
    "Cropping1D": moves.cropped,
    "Cropping2D": moves.cropped,
    "UpSampling1D": moves.upsampled,
    "UpSampling2D": moves.upsampled,
    "ReLU": moves.relu_layer,
    "LeakyReLU": moves.leaky_relu,
    "ELU": _function,
    "UnaryFunctionLUT": _activation,
    "AffinedUnaryFunctionLUT": _affine_function,
    "Activation": _activation,
    "Quantizer": _quantizer,
    "Dropout": moves.unchanged,
    "SpatialDropout1D": moves.unchanged,
    "SpatialDropout2D": moves.unchanged,
    "GaussianNoise": moves.unchanged,
    "GaussianDropout": moves.unchanged,
    "ActivityRegularization": moves.unchanged,
    "GRU": recurrent.recurrent,
    "LSTM": recurrent.recurrent,
    "RNN": recurrent.recurrent,
    "SimpleRNN": recurrent.recurrent,
    "Bidirectional": recurrent.recurrent,
}
_PACKAGES = ("keras", "tf_keras", "qkeras", "hgq")
SUPPORTED = (*sorted(_BY_KIND), "QActivation", "their Q… forms in QKeras and HGQ2")


def read_model(
    model: Any, *, name: str, input_type: FixedPoint | None = None, names: Mapping[str, str] | None = None
) -> Reading:
    """The integer graph of a loaded Keras model, and where float32 sums of its own are not exact.

    `names` maps places (``<layer>``, ``<layer>.iq``) to what quantizers are to be called. Raises
    `UnsupportedLayerError` for what cannot be carried exactly, `ConfigError` where an input type is needed.
    """
    check_ends(model, name)
    graph = graph_of(model)
    softmax = last_softmax(graph)
    low = Lowering(input_type, SUPPORTED)
    known: dict[int, Value | Raw] = {}
    for call in graph.calls:
        layer = call.layer
        low.layer, low.kind, low.place = str(layer.name), type(layer).__name__, call.place
        if not call.inputs:
            shape = tuple(int(n) for n in call.tensor.shape[1:])
            known[call.output] = Raw(str(layer.name), shape, _first_casts(graph, call, shape))
        elif softmax is not None and call is softmax.call:
            known[call.output] = softmax.before(low, [known[at] for at in call.inputs], _call)
            low.notes.append(
                f"{layer.name}: the final {softmax.kind} is left out, results are what enters it"
            )
        else:
            known[call.output] = _call(low, call, [known[at] for at in call.inputs])
    output = low.output(known[graph.output])
    called = names or {}
    quantized = [(called.get(place, place), tensor) for place, tensor in low.quantizers]
    made = low.build.finish(name, output, quantized, tuple(dict.fromkeys(low.notes)))
    return Reading(made, low.slack, ending=low.ending)


def _first_casts(graph: Graph, entry: Call, shape: tuple[int, ...]) -> tuple[object, ...]:
    """What casts the network's input, or nothing where anything but a cast reads it too."""
    found = []
    for call in graph.calls:
        for at, read in enumerate(call.inputs):
            if read == entry.output:
                found.append(_cast_of(call, at, shape))
    return () if None in found or entry.output == graph.output else tuple(found)


def _cast_of(call: Call, at: int, shape: tuple[int, ...]) -> quantizers.Fixed | None:
    layer = call.layer
    own = layer.quantizer if type(layer).__name__ == "QActivation" else None
    if type(layer).__module__.startswith("hgq."):
        if type(layer).__name__ == "Quantizer":
            own = layer
        elif hasattr(layer, "cell"):
            own, shape = getattr(layer.cell, "_iq", None), shape[1:]
        elif getattr(layer, "enable_iq", False):
            own = list(layer.iq)[at] if len(call.inputs) > 1 else layer.iq
    if not (quantizers.is_hgq(own) or quantizers.is_qkeras(own)):
        return None
    kind = quantizers.of(own, shape, call.place)
    return kind if isinstance(kind, quantizers.Fixed) else None


def handler_of(layer: Any) -> Handler | None:
    """What reads a layer; None for what nothing does. Layers of other packages are refused whatever their name."""
    kind, package = type(layer).__name__, type(layer).__module__.split(".")[0]
    if package not in _PACKAGES or (".ops." in type(layer).__module__ and package != "hgq"):
        return None
    if kind == "QActivation":
        return _qactivation
    return _BY_KIND.get(kind) or (_BY_KIND.get(kind[1:]) if kind.startswith("Q") else None)


def _call(low: Lowering, call: Call, inputs: list[Value | Raw]) -> Value | Raw:
    """One layer: HGQ2's quantizers of its inputs, the layer itself, HGQ2's quantizer of its output."""
    layer = call.layer
    handler = handler_of(layer)
    if handler is None:
        low.refuse(recurrent.REASONS.get(low.kind, ""), "remove the layer, or train the network without it")
    hgq = type(layer).__module__.startswith("hgq.") and handler is not recurrent.recurrent
    if hgq and getattr(layer, "enable_iq", False):
        several = len(inputs) > 1
        each = list(layer.iq) if several else [layer.iq]
        inputs = [
            low.quantize(
                value, quantizers.of_hgq(own, low.shape(value), layer.name), iq_place(call, at, several)
            )
            for at, (value, own) in enumerate(zip(inputs, each, strict=True))
        ]
    done = handler(low, layer, inputs)
    if hgq and getattr(layer, "enable_oq", False):
        return low.quantize(
            done, quantizers.of_hgq(layer.oq, low.shape(done), layer.name), f"{layer.name}.oq"
        )
    return done


def iq_place(call: Call, at: int, several: bool) -> str:
    """What the quantizer of an input of HGQ2's is called."""
    return f"{call.place}.iq{at}" if several else f"{call.place}.iq"
