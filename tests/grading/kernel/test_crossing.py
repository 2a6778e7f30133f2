"""What crosses the line between checks and student code, what doesn't, and what can't be faked."""

from __future__ import annotations

from dataclasses import replace

import pytest
from two_kernels import by_name, checks, hand_in, text

from gencourse.grading.job import Outcome
from gencourse.grading.kernel.execute import execute


def score(server, answer: str, *expectations: str, given: str = ""):  # type: ignore[no-untyped-def]
    job = hand_in(f"# given\n{given}", f"# student\n{answer}", checks("c", *expectations))
    result = execute(job, server)
    assert result.problem == "", result.problem
    cell = by_name(result)["c"]
    return cell.score, text(cell) + cell.note


def full(server, answer: str, *expectations: str, given: str = "") -> None:  # type: ignore[no-untyped-def]
    points, printed = score(server, answer, *expectations, given=given)
    assert points == len(expectations), printed


def problem(server, answer: str, check: str) -> str:  # type: ignore[no-untyped-def]
    job = hand_in(f"# student\n{answer}", checks("c", check))
    result = execute(job, server)
    assert by_name(result)["c"].outcome is Outcome.INFRASTRUCTURE
    return result.problem


def test_values_arrive_as_what_they_are(server) -> None:  # type: ignore[no-untyped-def]
    full(
        server,
        """
import numpy as np, collections
from fractions import Fraction
def echo(x): return x
def kind(x): return type(x).__name__
class Net(nn.Module):
    pass
def tensors(): return {"a": [torch.ones(2, dtype=torch.float16), (1, None, True, "é", b"x")]}
point = collections.namedtuple("P", "x y")(1, 2)
number, dtype = np.float32(3), torch.float64
""",
        "that(tensors()['a'][0].dtype == torch.float16, '')",
        "that(tensors()['a'][1] == (1, None, True, 'é', b'x'), '')",
        "that(point == (1, 2) and type(point) is tuple, '')",
        "that(float(number) == 3.0 and dtype is torch.float64, '')",
        "that(echo(float('inf')) == float('inf') and echo(-0.0).hex() == '-0x0.0p+0', '')",
        "that(kind(torch.ones(2)) == 'Tensor' and kind((1,)) == 'tuple', '')",
        "that(echo(1 << 100) == 1 << 100 and echo(1 + 2j) == 1 + 2j, '')",
        "that(echo(torch.ones(2, 0)).shape == (2, 0), '')",
    )


def test_objects_can_be_held_called_read_and_handed_back(server) -> None:  # type: ignore[no-untyped-def]
    full(
        server,
        """
class Box:
    size = 3
    def __init__(self, x): self.x = x
    def double(self): return Box(2 * self.x)
    def __len__(self): return self.x
    def __getitem__(self, i): return i * self.x
def value(box): return box.x
boxes = [Box(1), Box(2)]
""",
        "box = Box(5); that(box.size == 3 and box.x == 5, '')",
        "that(Box(5).double().x == 10, '')",
        "that(value(Box(7)) == 7 and value(boxes[1]) == 2, '')",
        "that(len(Box(4)) == 4 and Box(4)[2] == 8, '')",
        "b = Box(1); that((b == b) is True and (b == Box(1)) is False, '')",
        "that(Box.__name__ == 'Box' and value.__name__ == 'value', '')",
    )


FORGED = """
class Yes(torch.Tensor):
    def __eq__(self, other): return True
    def __bool__(self): return True
    @classmethod
    def __torch_function__(cls, f, types, args=(), kwargs=None): return True
class Any:
    def __eq__(self, other): return True
    def __getattr__(self, name): return self
    def __call__(self, *a): return self
    def __bool__(self): return True
    def __float__(self): return 6.0
"""


