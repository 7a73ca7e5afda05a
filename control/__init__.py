"""The control process: the session protocol over WebSocket, health and metrics over HTTP, the command line.

Rule: ``core`` decides and knows no clock, socket or loop; ``io`` does what ``core`` says.

Reading order: ``cli`` (what a user starts), ``supervisor`` (parent of all processes), ``app`` (this process
put together), ``io/runtime`` (the input loop), then ``core``.  ``client`` is the Python client, imported as
``roomtone.client``.
"""
