"""Kernels that can do no harm: a fork server, and the walls around what it forks.

:func:`~gencourse.grading.sandbox.policy.best` says which walls this machine has, and
:class:`~gencourse.grading.sandbox.forkserver.ForkServer` puts a kernel behind them::

    with ForkServer(best()) as server:
        ours, theirs = socket.socketpair()
        with theirs, server.spawn("module:function", [theirs.fileno()], sandboxed=True) as child:
            ours.recv(100)
"""

from __future__ import annotations

from gencourse.grading.sandbox.forkserver import WARM, Child, ForkServer, SpawnError
from gencourse.grading.sandbox.policy import Finding, Isolation, NoSandbox, available, best

__all__ = [
    "WARM",
    "Child",
    "Finding",
    "ForkServer",
    "Isolation",
    "NoSandbox",
    "SpawnError",
    "available",
    "best",
]
