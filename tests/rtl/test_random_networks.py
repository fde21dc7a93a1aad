"""Random networks over all nodes and styles: golden model to Verilog to Verilator, no code differs.

The slow test takes 200 of them; a batch that has passed is not run again as long as no source has changed.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import random_networks
from random_networks import VARIANTS, Failure, Network, Outcome, check_networks, draw, keep, report, shrink

from dwell.errors import InternalError
from dwell.hls.qmodel import Relu, load_model, model_digest
from dwell.sim.dut import Dut

pytestmark = pytest.mark.rtl

ROOT = Path(__file__).parents[2]
BATCHES = {"unrolled": 3, "chain": 1, "stream": 2, "lanes": 1, "stream_folded": 1, "folded": 2}
BATCH = 20
QUICK_SEED = 1_000_000


def _networks(variant: str, first: int, tries: int) -> Iterator[Network]:
    return (draw(variant, seed) for seed in range(first, first + tries))


def _require(outcome: Outcome, count: int) -> None:
    """No failure, enough networks, and most of those drawn accepted. A failing one is kept, made small."""
    kept = []
    for failure in outcome.failures[:2]:
        with tempfile.TemporaryDirectory() as name:
            kept.append(keep(shrink(failure, Path(name)), ROOT / "build" / "failing_networks"))
    assert not outcome.failures, report(outcome, kept)
    assert outcome.passed == count, "\n".join(["too few networks were accepted", *outcome.refused])


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Simulators built by these tests go with them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DWELL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_a_dozen_random_networks_of_all_styles(tmp_path: Path) -> None:
    chosen = itertools.chain.from_iterable(
        zip(*(_networks(variant, QUICK_SEED, 8) for variant in VARIANTS), strict=True)
    )
    _require(check_networks(chosen, 12, tmp_path), 12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "batch"), [(name, index) for name, count in BATCHES.items() for index in range(count)]
)
def test_two_hundred_random_networks(variant: str, batch: int, tmp_path: Path) -> None:
    record = ROOT / "build" / "random_networks" / _sources() / f"{variant}_{batch}.json"
    if record.is_file():
        assert json.loads(record.read_text())["passed"] == BATCH
        return
    outcome = check_networks(_networks(variant, 1000 * batch, 5 * BATCH), BATCH, tmp_path)
    _require(outcome, BATCH)
    record.parent.mkdir(parents=True, exist_ok=True)
    found = {"passed": outcome.passed, "windows": outcome.windows, "refused": outcome.refused}
    record.write_text(json.dumps(found, indent=1) + "\n")


def _sources() -> str:
    """A digest of all that a network goes through."""
    whole = hashlib.sha256()
    files = [p for room in ("hls", "sim", "tests/support") for p in (ROOT / room).rglob("*")]
    for path in sorted(p for p in files if p.suffix in (".py", ".v", ".cpp")):
        whole.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return whole.hexdigest()[:16]


def test_a_failing_network_is_made_small_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a fault in how ReLU becomes hardware, what is left of a network is its ReLU."""
    network = next(
        n
        for n in _networks("unrolled", 0, 200)
        if len(n.model.nodes) > 5 and any(isinstance(node, Relu) for node in n.model.order()[2:-1])
    )

    def why(network: Network, folder: Path) -> str:
        return "wrong" if any(isinstance(node, Relu) for node in network.model.order()) else ""

    monkeypatch.setattr(random_networks, "why_it_fails", why)
    small = shrink(Failure(network, "wrong at first"), tmp_path)
    assert [type(node).__name__ for node in small.network.model.order()] == ["Input", "Relu"]
    assert small.message == "wrong"
    folder = keep(small, tmp_path / "kept")
    again = load_model(folder)
    assert model_digest(again) == model_digest(small.network.model)
    assert json.loads((folder / "options.json").read_text())["style"] == "unrolled"
    outcome = Outcome()
    outcome.failures.append(small)
    assert str(folder) in report(outcome, [folder])


def test_a_wrong_design_and_a_crash_are_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = list(_networks("chain", 0, 3))
    real = random_networks.written

    def spoil(network: Network, folder: Path) -> Dut:
        if network is networks[1]:
            raise InternalError("lost its way")
        dut = real(network, folder)
        return replace(dut, latency_cycles=dut.latency_cycles + 1) if network is networks[0] else dut

    monkeypatch.setattr(random_networks, "written", spoil)
    outcome = check_networks(iter(networks), 3, tmp_path)
    assert (outcome.passed, len(outcome.failures)) == (1, 2)
    assert "lost its way" in outcome.failures[0].message
    assert "latency_cycles is" in outcome.failures[1].message
