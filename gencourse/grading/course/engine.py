"""Run jobs side by side: on this machine, or on the workers of a Dask cluster.

An engine takes jobs as it has room for them and gives results as they come. It never raises
for a job: what could not be run, even after a worker died and it was tried again, is a result
that says so, and :func:`.store.failed_here` tells it from what a student's code did.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any, Protocol

from gencourse.grading.course import environment
from gencourse.grading.course.store import failed_here
from gencourse.grading.job import Job, Result

__all__ = ["Cluster", "Engine", "Local", "cluster", "in_this_process", "local", "on_a_worker"]

#: How often a job is tried whose failure was ours.
ATTEMPTS = 3
#: Seconds that a scheduler may take to answer.
ANSWER = 20.0
#: Seconds that a result may take to come, once it is there.
FETCH = 10.0
#: Seconds that a cluster may be without workers before the run is given up.
PATIENCE = 60.0

Named = tuple[str, Job]
Execute = Callable[[Job], Result]


class Engine(Protocol):
    """What runs jobs."""

    def run(self, jobs: Iterable[Named]) -> Generator[tuple[str, Result], None, None]:
        """Yield the result of each named job as soon as it is known, in any order."""
        ...


class Local:
    """Threads of this process, each of which follows one job.

    Parameters
    ----------
    execute : callable
        From a job to its result; called from several threads.
    workers : int
        How many jobs run at a time.
    start : callable, optional
        Called before the first job, if there is one; what it raises ends the run.
    stop : callable, optional
        Called when the run is given up, to end the jobs that are under way.
    """

    def __init__(
        self,
        execute: Execute,
        workers: int,
        start: Callable[[], object] | None = None,
        stop: Callable[[], object] | None = None,
    ) -> None:
        if workers < 1:
            raise ValueError(f"at least one worker is needed, not {workers}")
        self.execute = execute
        self.workers = workers
        self.start = start or (lambda: None)
        self.stop = stop or (lambda: None)

    def run(self, jobs: Iterable[Named]) -> Generator[tuple[str, Result], None, None]:
        """Yield the result of each named job as soon as it is known, in any order."""
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="grading")
        ended = False
        try:
            yield from _flow(
                self._after_start(jobs),
                submit=lambda job: pool.submit(_attempts, self.execute, job),
                room=lambda: self.workers + 2,
                next_done=lambda futures: [
                    (future, future.result())
                    for future in wait(futures, return_when=FIRST_COMPLETED).done
                ],
            )
            ended = True
        finally:
            if not ended:
                self.stop()
            # Jobs that have not begun are not begun any more.
            pool.shutdown(wait=True, cancel_futures=True)

    def _after_start(self, jobs: Iterable[Named]) -> Iterator[Named]:
        for count, named in enumerate(jobs):
            if count == 0:
                self.start()
            yield named


def _attempts(execute: Execute, job: Job) -> Result:
    """Run a job, and again while the failure is ours."""
    for attempt in range(ATTEMPTS):
        try:
            result = execute(job)
        except Exception as error:  # whatever it is, it must not stop the others
            result = Result((), problem=f"It could not be run ({type(error).__name__}: {error}).")
        if not failed_here(result):
            break
        time.sleep(0.1 * attempt)
    return result


def _flow(
    jobs: Iterable[Named],
    *,
    submit: Callable[[Job], Any],
    room: Callable[[], int],
    next_done: Callable[[set[Any]], Iterable[tuple[Any, Result]]],
) -> Iterator[tuple[str, Result]]:
    """Keep ``room()`` jobs under way, and yield what is done."""
    waiting = iter(jobs)
    names: dict[Any, str] = {}
    more = True
    while more or names:
        while more and len(names) < room():
            try:
                name, job = next(waiting)
            except StopIteration:
                more = False
                break
            names[submit(job)] = name
        if not names:
            continue
        for future, result in next_done(set(names)):
            yield names.pop(future), result


@contextlib.contextmanager
def local(workers: int | None = None, *, sandboxed: bool = True) -> Iterator[Local]:
    """Open the engine of this machine: one fork server, and kernels forked from it.

    Parameters
    ----------
    workers : int, optional
        Hand-ins at a time; by default one for each processor.
    sandboxed : bool
        False runs students' code with the rights of whoever grades. It must be asked for.

    Running raises ``NoSandbox`` if this machine can't keep students' code in, and that was not
    waived.
    """
    with _Servers(sandboxed=sandboxed) as servers:
        yield Local(
            servers.execute, workers or _processors(), start=servers.alive, stop=servers.close
        )


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


class _Servers:
    """A fork server, started again when it dies."""

    def __init__(self, *, sandboxed: bool) -> None:
        self.sandboxed = sandboxed
        self.isolation: Any = None
        self.server: Any = None
        self.closed = False
        self.lock = threading.Lock()

    def __enter__(self) -> _Servers:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the server and every kernel, for good."""
        with self.lock:
            self.closed = True
            self._stop()

    def alive(self) -> Any:
        """Return a server that lives."""
        from gencourse.grading.sandbox import policy
        from gencourse.grading.sandbox.forkserver import ForkServer

        with self.lock:
            if self.closed:
                raise RuntimeError("the grading was given up")
            if self.server is None or not self.server.alive:
                self._stop()
                if self.isolation is None:
                    self.isolation = policy.best() if self.sandboxed else policy.Isolation.NONE
                self.server = ForkServer(self.isolation).__enter__()
            return self.server

    def _stop(self) -> None:
        if self.server is not None:
            with contextlib.suppress(Exception):
                self.server.__exit__(None, None, None)
            self.server = None

    def execute(self, job: Job) -> Result:
        """Run a job; called from several threads."""
        from gencourse.grading.kernel.execute import execute

        result = execute(job, self.alive())
        if self.sandboxed and result.isolation == "none" and not failed_here(result):
            return Result((), problem="It was run without a sandbox, which nobody asked for.")
        return result


