# SPDX-License-Identifier: GPL-3.0-only
"""Run the microscope: read one line of JSON from standard input, print one line with the address, serve.

The input line is {"parent": pid, "settings": {...}, "tls": {"certificate", "key", "authority"}}. Standard
input stays open as the lifeline: when the client's end closes, however it died, this process blanks the beam
and ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
from importlib import metadata
from typing import Any

_PR_SET_PDEATHSIG = 1
_TIMEOUT_S = 20.0  # an idle connection is closed after it; clients reconnect
_MAX_MESSAGE_BYTES = 16 << 20
_PACKAGES = ("nionswift", "nionswift-instrumentation", "nionswift-usim", "Pyro5", "numpy")


def main() -> None:
    """Serve until the client goes, or asks to end."""
    request = json.loads(sys.stdin.readline())
    _die_with(int(request["parent"]))
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    threading.Thread(target=_watch_lifeline, args=(over,), daemon=True).start()
    column = _make_column(request["settings"])
    try:
        _serve(column, request["tls"], over)
    finally:
        # a thread of Nion's that hangs must not keep the process
        threading.Timer(3.0, lambda: os._exit(1)).start()
        column.close()
        sys.stdout.flush()
        os._exit(0)


def _die_with(parent: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _watch_lifeline(over: threading.Event) -> None:
    # read(2), not sys.stdin: its buffer's lock would be held at exit, which Python takes as a fatal error
    while os.read(0, 4096):
        pass
    over.set()


def _make_column(settings: dict[str, Any]) -> Any:
    from .column import Column, Settings
    from .losses import LossSettings
    from .optics import ImagingSettings
    from .specimen import SpecimenSettings

    return Column(
        Settings(
            seed=int(settings["seed"]),
            specimen=SpecimenSettings(**settings["specimen"]),
            imaging=ImagingSettings(**settings["imaging"]),
            losses=LossSettings(**settings["losses"]),
        )
    )


def _serve(column: Any, tls: dict[str, str], over: threading.Event) -> None:
    import Pyro5.api

    from .service import Microscope

    config = Pyro5.api.config
    config.SSL, config.SSL_REQUIRECLIENTCERT = True, True
    config.SSL_SERVERCERT, config.SSL_SERVERKEY = tls["certificate"], tls["key"]
    config.SSL_CACERTS = tls["authority"]
    config.COMMTIMEOUT, config.MAX_MESSAGE_SIZE = _TIMEOUT_S, _MAX_MESSAGE_BYTES
    config.POLLTIMEOUT = 0.2
    config.SERVERTYPE, config.THREADPOOL_SIZE, config.THREADPOOL_SIZE_MIN = "thread", 16, 4
    versions = {name: metadata.version(name) for name in _PACKAGES}
    with Pyro5.api.Daemon(host="127.0.0.1", port=0) as daemon:
        uri = daemon.register(Microscope(column, versions, over.set), "microscope")
        sys.stdout.write(json.dumps({"uri": str(uri), "pid": os.getpid()}) + "\n")
        sys.stdout.flush()
        daemon.requestLoop(lambda: not over.is_set())


main()
