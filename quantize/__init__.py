"""Quantization-aware training: from the float network to a quantized one in its own framework."""
