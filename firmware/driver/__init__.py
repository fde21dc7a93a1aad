"""Driver of the dwell firmware on a PYNQ board. PYNQ, NumPy and the standard library only; Python 3.10.

A copy of this package, called `dwell_board`, is in every overlay:

    from dwell_board.board import open_board
    board = open_board("/home/xilinx/overlay")
    board.configure(threshold=40, dead_time=5, lines=256, pixels=256)   # kind "pixels"
    frame = board.process_frame(pixels)
    board.configure(threshold=40, select=2, class_trigger=True)         # kind "frames"
    frame = board.process_frame(codes)

Nothing is imported here, so that `registers`, `records` and `framing` can be used where PYNQ is absent.
"""
