"""Converters: the integer graph and its interpreter, lowering, back ends, synthesis."""
