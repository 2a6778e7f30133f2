"""Folders and archives of hand-ins, as learning platforms give them and as nobody should."""

from __future__ import annotations

import io
import os
import stat
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from filled import filled, to_bytes

from gencourse.grading.handin import collect as module
from gencourse.grading.handin.collect import Found, collect

GOOD = to_bytes(filled())
OLD = to_bytes(filled({}))


def put(folder: Path, name: str, data: bytes = GOOD, *, when: float = 1e9) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (when, when))


def zipped(files: dict[str, bytes], **options: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def usable(found: list[Found]) -> dict[str, str]:
    return {one.student: one.name for one in found if not one.problem}


def problems(found: list[Found]) -> dict[str, str]:
    return {one.name: one.problem for one in found if one.problem}


def test_a_folder_of_everything(tmp_path: Path) -> None:
    put(tmp_path, "ada_ps5.ipynb")
    put(tmp_path, "Copy of emmy_ps5 (1).ipynb")
    put(tmp_path, "sofia/ps5.ipynb")
    put(tmp_path, "kurt_ps4.ipynb")
    put(tmp_path, "paper_ps5.pdf", b"%PDF")
    put(tmp_path, "notes.txt", b"all of Tuesday")
    put(tmp_path, "bad.zip", b"PK not really")
    put(tmp_path, "emil_ps5.zip", zipped({"work/ps5.ipynb": GOOD, "work/data.csv": b"1"}))
    put(tmp_path, "tuesday.zip", zipped({"mary_ps5.ipynb": GOOD, "x/noor/ps5.ipynb": GOOD}))
    for junk in (".DS_Store", "__MACOSX/ada_ps5.ipynb", ".ipynb_checkpoints/ada_ps5.ipynb"):
        put(tmp_path, junk)
    found = collect(tmp_path, "ps5")
    assert usable(found) == {
        "ada": "ada_ps5.ipynb",
        "emmy": "Copy of emmy_ps5 (1).ipynb",
        "sofia": "sofia/ps5.ipynb",
        "emil": "emil_ps5.zip!work/ps5.ipynb",
        "mary": "tuesday.zip!mary_ps5.ipynb",
        "noor": "tuesday.zip!x/noor/ps5.ipynb",
    }
    assert all(one.data == GOOD for one in found if not one.problem)
    expected = {
        "kurt_ps4.ipynb": "of ps4, not of ps5",
        "paper_ps5.pdf": "not a notebook",
        "notes.txt": "not a notebook",
        "bad.zip": "can't be unpacked",
    }
    assert problems(found).keys() == expected.keys()
    for name, words in expected.items():
        assert words in problems(found)[name]
    assert [one.student for one in found if one.name == "paper_ps5.pdf"] == ["paper"]
    assert "kurt" in usable(collect(tmp_path))


@pytest.mark.parametrize("as_zip", [True, False])
def test_downloads_of_learning_platforms(tmp_path: Path, as_zip: bool) -> None:
    names = {
        "lovelaceada_12345_67890_ps5.ipynb": "lovelaceada",
        "noetheremmy_LATE_12346_67891_ps5-2.ipynb": "noetheremmy",
        "Sofia K_33_assignsubmission_file_/ps5.ipynb": "Sofia-K",
        "ps5_mary_attempt_2026-11-25-10-00-00_my work.ipynb": "mary",
    }
    files = dict.fromkeys(names, GOOD)
    files |= {"ps5_mary_attempt_2026-11-25-10-00-00.txt": b"Name: Mary"}
    files |= {"Sofia K_33_assignsubmission_onlinetext_/onlinetext.html": b"<p>"}
    if as_zip:
        source = tmp_path / "spring_ps5.zip"
        source.write_bytes(zipped(files))
    else:
        source = tmp_path / "all"
        for name, data in files.items():
            put(source, name, data)
    found = collect(source, "ps5")
    assert problems(found) == {}
    assert set(usable(found)) == set(names.values())
    by_student = {one.student: one for one in found}
    assert by_student["noetheremmy"].late
    assert by_student["mary"].timestamp.startswith("2026-11-2")
    assert by_student["mary"].timestamp.endswith("UTC")
    assert by_student["lovelaceada"].timestamp == ""


def test_the_newer_of_two_files_counts(tmp_path: Path) -> None:
    put(tmp_path, "ada_ps5.ipynb", OLD, when=1e9)
    put(tmp_path, "ada_ps5 (1).ipynb", GOOD, when=1e9 + 60)
    put(tmp_path, "emmy_ps5.ipynb", GOOD, when=1e9 + 60)
    put(tmp_path, "emmy_ps5 (1).ipynb", OLD, when=1e9)
    put(tmp_path, "same_ps5.ipynb", GOOD)
    put(tmp_path, "same/ps5.ipynb", GOOD)
    put(tmp_path, "ps5_kurt_attempt_2026-11-24-10-00-00_ps5.ipynb", OLD, when=1e9 + 60)
    put(tmp_path, "ps5_kurt_attempt_2026-11-25-10-00-00_ps5.ipynb", GOOD, when=1e9)
    put(tmp_path, "x_7_100_ps5.ipynb", GOOD)
    put(tmp_path, "x_7_99_ps5.ipynb", OLD)
    found = collect(tmp_path, "ps5")
    assert {one.student for one in found if one.data == GOOD} == {
        "ada",
        "emmy",
        "same",
        "kurt",
        "x",
    }
    older = [one for one in found if one.problem]
    assert len(older) == 4
    # It is not the student's hand-in: what is graded stays graded.
    assert all(one.student == "" and "and older" in one.problem for one in older)


def test_nobody_hands_in_for_somebody_else(tmp_path: Path) -> None:
    put(tmp_path, "lovelaceada_1_10_ada_ps5.ipynb", GOOD)
    put(tmp_path, "evilbob_2_11_ada_ps5.ipynb", OLD)
    found = collect(tmp_path, "ps5")
    assert usable(found) == {}
    assert all("canvas 1, canvas 2" in problem for problem in problems(found).values())
    # His archive counts as his, whatever is in it.
    put(tmp_path, "evilbob_2_11_ada_ps5.ipynb", GOOD)
    (tmp_path / "evilbob_2_11_ada_ps5.ipynb").unlink()
    put(tmp_path, "evilbob_2_12_all.zip", zipped({"ada_ps5.ipynb": OLD}))
    assert set(usable(collect(tmp_path, "ps5"))) == {"ada", "evilbob"}
    put(tmp_path, "evilbob_2_12_all.zip", zipped({"ada_ps5.ipynb": OLD, "emmy_ps5.ipynb": OLD}))
    found = collect(tmp_path, "ps5")
    assert set(usable(found)) == {"ada"}
    assert "2 notebooks" in problems(found)["evilbob_2_12_all.zip"]


@pytest.mark.parametrize(
    ("theirs", "names"),
    [
        ("Ada L_1_assignsubmission_file_", ["ada_ps5.ipynb", "work/ada_ps5.ipynb"]),
        ("Ada L_1_assignsubmission_file_", ["Eve_9_assignsubmission_file_/ada_ps5.ipynb"]),
        ("Ada L_1_assignsubmission_file_", ["ada_3_4_ps5.ipynb", "ada_ps5.zip"]),
        ("11-22 - Ada L - Nov 25, 2026 1000 AM", ["ada_ps5.ipynb"]),
    ],
)
def test_nobody_hands_in_for_somebody_else_from_a_folder(
    tmp_path: Path, theirs: str, names: list[str]
) -> None:
    put(tmp_path, f"{theirs}/ada_ps5.ipynb", GOOD)
    mallory = theirs.replace("Ada L", "Mallory").replace("_1_", "_2_").replace("11-", "12-")
    for name in names:
        data = zipped({"ada_ps5.ipynb": OLD}) if name.endswith(".zip") else OLD
        put(tmp_path, f"{mallory}/{name}", data, when=2e9)
    found = collect(tmp_path, "ps5")
    assert not [
        one for one in found if one.student == "ada" and one.data == OLD and not one.problem
    ]


def test_names_of_another_platform_do_not_deceive(tmp_path: Path) -> None:
    when = "attempt_2026-11-25-10-00-00"
    put(tmp_path, f"mallorym_2_11_ps5_ada_{when}_ps5.ipynb", OLD)
    put(tmp_path, f"ps5_eve_{when}_ada_{when}_ps5.ipynb", OLD)
    put(tmp_path, f"Bob B_3_assignsubmission_file_ps5_ada_{when}_x.ipynb", OLD)
    found = usable(collect(tmp_path, "ps5"))
    assert len(found) == 3
    assert "ada" not in found


def test_what_a_teacher_puts_there_counts_before_what_is_uploaded(tmp_path: Path) -> None:
    put(tmp_path, "ada_ps5.ipynb", GOOD, when=1e9)
    put(tmp_path, "mallorym_2_11_ada_ps5.ipynb", OLD, when=2e9)
    found = collect(tmp_path, "ps5")
    assert usable(found) == {"ada": "ada_ps5.ipynb"}
    assert problems(found) == {
        "mallorym_2_11_ada_ps5.ipynb": "A second file of ada; ada_ps5.ipynb was taken."
    }


def test_people_of_one_name_are_told_apart(tmp_path: Path) -> None:
    put(tmp_path, "smithjohn_1_10_ps5.ipynb")
    put(tmp_path, "smithjohn_2_11_ps5.ipynb", OLD)
    assert set(usable(collect(tmp_path, "ps5"))) == {"smithjohn-1", "smithjohn-2"}


def test_names_that_are_no_text(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    for name in (b"j\xf6rg_ps5.ipynb", b"\xff\xfe.ipynb"):
        try:
            with open(os.path.join(folder, name), "wb") as file:
                file.write(GOOD)
        except OSError:
            pytest.skip("this file system takes only UTF-8")
    found = collect(tmp_path, "ps5")
    assert set(usable(found)) == {"jörg"}
    for one in found:
        (one.name + one.problem).encode()  # can be printed
    (tmp_path / "z.zip").write_bytes(
        # Declared as cp437, and UTF-8 all the same.
        zipped({"jXXrg2_ps5.ipynb": GOOD}).replace(b"jXXrg2", "jörg2".encode())
    )
    assert "jörg2" in usable(collect(tmp_path, "ps5"))


def test_links_and_special_files_are_not_followed(tmp_path: Path) -> None:
    put(tmp_path / "secret", "key_ps5.ipynb")
    folder = tmp_path / "all"
    put(folder, "ada_ps5.ipynb")
    (folder / "emmy_ps5.ipynb").symlink_to(tmp_path / "secret" / "key_ps5.ipynb")
    (folder / "kurt").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "mary_ps5.ipynb")
    entry = zipfile.ZipInfo("sofia_ps5.ipynb")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(folder / "links.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    found = collect(folder, "ps5")
    assert set(usable(found)) == {"ada"}
    assert len(problems(found)) == 4
    assert all("link" in p or "ordinary" in p for p in problems(found).values())


def test_names_that_point_outside_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "evil.zip"
    path.write_bytes(
        zipped(
            {
                "../../ada_ps5.ipynb": GOOD,
                "/etc/emmy_ps5.ipynb": GOOD,
                "..\\kurt_ps5.ipynb": GOOD,
                "good_ps5.ipynb": GOOD,
            }
        )
    )
    before = sorted(tmp_path.rglob("*"))
    found = collect(path, "ps5")
    assert set(usable(found)) == {"good"}
    assert len(problems(found)) == 3
    assert all("outside" in problem for problem in problems(found).values())
    assert sorted(tmp_path.rglob("*")) == before


def test_bombs_do_not_go_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 2**20)
    bomb = zipped({"boom_ps5.ipynb": b" " * 2**26, "good_ps5.ipynb": GOOD})
    put(tmp_path, "a.zip", bomb)
    # One that lies about its size.
    liar = bytearray(zipped({"liar_ps5.ipynb": b" " * 2**22}))
    where = liar.rindex(b"PK\x01\x02")
    liar[where + 24 : where + 28] = struct.pack("<I", 1000)
    put(tmp_path, "b.zip", bytes(liar))
    put(tmp_path, "c.zip", zipped({"nested_ps5.zip": zipped({"ps5.ipynb": b" " * 2**26})}))
    put(tmp_path, "d.zip", zipped({"deep_ps5.zip": zipped({"x.zip": bomb})}))
    put(tmp_path, "e.zip", zipped({"inner.zip": zipped({"ada_ps5.ipynb": GOOD})}))
    put(tmp_path, "big_ps5.ipynb", b" " * 2**22)
    monkeypatch.setattr(module, "MOST_FILES", 50)
    put(tmp_path, "f.zip", zipped({f"s{i}_ps5.ipynb": b"" for i in range(51)}))
    tracemalloc.start()
    found = collect(tmp_path, "ps5")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24
    assert set(usable(found)) == {"good"}
    expected = {
        "a.zip!boom_ps5.ipynb": "64 MB",
        "b.zip!liar_ps5.ipynb": "can't be read",
        "c.zip!nested_ps5.zip!ps5.ipynb": "64 MB",
        "d.zip!deep_ps5.zip": "no notebook",
        "e.zip!inner.zip": "archive in an archive",
        "big_ps5.ipynb": "4 MB",
        "f.zip": "51 files",
    }
    assert problems(found).keys() == expected.keys()
    for name, words in expected.items():
        assert words in problems(found)[name], name


def test_damaged_members_stop_nobody(tmp_path: Path) -> None:
    data = bytearray(zipped({"ada_ps5.ipynb": GOOD, "emmy_ps5.ipynb": GOOD}))
    data[200] ^= 0xFF  # in the compressed content of the first
    put(tmp_path, "a.zip", bytes(data))
    secret = bytearray(zipped({"kurt_ps5.ipynb": GOOD}))
    secret[secret.rindex(b"PK\x01\x02") + 8] |= 1
    put(tmp_path, "b.zip", bytes(secret))
    put(tmp_path, "c.zip", zipped({"mary_ps5.ipynb": GOOD})[:-40])
    put(tmp_path, "d.zip", b"")
    found = collect(tmp_path, "ps5")
    assert set(usable(found)) == {"emmy"}
    assert len(problems(found)) == 4
    assert "encrypted" in problems(found)["b.zip!kurt_ps5.ipynb"]


def test_a_file_that_is_no_use_says_nothing_of_one_that_is(tmp_path: Path) -> None:
    put(tmp_path, "ada_ps5.ipynb")
    put(tmp_path, "ada_ps5.pdf", b"%PDF")
    put(tmp_path, "emmy_ps5.pdf", b"%PDF")
    found = {one.name: one.student for one in collect(tmp_path, "ps5")}
    assert found == {"ada_ps5.ipynb": "ada", "ada_ps5.pdf": "", "emmy_ps5.pdf": "emmy"}


def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder or zip file"):
        collect(tmp_path / "none")
    assert collect(tmp_path) == []
