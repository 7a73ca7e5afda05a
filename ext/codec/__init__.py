"""Payload <-> PCM: one file a codec family, one table of function pointers.

Rule: knows samples and bytes, nothing of RTP, streams or time; no state, no allocation.

Reading order: codec.pxd (the contract: a row of the table), codec (the table), g711, l16.  The last two are
compiled once an instruction level; ext/base/cpu chooses.  comfort_noise is no row: it is sent beside a codec.

A new codec is a file with its rows, its id in codec.pxd, and a line in codec.pyx's `fill`.
"""
