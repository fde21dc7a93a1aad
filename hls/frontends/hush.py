"""Keeping what other tools print out of our own output."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator

_LOG = logging.getLogger("dwell.hls.frontends")


@contextlib.contextmanager
def hushed() -> Iterator[io.StringIO]:
    """Catch what hls4ml, QONNX and Keras print; it goes to the log, and to whoever wants it."""
    heard = io.StringIO()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield heard
        finally:
            for line in heard.getvalue().splitlines():
                if line.strip():
                    _LOG.debug("%s", line.rstrip())
