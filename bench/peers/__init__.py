"""roomtone side by side with other servers of its kind, driven by the same callers in the same run.

Rule: nothing here is needed to build, test or run roomtone; the peers are Debian packages for the bench only
(deploy/apt-bench.txt).
Reading order: peer (a process that is measured), ng and rtpengine, janus, table, main.
"""
