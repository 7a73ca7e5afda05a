"""The parts of examples/demo.py.

sound.py    G.711, levels and WAV files
speech.py   what the callers say: espeak-ng, kept in the temporary folder
caller.py   a telephone: RTP out every 20 ms, RTP in as it comes
server.py   `roomtone serve` as a child process on free ports
hearing.py  who heard whom, in numbers
screen.py   what one sees while it runs
verdict.py  what has to hold at the end
"""
