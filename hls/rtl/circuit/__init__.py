"""Arithmetic as circuits: adder graphs and their solver, trees of sums, casts, tables, gates, and when each works."""
