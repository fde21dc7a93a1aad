"""Nion Swift's simulator as an instrument: the client's side. The microscope itself is another process."""

from dwell.host.instruments.nion.client import NionInstrument
from dwell.host.instruments.nion.settings import MicroscopeSettings

__all__ = ["MicroscopeSettings", "NionInstrument"]
