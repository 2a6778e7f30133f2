"""Two kernels: student code runs in one process, the checks in another, and values cross.

:func:`gencourse.grading.kernel.execute.execute` grades one
:class:`~gencourse.grading.job.Job`. What it starts are :mod:`~gencourse.grading.kernel.student`,
an IPython shell in the sandbox, and :mod:`~gencourse.grading.kernel.checks`, which never runs a
line of a student's. They speak in frames (:mod:`~gencourse.grading.kernel.frames`) that hold
plain values (:mod:`~gencourse.grading.kernel.wire`), never pickles.
"""
