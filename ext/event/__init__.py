"""What goes to thousands of clients every second: events written and sent without an object for each.

``stats_record`` (an endpoint's counters in a fixed size, and their JSON in a `stats` event) is filled by
workers and written out by control; ``websocket`` sends many texts to many sockets in one call.  Control runs
it, never the media thread.  Files here see ``base`` alone; ``flow`` sees the record.
"""
