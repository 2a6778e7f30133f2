"""Students who did their work, each in a way that costs points or stops a batch elsewhere."""

from __future__ import annotations

import copy
import json

import nbformat
from corpus_case import case, extra, filled, written
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from small_course import NAME, RIGHT, STUB, WRONG


def cell_of(notebook: NotebookNode, name: str) -> NotebookNode:
    return next(cell for cell in notebook.cells if cell.id == name)


@case("honest", 10)
def perfect() -> NotebookNode:
    return filled()


@case("honest", 5, "not attempted yet")
def first_task_only() -> NotebookNode:
    return filled({}, task1=RIGHT["task1"])


@case("honest", 0, "not attempted yet")
def blank() -> NotebookNode:
    return filled({})


@case("honest", 0, "that is the mean of x; square it first")
def all_wrong() -> NotebookNode:
    return filled(WRONG)


@case("honest", 10)
def warns() -> NotebookNode:
    """Warnings, logs and a progress bar on stderr, while the cell runs and while it is checked."""
    noise = "import logging, sys, warnings\nfrom tqdm.auto import tqdm\n"
    loud = """\
def second_moment(x):
    warnings.warn("careful")
    logging.warning("logged")
    print("progress", file=sys.stderr)
    for _ in tqdm(range(3)):
        pass
    return (x**2).mean()
"""
    return filled(task1=noise + loud + "second_moment(points)\nprint('x', file=sys.stderr)")


@case("honest", 10)
def warns_outside_python() -> NotebookNode:
    """Writes to file descriptor 2, as C++ libraries do."""
    return filled(task1="import os\nos.write(2, b'libfoo: deprecated\\n')\n" + RIGHT["task1"])


@case("honest", 10, "gpu")
def asks_for_cuda() -> NotebookNode:
    """Written on Colab with a GPU; none is there while grading."""
    code = """\
device = torch.device("cuda")
weights = torch.ones(3).cuda()
net = torch.nn.Linear(2, 1).to("cuda")
scale = torch.ones((), device=device)

def second_moment(x):
    x = x.cuda()
    return (x.to("cuda") ** 2).mean().to(device) * scale
"""
    return filled(task1=code, task2="torch.zeros(2, device='cuda:0')\n" + RIGHT["task2"])


@case("honest", 10)
def uses_colab() -> NotebookNode:
    code = """\
from google.colab import drive, files
drive.mount("/content/drive")
uploaded = files.upload()
"""
    return filled(task1=code + RIGHT["task1"])


@case("honest", 10)
def asks_for_input() -> NotebookNode:
    code = "from getpass import getpass\nname = input('Who are you? ')\ngetpass()\n"
    return filled(task1=code + RIGHT["task1"])


@case("honest", 10)
def installs_packages() -> NotebookNode:
    code = "!pip install -q einops\n%pip install wandb\n!apt-get -qq install graphviz\n"
    return filled(task1=code + RIGHT["task1"])


@case("honest", 10)
def uses_magics() -> NotebookNode:
    notebook = filled(task1="%matplotlib inline\n%timeit -n1 -r1 sum(range(9))\n" + RIGHT["task1"])
    notebook = extra(notebook, "task2", "%%bash\necho hello")
    notebook = extra(notebook, "task2", "%%time\nx = 1")
    notebook = extra(notebook, "task2", "files = !ls\n!echo shell\n?print")
    return extra(notebook, "task3", "%load_ext autoreload\n%autoreload 2\n%whos\n%%time")


@case("honest", 10)
def plots() -> NotebookNode:
    code = """\
import matplotlib.pyplot as plt
from IPython.display import HTML, Image, display
for _ in range(3):
    fig, ax = plt.subplots()
    ax.plot(points)
    plt.show()
display(HTML("<b>done</b>"))
"""
    return extra(filled(), "task1", code)


@case("honest", 10)
def own_cells() -> NotebookNode:
    """Helpers in a cell of their own, used by two answers; and one that is rubbish."""
    notebook = extra(filled(), "task1", "def square(x):\n    return x * x\n")
    notebook = extra(notebook, "task2", "1 / 0")
    notebook = extra(notebook, "task2", "this is not python")
    cell_of(notebook, "task1").source = "def second_moment(x):\n    return square(x).mean()\n"
    code = "def log_density(x, m):\n    return -square(x - m) / 2 - math.log(2 * math.pi) / 2\n"
    cell_of(notebook, "task2").source = code
    return notebook


@case("honest", 10)
def own_modules() -> NotebookNode:
    """Writes a module and data beside the notebook and reads them again."""
    code = """\
from pathlib import Path
Path("helpers.py").write_text("def square(x):\\n    return x * x\\n")
Path("cache").mkdir()
torch.save(torch.ones(2), "cache/ones.pt")
assert torch.load("cache/ones.pt").sum() == 2
from helpers import square
def second_moment(x):
    return square(x).mean()
"""
    return filled(task1=code)


@case("honest", 10)
def awaits() -> NotebookNode:
    code = "import asyncio\nawait asyncio.sleep(0)\n"
    return filled(task1=code + RIGHT["task1"])


