"""Recordings: from the bytes the media thread copied aside to files.

Rule: three threads, no lock.  The media thread writes records into one ring (capture) and knows nothing
else; the drain sorts them into recordings and formats them, and never touches a file; writers, one a file
system, write and may be held up for as long as the disk likes.  Drain and writers allocate, run without the
GIL and have nice +5.  Of a session on several workers one keeps the file; the others send it their
records through pipes (feed).  Files here see base, wire, codec and dsp; flow sees capture alone.
Reading order: capture.pxd, recording.pxd, drain, legs, leg, blocks, wav, pcap, feed, chunk, writer.
"""
