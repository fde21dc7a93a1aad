"""The entry point `nion-sim` of `dwell.instruments`. Light to import."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dwell.errors import ConfigError
from dwell.host.instruments.nion.settings import MicroscopeSettings

if TYPE_CHECKING:
    from dwell.host.instruments.nion.client import NionInstrument


class NionPlugin:
    """Nion Swift's simulator with an MoS2 sheet. `environment` is the one whose Python runs the
    microscope.
    """

    name = "nion-sim"
    params = MicroscopeSettings
    environment = "scope"

    def open(
        self, params: MicroscopeSettings, python: Path, work: Path, model: Mapping[str, Any]
    ) -> NionInstrument:
        """Start the microscope with that Python; its log and certificates are kept under `work`.

        `model` is the project's [model] as plain data: what `params` leave open is as in its training.
        """
        from dwell.host.instruments.nion.client import NionInstrument

        if not isinstance(params, MicroscopeSettings):
            raise ConfigError(f"'{self.name}' takes MicroscopeSettings, not {type(params).__name__}")
        return NionInstrument.start(
            python,
            params.like_training(model),
            certificates=work / "tls",
            log=work / "logs" / "microscope.log",
        )


PLUGIN = NionPlugin()
