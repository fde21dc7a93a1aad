"""QKeras networks of every kind that is read, made, saved, read and held against Keras' own predict.

Runs in the environment `qkeras`: ``python qkeras_networks.py FOLDER [NAME…]`` writes FOLDER/results.json, what
became of each network: the codes compared, or the error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dwell.hls.frontends.keras_net.files import prepare_keras2

prepare_keras2()

import numpy as np  # noqa: E402
import qkeras as q  # noqa: E402
import tf_keras as keras  # noqa: E402
from tf_keras import layers as kl  # noqa: E402

from dwell.errors import DwellError  # noqa: E402
from dwell.hls.frontends.network import network_from_file  # noqa: E402
from dwell.hls.gate import climb  # noqa: E402
from dwell.hls.qmodel import FixedPoint  # noqa: E402

Make = Callable[[], Any]
#: Networks that do not quantize their input get this type.
INPUT = FixedPoint(True, 10, 6)


def bits(width: int = 6, integer: int = 1, alpha: Any = 1, **more: Any) -> Any:
    return q.quantized_bits(width, integer, alpha=alpha, **more)


def pixels() -> Any:
    return q.QActivation("quantized_bits(8,0,alpha=1)")


def act(text: str = "quantized_relu(6,2)") -> Any:
    return q.QActivation(text)


def dense(units: int = 2, kernel: Any = None, **more: Any) -> Any:
    return q.QDense(units, kernel_quantizer=kernel or bits(), bias_quantizer=bits(), **more)


def conv(filters: int, size: Any = 3, kernel: Any = None, **more: Any) -> Any:
    return q.QConv2D(filters, size, kernel_quantizer=kernel or bits(), bias_quantizer=bits(), **more)


def chain(shape: tuple[int, ...], *steps: Any) -> Any:
    return keras.Sequential([kl.Input(shape), pixels(), *steps])


def residual() -> Any:
    entry = kl.Input((8, 8, 1))
    first = act()(conv(3, padding="same")(pixels()(entry)))
    both = kl.Add()([first, act()(conv(3, padding="same")(first))])
    small = kl.MaxPooling2D(2)(act("quantized_relu(7,3)")(both))
    last = act()(conv(2, strides=2, padding="same")(small))
    return keras.Model(entry, dense()(kl.Flatten()(last)))


def two_quantizers() -> Any:
    """One tensor that two quantizers read, which hls4ml's merge_linear_activation gets wrong."""
    entry = kl.Input((6,))
    middle = dense(5)(pixels()(entry))
    joined = kl.Concatenate()(
        [act("quantized_bits(5,1,alpha=1)")(middle), act("quantized_relu(3,1)")(middle)]
    )
    return keras.Model(entry, dense()(joined))


def used_twice() -> Any:
    entry, shared = kl.Input((4,)), dense(4)
    first = act("quantized_bits(6,2,alpha=1)")(shared(pixels()(entry)))
    return keras.Model(entry, dense()(act()(shared(first))))


def folded() -> Any:
    first = q.QConv2DBatchnorm(3, 3, kernel_quantizer=bits(), bias_quantizer=bits(12, 3))
    second = q.QDepthwiseConv2DBatchnorm(3, depthwise_quantizer=bits(), bias_quantizer=bits(12, 3))
    return chain((7, 7, 1), first, act(), second, act(), kl.Flatten(), dense())


def averages() -> Any:
    """Means over 4 and over 9 pixels, which hls4ml truncates; then QKeras' own quantized means."""
    return chain(
        (13, 13, 1),
        *(conv(3), act(), kl.AveragePooling2D(2), conv(2, 2), act()),
        *(kl.AveragePooling2D(2, strides=1), act("quantized_relu(6,2)"), conv(2, 1), act()),
        q.QAveragePooling2D(3, strides=1, average_quantizer=bits(8, 0), activation="quantized_relu(5,2)"),
        q.QGlobalAveragePooling2D(average_quantizer=bits(8, 0), activation=bits(7, 2)),
        dense(),
    )


def depthwise() -> Any:
    kernels = {"depthwise_quantizer": bits(5, 0), "bias_quantizer": bits()}
    return chain(
        (8, 8, 2),
        q.QDepthwiseConv2D(3, activation=q.quantized_relu(5, 2), **kernels),
        q.QSeparableConv2D(3, 3, pointwise_quantizer=bits(5, 0), **kernels),
        *(act(), kl.Flatten(), dense()),
    )


