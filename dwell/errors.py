"""The error tree. What a user can mend is a `UserError` with a code, a hint and a place; the rest is ours.

The command line prints message and hint, never a traceback, and ends with `exit_code`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar


class DwellError(Exception):
    """Root of everything that `dwell` raises on purpose.

    `message` says what is wrong, `place` where (a file, a `section.key`, a layer), `hint` what to do.
    """

    code: str = "error"
    exit_code: int = 1
    #: Names of the attributes beyond message, hint and place that travel with the error as JSON.
    details: ClassVar[tuple[str, ...]] = ()

    def __init__(self, message: str, *, hint: str = "", place: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.place = place

    def __str__(self) -> str:
        return self.message

    def to_json(self) -> dict[str, Any]:
        """The error as JSON: `type`, `code`, `message`, `hint`, `place`, `exit_code` and its details."""
        found: dict[str, Any] = {
            "type": [c.__name__ for c in type(self).__mro__ if issubclass(c, DwellError)],
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "place": self.place,
            "exit_code": self.exit_code,
        }
        for name in self.details:
            value = getattr(self, name, None)
            found[name] = str(value) if isinstance(value, Path) else value
        return found


class UserError(DwellError):
    """Something that the user can mend."""

    code = "user"


class ConfigError(UserError):
    """A project file, an option or an input file that is wrong or missing."""

    code = "config"
    exit_code = 2


class NotBuiltYetError(UserError):
    """A command whose part of the toolchain does not exist in this version."""

    code = "not-built-yet"


class UnsupportedLayerError(UserError):
    """A layer that no converter here can carry exactly."""

    code = "unsupported-layer"
    exit_code = 3
    details = ("layer", "kind", "supported", "reason")

    def __init__(
        self,
        layer: str,
        kind: str,
        supported: Sequence[str],
        *,
        reason: str = "",
        hint: str = "",
        place: str = "",
    ) -> None:
        why = f": {reason}" if reason else ""
        message = f"layer '{layer}' of type {kind} is not supported{why}; supported: {', '.join(supported)}"
        super().__init__(message, hint=hint, place=place or layer)
        self.layer = layer
        self.kind = kind
        self.supported = list(supported)
        self.reason = reason


class VerificationError(UserError):
    """Two things that had to be equal were not. `first_mismatch` says where they part."""

    code = "verification"
    exit_code = 4
    details = ("first_mismatch",)

    def __init__(
        self,
        message: str,
        *,
        first_mismatch: Mapping[str, object] | None = None,
        hint: str = "",
        place: str = "",
    ) -> None:
        super().__init__(message, hint=hint, place=place)
        self.first_mismatch = dict(first_mismatch) if first_mismatch is not None else None


class DesignEditedError(UserError):
    """A design whose files are not those that were built and proven."""

    code = "design-edited"
    exit_code = 4


class ToolNotFoundError(UserError):
    """A tool that is missing, or too old."""

    code = "tool-not-found"
    exit_code = 5


class ToolFailedError(UserError):
    """A tool that ran and failed. `log_path` is its whole log, `tail` the end of it."""

    code = "tool-failed"
    exit_code = 5
    details = ("tool", "log_path", "tail")

    def __init__(self, tool: str, *, log: Path, tail: str, hint: str = "", place: str = "") -> None:
        super().__init__(f"{tool} failed", hint=hint or f"see {log}", place=place or str(log))
        self.tool = tool
        self.log_path = Path(log)
        self.tail = tail


class ResourceError(UserError):
    """A design that does not fit, or a machine that has not got what is asked (memory, disk, a lock)."""

    code = "resource"
    exit_code = 6


class DeviceError(UserError):
    """A board or an instrument that does not answer, or answers wrongly."""

    code = "device"
    exit_code = 7


class InternalError(DwellError):
    """A fault of `dwell` itself. `log_path` holds the traceback."""

    code = "internal"
    exit_code = 70
    details = ("log_path",)

    def __init__(self, message: str, *, log: Path | None = None, hint: str = "", place: str = "") -> None:
        super().__init__(
            message,
            hint=hint or (f"this is a fault of dwell; the traceback is in {log}" if log else ""),
            place=place,
        )
        self.log_path = log


class InterruptedByUserError(DwellError):
    """Ctrl-C, or a polite request to stop."""

    code = "interrupted"
    exit_code = 130


def _known_classes() -> dict[str, type[DwellError]]:
    found: dict[str, type[DwellError]] = {}
    waiting: list[type[DwellError]] = [DwellError]
    while waiting:
        cls = waiting.pop()
        found[cls.__name__] = cls
        waiting.extend(cls.__subclasses__())
    return found


def error_from_json(data: Mapping[str, Any]) -> DwellError:
    """The error that another process wrote with `to_json`, as the nearest class this process knows."""
    known = _known_classes()
    cls = next((known[name] for name in data.get("type", ()) if name in known), InternalError)
    error = cls.__new__(cls)
    DwellError.__init__(
        error, str(data["message"]), hint=str(data.get("hint", "")), place=str(data.get("place", ""))
    )
    error.code = str(data.get("code", cls.code))
    error.exit_code = int(data.get("exit_code", cls.exit_code))
    for name in cls.details:
        value = data.get(name)
        setattr(error, name, Path(value) if name == "log_path" and value else value)
    return error


def nearest(word: str, known: Iterable[str]) -> str:
    """A "did you mean" sentence for a word that is not among `known`."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(names)}" if names else ""
