"""Keras networks (QKeras, HGQ2, Keras 3) walked layer by layer into the integer graph."""
