"""``python -m roomtone.control.dispatcher``: the supervisor starts it and sets ROOMTONE_DISPATCHER."""

import sys

from roomtone.control.dispatcher.app import main

if __name__ == "__main__":
    sys.exit(main())
