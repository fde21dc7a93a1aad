"""The host's side of the simulated microscope: an `Instrument` over Pyro5 with mutual TLS."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwell.errors import ConfigError, DeviceError, ToolNotFoundError
from dwell.host.instruments.certificates import Certificates, ensure_certificates
from dwell.host.instruments.nion.server_process import ServerProcess
from dwell.host.instruments.nion.settings import MicroscopeSettings
from dwell.host.instruments.protocol import InstrumentInfo, InstrumentState, Row, ScanRequest, Spectrum

_TIMEOUT_S = 5.0
_WAIT_S = 1.0  # how long one request for lines waits at the server; less than the timeout
_IDLE_S = 8.0  # the server closes idle connections; one that has been idle longer is made anew
_MAX_MESSAGE_BYTES = 16 << 20
_PROTOCOL = 1


class NionInstrument:
    """Nion Swift's simulator with an MoS2 sheet. See `Instrument` for units, coordinates, threads and
    failure.
    """

    def __init__(
        self, process: ServerProcess, certificates: Certificates, settings: MicroscopeSettings
    ) -> None:
        """Connect to a microscope that runs. Use `start`, which also runs it."""
        self.settings = settings
        self._process = process
        self._commands = _Link(process, certificates)
        self._rows = _Link(process, certificates)
        self._closed = False
        try:
            self._info = _info(self._commands.call("describe"))
        except BaseException:
            self.close()
            raise

    @classmethod
    def start(
        cls,
        python: Path,
        settings: MicroscopeSettings | None = None,
        *,
        certificates: Path | None = None,
        log: Path | None = None,
    ) -> NionInstrument:
        """Run a microscope with the Python of the environment `scope`, and connect to it (about 3 s).

        Raises `ConfigError` if there is no such Python, `DeviceError` if the microscope does not start.
        """
        settings = settings or MicroscopeSettings()
        found = ensure_certificates(certificates)
        if log is None:
            log = Path(tempfile.gettempdir()) / f"dwell-microscope-{time.monotonic_ns()}.log"
        tls = {
            "certificate": str(found.server[0]),
            "key": str(found.server[1]),
            "authority": str(found.authority),
        }
        process = ServerProcess(python, {"settings": settings.model_dump(), "tls": tls}, log)
        try:
            return cls(process, found, settings)
        except BaseException:
            process.kill()
            raise

    @property
    def info(self) -> InstrumentInfo:
        """See `Instrument`."""
        return self._info

    @property
    def server_pid(self) -> int:
        """Process number of the microscope."""
        return self._process.pid

    @property
    def server_uri(self) -> str:
        """Where it listens; of no use without the client's certificate."""
        return self._process.uri

    def state(self) -> InstrumentState:
        """See `Instrument`."""
        got = self._commands.call("state")
        return InstrumentState(
            blanked=bool(got["blanked"]),
            scanning=bool(got["scanning"]),
            probe_current_pA=float(got["probe_current_pA"]),
            field_of_view_nm=float(got["field_of_view_nm"]),
            defocus_nm=float(got["defocus_nm"]),
            stage_nm=(float(got["stage_x_nm"]), float(got["stage_y_nm"])),
            probe_nm=(float(got["probe_x_nm"]), float(got["probe_y_nm"])),
            electrons=float(got["electrons"]),
        )

    def scan(self, request: ScanRequest) -> Iterator[Row]:
        """See `Instrument`."""
        number = int(
            self._commands.call("start_scan", request.lines, request.pixels, request.dwell_us, request.frames)
        )
        return self._fetch(number)

    def _fetch(self, number: int) -> Iterator[Row]:
        over = False
        try:
            while not over:
                got = self._rows.call("fetch_lines", number, _WAIT_S)
                over = bool(got["over"])
                codes = _array(got)
                pixels = (codes / np.float32(got["codes_full_scale"])).astype(np.float32)
                for k, values in enumerate(pixels):
                    yield Row(
                        int(got["frames"][k]), int(got["lines"][k]), values, float(got["finished_s"][k])
                    )
        finally:
            if not over and not self._rows.silent:
                with contextlib.suppress(DeviceError):
                    self.stop_scan()

    def stop_scan(self) -> None:
        """See `Instrument`."""
        self._commands.call("stop_scan")

    def spectrum(self, x_nm: float, y_nm: float, dwell_ms: float) -> Spectrum:
        """See `Instrument`."""
        got = self._commands.call("spectrum", float(x_nm), float(y_nm), float(dwell_ms))
        return Spectrum(
            float(x_nm),
            float(y_nm),
            float(dwell_ms),
            _array(got).astype(np.float32),
            float(got["received_s"]),
            float(got["finished_s"]),
        )

    def set_probe(self, x_nm: float, y_nm: float) -> None:
        """See `Instrument`."""
        self._commands.call("set_probe", float(x_nm), float(y_nm))

    def set_field_of_view(self, width_nm: float) -> None:
        """See `Instrument`."""
        self._commands.call("set_field_of_view", float(width_nm))

    def set_stage(self, x_nm: float, y_nm: float) -> None:
        """See `Instrument`."""
        self._commands.call("set_stage", float(x_nm), float(y_nm))

    def set_defocus(self, defocus_nm: float) -> None:
        """See `Instrument`."""
        self._commands.call("set_defocus", float(defocus_nm))

    def blank(self) -> None:
        """See `Instrument`."""
        self._commands.call("set_blanked", True)

    def unblank(self) -> None:
        """See `Instrument`."""
        self._commands.call("set_blanked", False)

    def ground_truth_nm(self) -> NDArray[np.float64]:
        """(n, 2) positions (x, y) of the vacancies in the field: for tests and reports, never for a
        policy.
        """
        return np.asarray(self._commands.call("ground_truth"), dtype=np.float64).reshape(-1, 2)

    def close(self) -> None:
        """See `Instrument`."""
        if self._closed:
            return
        self._closed = True
        answers = not (self._commands.silent or self._rows.silent)
        with contextlib.suppress(DeviceError):
            if self._process.alive and answers:
                self._commands.call("shut_down")
        self._commands.close()
        self._rows.close()
        if answers:
            self._process.stop()
        else:
            self._process.kill()

    def __enter__(self) -> NionInstrument:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class _Link:
    """One connection, used by one thread at a time; every failure becomes a `DeviceError`."""

    def __init__(self, process: ServerProcess, certificates: Certificates) -> None:
        self._process = process
        self._turn = threading.Lock()
        self._proxy = _connect(process.uri, certificates)
        self._used_s = time.monotonic()
        self.silent = False  # whether the last call had no answer in time

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a method of the microscope. Raises `DeviceError`: it refused, or did not answer in time, or
        is dead.
        """
        import Pyro5.errors

        with self._turn:
            try:
                self._proxy._pyroClaimOwnership()
                if time.monotonic() - self._used_s > _IDLE_S:
                    self._proxy._pyroRelease()
                result = getattr(self._proxy, name)(*arguments)
                self._used_s = time.monotonic()
                self.silent = False
                return result
            except (ValueError, RuntimeError) as error:
                raise DeviceError(f"the microscope refused: {error}", place=name) from error
            except (Pyro5.errors.PyroError, OSError) as error:
                raise self._failure(name, error) from error

    def _failure(self, name: str, error: Exception) -> DeviceError:
        import Pyro5.errors

        deadline = (
            time.monotonic() + 0.3
        )  # a connection breaks a little before the process is seen to be dead
        while self._process.alive and time.monotonic() < deadline:
            time.sleep(0.01)
        end = self._process.describe_end()
        if end:
            return DeviceError(
                f"the microscope {end}", hint=f"its last words are in {self._process.log}", place=name
            )
        if isinstance(error, Pyro5.errors.TimeoutError | TimeoutError):
            self.silent = True
            return DeviceError(f"the microscope did not answer '{name}' within {_TIMEOUT_S:g} s", place=name)
        return DeviceError(f"the link to the microscope failed: {error}", place=name)

    def close(self) -> None:
        """Close the connection."""
        with self._turn:
            self._proxy._pyroClaimOwnership()
            self._proxy._pyroRelease()


def _connect(uri: str, certificates: Certificates) -> Any:
    try:
        import Pyro5.api
    except ImportError as error:
        raise ToolNotFoundError(
            "the link to an instrument needs the package 'Pyro5'", hint="run `dwell env sync build`"
        ) from error
    # Pyro keeps one TLS context a process, the first; a second set of certificates would silently not be used
    config, wanted = Pyro5.api.config, str(certificates.authority)
    if config.SSL and wanted != config.SSL_CACERTS:
        raise ConfigError(
            f"this process already talks to instruments with the certificates beside {config.SSL_CACERTS}",
            hint="use one folder of certificates in a process",
            place=wanted,
        )
    config.SSL = True
    config.SSL_CLIENTCERT, config.SSL_CLIENTKEY = (str(path) for path in certificates.client)
    config.SSL_CACERTS = wanted
    config.MAX_MESSAGE_SIZE, config.COMMTIMEOUT = _MAX_MESSAGE_BYTES, _TIMEOUT_S
    return Pyro5.api.Proxy(uri)


def _array(got: dict[str, Any]) -> NDArray[Any]:
    import serpent

    raw = serpent.tobytes(got["bytes"])
    return np.frombuffer(raw, np.dtype(got["dtype"])).reshape(got["shape"])


def _info(got: dict[str, Any]) -> InstrumentInfo:
    if got["protocol"] != _PROTOCOL:
        raise DeviceError(f"the microscope speaks protocol {got['protocol']}, this dwell {_PROTOCOL}")
    energies = got["energy_first_eV"] + got["energy_step_eV"] * np.arange(got["energy_channels"])
    return InstrumentInfo(
        name=str(got["name"]),
        simulated=True,
        versions=dict(got["versions"]),
        energies_eV=energies,
        timeout_s=_TIMEOUT_S,
        shares_clock=True,
    )
