"""Hand-ins that use up time, memory, processes, disk or output, or end their own process.

Task 1 (5 points) and task 3 (2 points) are answered rightly and must keep their points wherever
the trouble sits in task 2 (3 points).
"""

from __future__ import annotations

from corpus_case import case, extra, filled
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from small_course import RIGHT, WRONG


def in_cell(code: str) -> NotebookNode:
    """Trouble while task 2's cell runs."""
    return filled(task2=code + "\n" + RIGHT["task2"])


def in_call(code: str) -> NotebookNode:
    """Trouble while task 2's function is checked."""
    body = "".join(f"    {line}\n" for line in code.splitlines())
    return filled(task2="def log_density(x, mean):\n" + body + "    return x\n")


@case("limits", 7, "second")
def loops_in_a_cell() -> NotebookNode:
    return in_cell("while True: pass")


@case("limits", 7, "second")
def loops_in_a_call() -> NotebookNode:
    return in_call("while True: pass")


@case("limits", 7, "second")
def loops_and_ignores() -> NotebookNode:
    """SIGINT is ignored, timers are switched off, every exception is caught."""
    return in_cell("""\
import signal, time
for number in range(1, 32):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
signal.setitimer(signal.ITIMER_REAL, 0)
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
while True:
    try:
        while True: time.sleep(0.01)
    except BaseException: pass
""")


@case("limits", 7, "second")
def loops_and_ignores_in_a_call() -> NotebookNode:
    return in_call("""\
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
while True:
    try:
        while True: pass
    except BaseException: pass
""")


@case("limits", 7, "second")
def holds_the_interpreter() -> NotebookNode:
    """Sleeps in C with the interpreter's lock held: no signal handler of Python's runs."""
    return in_cell("import ctypes\nctypes.PyDLL(None).sleep(1000)")


@case("limits", 7, "second")
def backtracks() -> NotebookNode:
    return in_call("import re\nre.match('(a+)+$', 'a' * 60 + 'b')")


@case("limits", 7, "second")
def multiplies() -> NotebookNode:
    """One long operation of torch's, and one of Python's integers."""
    return in_call("a = torch.rand(3000, 3000)\nwhile True: a = a @ a / a.norm()")


@case("limits", 7, "second")
def stops_itself() -> NotebookNode:
    """SIGSTOP: neither running nor ended."""
    return in_call("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)")


@case("limits", 7, "second")
def wedged_by_a_thread() -> NotebookNode:
    """A thread that answers nobody, while the cell waits for a lock that never opens."""
    return in_cell("""\
import threading
lock = threading.Lock()
lock.acquire()
threading.Thread(target=lock.acquire).start()
lock.acquire()
""")


@case("limits", 7, "ended")
def exits_in_a_cell() -> NotebookNode:
    return in_cell("import os\nos._exit(0)")


@case("limits", 7, "ended")
def exits_in_a_call() -> NotebookNode:
    return in_call("import os\nos._exit(0)")


@case("limits", 7, "crashed the program")
def segfaults_in_a_cell() -> NotebookNode:
    return in_cell("import ctypes\nctypes.string_at(0)")


@case("limits", 7, "ended")
def segfaults_in_a_call() -> NotebookNode:
    return in_call("import ctypes\nctypes.string_at(0)")


@case("limits", 7, "ended")
def kills_itself() -> NotebookNode:
    return in_call("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")


@case("limits", 7)
def kills_everything() -> NotebookNode:
    """Signals to every process it may reach, and to its parents."""
    return in_cell("""\
import os, signal
for pid in (-1, 0, os.getppid(), *range(1, 200)):
    if pid != os.getpid() and pid != -os.getpid():
        try: os.kill(pid, signal.SIGKILL)
        except OSError: pass
""")


@case("limits", 7)
def recurses() -> NotebookNode:
    """Runs out of the C stack."""
    return in_cell("""\
import sys, threading
sys.setrecursionlimit(10**9)
def down(n): return [down(n + 1)]
exec("x = " + "-" * 200_000 + "1") if False else down(0)
""")


@case("limits", 7, "memory")
def fills_memory_in_a_cell() -> NotebookNode:
    return in_cell("hoard = []\nwhile True: hoard.append(bytearray(20_000_000))")


@case("limits", 7, "memory")
def fills_memory_in_a_call() -> NotebookNode:
    return in_call("hoard = [torch.ones(4_000_000) for _ in range(200)]")


@case("limits", 7, "memory")
def fills_memory_at_once() -> NotebookNode:
    """One tensor of 80 GB; then many, each a little larger, with errors caught."""
    return in_call("""\
hoard = []
size = 10_000_000_000
while True:
    try:
        hoard.append(torch.ones(size, dtype=torch.float64))
        size = size + size // 8
    except (RuntimeError, MemoryError):
        size = max(size // 2, 1000)
""")


