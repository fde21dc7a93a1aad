"""From a trained detector network to a verified trigger in an FPGA."""
