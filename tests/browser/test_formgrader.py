"""Formgrader in a real browser, on a class that `gencourse grade` has graded.

Marking by hand, feedback and export, with a hand-in that tries to take over the marker's session.
"""

from __future__ import annotations

import csv
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from typer.testing import CliRunner
from watching import watched

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("formgrader")]

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT / "solutions").is_dir():
    pytest.skip("there are no solutions in the public tree", allow_module_level=True)

HOSTILE = """\
The critic saturates, so $\\log D$ is flat. **All** eight modes came late.

<script>document.title = "taken"</script>
<img src="x" onerror="document.title = 'taken'">
<iframe srcdoc="<script>parent.document.title = 'taken'</script>"></iframe>
[more](javascript:document.title='taken') ![](https://example.org/who-looks.png)
"""
WRONG = """\
def value_function(real_logits, fake_logits):
    return -softplus(-real_logits).sum() - softplus(fake_logits).sum()
"""
PICTURE = """\
from IPython.display import HTML, Javascript
plt.plot([1, 2, 3])
plt.show()
display(Javascript("document.title = 'taken'"))
HTML("<script>document.title = 'taken'</script>")
"""


@dataclass(frozen=True)
class Graded:
    """A course with two graded hand-ins, and formgrader running on it."""

    course: Path
    hand_ins: Path
    address: str
    token: str

    def grade(self) -> None:
        from gencourse.grading.course.batch import Options, grade
        from gencourse.grading.sandbox import policy

        try:
            policy.best()
            sandboxed = True
        except policy.NoSandbox:
            sandboxed = False  # the hand-ins are our own
        options = Options(sandboxed=sandboxed)
        found = grade("ps5", self.hand_ins, course=self.course, options=options)
        assert not found.needs_review


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graded]:
    folder = tmp_path_factory.mktemp("formgrader")
    course, hand_ins = folder / "course", folder / "hand-ins"
    hand_ins.mkdir()
    for name in ("solutions/ps5", "assignments/ps5"):
        shutil.copytree(ROOT / name, course / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "nbgrader_config.py", course)
    release = nbformat.read(ROOT / "assignments" / "ps5" / "ps5.ipynb", as_version=4)
    nbformat.write(release, hand_ins / "blank_ps5.ipynb")
    for cell in release.cells:
        cell.source = {"task1": WRONG, "task8": HOSTILE}.get(cell.id, cell.source)
    release.cells.insert(7, nbformat.v4.new_code_cell(PICTURE))
    release.cells.insert(8, nbformat.v4.new_markdown_cell(HOSTILE))
    nbformat.write(release, hand_ins / "mallory_ps5.ipynb")

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    about = Graded(course, hand_ins, f"http://127.0.0.1:{port}/", secrets.token_hex(16))
    about.grade()
    environment = {**os.environ, "JUPYTER_TOKEN": about.token}
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        environment[name] = str(folder / name.lower())
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"]
    command += [f"--ServerApp.root_dir={course}", f"--port={port}", "--ServerApp.port_retries=0"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=course, env=environment, stdout=log, stderr=log)
    try:
        _wait(about, server, folder / "log")
        yield about
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait(graded: Graded, server: subprocess.Popen[bytes], log: Path) -> None:
    url = f"{graded.address}api/status?token={graded.token}"
    for _ in range(480):
        assert server.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.25)
    pytest.fail(f"formgrader did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture
def page(browser: Any, graded: Graded) -> Iterator[Any]:
    """A page that may talk to formgrader alone, and of which nothing may fail."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(120_000)  # formgrader asks the gradebook a lot
    trouble = watched(page, graded.address, "data:")
    page.goto(f"{graded.address}formgrader/?token={graded.token}")
    yield page
    context.close()
    assert not trouble, trouble


def row(page: Any, student: str) -> Any:
    return page.locator("tbody tr", has_text=student)


def test_marking_feedback_and_export(page: Any, graded: Graded) -> None:
    submissions = f"{graded.address}formgrader/manage_submissions/ps5"
    page.goto(submissions)
    row(page, "mallory").get_by_text("needs manual grading").wait_for()
    assert "graded" in row(page, "blank").locator(".status").inner_text()

    # Manual Grading → ps5 → the first hand-in that needs it.
    page.goto(f"{graded.address}formgrader/gradebook/ps5/ps5")
    page.locator("tbody tr", has_text="0 / 11").first.wait_for()
    for link in page.locator("tbody tr td:nth-child(2) a").all():
        address = graded.address.rstrip("/") + link.get_attribute("href")
        if "All</b> eight" in page.request.get(address).text().replace("strong", "b"):
            break
    else:
        pytest.fail("the hand-in is not there")
    page.goto(address)
    written = page.locator(".nbgrader_cell", has=page.locator("textarea.comment"))
    answer = written.filter(has_text="All eight modes came late")
    assert answer.count() == 1
    assert page.title() == "ps5"
    assert page.locator("iframe").count() == 0
    assert page.locator("#notebook-container script").count() == 0
    assert page.locator("#notebook-container img[onerror]").count() == 0
    assert page.locator("#notebook-container img").count() == 1  # what the student plotted
    assert answer.locator("math").count() == 1
    # A marking scheme stands above each written answer; formgrader has selected the first box.
    assert page.get_by_text("BEGIN MARK SCHEME").count() == 2

    with page.expect_response(lambda r: "/api/grade/" in r.url and r.request.method == "PUT"):
        answer.locator("input.score").fill("4.5")
        answer.locator("input.score").press("Tab")
    with page.expect_response(lambda r: "/api/comment/" in r.url and r.request.method == "PUT"):
        answer.locator("textarea.comment").fill("Say **why** $V$ settles.")
        answer.locator("textarea.comment").blur()

    feedback = graded.course / "feedback" / "mallory" / "ps5" / "ps5.html"
    before = feedback.read_text(encoding="utf-8")
    assert "to be graded by hand" in before
    page.goto(submissions)
    row(page, "mallory").locator(".label", has_text="graded").wait_for()
    row(page, "mallory").locator(".generate-feedback a").click()
    page.get_by_text("Successfully generated feedback").wait_for(timeout=60_000)
    text = feedback.read_text(encoding="utf-8")
    assert "4.5 of 6" in text
    assert "Say <strong>why</strong> <math" in text
    assert "to be graded by hand" not in text

    from gencourse.cli import app

    done = CliRunner().invoke(app, ["export", "ps5", "--course", str(graded.course)])
    assert done.exit_code == 0, done.output
    assert points_and_status(graded, "mallory") == (4.5, "graded")
    # Grading again keeps the marks, and renews what was written before they were given.
    feedback.write_text(before, encoding="utf-8")
    graded.grade()
    assert points_and_status(graded, "mallory") == (4.5, "graded")
    assert "4.5 of 6" in feedback.read_text(encoding="utf-8")


def points_and_status(graded: Graded, student: str) -> tuple[float, str]:
    with (graded.course / "grades" / "ps5.csv").open(newline="") as file:
        (found,) = (r for r in csv.DictReader(file) if r["student_id"] == student)
    return float(found["score"]), found["status"]


def test_autograding_again_from_formgrader(page: Any, graded: Graded) -> None:
    page.goto(f"{graded.address}formgrader/manage_submissions/ps5")
    row(page, "blank").locator(".autograde a").click()
    page.get_by_text("Successfully autograded").wait_for(timeout=120_000)
    assert points_and_status(graded, "blank") == (0.0, "graded")


@pytest.mark.parametrize("width", [1280, 375])
def test_feedback_is_a_page_that_fits_and_does_nothing(
    browser: Any, graded: Graded, width: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url))
    page.goto((graded.course / "feedback" / "mallory" / "ps5" / "ps5.html").as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [page.url]
    assert page.title() == "ps5: mallory"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.scripts.length") == 0
    for image in page.locator("img").all():
        assert image.evaluate("i => i.complete && i.naturalWidth > 0")
    # A formula is drawn by the browser itself, higher than a line of text.
    formula = page.locator("math[display=block]").first.bounding_box()
    assert formula is not None
    assert formula["height"] > 15
    page.locator("table.tasks a").first.click()
    assert page.url.endswith("#task1-visible")
    context.close()
