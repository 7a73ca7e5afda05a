"""The dispatcher process: delivers webhooks.

Reads the store, writes nothing: what came of each attempt goes to control, which commits it.  Read `lanes`
first (what is sent when, without IO), then `schedule`, `sender` (one attempt), `dispatcher` (the process).
"""
