"""``python -m roomtone.control``: the control process; the supervisor starts it and sets ROOMTONE_CONTROL."""

import sys

from roomtone.control.app import main

if __name__ == "__main__":
    sys.exit(main())
