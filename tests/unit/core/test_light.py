"""The core and every plug-in's door can be imported with the light packages alone."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from dwell import plugins
from dwell.environments.lock import normalise, read_lock

pytestmark = pytest.mark.fast

# Refuses what no package of the core's lock brings, as if it were not installed.
_CODE = """
import json, sys
from importlib import metadata

class Refuse:
    def __init__(self, names):
        self.names = names
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return None

asked = json.loads(sys.argv[1])
sys.meta_path.insert(0, Refuse(set(asked["refused"])))
import dwell.cli, dwell.stage_runner
reasons = {}
for target in asked["targets"]:
    try:
        metadata.EntryPoint("x", target, "x").load()
    except Exception as error:
        reasons[target] = str(error)
print(json.dumps(reasons))
"""


def _refused() -> list[str]:
    from importlib import metadata

    light = set(read_lock("core").pins) | {"dwell", "pip"}
    brought = metadata.packages_distributions()
    return [name for name, owners in brought.items() if not light & {normalise(owner) for owner in owners}]


def _targets() -> list[str]:
    points = [p for group in plugins.GROUPS for p in plugins.entry_points(group).values()]
    return sorted({p.value for p in points if p.dist is not None and p.dist.name == "dwell"})


def test_there_is_something_to_refuse() -> None:
    refused = _refused()
    assert "pytest" in refused
    assert not {"dwell", "pydantic", "numpy", "rich"} & set(refused)


def test_all_are_light() -> None:
    targets = _targets()
    assert "dwell.hls.stages:CONVERT" in targets
    asked = json.dumps({"refused": _refused(), "targets": targets})
    done = subprocess.run([sys.executable, "-c", _CODE, asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == {}
