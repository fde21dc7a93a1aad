"""Nion Swift's simulator as an instrument: the client's side (`client`). The microscope itself is another
process.
"""
