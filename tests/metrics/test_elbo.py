"""The split of the ELBO against quadrature, closed forms, and its own identities."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from gencourse.metrics import elbo_split, gaussian_prior_kl


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_posteriors(n: int, d: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    g = generator(seed)
    mean = 1.5 * torch.randn(n, d, generator=g, dtype=torch.float64)
    return mean, 0.2 + torch.rand(n, d, generator=g, dtype=torch.float64)


def test_kl_to_the_prior_is_torchs() -> None:
    mean, std = random_posteriors(50, 4)
    exact = kl_divergence(Normal(mean, std), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(gaussian_prior_kl(mean, std), exact, rtol=1e-12, atol=1e-12)


def test_three_terms_by_quadrature() -> None:
    """In one dimension q(z), its KL to the prior and the mutual information are integrals."""
    mean, std = random_posteriors(5, 1)
    z = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    log_q_given = Normal(mean, std).log_prob(z)  # (5, points)
    log_q = log_q_given.logsumexp(0) - math.log(5)
    log_p = Normal(0.0, 1.0).log_prob(z)
    dz = z[1] - z[0]
    marginal = ((log_q - log_p) * log_q.exp()).sum() * dz
    information = ((log_q_given - log_q) * log_q_given.exp()).sum(1).mean() * dz
    n = 20_000
    split = elbo_split(mean, std, torch.zeros(5), samples=n, generator=generator())
    # Each draw's log ratio has a standard deviation below 1, and there are 5 n of them.
    error = 5 / (5 * n) ** 0.5
    assert split.mutual_information == pytest.approx(information.item(), abs=error)
    assert split.marginal_kl == pytest.approx(marginal.item(), abs=error)
    assert split.average_kl == pytest.approx((information + marginal).item(), abs=1e-8)


def test_marginal_kl_estimated_directly() -> None:
    """In 6 dimensions: mean of log q(z) - log p(z) over draws from q(z), by torch's mixtures."""
    mean, std = random_posteriors(40, 6)
    n = 2000
    split = elbo_split(mean, std, torch.zeros(40), samples=n, generator=generator())
    z = mean + std * torch.randn(n, 40, 6, generator=generator(1), dtype=torch.float64)
    log_q = torch.stack(
        [Normal(m, s).log_prob(z).sum(2) for m, s in zip(mean, std, strict=True)]
    ).logsumexp(0) - math.log(40)
    ratio = (log_q - Normal(0.0, 1.0).log_prob(z).sum(2)).flatten()
    error = 5 * (ratio.std() / len(ratio) ** 0.5).item()
    assert split.marginal_kl == pytest.approx(ratio.mean().item(), abs=2 * error)


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 10_000), st.integers(1, 3))
def test_identities_and_the_bound(n: int, d: int, seed: int, samples: int) -> None:
    mean, std = random_posteriors(n, d, seed)
    reconstruction = torch.randn(n, generator=generator(seed), dtype=torch.float64)
    split = elbo_split(mean, std, reconstruction, samples=samples, generator=generator(seed))
    parts = split.mutual_information + split.marginal_kl
    assert split.average_kl == pytest.approx(parts, rel=1e-12, abs=1e-12)
    assert split.elbo == pytest.approx(
        split.reconstruction - split.mutual_information - split.marginal_kl, rel=1e-12, abs=1e-12
    )
    # Each log ratio is at most log N: the sum over all data contains the code's own.
    assert split.mutual_information <= math.log(n) + 1e-12


@pytest.mark.parametrize("n", [1, 7])
def test_codes_that_say_nothing(n: int) -> None:
    """All posteriors alike: no information, and the marginal KL is the KL of any of them."""
    mean, std = torch.full((n, 3), 0.7), torch.full((n, 3), 0.4)
    split = elbo_split(mean, std, torch.zeros(n), generator=generator())
    assert split.mutual_information == pytest.approx(0, abs=1e-9)
    assert split.marginal_kl == pytest.approx(gaussian_prior_kl(mean, std)[0].item(), rel=1e-6)


def test_codes_that_say_all() -> None:
    """Posteriors that never meet, one of them narrow: log N, whatever the size of a block."""
    mean = 100 * torch.arange(9.0)[:, None]
    std = torch.ones(9, 1)
    std[3] = 1e-4
    for block in (1, 20, 10**6):
        split = elbo_split(mean, std, torch.zeros(9), generator=generator(), block=block)
        assert split.mutual_information == pytest.approx(math.log(9), abs=1e-6)


def test_narrow_posteriors_keep_their_digits() -> None:
    """(μ/σ)² of 1e8 cancels in the expanded square; float64 leaves 1e-8 of it."""
    mean = torch.tensor([[1.0], [1.0 + 2e-4]], dtype=torch.float64)
    std = torch.full((2, 1), 1e-4, dtype=torch.float64)
    narrow = elbo_split(mean, std, torch.zeros(2), samples=500, generator=generator())
    mean, std = torch.tensor([[0.0], [2.0]]), torch.ones(2, 1)
    wide = elbo_split(mean, std, torch.zeros(2), samples=500, generator=generator())
    assert narrow.mutual_information == pytest.approx(wide.mutual_information, abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_any_precision_and_the_global_generator(dtype: torch.dtype) -> None:
    mean, std = random_posteriors(6, 2)
    split = elbo_split(mean.to(dtype), std.to(dtype), torch.zeros(6, dtype=dtype))
    assert math.isfinite(split.marginal_kl)
    again = [elbo_split(mean, std, torch.zeros(6), generator=generator(3)) for _ in range(2)]
    assert again[0] == again[1]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"mean": torch.zeros(3)}, "mean must have shape"),
        ({"mean": torch.zeros(3, 2, 2)}, "std must have shape"),
        ({"mean": torch.full((3, 2), math.nan)}, "mean holds 6 NaN"),
        ({"mean": torch.zeros(0, 2)}, "mean is empty"),
        ({"std": torch.zeros(3, 2)}, "std must be positive"),
        ({"std": torch.ones(4, 2)}, r"must both have shape \(n, d\)"),
        ({"reconstruction": torch.zeros(3, 1)}, r"reconstruction must be a tensor of shape \(3,\)"),
        ({"reconstruction": [0.0, 0.0, 0.0]}, "reconstruction must be a tensor"),
        ({"reconstruction": torch.full((3,), math.inf)}, "reconstruction holds 3"),
        ({"samples": 0}, "samples must be above 0"),
        ({"samples": 1.5}, "samples must be a whole number"),
        ({"block": 0}, "block must be above 0"),
    ],
)
def test_bad_input(change: dict[str, Any], complaint: str) -> None:
    good = {"mean": torch.zeros(3, 2), "std": torch.ones(3, 2), "reconstruction": torch.zeros(3)}
    with pytest.raises(ValueError, match=complaint):
        elbo_split(**{**good, **change})
