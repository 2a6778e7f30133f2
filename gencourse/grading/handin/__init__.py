"""Hand-ins before they are graded: whose they are, what is in them, and how they are put right.

:mod:`~gencourse.grading.handin.mend` rebuilds a hand-in from the release;
:mod:`~gencourse.grading.handin.names` and :mod:`~gencourse.grading.handin.collect` find the
hand-ins in what a learning platform gives; :mod:`~gencourse.grading.handin.check` looks at one
before it is handed in. Nothing here needs more than the course itself: a student has no nbgrader.
"""
