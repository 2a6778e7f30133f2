"""What ``import gencourse`` costs over ``import torch``, in processes that take turns."""

from __future__ import annotations

import statistics
import subprocess
import sys
from typing import Any

from .harness import Options

__all__ = ["rows"]

SCRIPT = """\
import time, torch
begun = time.process_time()
{code}
print(time.process_time() - begun)
"""


def rows(options: Options) -> list[dict[str, Any]]:
    """Return the seconds of processor time that the import takes after that of torch."""
    seconds: dict[str, list[float]] = {"pass": [], "import gencourse; gencourse.device()": []}
    for _ in range(options.size(options.rounds, 1)):
        for code, found in seconds.items():
            command = [sys.executable, "-c", SCRIPT.format(code=code)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found.append(float(done.stdout))
    extra = [b - a for a, b in zip(*seconds.values(), strict=True)]
    return [
        {
            "work": "import gencourse, after import torch",
            "seconds": statistics.median(extra),
            "lowest": min(extra),
            "highest": max(extra),
            "aim": 0.2,
            "rounds": len(extra),
        }
    ]