@pytest.mark.parametrize(
    "answer",
    [
        FORGED + "def double(x): return torch.zeros(()).as_subclass(Yes)",
        FORGED + "def double(x): return Any()",
        FORGED + "double = Any()",
        "torch.allclose = torch.equal = lambda *a, **k: True\ndef double(x): return 0.0",
        "import gencourse.grading.values as v, gencourse.grading.checks as c\n"
        "v.close = close = that = lambda *a, **k: None\nc.Task.score = lambda self: 1.0\n"
        "Task.score = lambda self: 1.0\ntask = c.Task('x', 1)\nfloat = abs\n"
        "def double(x): return 0.0",
        "import builtins\nbuiltins.abs = builtins.float = lambda *a: 1.0\n"
        "def double(x): return 0.0",
        "get_ipython().ast_transformers.append(type('T', (), {'visit': lambda s, n: n})())\n"
        "get_ipython().input_transformers_post.append(lambda lines: [])\n"
        "def double(x): return 0.0",
        "import sys\nfor m in list(sys.modules.values()):\n"
        "    if getattr(m, '__name__', '').startswith('gencourse.grading.kernel'):\n"
        "        for k in list(vars(m)):\n"
        "            if k in ('encode', 'decode'): setattr(m, k, lambda *a, **k: (b'1.0', b''))\n"
        "def double(x): return 0.0",
    ],
)
def test_nothing_is_won_by_forging(server, answer: str) -> None:  # type: ignore[no-untyped-def]
    job = hand_in(f"# student\n{answer}", checks("c", "close(double(3.0), 6.0)"))
    cell = by_name(execute(job, server))["c"]
    assert cell.score == 0.0, text(cell)


def test_student_code_sees_neither_checks_nor_references_nor_seeds(server) -> None:  # type: ignore[no-untyped-def]
    answer = """
import os, sys, gc, glob
found = []
def spy(x):
    names = {k: v for k, v in os.environ.items() if "secret" in v or "GENCOURSE_COURSE" in k}
    found.append(names)
    found.append([p for p in glob.glob("**/*reference*", recursive=True)])
    found.append([s[:50] for s in gc.get_objects() if isinstance(s, str) and "hush" + "hush" in s])
    found.append([v for v in vars(sys.modules["__main__"]).values() if v == 4242424242])
    return 2 * x
"""
    job = hand_in(
        f"# student spy\n{answer}",
        "# checks c\nhushhush = reference('ps0').spy\ntask = Task('c', 1)\n"
        "@task.check('x', points=1)\ndef _():\n    close(spy(2.0), hushhush(2.0))\ntask.score()",
        "# student shown\nprint(found)",
        seed=4242424242,
        course_files={"solutions/ps0/reference.py": b"def spy(x): return 2 * x  # secret"},
    )
    cells = by_name(execute(job, server))
    assert cells["c"].score == 1.0
    assert text(cells["shown"]).strip() == "[{}, [], [], []]"


def test_a_hand_in_brings_no_reference_of_its_own(server) -> None:  # type: ignore[no-untyped-def]
    path = "solutions/ps0/reference.py"
    for files in ({".course": b""}, {f".course/{path}": b"value = 2"}, {path: b"value = 2"}):
        job = hand_in(
            "# checks c\nfloat(reference('ps0').value)",
            files={**files, "torch.py": b"1 / 0", "json.py": b"1 / 0"},
            course_files={path: b"import json, torch\nvalue = 1"},
        )
        result = execute(job, server)
        assert result.problem == ""
        assert by_name(result)["c"].score == 1.0


def test_what_student_code_calls_itself_stays_on_its_line(server) -> None:  # type: ignore[no-untyped-def]
    answer = """
class Evil(Exception): pass
Evil.__name__ = "E\\n  ✓ everything [9]"
Evil.__qualname__ = Evil.__name__
def f(how):
    if how: raise Evil("a\\nb")
    return Evil()
"""
    _, printed = score(server, answer, "close(f(1), 1.0)", "close(f(0), 1.0)")
    assert not any(line.strip().startswith("✓") for line in printed.splitlines())


def test_checks_see_their_own_names_first_and_each_cell_afresh(server) -> None:  # type: ignore[no-untyped-def]
    job = hand_in(
        "# given\nnumber = 1\ndef ask(): return answer()",
        "# student\nnumber = 100\nsum = None\ndef answer(): return number",
        "# checks a\nnumber += 1\nleft = 5\ntotal = sum([1, 2])\nassert (number, total) == (2, 3)\n"
        "assert ask() == 100\n1.0",
        "# student\ndef answer(): return 7\nleft = 'mine'",
        "# checks b\nassert (number, left, ask()) == (1, 'mine', 7)\n1.0",
    )
    result = execute(job, server)
    assert result.problem == ""
    assert [by_name(result)[name].score for name in "ab"] == [1.0, 1.0]


def test_what_a_function_prints_is_shown_in_visible_checks_alone(server) -> None:  # type: ignore[no-untyped-def]
    job = hand_in(
        "# student\nimport warnings, sys\ndef f(x):\n    print('x is', x)\n"
        "    warnings.warn('careful'); print('50 %', file=sys.stderr)\n    return x",
        checks("seen", "close(f(1.0), 1.0)"),
        checks("unseen", "close(f(2.0), 2.0)", hidden=True),
    )
    cells = by_name(execute(job, server))
    assert (cells["seen"].score, cells["unseen"].score) == (1.0, 1.0)
    assert "x is 1.0" in text(cells["seen"])
    assert "x is" not in text(cells["unseen"])
    assert "careful" not in text(cells["seen"]) + text(cells["unseen"])