_here: _Servers | None = None
_here_lock = threading.Lock()


def in_this_process(job: Job, *, sandboxed: bool = True) -> Result:
    """Run one job with a fork server that this process keeps: for workers and for nbgrader.

    Raises
    ------
    NoSandbox
        If this machine can't keep students' code in, and that was not waived.
    """
    global _here
    with _here_lock:
        if _here is None or _here.sandboxed != sandboxed:
            _here = _Servers(sandboxed=sandboxed)
        servers = _here
    servers.alive()
    return _attempts(servers.execute, job)


def on_a_worker(job: bytes, expected: str, sandboxed: bool) -> bytes:
    """Run one job on a worker of a cluster. A student's crash is a result, not an exception.

    Parameters
    ----------
    job : bytes
        :meth:`.Job.to_bytes`.
    expected : str
        Fingerprint of the environment that the results will be kept under.
    sandboxed : bool
        Whether students' code must be kept in.

    Returns
    -------
    bytes
        :meth:`.Result.to_bytes`.
    """
    if environment.fingerprint(sandboxed=sandboxed) != expected:
        problem = "A worker has other versions than this machine: install the same on both."
        return Result((), problem=problem).to_bytes()
    try:
        return in_this_process(Job.from_bytes(job), sandboxed=sandboxed).to_bytes()
    except Exception as error:
        problem = f"A worker could not run it ({type(error).__name__}: {error})."
        return Result((), problem=problem).to_bytes()


