"""Whoever runs kernels needs none of what runs in them: its memory is not a class's."""

from __future__ import annotations

import subprocess
import sys


def test_the_owner_of_kernels_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "import gencourse.grading.kernel.execute, gencourse.grading.sandbox\n"
        "print(sorted({'torch', 'numpy', 'IPython', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
