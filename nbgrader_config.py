"""Configuration of nbgrader, read by every `nbgrader` command run in this folder.

The instructor's sources are in solutions/, the published assignments in assignments/. Hand-ins,
grades and feedback stay in this folder and out of git (.gitignore).
"""

import os
import sys
from pathlib import Path

from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    OverwriteCells,
    OverwriteKernelspec,
    SaveAutoGrades,
)

from gencourse.grading.course.preprocessors import CachedExecute, Mend
from gencourse.grading.handin.collector import HandInCollector
from gencourse.grading.reports.feedback import FeedbackPage, Grades
from gencourse.grading.reports.formgrader import show_safely
from gencourse.grading.reports.late import LatePolicy
from gencourse.grading.reports.tables import GradesCsv
from gencourse.grading.session import STUB_MESSAGE

c = get_config()  # noqa: F821

# Where things are. reference.py is what hidden checks compare with: nbgrader never copies it.
course = Path(__file__).resolve().parent if "__file__" in globals() else Path.cwd()
c.CourseDirectory.course_id = "gencourse"
c.CourseDirectory.root = str(course)
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "assignments"
c.CourseDirectory.ignore = [
    ".ipynb_checkpoints",
    "*.pyc",
    "__pycache__",
    "feedback",
    "reference.py",
]

# nbgrader calls `alembic` by its bare name; it stands beside the Python that runs nbgrader, which
# need not be on the path when the environment was not activated.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

# Hand-ins, gradebook and feedback are for the instructor's eyes only.
os.umask(0o077)
c.Autograde.permissions = 400
c.GenerateFeedback.permissions = 600

# What students get.
c.ClearSolutions.code_stub = {
    "python": f'# YOUR CODE HERE\nraise NotImplementedError("{STUB_MESSAGE}")'
}
c.ClearSolutions.text_stub = "*Your answer here.*"
# The marking rubric stands in the question's read-only cell, beside the answer in formgrader.
c.ClearMarkScheme.enforce_metadata = False

# What is graded: a hand-in rebuilt from the release, run in a sandbox, its checks elsewhere. Limits
# stand in the source's own metadata ("gencourse": {"limits": {"cell_seconds": 30}}).
c.Autograde.sanitize_preprocessors = [Mend, OverwriteKernelspec, OverwriteCells, CheckCellMetadata]
c.Autograde.autograde_preprocessors = [
    CachedExecute,
    SaveAutoGrades,
    AssignLatePenalties,
    CheckCellMetadata,
]

# What students read afterwards: sentences, and no hidden check or rubric.
c.GenerateFeedback.exporter_class = FeedbackPage
c.GenerateFeedback.preprocessors = [Grades]

# What a late hand-in loses, in sets that have a due date (in formgrader: Manage Assignments).
c.AssignLatePenalties.plugin_class = LatePolicy
c.LatePolicy.grace_minutes = 15
c.LatePolicy.percent_per_day = 10
c.LatePolicy.most_percent = 50

# Formgrader shows what students wrote in a browser that may do anything here.
show_safely(c)

# Files from a learning platform: <student>_ps5.ipynb or <student>/ps5.ipynb.
c.ZipCollectApp.collector_plugin = HandInCollector
# Grades with a status, so that what needs a person is never read as 0.
c.ExportApp.plugin_class = GradesCsv