class Cluster:
    """The workers behind a Dask scheduler.

    Parameters
    ----------
    client : distributed.Client
    sandboxed : bool
        Whether students' code must be kept in.
    work : callable
        What a worker does with a job.
    """

    def __init__(
        self,
        client: Any,
        *,
        sandboxed: bool,
        work: Callable[[bytes, str, bool], bytes] = on_a_worker,
    ) -> None:
        self.client = client
        self.sandboxed = sandboxed
        self.work = work
        self.done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.fingerprint = environment.fingerprint(sandboxed=sandboxed)

    def run(self, jobs: Iterable[Named]) -> Generator[tuple[str, Result], None, None]:
        """Yield the result of each named job as soon as it is known, in any order.

        Raises
        ------
        RuntimeError
            If all workers, or the scheduler, stay away.
        """
        yield from _flow(jobs, submit=self._submit, room=self._room, next_done=self._next_done)

    def _submit(self, job: Job) -> Any:
        future = self.client.submit(
            self.work,
            job.to_bytes(),
            self.fingerprint,
            self.sandboxed,
            pure=False,
            retries=ATTEMPTS - 1,
        )
        future.add_done_callback(self.done.put)
        return future

    def _threads(self) -> int:
        workers = self.client.scheduler_info(n_workers=-1)["workers"]
        return sum(worker["nthreads"] for worker in workers.values())

    def _room(self) -> int:
        # Two for each thread, so that none waits for the next; more would only fill memory.
        return 2 * max(1, self._threads())

    def _next_done(self, futures: set[Any]) -> Iterable[tuple[Any, Result]]:
        alone_since: float | None = None
        while True:
            with contextlib.suppress(queue.Empty):
                future = self.done.get(timeout=2)
                try:
                    return [(future, Result.from_bytes(future.result(timeout=FETCH)))]
                except TimeoutError:  # its worker died before the result was fetched
                    self.done.put(future)
                except Exception as error:
                    problem = f"Its worker failed ({type(error).__name__}: {error})."
                    return [(future, Result((), problem=problem))]
            if self.client.status == "running" and self._threads():
                alone_since = None
                continue
            now = time.monotonic()
            alone_since = now if alone_since is None else alone_since
            if now - alone_since > PATIENCE:
                raise RuntimeError(
                    f"the cluster has had no worker for {PATIENCE:.0f} seconds. What was graded is "
                    "kept: start workers, and give the same command again."
                )


@contextlib.contextmanager
def cluster(address: str, *, sandboxed: bool = True) -> Iterator[Engine]:
    """Open an engine on the workers of a Dask scheduler.

    Parameters
    ----------
    address : str
        Of the scheduler, such as ``"tcp://10.0.0.5:8786"``.
    sandboxed : bool
        False runs students' code with the rights of the workers. It must be asked for.

    Raises
    ------
    RuntimeError
        If Dask is not installed, nobody answers, there is no worker, or a worker has other
        versions than this machine.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise RuntimeError(
            "several machines need Dask: pip install 'gencourse[grading,dask]' on each of them"
        ) from None
    try:
        client = Client(address, timeout=ANSWER, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise RuntimeError(f"no Dask scheduler answers at {address} ({error})") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise RuntimeError(
                f"the scheduler at {address} has no workers; on each machine run: "
                f"dask worker {address} --nthreads 2"
            ) from None
        _same_versions(client)
        yield Cluster(client, sandboxed=sandboxed)


def _same_versions(client: Any) -> None:
    """Raise ``RuntimeError`` naming the first worker that would grade otherwise than we would."""
    ours = environment.describe()
    try:
        others = client.run(environment.describe)
    except Exception as error:
        raise RuntimeError(
            f"a worker can't import gencourse.grading ({type(error).__name__}); install "
            "'gencourse[grading,dask]' on each machine"
        ) from None
    for address, theirs in others.items():
        if differ := [name for name in ours if theirs.get(name) != ours[name]]:
            said = ", ".join(f"{n} {theirs.get(n, 'missing')[:16]}" for n in differ)
            wanted = ", ".join(f"{n} {ours[n][:16]}" for n in differ)
            raise RuntimeError(f"worker {address} has {said}; this machine has {wanted}")
