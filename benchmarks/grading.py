"""Grading a class with ``gencourse grade``, side by side with stock ``nbgrader autograde``.

    python benchmarks/grading.py                    # 50 hand-ins of the small set
    python benchmarks/grading.py --set ps5 -n 10    # of a real one
    python benchmarks/grading.py --dask --work 2    # one Dask worker against two, with answers
                                                    # that compute for two seconds; --wait 2:
                                                    # that sleep, where processors are taken
    python -m benchmarks grading                    # for the tables and plots of them all

Both grade the same honest hand-ins, of a course with the same checks, in one run on one machine,
and must give the same points. Stock nbgrader runs with its own settings, but is told where the
reference solutions are. Memory is what all processes of a run hold at its highest moment, each
shared page counted once (PSS).
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import itertools
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .harness import Options

ROOT = Path(__file__).resolve().parent.parent
for folder in ("tests/grading/attacks", "tests/instructor", "benchmarks"):
    sys.path.insert(0, str(ROOT / folder))
if not (ROOT / "solutions").is_dir():
    raise SystemExit("grading: this is the tree that students see; there is nothing to grade with")

import nbformat  # noqa: E402
from corpus_case import extra, filled, written  # noqa: E402
from small_course import NAME, RIGHT, STOCK_CONFIG, WRONG, write_course  # noqa: E402
from stock import environment  # noqa: E402


@dataclass
class Run:
    """One grading of the class."""

    seconds: float
    cpu: float
    peak_mb: float
    scores: dict[str, float] = field(default_factory=dict)


def small_class(count: int, work: float = 0.0, wait: float = 0.0) -> dict[str, bytes]:
    """Honest hand-ins of the small set: right, wrong and blank answers in every mixture.

    Each has a cell that takes ``work`` seconds of a processor, and ``wait`` seconds of none.
    """
    busy = f"""\
import time
time.sleep({wait})
end = time.process_time() + {work}
while time.process_time() < end:
    torch.linalg.svd(torch.ones(60, 60))
"""
    choices = [(RIGHT, WRONG, {})] * len(RIGHT)
    mixtures = list(itertools.product(*choices))
    draw = random.Random(0)
    draw.shuffle(mixtures)
    made = {}
    for n in range(count):
        mixture = mixtures[n % len(mixtures)]
        answers = {
            task: source[task] + f"\n# student {n}\n"
            for task, source in zip(RIGHT, mixture, strict=True)
            if task in source
        }
        notebook = filled(answers | {"_": ""})
        made[f"s{n:03}"] = written(extra(notebook, "train", busy) if work or wait else notebook)
    return made


def real_class(name: str, count: int) -> dict[str, bytes]:
    """Honest hand-ins of a real set: the solution, with some answers left out."""
    from notebook_cells import answers, handed_in

    draw, made = random.Random(0), {}
    for n in range(count):
        kept = {k: v for k, v in answers(name).items() if n == 0 or draw.random() < 0.8}
        made[f"s{n:03}"] = nbformat.writes(handed_in(name, kept)).encode()
    return made


def make_course(folder: Path, name: str, *, stock: bool) -> Path:
    """A course of its own with one set; ours has the project's nbgrader_config.py."""
    if name == NAME:
        write_course(folder)
    else:
        for place in ("solutions", "assignments"):
            shutil.copytree(ROOT / place / name, folder / place / name)
        shutil.copy(ROOT / "nbgrader_config.py", folder)
    if stock:
        (folder / "nbgrader_config.py").write_text(STOCK_CONFIG)
    return folder


def tree(root: int) -> set[int]:
    """A process and everything below it."""
    parents: dict[int, list[int]] = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, ValueError, IndexError):
            stat = Path("/proc", pid, "stat").read_text()
            parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(pid))
    found, queue = {root}, [root]
    while queue:
        below = parents.get(queue.pop(), [])
        found.update(below)
        queue += below
    return found


def pss_mb(pids: set[int]) -> float:
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
            total += int(found[1]) if found else 0
    return total / 1024


