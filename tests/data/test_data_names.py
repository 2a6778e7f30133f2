"""Loading by name: what is known, and what is said about the unknown."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gencourse import data


def test_names_are_those_that_load() -> None:
    names = data.names()
    assert len(names) == len(set(names)) == 16
    for name in names:
        if name in ("mnist", "fashion_mnist", "cifar10", "celeba"):
            continue  # these need a network: test_downloads.py
        loaded = data.load(name)
        assert isinstance(loaded, data.Dataset)
        assert loaded.name == name
        x = loaded.sample(3, generator=torch.Generator().manual_seed(0))
        assert x.shape == (3, *loaded.event_shape)
    names.clear()
    assert data.names()  # the caller's list is its own


def test_options_reach_the_data_set() -> None:
    assert data.load("ring8", k=5).modes.shape == (5, 2)
    assert data.load("gaussian", dimension=7).event_shape == (7,)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("ring", "ring8"),
        ("Moons", "moons"),
        ("fashion-mnist", "fashion_mnist"),
        ("digit", "digits"),
    ],
)
def test_unknown_name_suggests_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(KeyError) as error:
        data.load(name)
    assert str(error.value).startswith(f"unknown data set {name!r}; did you mean ")
    assert repr(nearest) in str(error.value)


@given(name=st.text(min_size=1).filter(lambda s: s not in data.names()))
def test_any_other_name_is_a_key_error(name: str) -> None:
    with pytest.raises(KeyError, match="unknown data set"):
        data.load(name)


def test_unknown_option_lists_those_there_are() -> None:
    with pytest.raises(TypeError, match=r"'sigma'; its options are radius=2.0, std=0.1, k=8"):
        data.load("ring8", sigma=0.2)
    with pytest.raises(TypeError, match=r"'digits' has no option 'size'; it has none"):
        data.load("digits", size=32)


def test_importing_the_data_imports_nothing_heavy() -> None:
    code = (
        "import sys, gencourse.data, gencourse.metrics, gencourse.transport, gencourse.plots\n"
        "gencourse.data.load('moons').sample(2)\n"
        "heavy = {'torchvision', 'sklearn', 'scipy', 'matplotlib', 'ot', 'PIL', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
