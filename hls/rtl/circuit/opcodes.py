"""Codes of the operations of alkaid's graph (its ``types.py``) that a sum of products can hold."""

NEGATE, INPUT, ADD, SUBTRACT, ADD_CONSTANT, CONSTANT, SUM = -2, -1, 0, 1, 4, 5, 11
