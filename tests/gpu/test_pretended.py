"""On a GPU that is not there: nothing of the host's gets among what is on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pretended import GPU, OnGPU, pretended_gpu
from test_every_system import CLASSES, SLUGS, SMALL
from test_registry import any_data
from torch import Tensor

import gencourse
from gencourse import data, failures, metrics, transport


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    monkeypatch.delenv("GENCOURSE_DEVICE", raising=False)
    with pretended_gpu():
        yield GPU


# ----------------------------------------------------------------- the pretence


def test_tensors_keep_to_their_device(gpu: torch.device) -> None:
    here = torch.arange(6.0).view(2, 3)
    there = here.to(gpu)
    assert gencourse.device() == there.device == (there * 2 + 1)[0].device == gpu
    assert torch.zeros(2, device=gpu).device == torch.zeros_like(there).device == gpu
    assert torch.equal((there * 2).cpu(), here * 2)
    assert isinstance(there, OnGPU)
    assert not isinstance(there.cpu(), OnGPU)
    for mix in (lambda: there + here, lambda: torch.cat([there, here]), lambda: there @ here.T):
        with pytest.raises(RuntimeError, match="to be on the same device"):
            mix()
    with pytest.raises(RuntimeError, match="numpy"):
        there.numpy()
    with pytest.raises(RuntimeError, match="device type for generator"):
        torch.rand(2, generator=torch.Generator(), device=gpu)
    # What a GPU allows: single numbers, and indices of the host.
    assert torch.equal((there + torch.tensor(1.0)).cpu(), here + 1)
    assert torch.equal(there[torch.tensor([1])].cpu(), here[1:])
    assert (there.sum().item(), there.tolist(), f"{there.sum():.1f}") == (15, here.tolist(), "15.0")


def test_views_and_gradients(gpu: torch.device) -> None:
    x = torch.zeros(4, device=gpu)
    x[1:3] = 1
    x[0].add_(5)
    assert x.tolist() == [5, 1, 1, 0]
    layer = torch.nn.Linear(3, 1)
    moved = torch.nn.Linear(3, 1).to(gpu)
    moved.load_state_dict(layer.state_dict())
    z = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    for network, at in ((layer, z), (moved, z.to(gpu))):
        network(at).square().sum().backward()
    assert moved.weight.device == moved.weight.grad.device == gpu
    assert torch.equal(moved.weight.grad.cpu(), layer.weight.grad)


# ----------------------------------------------------------------- the course on it


@pytest.mark.parametrize(
    "slug",
    [s if s in CLASSES else pytest.param(s, marks=pytest.mark.nightly) for s in SLUGS],
)
def test_a_system_keeps_to_its_device(gpu: torch.device, slug: str, tmp_path: Path) -> None:
    """From data on the CPU to samples on the device, with the numbers of the CPU."""
    dataset = data.load(any_data(slug))
    here, there = (
        gencourse.build(slug, dataset, seed=1, device=d, **SMALL[slug]) for d in ("cpu", None)
    )
    assert there.device == gpu
    expected, found = (m.fit(dataset, steps=3, seed=2, progress=False) for m in (here, there))
    for name, values in found.metrics.items():
        assert values == pytest.approx(expected.metrics[name], rel=1e-3, abs=1e-3), name
    samples = there.sample(7, generator=torch.Generator().manual_seed(0))
    assert samples.device == gpu
    assert samples.cpu().isfinite().all()
    there.sample(7, generator=torch.Generator(gpu).manual_seed(0))
    assert (
        gencourse.evaluate(there, dataset, n=64).keys()
        == gencourse.evaluate(here, dataset, n=64).keys()
    )
    if there.system.has_log_prob:
        x = dataset.sample(5, generator=torch.Generator().manual_seed(0))
        assert there.log_prob(x.to(gpu)).device == gpu
        assert there.log_prob(x).device == x.device
    there.save(tmp_path / "model.pt")
    assert gencourse.load(tmp_path / "model.pt").device == gpu


@pytest.mark.parametrize("slug", ["gan", "wgan-gp", "vgrow-kl", "ebm", "realnvp"])
def test_products_that_are_large_stay_on_the_device(gpu: torch.device, slug: str) -> None:
    """Where a CPU would have the faster products of oneDNN."""
    model = gencourse.build(slug, data.load("moons"), seed=0, width=256, batch=256)
    model.fit(data.load("moons"), steps=2, progress=False)
    assert model.sample(600).cpu().isfinite().all()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


RING = data.load("ring8")
Y, Z = (RING.sample(60, generator=seeded(k)) for k in (1, 2))
TRAIN, HELD = data.load("digits").images("train")[60:180].split(60)
ONES = torch.ones(60)

#: Of 60 samples on the device and data that are held on the CPU, as a notebook has them.
OF_POINTS: dict[str, Callable[[Tensor], Any]] = {
    "wasserstein": lambda x: transport.wasserstein(x, Y, p=1),
    "sliced": lambda x: transport.sliced_wasserstein(x, Y, generator=seeded()),
    "on a line": lambda x: transport.wasserstein_1d(x[:, 0], Y[:, 0]),
    "gaussian": lambda x: transport.gaussian_w2(x.mean(0), x.T.cov(), Y.mean(0), Y.T.cov()),
    "dual": lambda x: transport.kantorovich_rubinstein(x, Y).value,
    "critic": lambda x: transport.lipschitz_critic(x, Y, steps=3, generator=seeded()).value,
    "plan": lambda x: transport.kantorovich(ONES, ONES, torch.cdist(x, Y.to(x)))[1],
    "entropic plan": lambda x: transport.sinkhorn(ONES, ONES, torch.cdist(x, Y.to(x)), 1.0)[1],
    "parzen": lambda x: metrics.parzen_log_likelihood(x, Y, validation=Z).mean,
    "modes": lambda x: metrics.mode_coverage(x, RING.modes, RING.mode_std).quality,
    "prdc": lambda x: metrics.prdc(x, Y).coverage,
    "mmd": lambda x: metrics.mmd(x, Y),
    "kid": lambda x: metrics.kernel_distance(x, Y),
    "energy": lambda x: metrics.energy_distance(x, Y),
    "fid": lambda x: metrics.frechet_distance(x, Y),
}
OF_IMAGES: dict[str, Callable[[Tensor], Any]] = {
    "psnr": lambda x: metrics.psnr(x, HELD).mean(),
    "ssim": lambda x: metrics.ssim(x, HELD).mean(),
    "recognised": lambda x: metrics.recognised(x),
    "fid of digits": lambda x: gencourse.evaluate(x, data.load("digits"), n=60)["fid"],
}


@pytest.mark.parametrize("name", [*OF_POINTS, *OF_IMAGES])
def test_what_was_made_is_compared_with_what_is_held(gpu: torch.device, name: str) -> None:
    x = RING.sample(60, generator=seeded()) if name in OF_POINTS else TRAIN
    measure = (OF_POINTS | OF_IMAGES)[name]
    here, there = float(measure(x)), float(measure(x.to(gpu)))
    assert there == pytest.approx(here, rel=1e-3), name


@pytest.mark.parametrize("told", [None, "cuda"])
def test_experiments_on_failures_follow_the_device(
    gpu: torch.device, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that choose the CPU stay there; told otherwise by the environment, they go along."""
    if told is not None:
        monkeypatch.setenv("GENCOURSE_DEVICE", told)
    assert gencourse.device("cpu") == (torch.device("cpu") if told is None else gpu)
    failures.mode_collapse(steps=2, n=50, runs={"one": {}})
    failures.oscillation(steps=2, every=1, n=20)
    failures.mode_mixture(steps=2, n=200)