@case("limits", 7)
def fills_shared_memory() -> NotebookNode:
    """Memory that no process owns: tmpfs, /dev/shm, anonymous files, pipes."""
    return in_cell("""\
import os
def fill(fd):
    try:
        while True: os.write(fd, bytes(1_000_000))
    except OSError: pass
for path in ("/dev/shm/fill", "/tmp/fill", "fill", os.path.expanduser("~/fill")):
    try: fill(os.open(path, os.O_CREAT | os.O_WRONLY))
    except OSError: pass
hoard = []
try:
    for n in range(200):
        fd = os.memfd_create(str(n))
        os.write(fd, bytes(50_000_000))
except OSError: pass
raise MemoryError
""")


@case("limits", 7)
def fills_memory_of_children() -> NotebookNode:
    """Each of many processes takes less than the limit."""
    return in_cell("""\
import os, time
for n in range(30):
    if os.fork() == 0:
        hoard = bytearray(150_000_000)
        for i in range(0, len(hoard), 4096): hoard[i] = 1
        time.sleep(100)
time.sleep(100)
""")


@case("limits", 7)
def forks_without_end() -> NotebookNode:
    return in_cell("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass")


@case("limits", 7)
def forks_and_exits() -> NotebookNode:
    """A fork bomb whose first process is gone at once, so that nobody is left to wait for."""
    return in_cell("""\
import os
for _ in range(20):
    if os.fork() == 0:
        os.setsid()
        while True:
            try:
                if os.fork() == 0: os.setsid()
            except OSError: pass
os._exit(0)
""")


@case("limits", 7)
def threads_without_end() -> NotebookNode:
    return in_cell("""\
import threading, time
while True:
    threading.Thread(target=time.sleep, args=(100,)).start()
""")


@case("limits", 7)
def fills_the_disk() -> NotebookNode:
    return in_cell("""\
with open("fill", "wb") as file:
    while True: file.write(bytes(1_000_000))
""")


@case("limits", 7)
def fills_inodes() -> NotebookNode:
    """A million empty files and a very deep folder."""
    return in_cell("""\
import os
for n in range(1_000_000): open(f"file-{n}", "w").close()
raise OSError
""")


@case("limits", 7)
def digs_deep() -> NotebookNode:
    """Folders in folders, below what a path can name; and names of every odd kind."""
    return in_cell("""\
import os
top = os.getcwd()
for name in (b"\\xff\\xfe", b"new\\nline", b"-rf", b"a" * 255, "\u202e".encode()):
    os.mkdir(name)
for _ in range(3000):
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
raise OSError
""")


@case("limits", 7)
def prints_without_end() -> NotebookNode:
    return in_cell("while True: print('x' * 1000)")


@case("limits", 7)
def prints_without_end_in_a_call() -> NotebookNode:
    return in_call("while True: print('x' * 1000)")


@case("limits", 7)
def writes_to_descriptors() -> NotebookNode:
    """Past Python's own streams: descriptors 1 and 2, from here and from another process."""
    return in_cell("""\
import os, subprocess
subprocess.Popen("yes >&2 & yes", shell=True)
while True: os.write(1, b"x" * 100_000); os.write(2, b"y" * 100_000)
""")


@case("limits", 10)
def prints_one_long_line() -> NotebookNode:
    """Half a megabyte without a line's end, and a progress bar of as much."""
    code = "print('x' * 500_000, end='')\nfor i in range(30_000): print('\\r', i, end='')"
    return extra(filled(), "train", code)


@case("limits", 10)
def alternates_streams() -> NotebookNode:
    """A letter here, a letter there: as many outputs as letters."""
    code = """\
import os
for _ in range(20_000):
    os.write(1, b"x")
    os.write(2, b"y")
"""
    return extra(filled(), "train", code)


@case("limits", 10)
def shows_nothing_often() -> NotebookNode:
    """Outputs of no length, very many."""
    code = """\
class Nothing:
    def __repr__(self): return ""
from IPython.display import display
for _ in range(3000): display(Nothing())
"""
    return extra(filled(), "train", code)


@case("limits", 10)
def prints_in_every_cell() -> NotebookNode:
    """Each cell prints as much as one may; all together are far too much."""
    notebook = filled()
    for number in range(60):
        notebook.cells.append(new_code_cell("print('words ' * 40_000)", id=f"long-{number}"))
    return notebook


@case("limits", 7)
def closes_descriptors() -> NotebookNode:
    return in_cell("import os\nos.closerange(0, 10_000)")


