"""A run of the bridge on the report: read from records that the real recorder wrote."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dwell.artifact import Artifact, Manifest, digest_files
from dwell.errors import ConfigError
from dwell.hls.design import Design
from dwell.hls.qmodel.random_models import RandomFamily, random_conv_model
from dwell.hls.rtl import RtlOptions, write_design
from dwell.host.bridge.board import Event
from dwell.host.bridge.commands import TakeSpectrum
from dwell.host.bridge.loop import COUNTERS
from dwell.host.bridge.record import Recorder, RecordHeader
from dwell.host.bridge.summary import keep_summary, summary_path
from dwell.host.instruments.protocol import Row, Spectrum
from dwell.report import loop_figures
from dwell.report.commands import report
from dwell.report.loop import collect_loop, design_digest, newest_run, summary_of

pytestmark = pytest.mark.fast

LINES, PIXELS, FRAMES, PITCH_NM = 24, 32, 2, 0.04
ENERGIES_EV = np.arange(100.0, 260.0, 0.5)
EVENTS = ((0, 6, 8), (0, 14, 20), (1, 6, 8), (1, 15, 20))  # frame, line, pixel
START_S = 1000.0


def _board(evidence: str, digest: str) -> dict[str, Any]:
    return {
        "name": "a",
        "evidence": evidence,
        "design_digest": digest,
        "build_digest": "",
        "decision_us": 0.21,
    }


def _header(evidence: str, digest: str, *, shares_clock: bool) -> RecordHeader:
    attributes = {
        "started": "2026-01-02T03:04:05+0000",
        "board": _board(evidence, digest),
        "instrument": {"name": "a scope", "simulated": True, "shares_clock": shares_clock},
        "design_digest": digest,
    }
    return RecordHeader(LINES, PIXELS, PITCH_NM, ENERGIES_EV, COUNTERS, attributes)


def _counters(**changed: int) -> dict[str, int]:
    pixels = FRAMES * LINES * PIXELS
    counts = dict.fromkeys(COUNTERS, 0) | {
        "rows": FRAMES * LINES,
        "frames": FRAMES,
        "pixels_in": pixels,
        "pixels_decided": pixels,
        "triggers": len(EVENTS),
        "board_events": len(EVENTS),
        "events_recorded": len(EVENTS),
        "spectra": 6,
        "commands": 6,
    }
    return counts | changed


def _spectrum(rng: np.random.Generator, edge: float) -> Spectrum:
    mean = 40 * (ENERGIES_EV / 100) ** -3 + edge * (ENERGIES_EV >= 167)
    return Spectrum(0.0, 0.0, 4.0, rng.poisson(mean).astype(np.float32), START_S + 0.02, START_S + 0.03)


def _row_s(frame: int, line: int) -> float:
    return START_S + 0.5 * frame + 0.01 * line


def fill(recorder: Recorder, *, rows: int = FRAMES * LINES) -> None:
    """Rows, events 4 ms after theirs, and three spectra each at events and at perfect columns."""
    rng = np.random.default_rng(3)
    for number in range(rows):
        frame, line = divmod(number, LINES)
        codes = rng.integers(10, 200, PIXELS).astype(np.uint8)
        recorder.row(Row(frame, line, codes / np.float32(256), _row_s(frame, line)), codes)
        for event in (e for e in EVENTS if e[:2] == (frame, line)):
            scanned = _row_s(frame, line)
            recorder.event(Event(*event, 40, scanned + 0.004), valid=True, row_finished_s=scanned)
    for k in range(3):
        seen = Event(0, 6, 8, 40, START_S + 0.013)
        visit = TakeSpectrum(8.5 * PITCH_NM, 6.5 * PITCH_NM, 4.0, "event", seen, seen)
        recorder.spectrum(visit, 0, START_S + 0.01, _spectrum(rng, 4.0))
        perfect = TakeSpectrum((3.5 + k) * PITCH_NM, 20.5 * PITCH_NM, 4.0, "reference")
        recorder.spectrum(perfect, -1, START_S + 0.01, _spectrum(rng, 9.0))


def write_run(
    path: Path,
    *,
    evidence: str = "simulated",
    digest: str = "d" * 64,
    status: str = "complete",
    shares_clock: bool = True,
    counters: Mapping[str, int] | None = None,
) -> Path:
    """A record of a run that ended, with its summary."""
    recorder = Recorder(path, _header(evidence, digest, shares_clock=shares_clock))
    fill(recorder)
    recorder.close(status, _counters() | dict(counters or {}))
    keep_summary(path, "sim")
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose design was converted, and nothing else."""
    project = tmp_path_factory.mktemp("project") / "sample"
    convert = project / ".dwell" / "latest" / "convert"
    convert.parent.mkdir(parents=True)
    write_design(random_conv_model(2, RandomFamily(kernels=(3, 2), channels=(2, 1))), RtlOptions(), convert)
    Manifest(
        name="sample",
        stage="convert",
        digest="1" * 64,
        inputs={},
        params={},
        code_digest="",
        tools={},
        seed=1,
        files=digest_files(convert),
    ).write(convert)
    return project


