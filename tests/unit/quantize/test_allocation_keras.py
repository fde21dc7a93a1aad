"""Widths by the Hessian of a Keras model, down to the quantizers that QKeras uses."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dwell.commands import ready_environment
from dwell.errors import ConfigError
from dwell.progress import SilentReporter
from dwell.quantize.allocation_keras import kernel_choices, kernel_codes, qkeras_config
from dwell.quantize.hessian import Trace

TRACE = Trace(trace=10.0, standard_error=0.1, probes=50, weights=36)

IN_QKERAS = """
import json, os
os.environ["TF_USE_LEGACY_KERAS"] = "1"
from dwell.hls.frontends.keras_net.files import prepare_keras2
prepare_keras2()
import numpy as np, tensorflow as tf
import tf_keras as keras
from qkeras import QActivation, QDense
from dwell.quantize.allocation import allocate_bits
from dwell.quantize.allocation_keras import kernel_choices, qkeras_config
from dwell.quantize.hessian import estimate_traces, keras_probe

keras.utils.set_random_seed(1)
model = keras.Sequential([
    keras.layers.Input((6,)), keras.layers.Dense(8, name="a"), keras.layers.Activation("relu", name="r"),
    keras.layers.Dense(3, name="b"),
])
rng = np.random.default_rng(0)
x = tf.constant(rng.normal(size=(64, 6)), tf.float32)
y = tf.constant(rng.normal(size=(64, 3)), tf.float32)
loss = lambda: tf.reduce_mean((model(x, training=False) - y) ** 2)
variables = {name: model.get_layer(name).kernel for name in ("a", "b")}
kernels = {name: v.numpy() for name, v in variables.items()}
shapes = {name: k.shape for name, k in kernels.items()}
traces = estimate_traces(keras_probe([loss], variables), shapes, seed=1, max_probes=20)
ends = {"a": (8, 6), "b": (6, None)}
choices = {
    name: kernel_choices(k, traces.layers[name], input_bits=ends[name][0], output_bits=ends[name][1])
    for name, k in kernels.items()
}
found = allocate_bits(choices, {"weight_bits": 5.0 * 72})
config = qkeras_config(found.bits, kernels)
made = keras.Sequential([
    keras.layers.Input((6,)), QDense(8, name="a", **config["a"]), QActivation("quantized_relu(6,2)"),
    QDense(3, name="b", **config["b"]),
])
made.set_weights(model.get_weights())
seen = {}
for name in kernels:
    layer = made.get_layer(name)
    seen[name] = {
        "bits": int(layer.kernel_quantizer_internal.bits),
        "codes": len(np.unique(layer.kernel_quantizer_internal(layer.kernel).numpy())),
    }
print("RESULT", json.dumps({"found": dict(found.bits), "seen": seen, "costs": found.costs["weight_bits"]}))
"""


def test_qkeras_uses_the_widths_that_were_found(tmp_path: Path) -> None:
    python = ready_environment("qkeras", SilentReporter()).python
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [str(python), "-c", IN_QKERAS]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.rpartition("RESULT ")[2])
    assert {name: one["bits"] for name, one in result["seen"].items()} == result["found"]
    assert result["costs"] <= 5.0 * 72
    for one in result["seen"].values():
        assert 2 < one["codes"] <= 2 ** one["bits"]


@pytest.mark.fast
def test_more_bits_lose_less_and_cost_more() -> None:
    kernel = np.random.default_rng(0).normal(0, 0.4, (3, 3, 2, 2)).astype(np.float32)
    rows = kernel_choices(kernel, TRACE, input_bits=6, output_bits=5)
    assert [c.bits for c in rows] == list(range(2, 9))
    assert all(a.loss > b.loss for a, b in itertools.pairwise(rows))
    assert rows[0].costs["lut"] < rows[-1].costs["lut"] and rows[3].costs["weight_bits"] == 5 * 36
    dense = kernel_choices(kernel.reshape(18, 2), TRACE, input_bits=6, output_bits=None, luts=False)
    assert set(dense[0].costs) == {"weight_bits"}
    with pytest.raises(ConfigError, match="a kernel of shape"):
        kernel_choices(kernel[0], TRACE, input_bits=6, output_bits=None)


@pytest.mark.fast
def test_the_quantizer_has_the_range_and_the_step_of_the_codes() -> None:
    kernel = np.array([[0.875, -1.0], [0.25, 0.5]], dtype=np.float32)
    codes, frac = kernel_codes(kernel, 4)
    assert frac == 3 and np.array_equal(np.ldexp(codes, -3), kernel)
    said = qkeras_config({"a": 4}, {"a": kernel})["a"]
    assert said["kernel_quantizer"] == "quantized_bits(4,0,1,alpha=1.0)"
