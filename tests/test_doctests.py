"""The examples in the docstrings of the whole library do what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import random

import pytest
import torch

import gencourse

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(gencourse.__path__, prefix="gencourse.")
)


@pytest.mark.parametrize("name", ["gencourse", *MODULES])
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random.Random(name).randrange(2**31))  # examples may not rely on a seed
        failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = [
        test.name
        for name in MODULES
        for test in finder.find(importlib.import_module(name))
        if test.examples
    ]
    assert {"gencourse.data.load", "gencourse.evaluation.evaluate"} <= set(examples)