def _page(project: Path, out: Path) -> tuple[dict[str, Any], str]:
    result = report({"directory": str(project), "out": str(out)})
    assert result["path"] == str(out)
    return result, out.read_text()


@pytest.fixture
def runs(built: Path) -> Path:
    """The project's folder of runs, empty."""
    folder = built / ".dwell" / "runs"
    folder.mkdir(exist_ok=True)
    for left in folder.iterdir():
        left.unlink()
    return folder


# ---- what is read


def test_a_run_is_read_back(tmp_path: Path) -> None:
    loop = collect_loop(write_run(tmp_path / "run.h5"))
    frame = loop.frame
    assert frame is not None and (frame.number, frame.rows, frame.filled) == (1, LINES, 0)
    assert frame.codes.shape == (LINES, PIXELS) and frame.codes.min() >= 10
    np.testing.assert_allclose(frame.events, [[6, 8, 0], [15, 20, 90]], atol=1e-6)
    np.testing.assert_allclose(frame.visits, [[6, 8]] * 3)
    np.testing.assert_allclose(frame.references, [[20, 3], [20, 4], [20, 5]])
    np.testing.assert_allclose(loop.row_to_event_ms, [4.0] * 4, rtol=1e-6)
    np.testing.assert_allclose(loop.event_to_command_ms, [7.0] * 3, rtol=1e-6)
    assert loop.spectra.events.shape == loop.spectra.references.shape == (3, len(ENERGIES_EV))
    assert [one.holds for one in loop.sums] == [True] * 5


