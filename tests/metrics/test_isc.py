"""The Inception score against its definition, torch-fidelity and its extremes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gencourse.metrics import inception_score


def logits(n: int, k: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(n, k, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("n", "splits"), [(100, 10), (103, 10), (50, 1), (7, 7)])
def test_equals_torch_fidelity(n: int, splits: int) -> None:
    fidelity = pytest.importorskip("torch_fidelity.metric_isc")
    z = logits(n, 6)
    theirs = fidelity.isc_features_to_metric(z, splits=splits, shuffle=False)
    ours = inception_score(z.softmax(1), splits)
    assert ours.mean == pytest.approx(theirs["inception_score_mean"], rel=1e-12)
    assert ours.std == pytest.approx(theirs["inception_score_std"], rel=1e-9, abs=1e-12)


def test_equals_torchmetrics_up_to_its_divisor() -> None:
    """Its standard deviation divides by splits - 1; with one order its splits are ours."""
    torchmetrics = pytest.importorskip("torchmetrics.image.inception")
    z = logits(200, 5)
    metric = torchmetrics.InceptionScore(feature=torch.nn.Identity(), splits=4)
    metric.update(z)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        order = torch.randperm(200)
        torch.manual_seed(0)
        mean, std = metric.compute()
    ours = inception_score(z[order].softmax(1), 4)
    assert ours.mean == pytest.approx(mean.item(), rel=1e-9)
    assert ours.std * math.sqrt(4 / 3) == pytest.approx(std.item(), rel=1e-6)


def test_definition() -> None:
    p = logits(40, 4).softmax(1)
    q = p.numpy()
    scores = []
    for part in np.split(q, 5):
        kl = (part * np.log(part / part.mean(0))).sum(1)
        scores.append(np.exp(kl.mean()))
    ours = inception_score(p, 5)
    assert (ours.mean, ours.std) == pytest.approx((np.mean(scores), np.std(scores)))


def test_extremes() -> None:
    """K for one-hot rows of all classes alike; 1 for one class, or for no idea."""
    assert inception_score(torch.eye(10).repeat(10, 1), 10).mean == pytest.approx(10)
    assert inception_score(torch.eye(10)[:1].repeat(50, 1)).mean == pytest.approx(1)
    assert inception_score(torch.full((50, 10), 0.1)).mean == pytest.approx(1)
    half = torch.eye(2).repeat(25, 1) * 0.8 + 0.1  # mutual information log 2 - H(0.9)
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert inception_score(half, 1).mean == pytest.approx(2 * math.exp(-entropy), rel=1e-6)


@given(n=st.integers(1, 30), k=st.integers(1, 8), seed=st.integers(0, 1000))
def test_between_1_and_k(n: int, k: int, seed: int) -> None:
    p = logits(n, k, seed).softmax(1)
    assert 1 - 1e-9 <= inception_score(p, 1).mean <= k + 1e-9
    assert inception_score(p.half(), 1).mean == pytest.approx(inception_score(p, 1).mean, rel=0.01)


def test_bad_input_is_named() -> None:
    p = logits(20, 4).softmax(1)
    with pytest.raises(ValueError, match="not log odds"):
        inception_score(logits(20, 4))
    with pytest.raises(ValueError, match="sum to 1, not 2"):
        inception_score(2 * p)
    with pytest.raises(ValueError, match="10 splits need at least 10 rows, not 5"):
        inception_score(p[:5])
    with pytest.raises(ValueError, match="splits must be"):
        inception_score(p, 0)
    with pytest.raises(ValueError, match=r"shape \(n, K\)"):
        inception_score(p[:, :, None])
    with pytest.raises(ValueError, match="NaN"):
        inception_score(p * math.nan)
    with pytest.raises(ValueError, match="empty"):
        inception_score(p[:0])