@contextlib.contextmanager
def peak_memory(roots: list[int]) -> Iterator[list[float]]:
    """Look at the memory of processes and all below them, in 3 % of one processor's time.

    A look takes a tenth of a second, so looking more often would slow down what is timed.
    """
    peak, stop = [0.0], threading.Event()

    def look() -> None:
        rest = 0.3
        while not stop.wait(rest):
            start = time.thread_time()
            peak[0] = max(peak[0], pss_mb(set().union(*(tree(root) for root in roots))))
            rest = max(0.3, 30 * (time.thread_time() - start))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        stop.set()
        watcher.join()


def timed(command: list[str], cwd: Path, env: dict[str, str], also: list[int]) -> Run:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    with (cwd / "benchmark.log").open("w") as log:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=log, stderr=log)
        with peak_memory([process.pid, *also]) as peak:
            process.wait()
    seconds = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if process.returncode not in (0, 1):
        raise SystemExit((cwd / "benchmark.log").read_text()[-3000:])
    return Run(seconds, cpu, peak[0])


def run_stock(scratch: Path, name: str, hand_ins: dict[str, bytes]) -> Run:
    from nbgrader.api import Gradebook

    course = make_course(scratch / "stock", name, stock=True)
    env = environment(scratch) | {"GENCOURSE_COURSE": str(course), "GENCOURSE_GRADING": "1"}
    nbgrader = [sys.executable, "-m", "nbgrader"]
    made = [*nbgrader, "generate_assignment", name, "--force"]
    subprocess.run(made, cwd=course, env=env, check=True, capture_output=True)
    release = course / "assignments" / name
    for student, data in hand_ins.items():
        place = course / "submitted" / student / name
        shutil.copytree(release, place)
        (place / f"{name}.ipynb").write_bytes(data)
    run = timed([*nbgrader, "autograde", name, "--create"], course, env, [])
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        for student in hand_ins:
            run.scores[student] = float(gradebook.find_submission(name, student).score)
    return run


