"""Synthetic callers, the floor they are compared with, and the runner of both.

Reading order: callers.pyx (who calls), floor.pyx (what every engine is compared with), scenario (who sits
where and says what), tone and payload (what is said, and whether it was heard), figures and verdict (from
arrivals to numbers), proc (what a process cost), server (the engine and the floor behind one face), steer
(the engine's WebSocket), measure (one run, and runs that alternate), steady (set-up, commands, idle),
report, main.

Rule: whatever is measured is measured from outside, by kernel counters and kernel arrival times.
"""
