"""Instruments: what a microscope must offer, and the simulated one."""

from dwell.host.instruments.protocol import (
    Instrument,
    InstrumentInfo,
    InstrumentState,
    Row,
    ScanRequest,
    Spectrum,
)

__all__ = ["Instrument", "InstrumentInfo", "InstrumentState", "Row", "ScanRequest", "Spectrum"]
