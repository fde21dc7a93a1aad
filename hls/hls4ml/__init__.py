"""hls4ml both ways: as a front for our own designs, and as a way from our networks to Vitis HLS."""
