"""Try each layer of isolation, and say what stands in its way and how to remove it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gencourse.grading.sandbox import cgroup, landlock, seccomp
from gencourse.grading.sandbox.forkserver import ForkServer, SpawnError
from gencourse.grading.sandbox.policy import Finding, Isolation, NoSandbox

__all__ = ["CONTAINER", "LAYERS", "findings"]

#: What is looked for.
LAYERS = ("namespaces", "landlock", "seccomp", "cgroup")
#: What to do where the system has no sandbox.
CONTAINER = (
    "Grade in a Linux container or virtual machine: on macOS and Windows Docker Desktop or WSL 2 "
    "gives one. In the course's folder: docker run --rm -it --security-opt seccomp=unconfined "
    "--security-opt apparmor=unconfined --security-opt systempaths=unconfined --user 1000:1000 "
    '-e HOME=/tmp -v "$PWD":/course -w /course IMAGE gencourse doctor --grading, where IMAGE is '
    "python:3.12 with pip install 'gencourse[grading]'."
)
_NOT_LINUX = Finding(False, f"This is {sys.platform}; only Linux has it.", CONTAINER)


def findings() -> dict[str, Finding]:
    """Return what was found of each layer, by name.

    ``"namespaces"`` and ``"landlock"`` say whether a kernel could be started behind them;
    ``"seccomp"`` and ``"cgroup"`` are of what both make use.
    """
    if sys.platform != "linux":
        return dict.fromkeys(LAYERS, _NOT_LINUX)
    if seccomp.supported():
        calls = Finding(True, "System calls can be filtered.")
    else:
        calls = Finding(
            False,
            "System calls can't be filtered, or those of this machine are not known.",
            "It takes a kernel with CONFIG_SECCOMP_FILTER, on x86-64 or AArch64.",
        )
    return {
        "namespaces": _namespaces(),
        "landlock": _landlock(),
        "seccomp": calls,
        "cgroup": _groups(),
    }


def _tried(isolation: Isolation) -> str:
    """Start a kernel; return why it could not be done, "" if it could."""
    try:
        with ForkServer(isolation, warm=(), start_seconds=30) as server:
            server.spawn("builtins:len", [], sandboxed=True).kill()
    except (SpawnError, NoSandbox, OSError) as error:
        return str(error)
    return ""


def _namespaces() -> Finding:
    problem = _tried(Isolation.NAMESPACES)
    if not problem:
        return Finding(True, "A kernel was started in namespaces of its own.")
    return Finding(False, problem, _why_no_namespaces())


def _why_no_namespaces() -> str:
    if _setting("/proc/sys/user/max_user_namespaces") == "0":
        return "They are switched off: sudo sysctl user.max_user_namespaces=15000 allows them."
    if _setting("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return "They are switched off: sudo sysctl kernel.unprivileged_userns_clone=1 allows them."
    if _setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        python = os.path.realpath(sys.executable)
        return (
            "Ubuntu's AppArmor allows them to programs with a profile alone. Put the line "
            f"'profile gencourse {python} flags=(unconfined) {{ userns, }}' into "
            "/etc/apparmor.d/gencourse and run sudo apparmor_parser -r /etc/apparmor.d/gencourse; "
            "or, for all programs: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0."
        )
    if _in_container():
        return (
            "Inside a container the engine forbids them: start it with --security-opt "
            "seccomp=unconfined --security-opt apparmor=unconfined --security-opt "
            "systempaths=unconfined, as a user that is not root."
        )
    return "It takes a kernel with CONFIG_USER_NS, and leave to use it."


def _landlock() -> Finding:
    version = landlock.abi()
    if version == 0:
        modules = _setting("/sys/kernel/security/lsm")
        if modules and "landlock" not in modules.split(","):
            remedy = f"Add lsm=landlock,{modules} to the kernel's command line, and restart."
        else:
            remedy = "It takes Linux 5.13 or newer; in a container, an engine that lets it through."
        return Finding(False, "This kernel has no Landlock, or it is off.", remedy)
    problem = _tried(Isolation.LANDLOCK)
    if problem:
        return Finding(False, problem, "If that does not help, report it.")
    signals = "" if landlock.keeps_signals() else " Signals are kept in by the filter of calls."
    return Finding(True, f"A kernel was started behind Landlock {version}.{signals}")


def _groups() -> Finding:
    place, reason = cgroup.find()
    if place is not None:
        return Finding(True, reason)
    return Finding(
        False,
        reason,
        "Not needed: each process has its own limits, and their sum is watched. On a server with "
        "systemd, systemd-run --user --scope -p Delegate=yes gencourse grade … has the kernel "
        "count for all of them.",
    )


def _setting(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _in_container() -> bool:
    return (
        any(os.path.exists(p) for p in ("/.dockerenv", "/run/.containerenv"))
        or "container" in os.environ
    )
