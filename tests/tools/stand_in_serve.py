"""A supervisor with real workers and the stand-in control; its configuration is the JSON in argv[1]."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from roomtone.control.core.config import Config
from roomtone.control.runtime_dir import RuntimeDir
from roomtone.control.supervisor import Supervisor
from roomtone.engine.log import Log
from roomtone.ext.flow.media import Arena


def main() -> int:
    config = msgspec.json.decode(sys.argv[1], type=Config)
    runtime_dir = RuntimeDir(config.runtime_dir)
    supervisor = Supervisor(
        config,
        runtime_dir,
        format_arena=Arena.format,
        control_argv=[sys.executable, str(Path(__file__).with_name("stand_in_control.py"))],
        worker_argv=[sys.executable, "-m", "roomtone.engine"],
        log=Log(config.log_level, process="supervisor"),
    )
    try:
        return supervisor.run()
    finally:
        runtime_dir.close()


if __name__ == "__main__":
    sys.exit(main())