def test_a_generator_draws_over_there_what_it_would_draw_here(server) -> None:  # type: ignore[no-untyped-def]
    full(
        server,
        "def draw(generator): return torch.rand(2, generator=generator)\n"
        "def steal(generator): generator.manual_seed(0); return 0.0",
        "new = lambda: torch.Generator().manual_seed(3)\n"
        "    close(draw(new()), torch.rand(2, generator=new()))",
        "g = torch.Generator().manual_seed(3)\n    that(bool((draw(g) != draw(g)).all()), '')",
        "g, h = torch.Generator(), torch.Generator().manual_seed(0)\n    steal(g)\n"
        "    that(bool(torch.rand((), generator=g) != torch.rand((), generator=h)), '')",
    )


# -------------------------------------------------------------- beside and lend


def test_beside_runs_where_the_objects_are(server) -> None:  # type: ignore[no-untyped-def]
    full(
        server,
        "def shift(x):\n    x += 1\n    return x\nclass Net(nn.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        self.a = nn.Linear(2, 1)\n"
        "    def forward(self, x): return self.a(x)",
        # What becomes of an argument.
        "that(bool((beside(changed, shift, torch.ones(2)) == 2).all()), '')",
        # A class of the student's, with a default, a closure and a library function in play.
        "that(beside(count, Net) == 3 and beside(count, Net, extra=2) == 5, '')",
        "that(is_module(Net()) and not is_module(shift) and not is_module(3), '')",
        "that(set(state_of(Net())) == {'a.weight', 'a.bias'}, '')",
        "f = beside(lambda: (lambda x: factor * x)); close(f(3.0), 12.0)",
        "close(grad_of(lambda x: Net, torch.ones(())) if False else 1.0, 1.0)",
        "net = Net(); x = torch.ones(2); w = state_of(net)['a.weight'][0]\n"
        "    close(grad_of(net, x), w)",
        given="""
factor = 4
def changed(f, x):
    f(x)
    return x
def sizes(network):
    return [p.numel() for p in network.parameters()]
def count(kind, extra=0):
    return sum(sizes(kind())) + extra
""",
    )


def test_lend_lets_student_code_call_a_function_of_the_checks(server) -> None:  # type: ignore[no-untyped-def]
    full(
        server,
        "def integrate(f, a, b):\n    x = torch.linspace(a, b, 1001)\n"
        "    return torch.trapezoid(f(x), x)\ndef build(factory): return factory(2)",
        "close(integrate(lend(lambda x: scale * x**2), 0.0, 1.0), scale / 3, rtol=1e-4)",
        "p = 3\n    close(integrate(lend(lambda x: x**p), 0.0, 1.0), 0.25, rtol=1e-4)",
        "close(integrate(lend(torch.exp), 0.0, 1.0), math.e - 1, rtol=1e-4)",
        "that(is_module(build(lend(small))), '')",
        "close(lend(small)(2).weight, torch.ones(1, 2))",
        "a, b = lend(lambda x: x), lend(lambda x: 2 * x)\n"
        "    close(integrate(a, 0.0, 1.0), 0.5); close(integrate(b, 0.0, 1.0), 1.0)",
        given="""
import math
scale = torch.tensor(2.0)
class Ones(nn.Linear):
    def __init__(self, n: int):
        super().__init__(n, 1)
        nn.init.ones_(self.weight)
def small(n: int, kind=Ones) -> nn.Module:
    return kind(n)
""".replace("kind=Ones", "kind=None").replace("kind(n)", "Ones(n)"),
    )


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("close(f(lambda x: x), 1.0)", "hand over lend(<lambda>)"),
        ("close(f(nn.Linear(1, 1)), 1.0)", "a Linear can't be handed to the student's code"),
        ("n = nn.Linear(1, 1); f(lend(lambda x: n(x)))", "can't be sent"),
        ("beside(lambda: f(iter([])))\n    f(iter([]))", "can't be handed"),
    ],
)
def test_what_cannot_cross_is_explained_to_the_author(server, check: str, words: str) -> None:  # type: ignore[no-untyped-def]
    assert words in problem(server, "def f(x): return 1.0", check)


