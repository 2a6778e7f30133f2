"""Grading a class: from files handed in to a gradebook, on nbgrader's own formats.

Needs ``pip install 'gencourse[grading]'``, and ``'gencourse[grading,dask]'`` for several
machines. Each module is one step: :mod:`.problem_set` reads what the course knows of an
assignment, :mod:`.jobs` makes a hand-in into a :class:`~gencourse.grading.job.Job`,
:mod:`.engine` runs jobs side by side, :mod:`.store` keeps their results, :mod:`.outputs` writes
them into the notebook, :mod:`.ledger` into the gradebook, and :mod:`.batch` does it for a folder.
"""
