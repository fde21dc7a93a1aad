"""Layers whose multipliers are shared over time: matrix-vector units, their folding and their memories."""
