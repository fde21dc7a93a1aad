"""Locked Python environments, one for each set of tools that can live together."""
