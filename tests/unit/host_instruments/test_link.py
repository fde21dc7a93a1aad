"""The link: who is let in, and what happens when either side dies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from dwell.errors import ConfigError, DeviceError
from dwell.host.instruments import ScanRequest
from dwell.host.instruments.certificates import Certificates, ensure_certificates
from dwell.host.instruments.nion.client import NionInstrument

Start = Callable[..., NionInstrument]


def _gone(pid: int, patience_s: float = 5.0) -> bool:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


# ---- certificates


def test_certificates_are_made_once_private_and_without_the_authoritys_key(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    made = ensure_certificates(tmp_path / "tls")
    first = {path.name: path.read_bytes() for path in made.files}
    assert {path.name for path in made.folder.iterdir()} == set(first)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in made.files)
    assert b"PRIVATE" not in made.authority.read_bytes()
    ensure_certificates(tmp_path / "tls")
    assert {path.name: path.read_bytes() for path in made.files} == first


@pytest.mark.parametrize("damage", ["missing", "readable by others", "not a certificate"])
def test_damaged_certificates_are_made_anew(tmp_path: Path, damage: str) -> None:
    pytest.importorskip("cryptography")
    made = ensure_certificates(tmp_path / "tls")
    before = made.authority.read_bytes()
    if damage == "missing":
        made.client[1].unlink()
    elif damage == "readable by others":
        made.server[1].chmod(0o644)
    else:
        made.server[0].write_text("nonsense")
    again = ensure_certificates(tmp_path / "tls")
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in again.files)
    assert again.authority.read_bytes() != before


# ---- who is let in


def _client(uri: str, certificates: Certificates | None) -> subprocess.CompletedProcess[str]:
    """Ask the microscope for its state from another process, with some certificates or none."""
    script = textwrap.dedent("""
        import sys, Pyro5.api
        config = Pyro5.api.config
        config.COMMTIMEOUT = 5.0
        if len(sys.argv) > 2:
            config.SSL, config.SSL_CLIENTCERT, config.SSL_CLIENTKEY, config.SSL_CACERTS = True, *sys.argv[2:]
        print("state:", Pyro5.api.Proxy(sys.argv[1]).state())
    """)
    files = [] if certificates is None else [*map(str, certificates.client), str(certificates.authority)]
    return subprocess.run(
        [sys.executable, "-c", script, uri, *files], capture_output=True, text=True, timeout=60
    )


def test_the_right_certificate_is_let_in(microscope: NionInstrument, certificates: Path) -> None:
    answer = _client(microscope.server_uri, Certificates(certificates))
    assert answer.returncode == 0 and "probe_current_pA" in answer.stdout


def test_a_client_without_a_certificate_is_refused(microscope: NionInstrument, certificates: Path) -> None:
    plain = _client(microscope.server_uri, None)
    assert plain.returncode != 0 and "state:" not in plain.stdout
    script = (
        "import socket, ssl, sys\n"
        "context = ssl.create_default_context(cafile=sys.argv[2]); context.check_hostname = False\n"
        "link = context.wrap_socket(socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5))\n"
        "link.settimeout(5); link.sendall(b'x' * 64); print('got', link.recv(64))\n"
    )
    port = microscope.server_uri.rsplit(":", 1)[1]
    anonymous = subprocess.run(
        [sys.executable, "-c", script, port, str(Certificates(certificates).authority)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    # the alert may be overtaken by the closing of the connection; either way nothing was said
    assert anonymous.returncode != 0 and "ssl.SSL" in anonymous.stderr and "got" not in anonymous.stdout
    assert microscope.state().blanked in (True, False)  # and it still answers those it knows


def test_a_client_with_a_foreign_certificate_is_refused(microscope: NionInstrument, tmp_path: Path) -> None:
    foreign = ensure_certificates(tmp_path / "tls")
    mixed = Certificates(tmp_path / "mixed")  # trusts the right authority, shows a certificate of another
    mixed.folder.mkdir()
    for path in foreign.files:
        (mixed.folder / path.name).write_bytes(path.read_bytes())
    for kind in (foreign, mixed):
        answer = _client(microscope.server_uri, kind)
        assert answer.returncode != 0 and "state:" not in answer.stdout


def test_the_servers_certificate_is_no_clients(
    microscope: NionInstrument, certificates: Path, tmp_path: Path
) -> None:
    """Each certificate is good for its own side only."""
    right, swapped = Certificates(certificates), Certificates(tmp_path / "swapped")
    swapped.folder.mkdir()
    for source, target in (
        (right.authority, swapped.authority),
        (right.server[0], swapped.client[0]),
        (right.server[1], swapped.client[1]),
    ):
        target.write_bytes(source.read_bytes())
    answer = _client(microscope.server_uri, swapped)
    assert answer.returncode != 0 and "state:" not in answer.stdout


def test_it_listens_on_this_machine_only(microscope: NionInstrument) -> None:
    ports = [
        c
        for c in psutil.Process(microscope.server_pid).net_connections("inet")
        if c.status == psutil.CONN_LISTEN
    ]
    assert ports and all(c.laddr.ip == "127.0.0.1" for c in ports)


def test_a_silent_stranger_does_not_stop_the_link(microscope: NionInstrument) -> None:
    """A connection that says nothing must not keep those who are connected from working."""
    port = int(microscope.server_uri.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port)):
        started = time.monotonic()
        microscope.state()
        assert time.monotonic() - started < 2.0


# ---- death on either side


def test_a_microscope_killed_in_mid_scan_is_an_error_in_bounded_time(fresh: NionInstrument) -> None:
    fresh.unblank()
    rows = fresh.scan(ScanRequest(256, 256, 20.0, frames=10))
    next(rows)
    os.kill(fresh.server_pid, signal.SIGKILL)
    started = time.monotonic()
    with pytest.raises(DeviceError, match="killed by signal SIGKILL"):
        list(rows)
    assert time.monotonic() - started < 3.0
    with pytest.raises(DeviceError, match="killed by signal SIGKILL"):
        fresh.blank()
    fresh.close()  # still in good order


def test_a_microscope_that_stops_answering_is_an_error_in_bounded_time(fresh: NionInstrument) -> None:
    fresh.unblank()
    rows = fresh.scan(ScanRequest(256, 256, 20.0, frames=10))
    next(rows)
    os.kill(fresh.server_pid, signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(DeviceError, match="did not answer"):
        list(rows)
    assert time.monotonic() - started < 3 * fresh.info.timeout_s
    fresh.close()
    assert _gone(fresh.server_pid)


def test_closing_leaves_no_process(start_microscope: Start) -> None:
    instrument = start_microscope()
    rows = instrument.scan(ScanRequest(256, 256, 20.0, frames=10))
    next(rows)
    instrument.close()
    instrument.close()
    assert _gone(instrument.server_pid)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_host_that_dies_takes_the_microscope_with_it(
    scope_python: Path, certificates: Path, tmp_path: Path, end: signal.Signals
) -> None:
    script = textwrap.dedent("""
        import sys, threading, time
        from pathlib import Path
        from dwell.host.instruments import ScanRequest
        from dwell.host.instruments.nion.client import NionInstrument
        made = []
        def make():  # from a thread that ends: the microscope must not end with it
            python, tls, log = map(Path, sys.argv[1:])
            made.append(NionInstrument.start(python, certificates=tls, log=log))
        thread = threading.Thread(target=make); thread.start(); thread.join()
        time.sleep(0.3)
        made[0].unblank()
        rows = made[0].scan(ScanRequest(256, 256, 20.0, frames=100)); next(rows)
        print(made[0].server_pid, flush=True)
        for row in rows: pass
    """)
    arguments = [str(scope_python), str(certificates), str(tmp_path / "log")]
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as host:
        assert host.stdout is not None
        pid = int(host.stdout.readline())
        assert psutil.pid_exists(pid)
        host.send_signal(end)
        host.wait(10)
    assert _gone(pid)


# ---- starting


def test_without_its_environment_the_error_says_how_to_get_it(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    with pytest.raises(ConfigError) as caught:
        NionInstrument.start(tmp_path / "no" / "python", certificates=tmp_path / "tls")
    assert "dwell env sync scope" in caught.value.hint


def test_a_microscope_that_cannot_start_shows_its_last_words(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    with pytest.raises(DeviceError, match=r"ended with exit code 1.*No module named"):
        NionInstrument.start(Path(sys.executable), certificates=tmp_path / "tls", log=tmp_path / "log")


def test_a_second_set_of_certificates_in_one_process_is_refused(
    microscope: NionInstrument, scope_python: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="already talks to instruments"):
        NionInstrument.start(scope_python, certificates=tmp_path / "tls", log=tmp_path / "log")
