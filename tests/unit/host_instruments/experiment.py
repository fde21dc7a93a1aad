"""A run of the bridge as a program, for tests that kill, interrupt or starve it.

Arguments: the scope's Python, certificates, the folder of a QModel, threshold, record, frames.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dwell.errors import DwellError
from dwell.hls.qmodel import load_model
from dwell.host.bridge.session import run_experiment
from dwell.host.bridge.software_board import SoftwareBoard
from dwell.host.bridge.stopping import StopRequest
from dwell.host.instruments.nion.client import NionInstrument
from dwell.host.instruments.nion.settings import MicroscopeSettings
from dwell.host.policies.revisit import Revisit, RevisitParams
from dwell.project import BridgeSection

SETTINGS = {
    "seed": 4,
    "specimen": {"size_nm": 20.0, "tilt_mrad": 0.0},
    "imaging": {
        "probe_current_pA": 50.0,
        "contamination": 0.0,
        "full_scale_electrons": 172.2,
        "jitter_sigma_A": 0.02,
    },
}


def main() -> int:
    python, certificates, model, threshold, record, frames = sys.argv[1:]
    states: list[bool] = []

    def instrument() -> NionInstrument:
        made = NionInstrument.start(
            Path(python),
            MicroscopeSettings.model_validate(SETTINGS),
            certificates=Path(certificates),
            log=Path(record).with_suffix(".log"),
        )
        print(json.dumps({"microscope": made.server_pid}), flush=True)
        close = made.close

        def seen_before_it_goes() -> None:
            try:
                states.append(made.state().blanked)
            except DwellError:
                states.append(False)
            close()

        made.close = seen_before_it_goes  # type: ignore[method-assign]
        return made

    settings = BridgeSection(frames=int(frames), lines=96, pixels=96, dose_e_per_A2=30_000)
    result: dict[str, object] = {}
    with StopRequest() as stop:
        print(json.dumps({"ready": True}), flush=True)
        try:
            done, _ = run_experiment(
                instrument,
                lambda: SoftwareBoard(load_model(Path(model))),
                Revisit(RevisitParams(dwell_ms=2.0)),
                settings,
                int(threshold),
                Path(record),
                stop,
                seed=1,
                about={},
            )
            result = {"stopped": done.stopped, "counters": done.counters}
        except DwellError as error:
            result = {"error": error.code, "message": error.message}
    print(json.dumps({**result, "blanked": states}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
