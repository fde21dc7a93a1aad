"""TensorFlow before a training: quiet, on one thread and deterministic, for the order of sums decides the result."""

from __future__ import annotations

import os
from logging import Logger


def settle_tensorflow(log: Logger) -> None:
    """Import TensorFlow and settle it; says so in `log` where it has been at work before."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:  # only where TensorFlow has been at work in this process before
        log.warning("TensorFlow is already running on more than one thread: the result may differ")
    tf.config.experimental.enable_op_determinism()
