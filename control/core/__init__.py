"""The sans-IO heart of the control process: messages in, effects out.

Nothing here opens, reads a clock, draws a random number or waits: time and ids are arguments.  An
import-linter contract keeps it so.

Reading order: effects (what goes in and out), core (the one entry, `Core.handle`), connection and session
(the two machines), requests and endpoint_requests (what each method does), negotiate on sdp (offer and
answer), placement (which worker, and spreading), event_queue (what waits for a slow client), stats, api (the
words on the wire), problems (the ways to say no), config.
"""
