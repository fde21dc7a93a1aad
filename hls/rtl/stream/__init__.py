"""Streams of frames of a fixed size: layers as islands that never stall, elastic links between them."""
