"""The front ends that come with `dwell`: what the entry points of group `dwell.quantizers` name.

A front end of another package is an object of the same shape. Light to import: nothing of a framework.
"""

from __future__ import annotations

from dataclasses import dataclass

import pydantic

from dwell.quantize.params import BrevitasParams, Hgq2Params, QKerasParams


@dataclass(frozen=True)
class Frontend:
    """A framework for quantization-aware training.

    `params` is the class of its keys in `[quantize]`, `file` the name of the model file it writes, `packages`
    the distributions whose versions are written down beside it, and `run` is `"package.module:function"`, a
    function from `dwell.quantize.job.Job` to `dwell.quantize.job.Outcome`. The stages that train with it, read its
    file and run it do so in `environment`.
    """

    name: str
    params: type[pydantic.BaseModel]
    file: str
    packages: tuple[str, ...]
    run: str
    environment: str = "build"


BREVITAS = Frontend(
    name="brevitas",
    params=BrevitasParams,
    file="model.onnx",
    packages=("brevitas", "qonnx", "onnx", "torch"),
    run="dwell.quantize.brevitas_frontend:quantize",
)
HGQ2 = Frontend(
    name="hgq2",
    params=Hgq2Params,
    file="model.keras",
    packages=("HGQ2", "quantizers", "keras", "tensorflow-cpu"),
    run="dwell.quantize.hgq2_frontend:quantize",
)
QKERAS = Frontend(
    name="qkeras",
    params=QKerasParams,
    file="model.h5",
    packages=("qkeras", "tf_keras", "tensorflow-cpu"),
    run="dwell.quantize.qkeras_frontend:quantize",
    environment="qkeras",
)
