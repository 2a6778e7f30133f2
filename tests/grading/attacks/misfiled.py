"""Files as they come: damaged, misnamed, of other sets, several of one student, archives."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from collections.abc import Mapping

from corpus_case import case, filled, written
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from small_course import NAME, WRONG


def zipped(files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        for name, target in (links or {}).items():
            entry = zipfile.ZipInfo(name)
            entry.create_system = 3
            entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, target)
    return buffer.getvalue()


@case("files", None)
def corrupt() -> bytes:
    return b"<html>Please log in to download.</html>"


@case("files", None)
def truncated() -> bytes:
    data = written(filled())
    return data[: len(data) // 2]


@case("files", None)
def empty() -> bytes:
    return b""


@case("files", None)
def a_list() -> bytes:
    return b"[1, 2]"


@case("files", None)
def nested_deep() -> bytes:
    """JSON that exhausts a recursive parser."""
    return b'{"cells": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@case("files", None)
def wrong_types() -> bytes:
    """Cells that are numbers, sources that are objects."""
    cells = [1, None, {"cell_type": "code", "source": {"a": 1}}, {"cell_type": ["code"]}]
    return json.dumps({"cells": cells, "metadata": 3, "nbformat": 4, "nbformat_minor": 5}).encode()


@case("files", None)
def version_99() -> bytes:
    return json.dumps({"cells": [], "metadata": {}, "nbformat": 99, "nbformat_minor": 0}).encode()


@case("files", None)
def other_set() -> NotebookNode:
    """The notebook of another assignment under this one's name."""
    cells = [new_code_cell("def other(x):\n    return x", id="task7"), new_code_cell("1", id="a")]
    return new_notebook(cells=cells)


@case("files", None)
def other_set_by_name() -> dict[str, bytes]:
    return {"other-set-by-name_ps9.ipynb": written(filled())}


@case("files", None)
def a_pdf() -> dict[str, bytes]:
    return {f"a-pdf_{NAME}.pdf": b"%PDF-1.7"}


@case("files", 10)
def handed_in_twice() -> dict[str, bytes]:
    """Two attempts: the later one counts, as the learning platform numbers them."""
    return {
        f"handed-in-twice_{NAME}.ipynb": written(filled(WRONG)),
        f"handed-in-twice_{NAME}-1.ipynb": written(filled()),
    }


@case("files", None)
def victim() -> dict[str, bytes]:
    """Another account hands in under this student's id: a person must say whose is whose."""
    moodle = "{}_assignsubmission_file_/victim_" + f"{NAME}.ipynb"
    return {
        moodle.format("Victoria Victim_1000001"): written(filled()),
        moodle.format("Mallory M_1000002"): written(filled(WRONG)),
    }


@case("files", 10)
def replaced() -> dict[str, bytes]:
    """Somebody's archive holds a file with this student's name."""
    return {
        f"replaced_{NAME}.ipynb": written(filled()),
        f"mallory_{NAME}.zip": zipped({f"replaced_{NAME}.ipynb": written(filled(WRONG))}),
    }


@case("files", 10)
def ada_lovelace() -> dict[str, bytes]:
    """A folder of Moodle's."""
    place = f"Ada Lovelace_1234567_assignsubmission_file_/{NAME}.ipynb"
    return {place: written(filled())}


@case("files", 10)
def canvas() -> dict[str, bytes]:
    return {f"canvas_LATE_12345_67890_{NAME}.ipynb": written(filled())}


@case("files", 10)
def blackboard() -> dict[str, bytes]:
    return {f"{NAME}_blackboard_attempt_2026-11-25-10-00-00_{NAME}.ipynb": written(filled())}


@case("files", 10)
def in_a_zip() -> dict[str, bytes]:
    return {"class.zip": zipped({f"in-a-zip_{NAME}.ipynb": written(filled())})}


@case("files", None)
def zip_that_climbs() -> dict[str, bytes]:
    """Names that leave the folder, absolute names, names of Windows."""
    names = ("../../climbed", "/tmp/gencourse-climbed", "..\\..\\climbed", "C:\\climbed")
    return {
        "climbs.zip": zipped({f"{name}_{NAME}.ipynb": written(filled()) for name in names}),
    }


@case("files", None)
def zip_with_links() -> dict[str, bytes]:
    links = {f"linked_{NAME}.ipynb": "/etc/passwd", "folder": "/", f"up_{NAME}.ipynb": "../x"}
    return {"links.zip": zipped({}, links)}


@case("files", None)
def zip_bomb() -> dict[str, bytes]:
    """A gigabyte of zeros in a megabyte; and zips in zips."""
    bomb = zipped({f"bomb_{NAME}.ipynb": bytes(120_000_000)})
    for _ in range(5):
        bomb = zipped({f"{n}.zip": bomb for n in range(3)})
    return {"bomb.zip": bomb}


@case("files", None)
def zip_of_many() -> dict[str, bytes]:
    """Twenty thousand empty entries."""
    return {"many.zip": zipped({f"many{n}/x": b"" for n in range(21_000)})}


@case("files", None)
def zip_broken() -> dict[str, bytes]:
    return {"broken.zip": b"PK\x03\x04 not really"}


@case("files", None)
def strange_names() -> dict[str, bytes]:
    """New lines, markup, options, formulas and shell words in names of files."""
    names = (
        "new\nline",
        "--force",
        "=cmd|' ",
        "$(touch x)",
        "[red]x",
        "a;b",
        "\u202e",
        "\x1b]0;title\x07",
    )
    return {f"{name}_{NAME}.ipynb": written(filled(WRONG)) for name in names}


@case("files", None)
def dots() -> dict[str, bytes]:
    """Students who seem to be called like folders."""
    return {f".._{NAME}.ipynb": written(filled(WRONG)), f"._{NAME}.ipynb": b"\x00\x05\x16\x07"}


@case("files", 10)
def many_ids() -> NotebookNode:
    """All cells have the same id, and one has an id that no cell may have."""
    notebook = filled()
    for cell in notebook.cells:
        cell.id = "same"
    notebook.cells[0]["id"] = "not allowed\n" * 10
    return notebook


@case("files", 10)
def unknown_keys() -> bytes:
    """Keys that the format does not know, and a cell of an unknown kind."""
    data = json.loads(written(filled()))
    data["future"] = {"a": [1] * 1000}
    for cell in data["cells"]:
        cell["future"] = 1
    data["cells"].append({"cell_type": "hologram", "metadata": {}, "source": "x"})
    return json.dumps(data).encode()
