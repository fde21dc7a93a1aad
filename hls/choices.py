"""From what a user asks of a conversion to the options of the back end, checked against the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from dwell.errors import ConfigError, nearest
from dwell.hls.qmodel import Conv2D, Pool2D, QModel, Recurrent
from dwell.hls.qmodel.recurrence import INSIDE, multiplying
from dwell.hls.rtl.options import STYLES, Multiplier, RtlOptions, Style

IOS = ("auto", "parallel", "stream")
Io = Literal["parallel", "stream"]


def parse_reuse(text: str | int | Mapping[str, int] | None) -> int | dict[str, int]:
    """How often a multiplier is used: ``4``, or ``dense1=16,dense2=8`` by layer.

    Raises `ConfigError` for anything else.
    """
    if text is None:
        return 1
    if isinstance(text, int):
        return _factor(str(text))
    if isinstance(text, Mapping):
        return {str(name): _factor(str(value)) for name, value in text.items()}
    if "=" not in text:
        return _factor(text)
    found: dict[str, int] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if not name.strip() or name.strip() in found:
            raise _bad_reuse(text)
        found[name.strip()] = _factor(value)
    return found


def _factor(text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise _bad_reuse(text)
    return int(text)


def _bad_reuse(text: str) -> ConfigError:
    return ConfigError(
        f"{text!r} is no reuse factor",
        hint="write a number for all layers, --reuse 8, or one for each, --reuse dense1=16,dense2=8",
        place="--reuse",
    )


def layers(model: QModel) -> tuple[str, ...]:
    """The layers that multiply, for which a reuse can be asked; a recurrent one stands for all in its body."""
    steps = (node.name for node in model.order() if isinstance(node, Recurrent))
    return (*(node.name for _, node in multiplying(model)), *steps)


def choose_io(model: QModel, io: str) -> Io:
    """How values enter: frames of a convolutional network as a stream, all else at once, unless asked otherwise."""
    if io not in IOS:
        raise ConfigError(f"--io {io!r} is not known", hint=nearest(io, IOS), place="--io")
    if io != "auto":
        return cast(Io, io)
    frames = len(model.tensors[model.input].shape) == 3
    windows = any(isinstance(node, Conv2D | Pool2D) for node in model.order())
    return "stream" if frames and windows else "parallel"


def choose_style(model: QModel, io: Io, style: str | None, reuse: int | Mapping[str, int]) -> Style:
    """The style that goes with `io`, or the one asked for. Raises `ConfigError` where they contradict each other."""
    folds = reuse > 1 if isinstance(reuse, int) else any(factor > 1 for factor in reuse.values())
    if style is not None and style not in STYLES:
        raise ConfigError(f"style {style!r} is not known", hint=nearest(style, STYLES), place="--style")
    if style == "unrolled" and folds:
        raise ConfigError(
            "style 'unrolled' has an adder for every product, and nothing to use twice",
            hint="leave --reuse out, or use --style folded",
            place="--reuse",
        )
    if style is not None:
        return cast(Style, style)
    if io == "stream":
        return "stream"
    return "folded" if folds else "unrolled"


def check_layers(model: QModel, reuse: int | Mapping[str, int]) -> None:
    """Raise `ConfigError` for a reuse of a layer that is not there."""
    known = layers(model)
    for name in reuse if isinstance(reuse, Mapping) else ():
        if name not in known:
            raise ConfigError(
                f"there is no layer {name!r} to reuse multipliers in",
                hint=f"layers that multiply: {', '.join(known)}",
                place="--reuse",
            )


def _each_layer(model: QModel, reuse: Mapping[str, int]) -> dict[str, int]:
    """The factors layer by layer: one of a recurrent layer is that of all layers in its body without their own."""
    steps = {node.name for node in model.order() if isinstance(node, Recurrent)}
    inside = {
        node.name: reuse[whole]
        for _, node in multiplying(model)
        if (whole := node.name.partition(INSIDE)[0]) in reuse and whole in steps
    }
    return inside | {name: factor for name, factor in reuse.items() if name not in steps}


def rtl_options(model: QModel, args: Mapping[str, Any], board: str) -> RtlOptions:
    """The options of back end `rtl` for `model`.

    `args` may hold `io`, `style`, `reuse`, `pixels_per_clock`, `multiplier`, `reload`, `clock_mhz`, `latency_cutoff`
    and `max_width`; what is left out has the default of `RtlOptions`. Raises `ConfigError`.
    """
    reuse = parse_reuse(args.get("reuse"))
    check_layers(model, reuse)
    reuse = reuse if isinstance(reuse, int) else _each_layer(model, reuse)
    asked = args.get("style")
    style = choose_style(model, choose_io(model, str(args.get("io") or "auto")), asked, reuse)
    pixels = int(args.get("pixels_per_clock") or 1)
    if pixels > 1 and style != "stream":
        raise ConfigError(
            f"{pixels} pixels a clock are asked for, and style '{style}' takes no pixels",
            hint="use --io stream, with a network of frames",
            place="--pixels-per-clock",
        )
    reload = bool(args.get("reload"))
    if reload and style == "unrolled":
        raise ConfigError(
            "style 'unrolled' has its weights in its adders: they cannot be reloaded",
            hint="use --style folded, or --io stream with --reuse",
            place="--reload",
        )
    defaults = RtlOptions()
    return RtlOptions(
        style=style,
        latency_cutoff=float(args.get("latency_cutoff") or defaults.latency_cutoff),
        max_width=int(args.get("max_width") or defaults.max_width),
        clock_mhz=float(args.get("clock_mhz") or defaults.clock_mhz),
        board=board,
        pixels_per_clock=pixels,
        reuse=reuse,
        multiplier=cast(Multiplier, str(args.get("multiplier") or "auto")),
        reload=reload,
    )
