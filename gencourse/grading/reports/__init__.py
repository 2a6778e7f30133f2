"""What comes out of grading: pages for students, tables for platforms, a look for copies.

Needs ``pip install 'gencourse[grading]'``. It reads nbgrader's gradebook and graded notebooks,
whatever ran them: :mod:`.feedback` makes the page a student gets back, :mod:`.tables` and
:mod:`.platforms` the grades as CSV, :mod:`.late` says what a late hand-in costs, and
:mod:`.similarity` which hand-ins resemble each other.
"""
