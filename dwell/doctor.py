"""What is here and what is not: tools, environments, plug-ins, with version or reason of absence."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path
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
    "finn": "the back end finn: FINN+ without Vivado",
    "board": "the simulated board: PYNQ over the Verilated firmware",
    "scope": "the Nion Swift simulator, in a process of its own",
    "qkeras": "QKeras networks: training, and reading of .h5 files",
}
_HLS4ML_GROUP = "hls4ml.backends"
_LIST_BACKENDS = "import hls4ml.backends as b; print(' '.join(['BACKENDS', *b.get_available_backends()]))"


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


def hls4ml_backend_reason(name: str, python: Path) -> str:
    """Why hls4ml, as `python` has it, does not know the back end `name`; empty if it does.

    A plug-in that can be imported need not have registered: where that fails, hls4ml prints a warning and
    goes on without it.
    """
    try:
        done = subprocess.run(
            [str(python), "-c", _LIST_BACKENDS],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, errors="replace",
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"hls4ml cannot be asked: {error}"
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    known = next((line.split()[1:] for line in lines if line.startswith("BACKENDS")), None)
    if known is None:
        return f"hls4ml cannot be imported: {lines[-1] if lines else 'it says nothing'}"
    if name.lower() in known:
        return ""
    warnings = [line.removeprefix("WARNING: ") for line in lines if f'"{name.lower()}"' in line]
    return f"hls4ml has not registered it: {'; '.join(warnings) or 'it says nothing'}"


def _plugins() -> list[dict[str, Any]]:
    found = _plugin_entries()
    environment = locate(read_lock("build"))
    for entry in found:
        if entry["group"] == _HLS4ML_GROUP and entry["ok"] and environment.ready:
            entry["reason"] = hls4ml_backend_reason(entry["name"], environment.python)
            entry["ok"] = not entry["reason"]
    return found


def _plugin_entries() -> list[dict[str, Any]]:
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
