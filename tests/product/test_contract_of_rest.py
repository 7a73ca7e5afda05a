"""The running server against its own OpenAPI document, by an independent tool (schemathesis)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from product import Product
from rest import ADMIN_KEY

LIMIT_S = 300
EXAMPLES = 3  # of an operation, beside those that cover its schema; with the seed the same in every run
# Not asked: keys are missing in a way of our own (400 without X-App-ID), and whether an SDP or a URL can be
# used no schema says.
EXCLUDED = "ignored_auth,positive_data_acceptance"
OF_THE_SERVER = r"^/(docs|metrics|livez|readyz|health|.*\.json)"
# How a sound server may refuse besides: a body may be too large before it is wrong, and who comes without a
# key is told so ten times a second.
SETTINGS = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429]
[checks.missing_required_header]
expected-statuses = [400, 401, 403, 406, 415, 422, 429]
"""


def test_what_the_document_says_is_so(serve: Callable[..., Product], tmp_path: Path) -> None:
    product = serve(workers=1)
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    headers = {**product.api().headers, "X-Admin-API-Key": ADMIN_KEY}
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"http://127.0.0.1:{product.port}/openapi.json",
            "--exclude-path-regex",
            OF_THE_SERVER,
            *(word for name, value in headers.items() for word in ("-H", f"{name}: {value}")),
            *("--seed", "1", "--phases", "coverage,fuzzing", "-n", str(EXAMPLES), "--no-shrink"),
            *("--suppress-health-check", "all", "--warnings", "off", "--exclude-checks", EXCLUDED),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=LIMIT_S,
        check=False,
    )
    assert "Test cases:" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout
    assert "internal_error" not in product.log and "core_failed" not in product.log
