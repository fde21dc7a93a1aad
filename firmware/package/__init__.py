"""From a design to an overlay: the folder that a board, real or simulated, is loaded with."""