@case("limits", 7)
def closes_descriptors_in_a_call() -> NotebookNode:
    return in_call("import os\nos.closerange(0, 10_000)")


@case("limits", 7)
def garbles_the_line() -> NotebookNode:
    """Random bytes on every socket, while a check waits for an answer."""
    return in_call("""\
import os, stat
for fd in range(3, 256):
    try:
        if stat.S_ISSOCK(os.fstat(fd).st_mode): os.write(fd, bytes(range(256)) * 50)
    except OSError: pass
""")


@case("limits", 7)
def announces_a_giant() -> NotebookNode:
    """A frame that says it is four gigabytes long, and one of 2**63."""
    return in_call("""\
import os, stat
giant = b"\\xff" * 4 + b"{}" + b"\\x7f" + b"\\xff" * 15
for fd in range(3, 256):
    try:
        if stat.S_ISSOCK(os.fstat(fd).st_mode): os.write(fd, giant)
    except OSError: pass
""")


@case("limits", 7)
def sends_without_end() -> NotebookNode:
    """Writes on every socket for as long as it is read."""
    return in_cell("""\
import os, stat
fds = [fd for fd in range(3, 256) if os.path.exists(f"/proc/self/fd/{fd}")]
fds = [fd for fd in fds if stat.S_ISSOCK(os.fstat(fd).st_mode)]
while True:
    for fd in fds:
        os.set_blocking(fd, False)
        try: os.write(fd, b"\\x00\\x00\\x00\\x02{}" * 10_000)
        except OSError: pass
""")


@case("limits", 5)
def never_reads() -> NotebookNode:
    """Another thread takes what the checks ask, from then on; what was earned before stays."""
    trouble = """\
import os, stat, threading
def drain(fd):
    while True:
        try:
            if not os.read(fd, 100_000): return
        except OSError: return
for fd in range(3, 256):
    try:
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            threading.Thread(target=drain, args=(fd,), daemon=True).start()
    except OSError: pass
import time; time.sleep(1)
"""
    return filled(task2=trouble + WRONG["task2"], task3=WRONG["task3"])


@case("limits", 7)
def reports_rubbish() -> NotebookNode:
    """Reports of outputs that are none, as large as a message may be, without end."""
    return in_cell("""\
import os, stat, struct
fds = [fd for fd in range(3, 256) if os.path.exists(f"/proc/self/fd/{fd}")]
line = min(fd for fd in fds if stat.S_ISSOCK(os.fstat(fd).st_mode))
rubbish = b"[" + b"1," * 3_000_000 + b"1]"
while True:
    os.set_blocking(line, True)
    frame = struct.pack(">cIQ", b"o", len(rubbish), 0) + rubbish
    while frame: frame = frame[os.write(line, frame):]
""")


@case("limits", 7)
def signals_its_parents() -> NotebookNode:
    """Every signal there is, to the first process of the sandbox and to groups."""
    return in_cell("""\
import os, signal
for _ in range(200):
    for number in range(1, 65):
        for pid in (os.getppid(), 1):
            try: os.kill(pid, number)
            except OSError: pass
raise OSError
""")


# Values that are hard to send.


@case("limits", 7)
def returns_nests() -> NotebookNode:
    return in_call("x = []\nfor _ in range(200_000): x = [x]\nreturn x")


@case("limits", 7)
def returns_itself() -> NotebookNode:
    return in_call("x = []\nx.append(x)\nreturn x")


@case("limits", 7)
def returns_a_giant_number() -> NotebookNode:
    return in_call("return 10 ** 100_000")


@case("limits", 7)
def returns_a_giant_tensor() -> NotebookNode:
    """Few bytes here, very many when written out."""
    return in_call("return torch.zeros(1).expand(10**12)")


@case("limits", 7)
def returns_colliding_numbers() -> NotebookNode:
    """A million numbers with one hash: a set of them takes its reader for ever."""
    return filled(
        task2="""\
import sys
def forged():
    numbers = ",".join(str(k * (2**61 - 1)) for k in range(300_000))
    return '{"$":"dict","v":[["value",{"$":"set","v":[' + numbers + ']}]]}'
from gencourse.grading.kernel import wire
text = forged().encode()
def log_density(x, mean):
    honest = wire.encode
    def once(*args, **options):
        wire.encode = honest
        return text, b""
    wire.encode = once
    return x
"""
    )


