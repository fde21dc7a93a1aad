"""Policies: what the instrument does about events. Each is an entry point of group `dwell.policies`."""
