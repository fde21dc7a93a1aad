"""Every layer of Keras 3 and HGQ2 that is read, held against Keras' own predict at every quantizer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwell.errors import UnsupportedLayerError, VerificationError
from dwell.hls.frontends.network import network_from_file
from dwell.hls.gate import climb
from dwell.hls.qmodel import FixedPoint, QModel, Table

Make = Callable[[], Any]


def scopes(**data: Any) -> ExitStack:
    from hgq.config import LayerConfigScope, QuantizerConfigScope

    stack = ExitStack()
    weights = {"q_type": "kbi", "place": "weight", "overflow_mode": "SAT_SYM", "round_mode": "RND"}
    stack.enter_context(QuantizerConfigScope(**weights))
    stack.enter_context(QuantizerConfigScope(q_type="kif", place="datalane", **data))
    stack.enter_context(LayerConfigScope(enable_ebops=True, beta0=1e-5))
    return stack


def chain(shape: tuple[int, ...], *steps: Any) -> Any:
    import keras

    return keras.Sequential([keras.layers.Input(shape), *steps])


def residual() -> Any:
    import hgq.layers as hl
    import keras
    from keras import layers as kl

    entry = kl.Input((8, 8, 1))
    first = hl.QConv2D(3, 3, padding="same", activation="relu")(entry)
    both = hl.QAdd()([first, hl.QConv2D(3, 3, padding="same", activation="relu")(first)])
    joined = kl.Concatenate()([hl.QConv2D(2, 1)(both), hl.QConv2D(2, 3, padding="same")(both)])
    last = hl.QConv2D(1, 3, strides=2, padding="same")(joined)
    return keras.Model(entry, hl.QDense(3)(kl.Flatten()(last)))


def norms() -> Any:
    import hgq.layers as hl
    from keras import layers as kl

    return chain(
        (8, 8, 2),
        *(hl.QConv2D(3, 3), hl.QBatchNormalization(), kl.Activation("relu"), hl.QMaxPooling2D(2)),
        *(hl.QConv2D(2, 2), kl.BatchNormalization(), kl.Activation("relu"), kl.Flatten()),
        *(hl.QBatchNormDense(4, activation="relu"), hl.QDense(2)),
    )


def tables() -> Any:
    import hgq.layers as hl

    functions = [hl.QUnaryFunctionLUT(name) for name in ("tanh", "sigmoid")]
    return chain((8,), hl.QDense(5), functions[0], hl.QDense(4), functions[1], hl.QDense(2))


def one_row() -> Any:
    import hgq.layers as hl
    from keras import layers as kl

    first = hl.QConv1D(4, 3, strides=2, padding="same", activation="relu")
    pooled = (kl.MaxPooling1D(2), hl.QConv1D(2, 2), kl.GlobalAveragePooling1D())
    return chain((20, 3), first, *pooled, hl.QDense(3, activation="softmax"))


def pooling() -> Any:
    import hgq.layers as hl
    from keras import layers as kl

    return chain(
        (9, 9, 2),
        *(
            hl.QConv2D(3, 2),
            hl.QAveragePooling2D(2),
            hl.QConv2D(2, 2),
            kl.UpSampling2D(2),
            kl.ZeroPadding2D(1),
        ),
        *(hl.QConv2D(3, 3, strides=2), kl.LeakyReLU(0.25), kl.AveragePooling2D(3, strides=1)),
        *(hl.QGlobalAveragePooling2D(), hl.QDense(2)),
    )


def rectifiers() -> Any:
    import hgq.layers as hl
    from keras import layers as kl

    return chain(
        (6, 6, 2),
        *(hl.QConv2D(3, 2), kl.ReLU(), hl.QConv2D(3, 2, dilation_rate=2), kl.ReLU(max_value=1.0)),
        *(hl.QConv2D(2, 2), kl.LeakyReLU(0.3), kl.Flatten(), hl.QDense(2, activation="sigmoid")),
    )


def joins() -> Any:
    import hgq.layers as hl
    import keras
    from keras import layers as kl

    entry = kl.Input((6,))
    first, second = hl.QDense(4)(entry), hl.QDense(4)(entry)
    larger = hl.QMaximum()([hl.QMultiply()([first, second]), first])
    return keras.Model(entry, hl.QDense(2)(kl.Average()([larger, hl.QSubtract()([larger, first])])))


def inside_and_shared() -> Any:
    import hgq.layers as hl
    import keras
    from hgq.quantizer import Quantizer
    from keras import layers as kl

    entry, shared = kl.Input((6,)), hl.QDense(6)
    inner = chain((2, 3), hl.QEinsumDense("abx,xy->aby", (2, 4), bias_axes="y"))
    start = Quantizer(q_type="kif", place="datalane", k0=1, i0=2, f0=4)(entry)
    turned = kl.Permute((2, 1))(kl.Reshape((3, 2))(shared(shared(start))))
    return keras.Model(entry, hl.QDense(2)(kl.Flatten()(inner(turned))))


def recurrent(kind: str, **keys: Any) -> Make:
    def make() -> Any:
        import hgq.layers as hl

        return chain((4, 3), getattr(hl, kind)(3, **keys), hl.QDense(2))

    return make


def trained(make: Make, **data: Any) -> Any:
    """The network with biases, norms and ranges that are not those of a new one."""
    import keras
    from hgq.utils import trace_minmax

    keras.utils.set_random_seed(0)
    with scopes(**data):
        model = make()
    rng = np.random.default_rng(0)
    for variable in model.weights:
        name = variable.path.rsplit("/", 1)[-1]
        if name in ("bias", "beta", "bn_beta", "moving_mean"):
            variable.assign(rng.normal(0, 0.2, variable.shape))
        elif name in ("gamma", "bn_gamma"):
            variable.assign(rng.normal(1, 0.3, variable.shape))
        elif name == "moving_variance":
            variable.assign(rng.uniform(0.5, 2, variable.shape))
    x = rng.normal(0, 1, (64, *model.input_shape[1:])).astype(np.float32)
    trace_minmax(model, x, verbose=False)
    return model


def exact(folder: Path, make: Make, input_type: FixedPoint | None = None, **data: Any) -> QModel:
    path = folder / "net.keras"
    trained(make, **data).save(path)
    network = network_from_file(path, input_type)
    reading = network.reading("net")
    counts = climb(reading, network)["detail"]["Keras predict"]["codes"]
    assert len(counts) == len(reading.model.watched) + 1 and min(counts.values()) >= 256
    return reading.model


PLAIN = {"overflow_mode": "SAT", "round_mode": "RND", "heterogeneous_axis": ()}
QUICK = [residual, norms, recurrent("QGRU")]
SLOW = [
    pooling,
    joins,
    tables,
    one_row,
    rectifiers,
    inside_and_shared,
    recurrent("QGRU", reset_after=False, return_sequences=True),
    recurrent("QSimpleRNN"),
    recurrent("QSimpleRNN", return_sequences=True, go_backwards=True),
]


@pytest.mark.parametrize("make", QUICK, ids=lambda make: make.__qualname__.split(".")[0])
def test_every_code_is_kerass(make: Make, tmp_path: Path) -> None:
    exact(tmp_path, make, **PLAIN)


@pytest.mark.slow
@pytest.mark.parametrize("make", SLOW)
def test_every_code_of_the_other_layers_is_kerass(make: Make, tmp_path: Path) -> None:
    exact(tmp_path, make, **PLAIN)


@pytest.mark.slow
@pytest.mark.parametrize("make", [residual, tables, recurrent("QGRU")])
@pytest.mark.parametrize("overflow", ["WRAP", "SAT_SYM"])
@pytest.mark.parametrize("rounding", ["TRN", "RND_CONV"])
def test_all_roundings_and_overflows(make: Make, overflow: str, rounding: str, tmp_path: Path) -> None:
    exact(tmp_path, make, overflow_mode=overflow, round_mode=rounding, heterogeneous_axis=())


@pytest.mark.slow
def test_a_wide_mean_is_exact_where_it_saturates_and_refused_where_it_wraps(tmp_path: Path) -> None:
    exact(tmp_path, pooling, overflow_mode="SAT_SYM", round_mode="RND_CONV", heterogeneous_axis=())
    with pytest.raises(UnsupportedLayerError, match=r"QGlobalAveragePooling2D.*both rises and falls"):
        exact(tmp_path, pooling, overflow_mode="WRAP", round_mode="TRN", heterogeneous_axis=())


@pytest.mark.slow
def test_a_type_for_every_element(tmp_path: Path) -> None:
    kind = FixedPoint(True, 12, 7)
    exact(tmp_path, residual, kind, overflow_mode="WRAP", round_mode="RND_CONV", homogeneous_axis=(0,))
    exact(tmp_path, tables, overflow_mode="SAT", round_mode="RND", homogeneous_axis=(0,))


@pytest.mark.slow
def test_a_wrong_table_is_found(tmp_path: Path) -> None:
    """One break of one table moved by one code: rung 2 fails there."""
    from dataclasses import replace

    path = tmp_path / "net.keras"
    trained(tables, **PLAIN).save(path)
    network = network_from_file(path, None)
    reading = network.reading("net")
    model = reading.model
    nodes = list(model.nodes)
    at = next(i for i, node in enumerate(nodes) if isinstance(node, Table))
    broken = nodes[at].breaks.copy()  # type: ignore[union-attr]
    broken[:, broken.shape[1] // 2] += 1
    nodes[at] = replace(nodes[at], breaks=np.sort(broken, axis=1))  # type: ignore[arg-type]
    wrong = QModel(
        model.name, tuple(nodes), model.tensors, model.input, model.output, model.quantizers, model.notes
    )
    with pytest.raises(VerificationError, match="codes differ"):
        climb(replace(reading, model=wrong), network)
