"""The root of a sandbox shows what it is told to, wherever that lies, and makes nothing outside."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from sandboxed import skip_without

from gencourse.grading.sandbox import Isolation

# Built in a process of its own, which ends with it.
PROGRAM = """
import json, os, sys
from pathlib import Path
from gencourse.grading.sandbox import linux, namespaces
place, shown = sys.argv[1:]
user, group = os.getuid(), os.getgid()
pid = linux.fork_into(namespaces.FLAGS | (linux.CLONE_NEWUSER if user else 0))
if pid:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
if user:
    namespaces.map_user(user, group)
try:
    namespaces.build_root(place, [shown], {}, disk_mb=8, owner=None)
    mine = "mine-" + Path(shown).parent.name
    Path("/var/tmp", mine).write_text("x")
    seen = [Path(shown, "inside").read_text(), Path("/tmp", mine).read_text()]
    try:
        Path(shown, "new").write_text("x")
    except OSError as error:
        seen.append(error.strerror)
    print(json.dumps(seen))
except OSError as error:
    print(json.dumps(str(error)))
sys.stdout.flush()
os._exit(0)
"""


def seen_from_within(shown: Path, place: Path) -> object:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(place), str(shown)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("top", ["/tmp", "/var/tmp", "/dev/shm"])
def test_a_library_may_lie_where_everyone_writes(top: str, tmp_path: Path) -> None:
    skip_without(Isolation.NAMESPACES)
    with tempfile.TemporaryDirectory(dir=top) as folder:
        shown = Path(folder, "library")
        shown.mkdir()
        (shown / "inside").write_text("read me")
        seen = seen_from_within(shown, tmp_path)
        assert seen == ["read me", "x", "Read-only file system"]
        assert not (shown / "new").exists()
        # What was made within is not on this machine, nor is the way to what is shown.
        name = Path(folder).name
        assert not Path("/tmp", f"mine-{name}").exists()
        assert not Path("/var/tmp", f"mine-{name}").exists()
        assert Path("/tmp", name).exists() == (top == "/tmp")
