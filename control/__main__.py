"""``python -m roomtone.control``: the control process, started by the supervisor with ROOMTONE_CONTROL set."""

import sys

from roomtone.control.app import main

if __name__ == "__main__":
    sys.exit(main())
