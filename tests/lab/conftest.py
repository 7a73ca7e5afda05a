"""Makes `import lab` work from every folder that tests in virtual time."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
