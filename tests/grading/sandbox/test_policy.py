"""What is chosen, what is said where there is nothing to choose, and what is shown to students."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

import gencourse
from gencourse.cli import app
from gencourse.grading.job import Limits
from gencourse.grading.sandbox import (
    Finding,
    ForkServer,
    Isolation,
    NoSandbox,
    SpawnError,
    best,
    cgroup,
    paths,
    policy,
    probe,
)
from gencourse.grading.sandbox import report as command
from gencourse.grading.sandbox.doctor import Check

YES, NO = Finding(True, "found."), Finding(False, "missing.", "install it.")


def choose(monkeypatch: pytest.MonkeyPatch, **found: Finding) -> Isolation:
    monkeypatch.setattr(policy, "_found", lambda: found)
    return best()


def test_the_strongest_wall_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose(monkeypatch, namespaces=YES, landlock=YES) is Isolation.NAMESPACES
    assert choose(monkeypatch, namespaces=NO, landlock=YES) is Isolation.LANDLOCK
    with pytest.raises(NoSandbox, match=r"missing\. install it\."):
        choose(monkeypatch, namespaces=NO, landlock=NO)


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_other_systems_are_shown_the_container(
    monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    found = probe.findings()
    assert not any(finding.ok for finding in found.values())
    with pytest.raises(NoSandbox, match="docker run"):
        choose(monkeypatch, **found)


@pytest.mark.parametrize(
    ("path", "value", "remedy"),
    [
        ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "unprivileged_userns_clone=1"),
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "/etc/apparmor.d/"),
    ],
)
def test_it_says_how_to_switch_namespaces_on(
    monkeypatch: pytest.MonkeyPatch, path: str, value: str, remedy: str
) -> None:
    monkeypatch.setattr(probe, "_tried", lambda isolation: "no")
    monkeypatch.setattr(probe, "_setting", lambda asked: value if asked == path else "")
    finding = probe.findings()["namespaces"]
    assert not finding.ok
    assert remedy in finding.remedy


@pytest.mark.skipif(sys.platform != "linux", reason="paths of Linux")
def test_of_the_course_only_the_package_is_shown() -> None:
    shown = paths.readable()
    package = Path(gencourse.__file__).parent
    course = package.parent
    assert str(package.resolve()) in shown or any(package.is_relative_to(path) for path in shown)
    if (course / "pyproject.toml").exists():
        assert not any(course.is_relative_to(path) for path in shown)
        for name in ("solutions", "tests", "pyproject.toml"):
            assert not any((course / name).is_relative_to(path) for path in shown)
    assert not any(Path.home().is_relative_to(path) for path in shown)


def test_a_prefix_that_holds_the_course_is_noticed(tmp_path: Path) -> None:
    assert paths.exposed([str(tmp_path)]) == []
    (tmp_path / "gradebook.db").touch()
    assert paths.exposed([str(tmp_path)]) == [str(tmp_path / "gradebook.db")]
    assert paths.exposed(["/"]) == ["/"]


def test_a_course_among_pythons_own_files_is_noticed(tmp_path: Path) -> None:
    course = tmp_path / "lib" / "course"
    assert paths.exposed([str(tmp_path / "lib")], [str(course)]) == [str(course)]
    assert paths.exposed([str(tmp_path / "lib")], [str(tmp_path / "library"), str(tmp_path)]) == []
    assert paths.exposed([paths.package()], [paths.package()]) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the fork server runs on Linux alone")
def test_a_server_refuses_to_show_a_course() -> None:
    server = ForkServer(Isolation.NONE, warm=(), hidden=[Path(sys.prefix) / "course"])
    with pytest.raises(SpawnError, match="course"):
        server.start()


@pytest.mark.parametrize("holds", [True, False])
def test_the_doctor_says_what_was_reached(monkeypatch: pytest.MonkeyPatch, holds: bool) -> None:
    found = {"namespaces": NO, "landlock": YES, "seccomp": YES, "cgroup": NO}
    monkeypatch.setattr(command, "available", lambda: found)
    asked = []

    def examine(isolation: Isolation) -> list[Check]:
        asked.append(isolation)
        return [Check("a fork bomb", True), Check("DNS", holds, "" if holds else "[red]a name")]

    monkeypatch.setattr(command, "examine", examine)
    written = io.StringIO()
    assert command.report(Console(file=written, width=200)) is holds
    assert asked == [Isolation.LANDLOCK]
    assert "grading uses landlock" in written.getvalue()
    assert ("[red]a name" in written.getvalue()) is not holds


def test_the_doctor_without_a_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "available", lambda: dict.fromkeys(probe.LAYERS, NO))
    written = io.StringIO()
    assert command.report(Console(file=written, width=200)) is False
    assert "refuses" in written.getvalue()
    assert "install it." in written.getvalue()


@pytest.mark.parametrize(("held", "status"), [(True, 0), (False, 1)])
def test_the_command_ends_with_a_status(
    monkeypatch: pytest.MonkeyPatch, held: bool, status: int
) -> None:
    monkeypatch.setattr(command, "report", lambda console: held)
    assert CliRunner().invoke(app, ["doctor", "--grading"]).exit_code == status


def tree(place: Path, controllers: str, enabled: str) -> Path:
    (place / "cgroup.controllers").write_text(controllers)
    (place / "cgroup.subtree_control").write_text(enabled)
    (place / "cgroup.procs").touch()
    return place


def test_control_groups_are_used_where_they_are_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "_ours", lambda: tmp_path)
    monkeypatch.setattr(cgroup, "_works", lambda place: True)
    assert cgroup.find()[0] is None
    tree(tmp_path, "cpu pids", "pids")
    assert cgroup.find() == (None, f"{tmp_path} has no control of memory.")
    tree(tmp_path, "cpu memory pids", "memory pids")
    assert cgroup.find()[0] == tmp_path
    group = cgroup.make(tmp_path, "kernel", Limits(memory_mb=100, disk_mb=50, processes=7))
    assert int((group / "memory.max").read_text()) >= 150 << 20
    assert (group / "pids.max").read_text() == "9"
    assert not cgroup.ran_out(group)
    (group / "memory.events").write_text("low 0\noom 1\noom_kill 1\n")
    assert cgroup.ran_out(group)
