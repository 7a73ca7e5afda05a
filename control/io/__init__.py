"""The control process's contact with the world: sockets, timers, signals; no decision is made here.

Rule: nothing here decides what a client is told.  Every input goes to `roomtone.control.core` and every
effect that comes back is performed in order, by one thread, without awaiting a slow peer.

Reading order: ``runtime`` (the input loop), ``workers`` (ZeroMQ), ``ws`` (control connections), ``http`` (the
one port), ``fetch`` on ``address_guard`` and ``media_dir`` (files), ``auth``, ``metrics``, ``timers``,
``log``.
"""
