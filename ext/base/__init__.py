"""What every compiled layer uses and what knows nothing of RTP: types, the clock, the ring, the CPU's
level.

Rule: clock is the only reader of time below `engine`; ring has one producer and one consumer and no
lock.
Reading order: types.pxd, ring, clock, cpu.
"""