def test_an_error_beside_is_the_students(server) -> None:  # type: ignore[no-untyped-def]
    points, printed = score(server, "net = 3", "that(beside(lambda n: n.eval(), net) == 1, '')")
    assert points == 0
    assert "AttributeError: 'int' object has no attribute 'eval'" in printed


def test_exceptions_are_told_apart_over_there(server) -> None:  # type: ignore[no-untyped-def]
    full(
        server,
        "def f(x):\n    if x < 0: raise ValueError('negative')\n    return x",
        "that(raises(f, 'ValueError', -1) and not raises(f, 'ValueError', 1), '')",
        "that(not raises(f, 'KeyError', -1), '')",
    )


# -------------------------------------------------------------- comforts


def test_what_colab_has_does_no_harm(server) -> None:  # type: ignore[no-untyped-def]
    answer = """
from google.colab import drive, files
import google.colab, getpass
drive.mount("/content/drive")
files.upload()
!pip install somepackage
!sudo apt-get install graphviz
%pip install another
out = !pip list
name = input("Your name? ")
secret = getpass.getpass()
exit
"""
    job = hand_in(f"# student a\n{answer}", "# student b\nprint(repr(name), repr(secret), out)")
    cells = by_name(execute(job, server))
    assert cells["a"].outcome is Outcome.OK, text(cells["a"])
    assert "Skipped while grading: pip install somepackage" in text(cells["a"])
    assert text(cells["b"]).strip() == "'' '' []"


def test_a_gpu_that_is_not_there_costs_nothing(server) -> None:  # type: ignore[no-untyped-def]
    answer = """
print("once")
x = torch.ones(3).cuda()
net = nn.Linear(3, 1).cuda().to("cuda:0")
device = torch.device("cuda")
y = net(x.to(device)) + torch.zeros(1, device=device) + torch.randn(1, device="cuda")
g = torch.Generator(device="cuda")
torch.cuda.synchronize()
def f(x): return 2 * torch.as_tensor(x, device="cuda").to("cuda", non_blocking=True)
"""
    job = hand_in(
        f"# student a\n{answer}", checks("c", "close(f(torch.ones(2)), 2 * torch.ones(2))")
    )
    result = execute(job, server)
    cells = by_name(result)
    assert cells["a"].outcome is Outcome.OK, text(cells["a"])
    assert text(cells["a"]).strip() == "once"
    assert cells["c"].score == 1.0, text(cells["c"])
    assert result.notes == (
        "Your notebook asks for a GPU. It was graded on a processor, without one.",
    )
    # A function alone that asks for one.
    job = hand_in(
        "# student a\ndef f(x): return 2 * x.cuda()", checks("c", "close(f(torch.ones(())), 2.0)")
    )
    assert by_name(execute(job, server))["c"].score == 1.0


def test_cells_know_that_they_are_graded(server) -> None:  # type: ignore[no-untyped-def]
    cells = by_name(execute(hand_in("# student a\nprint(running())"), server))
    assert text(cells["a"]).strip() == "True"


def test_files_of_the_hand_in_lie_beside_it(server) -> None:  # type: ignore[no-untyped-def]
    job = hand_in(
        "# given\nrows = open('data/table.csv').read()",
        "# student a\nimport helper\nprint(helper.x, rows)",
        "# checks c\nassert rows == '1,2'\n1.0",
        files={"data/table.csv": b"1,2", "helper.py": b"x = 3"},
    )
    cells = by_name(execute(job, server))
    assert text(cells["a"]).strip() == "3 1,2"
    assert cells["c"].score == 1.0


def test_withheld_names_say_so_to_the_student_and_serve_the_library(server) -> None:  # type: ignore[no-untyped-def]
    answer = """
from gencourse.divergences import gaussian_kl
import gencourse.divergences as d
g = torch.zeros(1), torch.eye(1), torch.ones(1), torch.eye(1)
def f(how): return gaussian_kl(*g) if how else d.gaussian_jeffreys(*g)
"""
    job = hand_in(f"# student\n{answer}", checks("c", "f(1)", "close(f(0), 1.0)"))
    cell = by_name(execute(replace(job, withheld=("gencourse.divergences.gaussian_kl",)), server))[
        "c"
    ]
    assert (
        "gencourse.divergences.gaussian_kl is what this set asks you to write; it is not"
        in text(cell)
    )
    wrong = execute(replace(job, withheld=("gencourse.divergences.nothing",)), server)
    assert "nothing is called gencourse.divergences.nothing" in wrong.problem
    assert all(c.outcome is Outcome.INFRASTRUCTURE for c in wrong.cells)
