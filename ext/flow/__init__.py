"""The media thread: a packet's way from socket to socket.

Rule: no GIL, no allocation, no lock, no exception; one owner for every piece of state; time is an
argument; every drop has a name. Contracts (.pxd) know only the structs, so that no circle can arise.
Reading order: graph.pxd and endpoint.pxd (the structs), loop, then along the way rx_socket, rx_demux,
rx_source, relay or rx_playout, rx_decode, bus, tx_encode, tx_packetize, tx_socket; beside it key, noise,
tap, report; behind it route (who hears whom), edit (changes in), fact (news out), arena and snapshot (reading
from outside), lab (virtual time), audit. The Python face is one class in three parts: media_memory,
edit_writer (changes out), media.
"""