def signs() -> Any:
    return chain(
        (8,),
        *(dense(6, q.binary(alpha=1)), act("binary(alpha=1)"), dense(6, q.ternary(alpha=1))),
        *(act("ternary(alpha=1,threshold=0.5)"), dense(4, q.binary(alpha="auto_po2")), act()),
        *(dense(4, "binary()"), act("binary()"), dense(4, "stochastic_ternary()"), act("ternary()")),
        *(dense(4, q.quantized_bits(1, 0, alpha=1)), act("quantized_bits(1,0,alpha=1)")),
        dense(2, q.ternary(alpha="auto_po2")),
    )


def functions() -> Any:
    return chain(
        (8,),
        *(dense(5), act("quantized_tanh(6)"), dense(5), act("quantized_sigmoid(5)")),
        *(dense(5), act("quantized_tanh(7,use_real_tanh=True)")),
        *(
            dense(5),
            act("quantized_sigmoid(6,use_real_sigmoid=True)"),
            dense(5),
            act("quantized_hswish(6,2)"),
        ),
        *(
            dense(4),
            act("quantized_relu(6,2,negative_slope=0.25)"),
            dense(4),
            act("quantized_relu(5,1,use_sigmoid=1)"),
        ),
        *(dense(5), act("hard_tanh"), act("quantized_bits(6,0,alpha=1)")),
        dense(),
    )


def float_functions() -> Any:
    return chain(
        (8,),
        *(dense(5), kl.ReLU(), act("quantized_bits(6,2,alpha=1)")),
        *(dense(5), kl.ReLU(max_value=2), act("quantized_bits(6,2,keep_negative=False,alpha=1)")),
        *(dense(4), kl.LeakyReLU(0.25), act("quantized_bits(6,2,symmetric=True,alpha=1)")),
        *(dense(4), kl.LeakyReLU(0.3), act("quantized_bits(6,2,alpha=0.5)")),
        *(dense(4), kl.Activation("tanh"), act("quantized_bits(5,0,alpha=1)")),
        *(dense(4), kl.Activation("sigmoid"), act("quantized_bits(5,1,alpha=0.7)")),
        *(dense(3), kl.Activation("softmax")),
    )


def float_norms() -> Any:
    return chain(
        (8, 8, 1),
        *(conv(3, use_bias=False), kl.BatchNormalization(), act(), kl.MaxPooling2D(2)),
        *(conv(3, 2), q.QBatchNormalization(), act(), kl.Flatten()),
        *(dense(4), kl.BatchNormalization(), act("quantized_bits(5,2,alpha=1)"), dense()),
    )


def float_scales() -> Any:
    """alpha='auto': a float scale for every channel; float biases; a last layer with scales of its own."""
    kernel, last = bits(5, 0, "auto"), bits(5, 0, "auto")
    return chain(
        (8, 8, 1),
        *(conv(3, kernel=kernel), kl.MaxPooling2D(2), act(), kl.Flatten()),
        *(
            q.QDense(4, kernel_quantizer=bits()),
            act(),
            dense(3, "binary(alpha='auto')"),
            act(),
            dense(2, last),
        ),
    )


def moves() -> Any:
    return chain(
        (6, 6, 2),
        *(
            conv(3, 2),
            act(),
            kl.UpSampling2D(2),
            kl.ZeroPadding2D(((1, 0), (2, 1))),
            conv(2, (3, 4), strides=(2, 3)),
        ),
        *(act(), kl.Cropping2D(((1, 0), (0, 1))), kl.Permute((3, 1, 2)), kl.Reshape((2, -1)), kl.Flatten()),
        *(kl.Dropout(0.2), dense()),
    )


def one_row() -> Any:
    first = q.QConv1D(3, 3, padding="same", strides=2, kernel_quantizer=bits(), bias_quantizer=bits())
    second = q.QConv1D(2, 2, padding="causal", kernel_quantizer=bits(), bias_quantizer=bits())
    return chain((12, 2), first, act(), kl.MaxPooling1D(2), second, act(), kl.GlobalMaxPooling1D(), dense())


def recurrent(kind: Any, **keys: Any) -> Make:
    quantizers = dict.fromkeys(("kernel_quantizer", "recurrent_quantizer", "bias_quantizer"), bits())
    return lambda: chain((5, 3), kind(4, **quantizers | keys), dense())


def lstm(**keys: Any) -> Make:
    """An LSTM with everything quantized."""
    gates = {"activation": "quantized_tanh(6)", "recurrent_activation": "quantized_sigmoid(6)"}
    return recurrent(q.QLSTM, **{"state_quantizer": bits(7, 1), **gates, **keys})


