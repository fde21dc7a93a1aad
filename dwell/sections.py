"""The tables of the project file `dwell.toml`, one class each, with their defaults."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import pydantic


class Section(pydantic.BaseModel):
    """A table of the project file: no unknown key, no change after reading. Plug-ins derive theirs."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class ProjectSection(Section):
    """[project]"""

    name: str = pydantic.Field(pattern=r"^[a-z][a-z0-9_]*$", description="also the name of the top module")
    seed: int = pydantic.Field(default=1, ge=0, lt=2**31)


class QuantizeSection(Section):
    """[quantize]: the front end's name; its own keys are checked by its class and become `params`."""

    frontend: str
    params: pydantic.SerializeAsAny[pydantic.BaseModel]


_RTL = (
    "style",
    "io",
    "output",
    "latency_cutoff",
    "max_width",
    "pixels_per_clock",
    "reuse",
    "multiplier",
)
#: The keys of [convert] that one back end alone knows. `reload` is of both.
KEYS_OF_BACKENDS = dict.fromkeys(_RTL, "rtl") | dict.fromkeys(("target_fps", "folding"), "finn")


class ConvertSection(Section):
    """[convert]"""

    backend: Literal["rtl", "finn"] = "rtl"
    style: Literal["auto", "stream", "unrolled", "folded"] = "auto"
    io: Literal["auto", "parallel", "stream"] = "auto"
    input_type: str | None = pydantic.Field(default=None, pattern=r"^u?fixed<\d+,-?\d+>$")
    output: Literal["logits", "class", "probabilities"] = "logits"
    clock_mhz: float = pydantic.Field(default=100.0, gt=0, le=1000)
    latency_cutoff: float = pydantic.Field(default=4.0, gt=0, description="adder levels in a pipeline stage")
    max_width: int = pydantic.Field(default=256, ge=16, le=8192)
    pixels_per_clock: Literal[1, 2, 4, 8, 16, 32] = 1
    reuse: Annotated[int, pydantic.Field(ge=1)] | dict[str, Annotated[int, pydantic.Field(ge=1)]] = (
        pydantic.Field(
            default=1, description="how often a multiplier is used for one result, for all layers or by name"
        )
    )
    multiplier: Literal["auto", "dsp", "lut"] = "auto"
    reload: bool = pydantic.Field(
        default=False, description="folded weights, or FINN's, writable over AXI4-Lite"
    )
    target_fps: int | None = pydantic.Field(
        default=None, ge=1, description="frames a second decide the folds"
    )
    folding: str | None = pydantic.Field(
        default=None, min_length=1, description="a file of folds by layer, beside dwell.toml"
    )

    @pydantic.model_validator(mode="after")
    def _keys_of_the_backend(self) -> Self:
        """What one back end is asked the other does not know; `KEYS_OF_BACKENDS` says whose is what."""
        for key in sorted(self.model_fields_set):
            owner = KEYS_OF_BACKENDS.get(key, self.backend)
            if owner != self.backend:
                raise ValueError(f'\'{key}\' is for backend = "{owner}"; this one is "{self.backend}"')
        if self.target_fps is not None and self.folding is not None:
            raise ValueError("'target_fps' and 'folding' both decide the folds: give one of them")
        return self


class SimulateSection(Section):
    """[simulate]"""

    vectors: int = pydantic.Field(default=10_000, ge=1, description="windows compared on the Verilated core")
    bench_frames: int = pydantic.Field(default=2, ge=1, le=1000)
    stalls: bool = True
    simulators: tuple[Literal["verilator", "icarus"], ...] = pydantic.Field(
        default=("verilator", "icarus"), min_length=1, description="Icarus is left out where it is absent"
    )


class SynthesizeSection(Section):
    """[synthesize]"""

    tool: Literal["yosys", "vivado"] = "yosys"


class BoardSection(Section):
    """[board]"""

    name: str = "pynq-z2"


class AcceptSection(Section):
    """[accept]: what a build has to reach."""

    max_metric_drop: float = pydantic.Field(default=0.02, ge=0, le=1)


class BridgeSection(Section):
    """[bridge]: one run of the loop between instrument and board."""

    frames: int = pydantic.Field(default=4, ge=1, le=100_000)
    lines: int = pydantic.Field(default=256, ge=16, le=4096)
    pixels: int = pydantic.Field(default=256, ge=16, le=4096, description="of a line")
    pixel_A: float = pydantic.Field(default=0.4, gt=0.05, le=10)
    dose_e_per_A2: float | None = pydantic.Field(
        default=None, gt=0, description="of the scan, sets the dwell time; else that of the training"
    )
    threshold: float | None = pydantic.Field(default=None, description="a score; else by false_alarm_rate")
    false_alarm_rate: float = pydantic.Field(default=1e-4, gt=0, lt=1, description="on the validation scans")
    dead_time: int = pydantic.Field(default=0, ge=0, description="decisions that cannot trigger after one")
    dose_budget_e: float = pydantic.Field(default=1e9, ge=0, description="electrons to spend on spectra")
    time_budget_s: float = pydantic.Field(default=60.0, ge=0, description="beam time to spend on spectra")


class PluginSection(Section):
    """[instrument], [policy]: the plug-in's name; its own keys, checked by its class, become `params`."""

    name: str
    params: pydantic.SerializeAsAny[pydantic.BaseModel]


class ModelSection(Section):
    """[model]: the plug-in's name; its own keys are checked by its class and become `params`."""

    name: str
    params: pydantic.SerializeAsAny[pydantic.BaseModel]


class Tables(Section):
    """A whole project file; what plug-ins add to their tables is checked by their classes."""

    project: ProjectSection
    model: dict[str, Any]
    quantize: dict[str, Any] = {}
    convert: ConvertSection = ConvertSection()
    simulate: SimulateSection = SimulateSection()
    synthesize: SynthesizeSection = SynthesizeSection()
    board: BoardSection = BoardSection()
    accept: AcceptSection = AcceptSection()
    bridge: BridgeSection = BridgeSection()
    instrument: dict[str, Any] = {}
    policy: dict[str, Any] = {}
