"""What honest programs do works behind the walls, or fails with a plain reason."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import pytest
from sandboxed import Kernel

from gencourse.grading.sandbox import ForkServer, Isolation

Start = Callable[..., Kernel]

PROGRAMS = {
    "a program": """
        import subprocess, sys
        answer(subprocess.check_output([sys.executable, "-c", "print(6 * 7)"]).strip() == b"42")
    """,
    "the shell": """
        import subprocess
        answer(subprocess.check_output("echo $HOME | cat > f; cat f", shell=True).strip() != b"")
    """,
    "threads": """
        from concurrent.futures import ThreadPoolExecutor
        answer(list(ThreadPoolExecutor(4).map(abs, [-1, -2])) == [1, 2])
    """,
    "copies": """
        import os, pathlib, shutil, tarfile, tempfile
        pathlib.Path("a").write_text("x")
        shutil.copy2("a", "b"); os.chmod("b", 0o600); os.utime("b"); os.rename("b", "c")
        with tarfile.open("t.tar", "w") as archive: archive.add("a")
        with tarfile.open("t.tar") as archive: archive.extractall("out", filter="data")
        with tempfile.TemporaryDirectory() as folder: pathlib.Path(folder, "x").write_text("y")
        shutil.rmtree("out")
        answer(sorted(os.listdir(".")) == ["a", "c", "helper.py", "probe.py", "t.tar"])
    """,
    "asyncio": """
        import asyncio
        answer(asyncio.run(asyncio.sleep(0.01, True)))
    """,
    "its own name and home": """
        import getpass, os, pathlib
        answer(getpass.getuser() == "student" and os.access(pathlib.Path.home(), os.W_OK))
    """,
    "more processes than one": """
        import os
        pid = os.fork()
        if pid == 0: os._exit(5)
        answer(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5)
    """,
    "killing what it started": """
        import subprocess
        program = subprocess.Popen(["sleep", "30"]); program.kill()
        answer(program.wait() == -9)
    """,
    "its limits and memory": """
        import os, resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        answer(os.cpu_count() >= 1 and b"MemTotal" in open("/proc/meminfo", "rb").read())
    """,
    "files it brought": """
        import helper
        answer(helper.answer == 42)
    """,
}


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_it_works(kernel: Start, name: str) -> None:
    started = kernel(textwrap.dedent(PROGRAMS[name]), files={"helper.py": b"answer = 42\n"})
    assert started.answer() is True
    assert started.child.wait(20) == 0


def test_a_pool_of_processes_works_in_namespaces(server: ForkServer, kernel: Start) -> None:
    if server.isolation is not Isolation.NAMESPACES:
        pytest.skip("semaphores lie in /dev/shm, which Landlock can't divide")
    program = """
    import multiprocessing
    with multiprocessing.Pool(2) as pool: answer(pool.map(abs, [-1, -2]))
    """
    assert kernel(textwrap.dedent(program)).answer() == [1, 2]


def test_the_network_is_said_to_be_unreachable(kernel: Start) -> None:
    program = """
    import socket
    try: socket.create_connection(("192.0.2.1", 80), timeout=5)
    except OSError as error: answer(error.strerror)
    """
    assert kernel(textwrap.dedent(program)).answer() == "Network is unreachable"