@case("honest", 10)
def works_in_parallel() -> NotebookNode:
    """Threads that go on, processes that come back, a DataLoader with workers."""
    code = """\
import subprocess, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from torch.utils.data import DataLoader, TensorDataset
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
with ThreadPoolExecutor(4) as pool:
    assert sum(pool.map(abs, range(9))) == 36
assert subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True).stdout == b"1\\n"
assert len(list(DataLoader(TensorDataset(torch.ones(8)), batch_size=2, num_workers=2))) == 4
"""
    return filled(task1=code + RIGHT["task1"])


@case("honest", 10)
def other_settings() -> NotebookNode:
    """Settings that stay: seeds, default dtype, no gradients, threads, recursion limit."""
    code = """\
import random, sys
import numpy as np
torch.manual_seed(0); random.seed(0); np.random.seed(0)
torch.set_default_dtype(torch.float64)
torch.set_grad_enabled(False)
torch.set_num_threads(2)
sys.setrecursionlimit(5000)
np.seterr(all="raise")
torch.use_deterministic_algorithms(True)
"""
    return filled(task1=code + RIGHT["task1"])


@case("honest", 10)
def other_types() -> NotebookNode:
    """Returns NumPy numbers, Python numbers, a parameter, a float16 tensor's cousin."""
    return filled(
        task1="import numpy as np\ndef second_moment(x):\n    return np.mean(x.numpy() ** 2)\n",
        task3="def count_above(v, t):\n    return torch.tensor(sum(torch.tensor(v) > t))\n",
    )


@case("honest", 10)
def prints_much() -> NotebookNode:
    """Three megabytes of progress, then a right answer: cut off, with a word about it."""
    code = "for i in range(60_000):\n    print('epoch', i, 'loss', 0.123456, 'accuracy', 0.9)\n"
    return filled(task1=RIGHT["task1"], task3=code + RIGHT["task3"])


@case("honest", 10)
def prints_while_checked() -> NotebookNode:
    code = """\
from IPython.display import display
def second_moment(x):
    print("x is", x)
    display(x)
    return (x**2).mean()
"""
    return filled(task1=code)


@case("honest", 10)
def many_figures() -> NotebookNode:
    code = """\
import matplotlib.pyplot as plt
for i in range(25):
    plt.figure(figsize=(3, 2))
    plt.plot(torch.randn(50))
"""
    return extra(filled(), "task2", code)


@case("honest", 10)
def unicode_everywhere() -> NotebookNode:
    code = """\
# مرحبا · 你好 · \u202edesrever\u202c · 🎲
def второй_момент(χ):
    return (χ**2).mean()
second_moment = второй_момент
print("≤ ½ — 你好 \u202e \x1b[31mred\x1b[0m")
"""
    return filled(task1=code)


@case("honest", 8)
def exits_politely() -> NotebookNode:
    """``exit()`` and ``quit()`` at the end of a cell, SystemExit in another."""
    return filled(
        task1=RIGHT["task1"] + "exit()",
        task2=RIGHT["task2"] + "raise SystemExit",
        task3="import sys\nsys.exit(0)\n" + RIGHT["task3"],
    )


@case("honest", 10)
def same_names_as_checks() -> NotebookNode:
    """Uses names that the checks use too; its own functions don't need those of the course."""
    code = """\
task, g, ref, x, values, mean, _ = 1, 2, 3, 4, 5, 6, 7
Task = close = same = fresh = grad_of = reference = tensor_of = None
"""
    return filled(task1=code + RIGHT["task1"])


# Cells that were copied, deleted, retyped, damaged: C's part mends them.


@case("honest", 10)
def copied_cells() -> NotebookNode:
    """An answer and its checks were copied and pasted; the last answer counts."""
    notebook = filled(task1=WRONG["task1"])
    at = notebook.cells.index(cell_of(notebook, "task1"))
    for offset, name in enumerate(("task1", "task1-visible", "task1-hidden")):
        twin = copy.deepcopy(cell_of(notebook, name))
        twin.id = f"copy-{offset}"
        if name == "task1":
            twin.source = RIGHT["task1"]
        notebook.cells.insert(at + 3 + offset, twin)
    return notebook


@case("honest", 10)
def copied_stub() -> NotebookNode:
    """The untouched stub stands below the answer."""
    notebook = filled()
    twin = copy.deepcopy(cell_of(filled({}), "task1"))
    twin.id = "copy"
    notebook.cells.append(twin)
    return notebook


@case("honest", 10)
def stripped_metadata() -> NotebookNode:
    notebook = filled()
    notebook.metadata.clear()
    for cell in notebook.cells:
        cell.metadata.clear()
    return notebook


@case("honest", 10)
def stripped_of_everything() -> NotebookNode:
    """Neither metadata nor the cells' ids: as copied through another tool."""
    notebook = stripped_metadata()
    for number, cell in enumerate(notebook.cells):
        cell.id = f"new-{number}"
    return notebook


