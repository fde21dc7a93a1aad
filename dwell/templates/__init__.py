"""Projects that `dwell init` copies."""
