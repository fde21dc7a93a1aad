"""`python -m dwell` is `dwell`."""

from __future__ import annotations

from dwell.cli import main

main()