def run_ours(
    scratch: Path, name: str, hand_ins: dict[str, bytes], *options: str, also: list[int]
) -> Run:
    course = make_course(scratch / f"ours{len(list(scratch.iterdir()))}", name, stock=False)
    folder = course.with_name(course.name + "-hand-ins")
    folder.mkdir()
    for student, data in hand_ins.items():
        (folder / f"{student}_{name}.ipynb").write_bytes(data)
    command = [sys.executable, "-m", "gencourse", "grade", name, str(folder)]
    run = timed([*command, "--course", str(course), *options], course, environment(scratch), also)
    with (course / "grades" / f"{name}.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            run.scores[row["student_id"]] = float(row["raw_score"])
    return run


@contextlib.contextmanager
def cluster(workers: int) -> Iterator[tuple[str, list[int]]]:
    """A Dask scheduler and workers as processes of their own, as a cluster would have them."""
    with tempfile.TemporaryDirectory(prefix="dask-") as folder:
        address = Path(folder, "scheduler.json")
        dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
        work = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
        where = ["--scheduler-file", str(address)]
        started = [subprocess.Popen([*dask, *where, "--no-dashboard", "--port", "0"], **quiet)]  # type: ignore[call-overload]
        try:
            while not address.is_file():
                if started[0].poll() is not None:
                    raise SystemExit("the Dask scheduler ended")
                time.sleep(0.1)
            for _ in range(workers):
                command = [*work, *where, "--no-dashboard", "--local-directory", folder]
                started.append(subprocess.Popen(command, **quiet))  # type: ignore[call-overload]
            yield json.loads(address.read_text())["address"], [p.pid for p in started[1:]]
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait()


# ---------------------------------------------------------- for `python -m benchmarks grading`

SIZES = (2, 5, 10, 20, 50, 100, 200)  # of classes, of which cost as a function is measured


def rows(options: Options) -> Iterator[dict[str, Any]]:
    """Yield two rows beside nbgrader, and one of how cost grows with the number of hand-ins.

    One worker is compared by the processor's clock, as elsewhere with one thread; two side by
    side, which nbgrader has not, by that on the wall.
    """
    from . import growth
    from .harness import compared

    count = options.size(50, 2)
    runs: dict[str, list[Run]] = {"stock": [], "1": [], "2": []}
    for i in range(min(options.rounds, options.size(2, 1))):
        order = list(runs)[i % 3 :] + list(runs)[: i % 3]
        for side in order:
            runs[side].append(graded(count, side))
    differ = max(
        abs(run.scores[student] - points)
        for side in runs.values()
        for run in side
        for student, points in runs["stock"][0].scores.items()
    )
    work = f"grading {count} hand-ins of the small set"
    for side, clock, label in (
        ("1", "cpu", "one worker, processor time"),
        ("2", "seconds", "two workers, on the wall"),
    ):
        ours, theirs = ([getattr(r, clock) for r in runs[s]] for s in (side, "stock"))
        yield compared(
            f"{work}, {label}", "nbgrader autograde", ours, theirs,
            aim=5, difference=differ, tolerance=0,
        )  # fmt: skip
    sizes = [1, 2] if options.small else list(SIZES)
    grown = [graded(n, "1") for n in sizes]
    yield growth.row(
        "grading a class", "hand-ins", sizes, [r.cpu for r in grown], [r.peak_mb for r in grown]
    )


def graded(count: int, side: str) -> Run:
    """Grade a class of the small set with stock nbgrader, or with so many workers of ours."""
    hand_ins = small_class(count)
    with tempfile.TemporaryDirectory(prefix="grading-") as folder:
        if side == "stock":
            return run_stock(Path(folder), NAME, hand_ins)
        return run_ours(Path(folder), NAME, hand_ins, "--workers", side, also=[])


# ------------------------------------------------------------------------ as a script


def row(label: str, run: Run, count: int) -> None:
    print(
        f"| {label} | {run.seconds:.1f} | {run.seconds / count:.2f} | {run.cpu / count:.2f} "
        f"| {run.peak_mb:.0f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--set", default=NAME, dest="name")
    parser.add_argument("-n", "--count", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--dask", action="store_true", help="one Dask worker against two")
    parser.add_argument("--work", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--wait", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--no-stock", action="store_true")
    given = parser.parse_args()
    name, count = given.name, given.count
    hand_ins = (
        small_class(count, given.work, given.wait) if name == NAME else real_class(name, count)
    )
    print(f"{count} hand-ins of {name}, {os.cpu_count()} processors\n")
    print("| | seconds | a hand-in | CPU a hand-in | peak MB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="grading-") as folder:
        scratch = Path(folder)
        if given.dask:
            runs = []
            for workers in (1, 2):
                with cluster(workers) as (address, pids):
                    options = ("--dask", address)
                    warm = dict(list(hand_ins.items())[:1])
                    run_ours(scratch, name, warm, *options, also=pids)
                    runs.append(run_ours(scratch, name, hand_ins, *options, also=pids))
                row(f"Dask, {workers} worker{'s'[: workers - 1]}", runs[-1], count)
            print(f"\nTwo workers are {runs[0].seconds / runs[1].seconds:.2f} times as fast.")
            return
        ours = [
            run_ours(scratch, name, hand_ins, "--workers", str(n), also=[])
            for n in sorted({1, given.workers})
        ]
        for n, run in zip(sorted({1, given.workers}), ours, strict=True):
            row(f"gencourse grade, {n} worker{'s'[: n - 1]}", run, count)
        if given.no_stock:
            return
        stock = run_stock(scratch, name, hand_ins)
        row("nbgrader autograde", stock, count)
        best = min(ours, key=lambda run: run.seconds)
        differ = {s for s in hand_ins if ours[0].scores[s] != stock.scores[s]}
        print(
            f"\n{stock.seconds / best.seconds:.1f} times as fast by the clock, "
            f"{stock.cpu / best.cpu:.1f} times less processor time; "
            + (f"points differ for {sorted(differ)}" if differ else "the same points for all")
        )


if __name__ == "__main__":
    main()
