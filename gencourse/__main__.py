"""``python -m gencourse``, as which ``torchrun -m gencourse`` starts the command line."""

from __future__ import annotations

from gencourse.cli import app

if __name__ == "__main__":
    app(prog_name="gencourse")
