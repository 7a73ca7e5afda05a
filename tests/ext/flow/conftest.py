"""Tests of the media thread's own files; its behaviour is tested in tests/behaviour."""

import os

# The sanitizer is an allocator itself and must be preloaded first: nothing else can count there.
collect_ignore = ["test_no_allocation.py"] if "libasan" in os.environ.get("LD_PRELOAD", "") else []
