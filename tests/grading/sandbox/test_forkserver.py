"""Kernels start, speak, are measured, and end with everything they started."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sandboxed import Kernel, skip_without

from gencourse.grading.job import Limits
from gencourse.grading.sandbox import ForkServer, Isolation, NoSandbox, SpawnError, best
from gencourse.grading.sandbox.processes import descendants

Start = Callable[..., Kernel]
MB = 1 << 20


def test_a_kernel_finds_its_files_and_answers_over_its_socket(kernel: Start) -> None:
    program = "import os; answer((open('data/x.txt').read(), sorted(os.listdir('.'))))"
    started = kernel(program, files={"data/x.txt": b"seven"})
    assert started.answer() == ("seven", ["data", "probe.py"])
    assert started.child.wait(20) == 0
    assert started.child.poll() == 0


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("raise SystemExit(7)", 7),
        ("import os; os._exit(3)", 3),
        ("1 / 0", 1),
        ("import ctypes; ctypes.string_at(0)", -signal.SIGSEGV),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL),
        ("import os; os.abort()", -signal.SIGABRT),
    ],
)
def test_the_exit_status_is_told(kernel: Start, program: str, status: int) -> None:
    assert kernel(program).child.wait(20) == status


def test_an_interrupt_reaches_the_kernel_and_not_what_it_started(kernel: Start) -> None:
    program = """
    import subprocess, time
    program = subprocess.Popen(["sleep", "30"])
    try:
        answer("sleeping")
        time.sleep(30)
    except KeyboardInterrupt:
        answer(program.poll())
    """
    started = kernel(textwrap.dedent(program))
    assert started.answer() == "sleeping"
    started.child.interrupt()
    assert started.answer() is None
    assert started.reader.readline() == ""  # None was the answer, not the end of the line
    assert started.child.wait(20) == 0


def test_kill_ends_what_ignores_every_signal(kernel: Start) -> None:
    program = """
    import os, signal, time
    for number in range(1, 65):
        try: signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError): pass
    for _ in range(3):
        if os.fork() == 0: os.setsid(); break
    answer(1)
    while True: time.sleep(1)
    """
    started = kernel(textwrap.dedent(program))
    assert started.answer() == 1
    supervisor = started.child.pid
    kin = descendants(supervisor)
    assert len(kin) >= 1
    assert started.child.kill() == -signal.SIGKILL
    assert_gone([supervisor, *kin])


def assert_gone(pids: list[int], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while left := [pid for pid in pids if running(pid)]:
        assert time.monotonic() < end, f"still there: {left}"
        time.sleep(0.02)


def running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("memory_mb", [2048, 300], ids=["estimated", "counted"])
def test_memory_is_what_the_kernel_took_for_itself(kernel: Start, memory_mb: int) -> None:
    idle = kernel("import time; answer(0); time.sleep(60)")
    assert idle.answer() == 0
    assert idle.child.memory() < 8 * MB
    program = f"x = bytearray(b'x' * (200 * {MB})); import time; answer(0); time.sleep(60)"
    started = kernel(program, limits=Limits(memory_mb=memory_mb))
    assert started.answer() == 0
    assert 195 * MB < started.child.memory() < 240 * MB


def test_what_processes_share_counts_once(kernel: Start) -> None:
    program = f"""
    import os, time
    x = bytearray(b'x' * (200 * {MB}))
    for _ in range(4):
        if os.fork() == 0: time.sleep(60)
    answer(0); time.sleep(60)
    """
    started = kernel(textwrap.dedent(program), limits=Limits(memory_mb=600))
    assert started.answer() == 0
    time.sleep(0.2)
    assert 180 * MB < started.child.memory() < 300 * MB


def test_memory_far_beyond_the_limit_ends_the_kernel_whoever_holds_it(kernel: Start) -> None:
    program = f"""
    import os, time
    for _ in range(6):
        if os.fork() == 0:
            x = bytearray(b'x' * (100 * {MB}))
            time.sleep(60)
    time.sleep(60)
    """
    started = kernel(textwrap.dedent(program), limits=Limits(memory_mb=200))
    assert started.child.wait(20) == -signal.SIGKILL
    assert started.child.reason == "memory"


def test_one_allocation_beyond_the_limit_is_an_error_in_the_students_code(kernel: Start) -> None:
    program = f"""
    try: x = bytearray(3000 * {MB})
    except MemoryError: answer("no")
    """
    assert kernel(textwrap.dedent(program)).answer() == "no"


def test_disk_is_limited_as_a_whole(kernel: Start) -> None:
    program = f"""
    import os, time
    try:
        for number in range(1000):
            with open(f"{{number}}", "wb", buffering=0) as file:
                file.write(bytes({MB}))
            if number > 64: time.sleep(0.02)
    except OSError:
        answer(number)
    """
    started = kernel(textwrap.dedent(program), limits=Limits(disk_mb=32))
    number = started.answer()
    if number is not None:
        assert number <= 32
    else:
        assert started.child.wait(20) == -signal.SIGKILL
        assert started.child.reason == "disk"


def test_many_kernels_at_once_each_with_its_own_files(server: ForkServer) -> None:
    def one(number: int) -> tuple[object, int | None]:
        program = "import os; answer((open('mine').read(), sorted(os.listdir('.'))))"
        with Kernel(server, program, files={"mine": str(number).encode()}) as started:
            return started.answer(), started.child.wait(20)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(24)))
    assert answers == [((str(number), ["mine", "probe.py"]), 0) for number in range(24)]


def test_kernels_draw_different_random_numbers(kernel: Start) -> None:
    program = "import random; answer(random.random())"
    assert kernel(program).answer() != kernel(program).answer()


def test_only_a_kernel_of_the_courses_own_reads_the_course(server: ForkServer) -> None:
    asked = {"attempts": ["read_files"], "targets": {"secrets": [__file__], "real": []}}
    for sandboxed, reached in ((False, __file__), (True, "")):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            entry = "gencourse.grading.sandbox.inside:main"
            with server.spawn(entry, [theirs.fileno()], sandboxed=sandboxed):
                ours.settimeout(20)
                ours.sendall(json.dumps(asked).encode() + b"\n")
                assert json.loads(ours.recv(1 << 16)) == {"read_files": reached}


def test_names_that_are_withheld_are_passed_on(kernel: Start) -> None:
    program = "import os; answer(os.environ['GENCOURSE_WITHHELD'])"
    assert kernel(program, withheld=("gencourse.a", "gencourse.b")).answer() == (
        "gencourse.a,gencourse.b"
    )


@pytest.mark.parametrize("name", ["../x", "/etc/x", "", ".", "a/../../x", "a\0b"])
def test_files_stay_beneath_the_working_directory(server: ForkServer, name: str) -> None:
    with pytest.raises(ValueError, match="no path beneath the working directory"):
        server.spawn("builtins:len", [], sandboxed=True, files={name: b""})


def test_an_entry_that_is_not_there_is_an_error(server: ForkServer) -> None:
    with pytest.raises(SpawnError, match="nosuchmodule"):
        server.spawn("nosuchmodule:main", [], sandboxed=True)
    with pytest.raises(SpawnError, match="nosuchfunction"):
        server.spawn("json:nosuchfunction", [], sandboxed=True)
    assert server.alive


@pytest.mark.parametrize("isolation", [Isolation.NAMESPACES, Isolation.LANDLOCK])
def test_kernels_end_with_their_server_and_it_starts_again(isolation: Isolation) -> None:
    skip_without(isolation)
    program = "import os, time; os.fork(); answer(1); time.sleep(600)"
    server = ForkServer(isolation, warm=())
    with server, Kernel(server, program) as started:
        assert started.answer() == 1
        kin = [started.child.pid, *descendants(started.child.pid)]
        assert server.pid is not None
        place = server.place
        os.kill(server.pid, signal.SIGKILL)
        assert_gone(kin)
        assert started.child.wait(10) == -signal.SIGKILL
        assert not server.alive
        with pytest.raises(SpawnError, match="not running"):
            server.spawn("builtins:len", [], sandboxed=True)
        server.start()
        assert not os.path.exists(place)
        with Kernel(server, "answer(2)") as again:
            assert again.answer() == 2


OWNER = """
import socket, sys, time
from gencourse.grading.sandbox import ForkServer, Isolation
server = ForkServer(Isolation(sys.argv[1]), warm=())
server.start()
entry = b"import time, os\\ndef main(s):\\n    os.fork()\\n    time.sleep(600)\\n"
child = server.spawn("probe:main", [], sandboxed=True, files={"probe.py": entry})
time.sleep(0.3)
print(server.pid, child.pid, server.place, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("isolation", [Isolation.NAMESPACES, Isolation.LANDLOCK])
def test_nothing_outlives_an_owner_that_is_killed(isolation: Isolation) -> None:
    skip_without(isolation)
    owner = subprocess.Popen([sys.executable, "-c", OWNER, isolation], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    server, child, place = owner.stdout.readline().split()
    kin = [int(server), int(child), *descendants(int(child))]
    assert len(kin) == 4
    assert os.path.isdir(place)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert_gone(kin)
    assert not os.path.exists(place)


def test_a_supervisor_that_is_killed_takes_its_kernel_along(kernel: Start) -> None:
    started = kernel("import os, time; os.fork(); answer(1); time.sleep(600)")
    assert started.answer() == 1
    kin = descendants(started.child.pid)
    os.kill(started.child.pid, signal.SIGKILL)
    assert started.child.wait(10) == -signal.SIGKILL
    assert_gone(kin)


def test_a_kernel_that_ends_at_once_has_started(server: ForkServer) -> None:
    for _ in range(30):
        assert server.spawn("builtins:len", [], sandboxed=True).wait(20) == 0


def test_without_a_wall_kernels_still_end_together() -> None:
    with ForkServer(Isolation.NONE, warm=()) as server:
        program = "import os, time; os.fork() or os.setsid(); answer(1); time.sleep(600)"
        with Kernel(server, program) as started:
            assert started.answer() == 1
            kin = descendants(started.child.pid)
        assert_gone(kin)


def test_a_server_that_can_not_start_says_why() -> None:
    with pytest.raises(SpawnError, match="too long"):
        ForkServer(Isolation.NONE, warm=(), start_seconds=0.0).start()


def test_warm_kernels_have_one_thread_and_compute() -> None:
    """A second thread in the server could hold a lock at the moment of a fork, for ever."""
    program = """
    import sys, os
    warm = "torch" in sys.modules and "numpy" in sys.modules
    import numpy, torch
    a = torch.randn(64, 64, requires_grad=True)
    (a @ a).sum().backward()
    torch.set_num_threads(2)
    answer((warm, bool(torch.isfinite(a.grad).all()), float((a @ a).sum()) == float((a @ a).sum())))
    """
    with ForkServer(best_or_none()) as server:
        assert server.threads == 1
        started = [Kernel(server, textwrap.dedent(program)) for _ in range(2)]
        try:
            assert [each.answer() for each in started] == [(True, True, True)] * 2
            assert [each.child.wait(20) for each in started] == [0] * 2
        finally:
            for each in started:
                each.__exit__()


def best_or_none() -> Isolation:
    try:
        return best()
    except NoSandbox:
        return Isolation.NONE
