"""The sans-IO heart of the control process: messages in, effects out.

Nothing here opens, reads a clock, draws a random number or waits: time and ids are arguments.  An
import-linter contract keeps it so.

Reading order: effects (what goes in and out), core (the one entry, `Core.handle`), session (the two
machines), run and procedures (what asks workers), requests, endpoint_requests and file_requests (what each
method does), life (what becomes of sessions), placing on placement (which worker, and spreading), negotiate
on sdp (offer and answer), downloads (files from URLs), event_queue (what waits for a slow client), recall
(after a restart), stats and views, api (the words on the wire), problems (the ways to say no), config.
"""
