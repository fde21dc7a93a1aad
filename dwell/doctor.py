"""What is here and what is not: tools, environments, plug-ins, with version or reason of absence."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

from dwell import plugins
from dwell.environments.locate import environments_root, locate
from dwell.environments.lock import lock_names, read_lock
from dwell.errors import ConfigError, ToolNotFoundError
from dwell.tools import SPECS, find_tool

_ENVIRONMENT_PURPOSES = {
    "core": "the command line and Snakemake",
    "build": "training, conversion, simulation, synthesis, tests",
    "abtem": "multislice data, made once and offline",
    "qkeras": "QKeras networks: training, and reading of .h5 files",
}


def diagnose() -> dict[str, Any]:
    """The JSON object of `dwell doctor`."""
    tools, environments, found = _tools(), _environments(), _plugins()
    return {
        "dwell": metadata.version("dwell"),
        "python": platform.python_version(),
        "environments_root": str(environments_root()),
        "ok": all(entry["ok"] or not entry["required"] for entry in [*tools, *environments, *found]),
        "tools": tools,
        "environments": environments,
        "plugins": found,
    }


def _tools() -> list[dict[str, Any]]:
    environment = locate(read_lock("build"))
    site = environment.site_packages if environment.ready else None
    found = []
    for spec in SPECS.values():
        entry: dict[str, Any] = {"name": spec.name, "purpose": spec.purpose, "required": spec.required}
        try:
            tool = find_tool(spec.name, site_packages=site)
            entry |= {"ok": True, "version": tool.version, "path": str(tool.path), "reason": "", "hint": ""}
        except ToolNotFoundError as error:
            entry |= {"ok": False, "version": None, "path": None, "reason": error.message, "hint": error.hint}
        found.append(entry)
    return found


def _environments() -> list[dict[str, Any]]:
    found = []
    for name in lock_names():
        entry: dict[str, Any] = {
            "name": name,
            "purpose": _ENVIRONMENT_PURPOSES.get(name, ""),
            "required": name == "build",
        }
        try:
            state = locate(read_lock(name))
        except ConfigError as error:
            found.append(
                entry | {"ok": False, "path": None, "packages": 0, "lock": None, "reason": error.message}
            )
            continue
        entry |= {"ok": state.ready, "path": str(state.path), "packages": state.packages}
        found.append(entry | {"lock": state.lock_digest[:12], "reason": state.reason})
    return found


def _plugins() -> list[dict[str, Any]]:
    return [
        {
            "group": plugin.group,
            "name": plugin.name,
            "target": plugin.target,
            "version": f"{plugin.distribution} {plugin.version}".strip(),
            "required": plugin.group == plugins.STAGES,
            "ok": plugin.ok,
            "reason": plugin.reason,
        }
        for group in plugins.GROUPS
        for plugin in plugins.load_group(group).values()
    ]