def test_the_windows_and_the_comparison_are_those_of_the_summary(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.h5")
    summary = json.loads(summary_path(path).read_text())
    summary["windows_eV"]["sulphur"] = [180.0, 190.0]
    summary_path(path).write_text(json.dumps(summary))
    spectra = collect_loop(path).spectra
    assert spectra.windows_eV["sulphur"] == (180.0, 190.0)
    assert spectra.comparison == summary["sulphur"] and summary["sulphur"]["n_events"] == 3


def test_spectra_before_the_stage_moved_are_not_drawn_on_the_frame(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    recorder = Recorder(path, _header("software", "d", shares_clock=True))
    fill(recorder)
    recorder.command("stage", 5.0, 5.0, START_S + 1)
    recorder.close("complete", _counters())
    keep_summary(path, "software")
    loop = collect_loop(path)
    assert loop.frame is not None and len(loop.frame.visits) == len(loop.frame.references) == 0
    assert len(loop.spectra.events) == 3


def test_no_latency_without_a_common_clock(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.h5", shares_clock=False)
    loop = collect_loop(path)
    assert len(loop.row_to_event_ms) == len(loop.event_to_command_ms) == 0
    assert json.loads(summary_path(path).read_text())["row_to_event_ms"] == {"n": 0}


def test_the_design_is_named_as_boards_name_it(built: Path) -> None:
    convert = built / ".dwell" / "latest" / "convert"
    assert design_digest(Artifact.load(convert).manifest) == Design.load(convert).digest


def test_core_and_bridge_agree_where_the_summary_is(tmp_path: Path) -> None:
    assert summary_of(tmp_path / "a.b.h5") == summary_path(tmp_path / "a.b.h5") == tmp_path / "a.b.json"


# ---- the page


def test_the_page_has_the_section_of_the_newest_run(built: Path, runs: Path, tmp_path: Path) -> None:
    digest = Design.load(built / ".dwell" / "latest" / "convert").digest
    older = write_run(runs / "b.h5", digest=digest)
    newer = write_run(runs / "a.h5", digest=digest)
    os.utime(older, (1, 1))
    (runs / "c.h5").write_bytes(b"a run without a summary, perhaps under way")
    result, page = _page(built, tmp_path / "page.html")
    assert result["run"] == str(newer) == str(newest_run(runs))
    assert "The loop at work" in page and "Run a.h5, begun 2026-01-02" in page
    assert "ran to its end" in page and "the design on this page" in page
    assert page.count("adds up") == 5 and "does not add up" not in page
    assert page.count("data:image/png;base64,") == 2 and page.count("<svg") == 3
    assert "S L2,3" in page and "median 4 ms" in page and "median 7 ms" in page
    assert str(runs) not in page
    assert _page(built, tmp_path / "again.html")[1] == page, "a report is the same every time"


def test_without_a_run_there_is_no_section(built: Path, runs: Path, tmp_path: Path) -> None:
    (runs / "x.json").write_text("{}")  # its record is gone
    result, page = _page(built, tmp_path / "page.html")
    assert result["run"] is None and "The loop at work" not in page


@pytest.mark.parametrize(
    ("evidence", "said", "unsaid"),
    [
        ("software", "No board took part", "board was simulated"),
        ("simulated", "The board was simulated", "decided on a physical board"),
        ("hardware", "decided on a physical board", "nothing here was measured on a physical board"),
        ("hardware?", "What decided is not known", "decided on a physical board"),
    ],
)
def test_no_more_is_claimed_than_the_evidence(
    built: Path, runs: Path, tmp_path: Path, evidence: str, said: str, unsaid: str
) -> None:
    write_run(runs / "a.h5", evidence=evidence)
    _, page = _page(built, tmp_path / "page.html")
    assert said in page and unsaid not in page
    assert "simulated instrument" in page
    assert f"another design than on this page: {'d' * 12}" in page


def test_counters_that_do_not_add_up_are_shown_as_such(built: Path, runs: Path, tmp_path: Path) -> None:
    write_run(runs / "a.h5", counters={"pixels_dropped": 5, "triggers": 9})
    _, page = _page(built, tmp_path / "page.html")
    assert page.count("does not add up") == 2
    assert "= 1,536 + 5" in page


def test_a_stopped_run_says_why(built: Path, runs: Path, tmp_path: Path) -> None:
    write_run(runs / "a.h5", status="stopped: <asked> to")
    _, page = _page(built, tmp_path / "page.html")
    assert "stopped early" in page and "It was stopped: &lt;asked&gt; to." in page


# ---- a run that was killed


KILLED = """
import sys, time
from pathlib import Path
from dwell.host.bridge.record import FLUSH_S, Recorder
from test_loop import _counters, _header, fill
recorder = Recorder(Path(sys.argv[1]), _header("software", "d", shares_clock=True))
fill(recorder, rows=40)
time.sleep(FLUSH_S)
recorder.tick(_counters(pixels_decided=0, triggers=0, board_events=0, rows=40))
print("written", flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record whose writer was killed with its second frame begun."""
    path = tmp_path_factory.mktemp("killed") / "killed.h5"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, env=environment
    ) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == b"written\n"
        writer.send_signal(signal.SIGKILL)
    return path


def test_a_killed_run_has_no_summary_and_so_no_section(killed: Path) -> None:
    assert newest_run(killed.parent) is None


def test_what_a_killed_run_had_written_is_shown(
    killed: Path, built: Path, runs: Path, tmp_path: Path
) -> None:
    path = runs / "killed.h5"
    path.write_bytes(killed.read_bytes())
    keep_summary(path, "software")
    loop = collect_loop(path)
    assert loop.cut_off and loop.frame is not None
    assert (loop.frame.number, loop.frame.rows) == (0, LINES), "the last complete frame"
    assert [one.holds for one in loop.sums] == [None, None, None, True, True]
    _, page = _page(built, tmp_path / "page.html")
    assert "The record was never closed" in page and page.count("never fetched") == 3


def test_a_run_that_ended_before_its_first_row(built: Path, runs: Path, tmp_path: Path) -> None:
    path = runs / "a.h5"
    recorder = Recorder(path, _header("software", "d", shares_clock=True))
    recorder.close("stopped: asked to", dict.fromkeys(COUNTERS, 0))
    keep_summary(path, "software")
    _, page = _page(built, tmp_path / "page.html")
    assert "None was measured." in page and "Too few spectra" in page
    assert page.count("data:image/png;base64,") == 0 and page.count("<svg") == 0


def test_without_a_complete_frame_the_begun_one_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    recorder = Recorder(path, _header("software", "d", shares_clock=True))
    fill(recorder, rows=10)
    recorder.close("stopped: asked to", _counters())
    keep_summary(path, "software")
    frame = collect_loop(path).frame
    assert frame is not None and (frame.number, frame.rows, len(frame.events)) == (0, 10, 1)


# ---- what cannot be read


@pytest.mark.parametrize("text", ["not JSON", "[]", "{}", '{"windows_eV": {"sulphur": 1}, "sulphur": null}'])
def test_a_summary_that_is_none_is_an_error(built: Path, runs: Path, tmp_path: Path, text: str) -> None:
    path = write_run(runs / "a.h5")
    summary_of(path).write_text(text)
    with pytest.raises(ConfigError, match="is not the summary of a run") as caught:
        _page(built, tmp_path / "page.html")
    assert caught.value.place == str(summary_of(path)) and caught.value.hint


def test_a_record_that_is_none_is_an_error(runs: Path) -> None:
    path = write_run(runs / "a.h5")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ConfigError, match="cannot be read as the record"):
        collect_loop(path)
    with pytest.raises(ConfigError, match="cannot be read as a record"):
        keep_summary(path, "sim")
    path.unlink()
    with pytest.raises(ConfigError, match="cannot be read as the record"):
        collect_loop(path)


def test_a_record_of_another_format_is_an_error(runs: Path) -> None:
    import h5py

    path = write_run(runs / "a.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["format"] = "dwell-bridge-record-9"
    with pytest.raises(ConfigError, match="dwell-bridge-record-9, not dwell-bridge-record-1"):
        collect_loop(path)


# ---- the summary


def test_the_summary_is_whole_or_absent(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run.h5", status="stopped: asked to", counters={"rows_lost": 2})
    summary = json.loads(summary_path(path).read_text())
    assert sorted(item.name for item in tmp_path.iterdir()) == ["run.h5", "run.json"]
    assert summary["stopped"] == "stopped: asked to" and summary["dropped"] == 2
    assert (summary["frames"], summary["triggers"], summary["actions"]) == (FRAMES, len(EVENTS), 6)
    assert summary["evidence"] == "simulated" and summary["instrument_simulated"] is True
    assert summary["event_to_command_ms"]["median"] == pytest.approx(7.0)
    assert summary["sulphur"]["sigmas"] > 0
    with pytest.raises(ConfigError):
        keep_summary(tmp_path / "none.h5", "sim")
    assert not summary_path(tmp_path / "none.h5").exists()


def test_figures_show_what_they_are_given(tmp_path: Path) -> None:
    loop = collect_loop(write_run(tmp_path / "run.h5"))
    frame = loop.frame
    assert frame is not None
    assert loop_figures.board_view(frame) != loop_figures.events_view(frame)
    assert loop_figures.events_view(frame) == loop_figures.events_view(frame)
    times = np.array([1.0, 2.0, 30.0])
    assert loop_figures.latency(times, "#000000") == loop_figures.latency(times, "#000000")
    assert "median 2 ms" in loop_figures.latency(times, "#000000")
