"""The compiled part: everything a packet passes, without the GIL.

Rule: cimports go base <- wire, codec, dsp, event, file <- flow; those five never see each other.
Reading order: flow/graph.pxd and endpoint.pxd (the structs), flow/loop.pyx (what runs in which order), then
the files it names.
A .pxd is the contract, its .pyx the text; each .pyx ends with a block for tests and tools.
"""
