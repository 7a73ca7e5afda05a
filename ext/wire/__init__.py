"""Bytes to structs and back, one RFC a file: no IO, no allocation, no clock (``now_us`` is an argument).

Rule: whatever the bytes, a parser reads inside ``[data, data + n)`` only and answers RT_OK or a small
negative number.  Pointers a parser hands out lie inside the datagram and live as long as it does.  Files here
see ``base`` alone.

Reading order: ``rtp`` (the header of every packet), ``telephone_event`` (a payload and the two machines
around it), ``rtcp`` (reports beside the stream); each ``.pxd`` is the contract and carries the bit layout.
"""