@case("honest", 10)
def from_colab() -> NotebookNode:
    """Colab writes format 4.0, no ids of cells, and its own metadata."""
    notebook = filled()
    for number, cell in enumerate(notebook.cells):
        cell.metadata["id"] = cell.id
        cell.metadata["executionInfo"] = {"status": "ok", "timestamp": number}
        del cell["id"]
    notebook.nbformat_minor = 0
    return notebook


@case("honest", 10)
def version_3() -> NotebookNode:
    old = nbformat.convert(filled(), 3)
    return json.dumps(old).encode()


@case("honest", 10)
def checks_deleted() -> NotebookNode:
    notebook = filled()
    notebook.cells = [c for c in notebook.cells if not c.id.endswith(("-hidden", "-visible"))]
    return notebook


@case("honest", 10)
def given_cells_deleted() -> NotebookNode:
    notebook = filled()
    notebook.cells = [c for c in notebook.cells if c.id not in ("imports", "points", "title")]
    return notebook


@case("honest", 10)
def checks_edited() -> NotebookNode:
    """Check cells and given cells hold other text; the course's own count."""
    notebook = filled()
    for cell in notebook.cells:
        if cell.id not in RIGHT:
            cell.source = "raise RuntimeError('edited')"
    return notebook


@case("honest", 10)
def answers_moved() -> NotebookNode:
    """All answers stand at the end, below the checks."""
    notebook = filled()
    notebook.cells.sort(key=lambda cell: cell.id in RIGHT)
    return notebook


@case("honest", 10)
def answer_in_a_new_cell() -> NotebookNode:
    """The answer cell was deleted and its function typed into a cell of the student's own."""
    notebook = filled()
    at = notebook.cells.index(cell_of(notebook, "task2"))
    notebook.cells[at] = new_code_cell(RIGHT["task2"], id="typed-anew")
    return notebook


@case("honest", 10)
def answer_beside_the_stub() -> NotebookNode:
    """The stub was left alone and the function typed into the cell below it."""
    notebook = filled({}, task1=RIGHT["task1"], task3=RIGHT["task3"])
    return extra(notebook, "task2-hidden", RIGHT["task2"])


@case("honest", 10)
def retyped_as_text() -> NotebookNode:
    """An answer cell became Markdown, by a slip of the keyboard."""
    notebook = filled()
    at = notebook.cells.index(cell_of(notebook, "task2"))
    meta = notebook.cells[at].metadata
    notebook.cells[at] = new_markdown_cell(RIGHT["task2"], id="task2", metadata=meta)
    return notebook


@case("honest", 10)
def other_flags() -> NotebookNode:
    """Flags and points of nbgrader's metadata were edited."""
    notebook = filled()
    for cell in notebook.cells:
        meta = cell.metadata["nbgrader"]
        meta |= {"grade": not meta["grade"], "points": 99, "schema_version": 1, "locked": False}
    return notebook


@case("honest", 10)
def odd_encoding() -> dict[str, bytes]:
    """A byte order mark and the line ends of Windows."""
    notebook = filled()
    for cell in notebook.cells:
        cell.source = cell.source.replace("\n", "\r\n")
    data = written(notebook).replace(b"\n", b"\r\n")
    return {f"odd-encoding_{NAME}.ipynb": b"\xef\xbb\xbf" + data}


@case("honest", 10)
def copy_of() -> dict[str, bytes]:
    """As Colab and a browser name a second download."""
    return {f"Copy of copy-of_{NAME} (1).ipynb": written(filled())}


@case("honest", 10)
def large_outputs() -> NotebookNode:
    """Twenty megabytes of HTML lie in the file; none of it reaches the feedback."""
    notebook = filled()
    html = "<script>steal()</script>" + "<p>many words</p>" * 1_250_000
    cell_of(notebook, "task1").outputs = [new_output("display_data", {"text/html": html})]
    return notebook


@case("honest", 10)
def hostile_outputs() -> NotebookNode:
    """Scripts in the file's outputs and Markdown; and an answer that shows more of them."""
    bad = "<script>steal()</script><img src=x onerror=steal()>"
    code = f"""\
from IPython.display import HTML, Javascript, Markdown, SVG, display
display(HTML({bad!r}), Javascript("steal()"), Markdown({bad!r}))
display(SVG("<svg xmlns='http://www.w3.org/2000/svg'><script>steal()</script></svg>"))
print({bad!r})
"""
    notebook = extra(filled(), "task1", code)
    notebook.cells.append(new_markdown_cell(f"{bad}\n\n[x](javascript:steal())", id="own-text"))
    cell_of(notebook, "task1").outputs = [
        new_output("display_data", {"text/html": bad, "application/javascript": "steal()"})
    ]
    return notebook


@case("honest", 10)
def half_a_stub() -> NotebookNode:
    """The line that raises was left below the answer's return, and a comment above."""
    code = "def second_moment(x):\n    # YOUR CODE HERE\n    return (x**2).mean()\n"
    return filled(task1=code + "    " + STUB.splitlines()[1] + "\n")