EXACT: dict[str, Make] = {
    "float input": lambda: keras.Sequential([kl.Input((8, 8, 1)), conv(3), act(), kl.Flatten(), dense()]),
    "rectified input": lambda: keras.Sequential(
        [
            kl.Input((8,)),
            act("quantized_relu(8,0)"),
            dense(5),
            act("quantized_bits(5,1,keep_negative=False,alpha=1)"),
            dense(),
        ]
    ),
    "signed after conv": lambda: chain(
        (8, 8, 1), conv(3), act("quantized_bits(6,2,alpha=1)"), kl.MaxPooling2D(2), kl.Flatten(), dense()
    ),
    "auto_po2": lambda: chain(
        (8, 8, 1),
        conv(3, kernel=bits(4, 0, "auto_po2")),
        act(),
        kl.Flatten(),
        dense(2, bits(4, 0, "auto_po2")),
    ),
    "same and strides": lambda: chain(
        (7, 9, 2),
        *(conv(3, (5, 4), strides=(2, 3), padding="same"), act()),
        *(kl.MaxPooling2D(3, strides=2, padding="same"), kl.Flatten(), dense()),
    ),
    "powers": lambda: chain(
        (8,), dense(5, "quantized_po2(4)"), act(), dense(5, "quantized_po2(5,max_value=1)"), act(), dense()
    ),
    "stochastic": lambda: chain(
        (8,),
        *(dense(5, "stochastic_binary()"), act("quantized_relu(5,2,use_stochastic_rounding=True)")),
        *(
            dense(5, bits(5, 0, use_stochastic_rounding=True)),
            act(),
            dense(2, "stochastic_ternary(alpha='auto')"),
        ),
    ),
    "residual": residual,
    "two quantizers": two_quantizers,
    "used twice": used_twice,
    "folded": folded,
    "averages": averages,
    "depthwise": depthwise,
    "signs": signs,
    "functions": functions,
    "float functions": float_functions,
    "float norms": float_norms,
    "float scales": float_scales,
    "moves": moves,
    "one row": one_row,
    "lstm": lstm(),
    "lstm, every step": lstm(return_sequences=True, implementation=2),
    "lstm, other quantizers": lstm(
        activation=bits(6, 0),
        recurrent_activation="quantized_relu(5,0)",
        kernel_quantizer=bits(4, 0, "auto_po2"),
        use_bias=False,
        go_backwards=True,
    ),
}
REFUSED: dict[str, Make] = {
    "bernoulli": lambda: chain((8,), dense(5), act("bernoulli()"), dense()),
    "batch scale": lambda: chain((8,), dense(5), act("quantized_bits(6,2,alpha='auto')"), dense()),
    "float weights": lambda: chain((8,), kl.Dense(5), act(), dense()),
    "no grid": lambda: chain((8,), dense(5), act("quantized_ulaw(6)"), dense()),
    "code": lambda: chain((8,), dense(5), kl.Lambda(lambda x: x * 2), act(), dense()),
    "lstm, float state": lstm(state_quantizer=None),
    "lstm, float gates": lstm(recurrent_activation="hard_sigmoid"),
    "lstm, float kernel": lstm(kernel_quantizer=None),
    "border mean": lambda: chain((5, 5, 1), conv(2, 3), kl.AveragePooling2D(2, padding="same"), conv(2, 2)),
    "float between": lambda: chain((8,), dense(5), kl.Activation("tanh"), dense()),
}


def disturb(model: Any, rng: np.random.Generator) -> None:
    """Biases and norms that are not those of an untrained network."""
    for variable in (v for layer in model.layers for v in layer.weights):
        name = variable.name.rsplit("/", 1)[-1].split(":")[0]
        if name in ("bias", "beta", "moving_mean"):
            variable.assign(rng.normal(0, 0.2, variable.shape))
        elif name == "gamma":
            variable.assign(rng.normal(1, 0.3, variable.shape))
        elif name == "moving_variance":
            variable.assign(rng.uniform(0.5, 2, variable.shape))


def outcome(path: Path) -> dict[str, Any]:
    """What becomes of a file: codes compared at each quantizer, or the error."""
    network = network_from_file(path, INPUT if path.stem == "float input" else None)
    try:
        reading = network.reading("net")
        detail = climb(reading, network)["detail"]["Keras predict"]
    except DwellError as error:
        return error.to_json()
    kinds = sorted({type(node).__name__ for node in reading.model.nodes})
    return {"codes": detail["codes"], "kinds": kinds, "notes": list(reading.model.notes)}


def main(folder: Path, names: list[str]) -> None:
    results = {}
    for name, make in {**EXACT, **REFUSED}.items():
        if names and name not in names:
            continue
        keras.utils.set_random_seed(1)
        model = make()
        disturb(model, np.random.default_rng(0))
        path = folder / f"{name}.h5"
        model.save(path)
        results[name] = outcome(path)
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
