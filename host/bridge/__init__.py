"""The loop between instrument and board: rows in, events out, commands back, everything counted and
recorded.
"""