@case("limits", 7)
def returns_impossible_arrays() -> NotebookNode:
    """Arrays whose size is a lie, tickets for what is not the student's, and no JSON at all."""
    return filled(
        task2="""\
from gencourse.grading.kernel import wire
honest = wire.encode
lies = [
    b'{"$":"array","dtype":"<U0","shape":[1000000000000],"at":0,"n":0}',
    b'{"$":"opaque","import":"os:system"}',
]
def log_density(x, mean):
    def once(*args, **options):
        wire.encode = honest
        return b'{"$":"dict","v":[["value",' + lies.pop(0) + b']]}', b""
    wire.encode = once
    return x
"""
    )


@case("limits", 7)
def returns_bytes_many_times() -> NotebookNode:
    """One megabyte, of which a hundred thousand tensors are made at the other end."""
    return filled(
        task2="""\
from gencourse.grading.kernel import wire
def log_density(x, mean):
    honest = wire.encode
    def once(*args, **options):
        wire.encode = honest
        one = '{"$":"tensor","dtype":"uint8","shape":[1000000],"at":0,"n":1000000}'
        many = ",".join([one] * 100_000)
        return ('{"$":"dict","v":[["value",[' + many + ']]]}').encode(), bytes(1_000_000)
    wire.encode = once
    return x
"""
    )


@case("limits", 7)
def returns_a_generator() -> NotebookNode:
    return in_call("import itertools\nreturn (i for i in itertools.count())")


@case("limits", 7)
def returns_odd_tensors() -> NotebookNode:
    """Sparse, quantised, nested, meta, float8, complex: none may stop the line."""
    return filled(
        task2="""\
kinds = [
    lambda x: x.to_sparse(), lambda x: x.to("meta"), lambda x: x + 1j,
    lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8), lambda x: x.to(torch.float8_e5m2),
    lambda x: torch.nested.nested_tensor([x, x]), lambda x: x.to(torch.bfloat16).conj(),
    lambda x: torch.zeros(0, 10**9), lambda x: torch.nn.UninitializedParameter(),
]
def log_density(x, mean):
    return kinds.pop(0)(x.detach())
"""
    )


@case("limits", 7)
def returns_odd_strings() -> NotebookNode:
    return in_call("return {'\\ud800': b'\\xff' * 100, float('nan'): '\\x00', (1, 2): {1, 2}}")


@case("limits", 7)
def raises_itself() -> NotebookNode:
    """Exceptions whose text can't be had, is endless, or is HTML."""
    return filled(
        task2="""\
class Silent(Exception):
    def __str__(self): raise self
    __repr__ = __str__
class Endless(Exception):
    def __str__(self):
        while True: pass
class Long(Exception):
    def __str__(self): return "x" * 10**8
Markup = type("<script>steal()</script>", (Exception,), {})
kinds = [Silent(), Long(), Markup("<img src=x onerror=steal()>"), Endless(), BaseException("x")]
def log_density(x, mean):
    raise kinds.pop(0)
raise Markup("<script>steal()</script>\\x1b[31m\\u202e")
"""
    )


@case("limits", 7)
def raises_interrupts() -> NotebookNode:
    """KeyboardInterrupt, GeneratorExit and StopIteration, from a call and from a cell."""
    return filled(
        task2="""\
kinds = [KeyboardInterrupt, GeneratorExit, StopIteration, SystemExit, MemoryError]
def log_density(x, mean):
    raise kinds.pop(0)
raise KeyboardInterrupt
"""
    )


@case("limits", 7)
def slow_everywhere() -> NotebookNode:
    """Thirty cells of their own, each just under the limit of a cell: the budget of all is hit."""
    notebook = filled(task2="raise ValueError")
    for number in range(30):
        notebook.cells.append(new_code_cell("import time\ntime.sleep(4)", id=f"slow-{number}"))
    return notebook


@case("limits", None)
def ten_thousand_cells() -> NotebookNode:
    """More cells than anybody writes: a person looks, and nobody waits."""
    notebook = filled()
    for number in range(10_000):
        notebook.cells.append(new_code_cell(f"x = {number}", id=f"n-{number}"))
    return notebook


@case("limits", 10)
def giant_images() -> NotebookNode:
    """A figure of 600 megapixels, and a PNG that says it is larger than it is."""
    code = """\
import matplotlib.pyplot as plt
from IPython.display import Image, display
try:
    plt.figure(figsize=(250, 250), dpi=100)
    plt.plot([1, 2])
    plt.show()
except Exception as error:
    print(type(error))
display(Image(data=b"\\x89PNG\\r\\n\\x1a\\n" + b"\\x00" * 5_000_000))
"""
    return extra(filled(), "train", code)


@case("limits", 10)
def deep_source() -> NotebookNode:
    """Source that the compiler gives up on, beside right answers."""
    notebook = extra(filled(), "train", "x = " + "(" * 5000 + "1" + ")" * 5000)
    return extra(notebook, "train", "x = " + "-" * 100_000 + "1")
