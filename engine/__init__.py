"""The worker process: one a CPU, two threads that share nothing but lock-free rings.

The media thread is `ext/flow`, entered once.  Everything here is the Python thread: it takes commands, builds
endpoints, writes edits, turns facts into events.  It never touches a packet, never forks, and does nothing
over 2 ms in one piece.

Read in this order: __main__ (start), worker (the loop), commands (one function each), plan (who is on which
bus), events (the way out), retirement (the way to the end), ports, keys, probe, timers.  messages and codecs
are the vocabulary shared with control; supervisor_link, affinity, limits, log are used by all processes;
inspect reads the arenas from outside.
"""
