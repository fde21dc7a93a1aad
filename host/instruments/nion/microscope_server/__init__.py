# SPDX-License-Identifier: GPL-3.0-only
"""The simulated microscope's own process: Nion Swift's simulator with an atomic sample, served over TLS.

Every file in this folder is GPL-3.0-only (see COPYING beside it), because it is one work with Nion Swift. It
runs in a process of its own, in the environment `scope`, and shares nothing with the rest of `dwell` but a
socket: it imports no `dwell` module and no `dwell` module imports it.
"""
