"""Plug-ins: entry points of rooms and other packages. One that fails to import is kept with its reason."""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from dwell.errors import ConfigError, nearest

STAGES = "dwell.stages"
MODELS = "dwell.models"
QUANTIZERS = "dwell.quantizers"
FRONTENDS = "dwell.frontends"
INSTRUMENTS = "dwell.instruments"
POLICIES = "dwell.policies"
BOARD_LINKS = "dwell.board_links"
COSTS = "dwell.costs"
SIMULATORS = "dwell.simulators"
GROUPS = (
    STAGES,
    MODELS,
    QUANTIZERS,
    FRONTENDS,
    COSTS,
    "dwell.backends",
    "dwell.boards",
    BOARD_LINKS,
    "dwell.board_servers",
    SIMULATORS,
    INSTRUMENTS,
    POLICIES,
    "hls4ml.backends",
)


@dataclass(frozen=True)
class Plugin:
    """An entry point, loaded or not. `reason` says why `value` could not be had."""

    group: str
    name: str
    target: str
    distribution: str
    version: str
    value: Any = None
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether it could be loaded."""
        return not self.reason


def _load(point: metadata.EntryPoint) -> Plugin:
    dist = point.dist
    name, version = (dist.name, dist.version) if dist else ("", "")
    try:
        value = point.load()
    except Exception as error:  # a plug-in is anybody's code: whatever it raises is its reason
        reason = f"{type(error).__name__}: {error}"
        return Plugin(point.group, point.name, point.value, name, version, reason=reason)
    return Plugin(point.group, point.name, point.value, name, version, value)


def entry_points(group: str) -> dict[str, metadata.EntryPoint]:
    """The entry points of a group by name, the first on the path where two share one; none is imported."""
    found: dict[str, metadata.EntryPoint] = {}
    for point in _all_entry_points():
        if point.group == group:
            found.setdefault(point.name, point)
    return found


@functools.lru_cache(maxsize=1)
def _all_entry_points() -> tuple[metadata.EntryPoint, ...]:
    # a build leaves an .egg-info in the source tree, which may be stale, and the working directory can put it
    # on the path before the installation: what was installed goes first
    first: dict[str, metadata.Distribution] = {}
    for distribution in sorted(metadata.distributions(), key=_from_source_tree):
        first.setdefault(distribution.name, distribution)
    return tuple(point for distribution in first.values() for point in distribution.entry_points)


def _from_source_tree(distribution: metadata.Distribution) -> bool:
    return distribution.read_text("SOURCES.txt") is not None


def load_group(group: str) -> dict[str, Plugin]:
    """Every plug-in of a group by name, those that cannot be loaded too."""
    return {name: _load(point) for name, point in sorted(entry_points(group).items())}


def load_plugin(group: str, name: str, *, place: str = "") -> Any:
    """The object of one plug-in. Raises `ConfigError` for an unknown name or one that cannot be imported."""
    points = entry_points(group)
    kind = group.removeprefix("dwell.").replace("_", " ").replace("policies", "policys").rstrip("s")
    if name not in points:
        raise ConfigError(f"there is no {kind} '{name}'", hint=nearest(name, points), place=place)
    plugin = _load(points[name])
    if not plugin.ok:
        raise ConfigError(
            f"{kind} '{name}' ({plugin.target}) cannot be loaded: {plugin.reason}",
            hint=f"mend or reinstall {plugin.distribution or 'its package'} for {sys.executable}",
            place=place,
        )
    return plugin.value
