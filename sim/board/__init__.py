"""A simulated board: the Verilated firmware and models of the DMA engines behind PYNQ's own API."""
