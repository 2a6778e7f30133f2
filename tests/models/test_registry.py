"""Every system builds, trains, samples, and comes back from a file as it was."""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import gencourse
from gencourse import data
from gencourse.objectives import OBJECTIVES

SLUGS = tuple(system.slug for system in gencourse.systems())
DATA = ("ring8", "moons", "digits")
PAIRS = tuple(
    (system.slug, name)
    for system in gencourse.systems()
    for name in DATA
    if ("images" if name == "digits" else "points") in system.kinds
)
OF_POINTS = tuple(slug for slug, name in PAIRS if name == "ring8")
# Enough of each to train in a moment.
SMALL: dict[str, dict[str, Any]] = {
    "made": {"components": 2, "width": 6, "depth": 1, "batch": 8},
    "nice": {"layers": 2, "width": 4, "depth": 1, "components": 3, "batch": 8},
    "realnvp": {"layers": 2, "width": 4, "depth": 1, "components": 3, "batch": 8},
    "maf": {"layers": 2, "width": 4, "depth": 1, "components": 3, "batch": 8},
    "iaf": {"layers": 2, "width": 4, "depth": 1, "batch": 8},
    "kde": {"centres": 60, "held_out": 20},
    "gmm": {"components": 3},
    "ae": {"width": 4, "depth": 1, "batch": 8},
    "vae": {"width": 4, "depth": 1, "batch": 8, "importance": 2},
    "wae-mmd": {"width": 4, "depth": 1, "batch": 8},
    "wae-gan": {"width": 4, "depth": 1, "batch": 8},
    "ae-ot": {"width": 4, "depth": 1, "batch": 8, "targets": 20},
    "ae-ot-gan": {"width": 4, "depth": 1, "batch": 8, "targets": 20},
    "histogram": {"bins": 3},
    "gmm-mcem": {"components": 3},
    "cholesky": {},
    "triangular": {"components": 2, "width": 4, "depth": 1, "batch": 8},
    "tabak": {"candidates": 4, "batch": 64},
    "cnf": {"width": 4, "batch": 8, "probes": 1},
    "ebm": {
        "width": 4,
        "depth": 1,
        "batch": 8,
        "chains": 16,
        "langevin_steps": 2,
        "sample_rounds": 2,
        "particles": 8,
        "temperatures": 3,
    },
    "ncsn": {"width": 4, "depth": 1, "batch": 8, "levels": 3, "langevin_steps": 2},
    "ddpm": {"width": 4, "depth": 1, "batch": 8, "T": 5},
    "dcgan": {"width": 4, "batch": 8},
    **{name: {"width": 4, "depth": 1, "batch": 8, "features": 3} for name in OBJECTIVES},
    **{
        f"vgrow-{name}": {"width": 4, "depth": 1, "batch": 8, "pool": 16, "moves": 2}
        for name in ("kl", "js", "logd", "jeffreys")
    },
    "schrodinger-bridge": {"width": 4, "depth": 1, "batch": 8, "N1": 3, "N2": 4, "N3": 2},
    "dsb": {"width": 4, "depth": 1, "batch": 8, "N": 4, "T": 0.5, "paths": 10, "refresh": 2},
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def any_data(slug: str) -> str:
    """Images where the system learns them, as they use the larger part of its code."""
    return "digits" if (slug, "digits") in PAIRS else "ring8"


def trained(slug: str, name: str = "ring8", **settings: Any) -> gencourse.GenerativeModel:
    dataset = data.load(name)
    model = gencourse.build(slug, dataset, **{**SMALL[slug], **settings})
    model.fit(dataset, steps=3, progress=False)
    return model


# ----------------------------------------------------------------- the list


def test_the_systems_of_the_course() -> None:
    assert SLUGS == (
        "histogram", "kde", "gmm", "gmm-mcem", "ebm", "made",
        "cholesky", "triangular", "tabak", "nice", "realnvp", "maf", "iaf", "cnf", "ncsn", "ddpm",
        "ae", "vae", "wae-mmd", "wae-gan", "ae-ot", "ae-ot-gan",
        "dcgan", "gan-minimax", "gan",
        "fgan-kl", "fgan-reverse-kl", "fgan-pearson", "fgan-neyman",
        "fgan-squared-hellinger", "fgan-jeffreys", "fgan-js", "fgan-gan",
        "lsgan", "ebgan", "began", "wgan", "wgan-gp", "wgan-lp", "sngan",
        "mmd-gan", "sn-smmd-gan", "tv-gan", "sobolev-gan", "stein-gan", "cramer-gan",
        "vgrow-kl", "vgrow-js", "vgrow-logd", "vgrow-jeffreys",
        "schrodinger-bridge", "dsb",
    )  # fmt: skip
    for system in gencourse.systems():
        assert gencourse.models.get(system.slug) is system
        for text in (system.title, system.family, system.paper):
            assert text
        assert set(system.decks) <= set("ABCDE")
        root = Path(gencourse.__file__).parents[1]
        if system.chapter is not None:
            assert (root / f"{system.chapter}.ipynb").is_file()
        assert system.kinds in (("points",), ("images",), ("points", "images"))
        assert issubclass(system.model_class(), gencourse.GenerativeModel)


@pytest.mark.parametrize(
    ("slug", "hint"),
    [
        ("gna", "did you mean 'gan'"),
        ("GMM", "did you mean 'gmm'"),
        ("gan_minimax", "did you mean 'gan-minimax'"),
        ("zzz", "known: ae, ae-ot, ae-ot-gan, began, cholesky, cnf"),
        (None, "unknown system None"),
        (["gan"], "unknown system"),
    ],
)
def test_unknown_systems(slug: Any, hint: str) -> None:
    with pytest.raises(KeyError) as caught:
        gencourse.build(slug, data.load("ring8"))
    assert hint in str(caught.value)


# ----------------------------------------------------------------- what a model can do


@pytest.mark.parametrize("slug", [slug for slug, name in PAIRS if name == "digits"])
def test_larger_images(slug: str) -> None:
    """Sixty-four glyphs of 28 × 28 pixels: two steps, samples, and a density that is finite."""
    x = data.load("glyphs").sample(64, generator=generator())
    model = gencourse.build(slug, x, **SMALL[slug])
    model.fit(x, steps=2, progress=False)
    drawn = model.sample(2, generator=generator())
    assert drawn.shape == (2, 1, 28, 28)
    assert drawn.isfinite().all()
    if model.system.has_log_prob:
        with torch.no_grad():
            assert model.log_prob(x[:2]).isfinite().all()


@pytest.mark.parametrize(("slug", "name"), PAIRS)
def test_before_and_after_training(slug: str, name: str) -> None:
    dataset = data.load(name)
    model = gencourse.build(slug, dataset, **SMALL[slug])
    assert model.system.slug == slug
    assert model.event_shape == dataset.event_shape
    for _ in range(2):
        samples = model.sample(7, generator=generator())
        assert samples.shape == (7, *dataset.event_shape)
        assert samples.dtype == torch.float32
        assert samples.device == model.device
        assert samples.isfinite().all()
        assert not samples.requires_grad
        assert torch.equal(samples, model.sample(7, generator=generator()))
        assert not torch.equal(samples, model.sample(7, generator=generator(1)))
        assert model.sample(1).shape == (1, *dataset.event_shape)  # the global generator
        model.fit(dataset, steps=3, progress=False)


@pytest.mark.parametrize("slug", [s for s in SLUGS if (s, "digits") not in PAIRS])
def test_a_system_of_points_refuses_images(slug: str) -> None:
    with pytest.raises(ValueError, match=rf"'{slug}' learns points .*not images of shape"):
        gencourse.build(slug, data.load("digits"))


@pytest.mark.parametrize("slug", SLUGS)
def test_a_broken_run_is_resumed_to_the_same_numbers(tmp_path: Path, slug: str) -> None:
    """Interrupted in step 5, resumed from the checkpoint after step 4; and run in one piece."""
    dataset = data.load(any_data(slug))

    def interrupt(step: int) -> None:
        if step == 5:
            raise KeyboardInterrupt

    whole, broken, resumed = (
        gencourse.build(slug, dataset, seed=1, **SMALL[slug]) for _ in range(3)
    )
    history = whole.fit(dataset, steps=7, seed=2, progress=False)
    run = {"steps": 7, "seed": 2, "progress": False, "checkpoint": tmp_path / "run.pt"}
    with pytest.raises(KeyboardInterrupt):
        broken.fit(dataset, **run, checkpoint_every=2, callback=interrupt, every=1)
    again = resumed.fit(dataset, **run)
    assert again.metrics == history.metrics
    for key, tensor in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[key], tensor), key
    x, y = (m.sample(5, generator=generator()) for m in (whole, resumed))
    assert torch.equal(x, y)


@pytest.mark.parametrize("slug", OF_POINTS)
def test_the_seeds_decide_everything_and_the_global_generator_nothing(slug: str) -> None:
    dataset = data.load("ring8")

    def run(build_seed: int, fit_seed: int) -> gencourse.GenerativeModel:
        model = gencourse.build(slug, dataset, seed=build_seed, **SMALL[slug])
        model.fit(dataset, steps=3, seed=fit_seed, progress=False)
        return model

    def drawn(model: gencourse.GenerativeModel, seed: int) -> Tensor:
        return model.sample(40, generator=generator(seed))

    torch.manual_seed(1)
    state = torch.get_rng_state()
    model = run(1, 2)
    first = drawn(model, 3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(drawn(run(1, 2), 3), first)
    assert not torch.equal(drawn(run(1, 5), 3), first)
    assert not torch.equal(drawn(model, 5), first)
    if any(p.requires_grad for p in model.parameters()):  # the others start from the data
        assert not torch.equal(drawn(run(5, 2), 3), first)


@pytest.mark.parametrize("slug", SLUGS)
def test_sampling_changes_nothing(slug: str) -> None:
    model = trained(slug, any_data(slug))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    for mode in (True, False):
        model.train(mode)
        model.sample(20)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("slug", OF_POINTS)
def test_a_model_for_tensors(slug: str) -> None:
    """Data need not come from a data set: three dimensions, 50 points, in float64."""
    x = torch.randn(50, 3, dtype=torch.float64, generator=generator())
    model = gencourse.build(slug, x, **SMALL[slug])
    model.fit(x, steps=2, progress=False)
    assert model.sample(4).shape == (4, 3)
    assert model.sample(4).dtype == torch.float32


@pytest.mark.parametrize("slug", OF_POINTS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_log_density_or_a_clear_no(slug: str, dtype: torch.dtype) -> None:
    model = trained(slug)
    x = data.load("ring8").sample(5, generator=generator()).to(dtype)
    if not model.system.has_log_prob:
        with pytest.raises(NotImplementedError, match=f"'{slug}' has no density .*parzen"):
            model.log_prob(x)
        return
    log_p = model.log_prob(x)
    assert log_p.shape == (5,)
    assert log_p.dtype == dtype
    in_double = model.log_prob(x.double())
    # One rounding to the precision of x, of a number computed in float64.
    torch.testing.assert_close(log_p, in_double.to(dtype), rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"x must have shape \(n, 2\)"):
        model.log_prob(torch.zeros(5, 3))
    with pytest.raises(ValueError, match="NaN"):
        model.log_prob(torch.full((5, 2), math.nan))


@pytest.mark.parametrize("slug", ["kde", "gmm"])
def test_log_densities_have_gradients(slug: str) -> None:
    """The score ∇ log p, against central differences in float64."""
    model = trained(slug)
    x = data.load("ring8").sample(4, generator=generator()).double().requires_grad_()
    assert torch.autograd.gradcheck(model.log_prob, (x,), eps=1e-6, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("slug", OF_POINTS)
@pytest.mark.parametrize("n", [0, -1, 2.0, True, "3", None])
def test_a_number_of_samples_that_makes_no_sense(slug: str, n: Any) -> None:
    model = gencourse.build(slug, torch.zeros(1, 2), **SMALL[slug])
    with pytest.raises(ValueError, match="n must be"):
        model.sample(n)


# ----------------------------------------------------------------- hyperparameters


@pytest.mark.parametrize(
    ("slug", "given_ones", "complaint"),
    [
        ("gan", {"widht": 3}, "'gan' has no hyperparameter 'widht'; did you mean 'width'"),
        (
            "gan",
            {"bins": 3},
            "'gan' has no hyperparameter 'bins'; .*it takes objective",
        ),
        ("gmm", {"width": 3}, "it takes components, ridge, steps"),
        ("gan", {"width": 0}, "width must be above 0, not 0"),
        ("gan", {"width": "wide"}, "width must be a whole number, not 'wide'"),
        ("gan", {"batch": 2.5}, "batch must be a whole number"),
        ("gan", {"lr_generator": -1}, "lr_generator must be above 0"),
        ("gan", {"lr_generator": math.nan}, "lr_generator must be above 0"),
        ("gan", {"beta1": 1.0}, r"beta1 must be a number in \[0, 1\), not 1\.0"),
        ("gan", {"beta2": "0.9"}, "beta2 must be a number"),
        ("gan", {"averaging": 1.5}, "averaging must be at most 1"),
        ("gan", {"optimiser": "sgd"}, "optimiser must be 'adam' or 'momentum', not 'sgd'"),
        ("gan", {"head_start": -1}, "head_start must not be negative"),
        ("gan", {"head_start": True}, "head_start must be a whole number"),
        ("gan", {"objective": "gna"}, "unknown objective 'gna'; did you mean 'gan'"),
        ("gan", {"objective": [1]}, "unknown objective"),
        ("gmm", {"components": 0}, "components must be above 0"),
        ("gmm", {"ridge": 0.0}, "ridge must be above 0"),
        ("kde", {"bandwidth": -0.1}, "bandwidth must be above 0"),
        ("kde", {"centres": 1.5}, "centres must be a whole number"),
    ],
)
def test_bad_hyperparameters(slug: str, given_ones: dict[str, Any], complaint: str) -> None:
    with pytest.raises((ValueError, KeyError), match=complaint):
        gencourse.build(slug, torch.zeros(1, 2), **given_ones)


@given(st.text(min_size=1))
def test_any_unknown_hyperparameter(name: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        gencourse.build("gmm", torch.zeros(1, 2), **{name: object()})


def test_hyperparameters_reach_the_model() -> None:
    model = gencourse.build("gan", torch.zeros(1, 2), latent=5, width=7, depth=2)
    sizes = [m.weight.shape for m in model.generator if isinstance(m, torch.nn.Linear)]
    assert sizes == [(7, 5), (7, 7), (2, 7)]
    assert gencourse.build("gan-minimax", torch.zeros(1, 2)).objective.name == "gan-minimax"


def test_images_have_their_own_defaults() -> None:
    points, images = torch.zeros(1, 2), torch.zeros(1, 1, 8, 8)
    for slug, name in (("gan", "latent"), ("gan", "batch"), ("gmm", "ridge")):
        default = getattr(gencourse.build(slug, points).settings, name)
        for_images = getattr(gencourse.build(slug, images).settings, name)
        assert default != for_images
        chosen = 2 * for_images
        model = gencourse.build(slug, images, **{name: chosen})
        assert getattr(model.settings, name) == chosen


@pytest.mark.parametrize("slug", ["gan", "gan-minimax"])
@pytest.mark.parametrize("shape", [(1, 9, 9), (1, 30, 28), (4, 4), (1, 2, 2)])
def test_images_that_a_network_cannot_make(slug: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"square images|size \d"):
        gencourse.build(slug, torch.zeros(1, *shape))


@pytest.mark.parametrize(
    "x", [torch.zeros(3), torch.zeros(0, 2), torch.zeros(3, 2, dtype=torch.int64), "ring8", None]
)
def test_data_that_say_no_shape(x: Any) -> None:
    with pytest.raises(ValueError, match="data"):
        gencourse.build("gan", x)


def test_the_weights_follow_from_the_seed_alone() -> None:
    def weights(seed: int) -> Tensor:
        model = gencourse.build("gan", torch.zeros(1, 2), seed=seed)
        return torch.cat([p.flatten() for p in model.parameters()])

    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = weights(1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(8)
    assert torch.equal(weights(1), first)
    assert not torch.equal(weights(2), first)


def test_building_does_not_reseed_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.manual_seed would, and fork_rng without devices would not restore them."""

    def fails(*_: object) -> None:
        raise AssertionError("a GPU's generator was seeded")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", fails)
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: False)
    gencourse.build("gan", torch.zeros(1, 2), seed=3)


# ----------------------------------------------------------------- devices


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENCOURSE_DEVICE", raising=False)
    with pytest.raises(ValueError, match="'gpu' is not a device"):
        gencourse.build("gan", torch.zeros(1, 2), device="gpu")


@pytest.mark.gpu
@pytest.mark.parametrize(("slug", "name"), PAIRS)
def test_on_the_gpu(accelerator: str, tmp_path: Path, slug: str, name: str) -> None:
    """It trains and samples there, from the same initial weights as on the CPU."""
    dataset = data.load(name)
    model = gencourse.build(slug, dataset, seed=1, device=accelerator, **SMALL[slug])
    on_cpu = gencourse.build(slug, dataset, seed=1, device="cpu", **SMALL[slug])
    for a, b in zip(model.parameters(), on_cpu.parameters(), strict=True):
        assert torch.equal(a.cpu(), b)
    assert model.device.type == accelerator
    before = torch.cuda.get_rng_state() if accelerator == "cuda" else None
    checkpoint = tmp_path / "run.pt"
    history = model.fit(dataset, steps=5, progress=False, checkpoint=checkpoint)
    assert history.steps[-1] == 5
    if before is not None:
        assert torch.equal(torch.cuda.get_rng_state(), before)
    samples = model.sample(9, generator=generator())  # a generator on the CPU serves any device
    assert samples.device.type == accelerator
    assert samples.isfinite().all()
    model.sample(9, generator=torch.Generator(accelerator).manual_seed(0))
    result = gencourse.evaluate(model, dataset, n=64)
    assert all(math.isfinite(v) for v in result.values())
    path = tmp_path / "model.pt"
    model.save(path)
    there, here = gencourse.load(path), gencourse.load(path, device="cpu")
    assert there.device.type == accelerator
    assert here.device.type == "cpu"
    if model.system.has_log_prob:
        x = dataset.sample(5, generator=generator())
        rounding = 1e-4 * math.sqrt(x[0].numel())  # of a sum over dimensions, which may cancel
        torch.testing.assert_close(
            there.log_prob(x.to(accelerator)).cpu(), here.log_prob(x), rtol=1e-4, atol=rounding
        )
    on_cpu.settings = model.settings
    with pytest.raises(ValueError, match="its device is"):
        on_cpu.fit(dataset, steps=5, progress=False, checkpoint=checkpoint)


# ----------------------------------------------------------------- files


@pytest.mark.parametrize(("slug", "name"), PAIRS)
def test_a_saved_model_is_the_same_model(tmp_path: Path, slug: str, name: str) -> None:
    model = trained(slug, name)
    path = tmp_path / "model.pt"
    model.save(path)
    state = torch.get_rng_state()
    loaded = gencourse.load(path)
    assert torch.equal(torch.get_rng_state(), state)
    assert type(loaded) is type(model)
    assert loaded.system is model.system
    assert loaded.settings == model.settings
    assert loaded.event_shape == model.event_shape
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for key, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], tensor), key
    x, y = (m.sample(30, generator=generator(5)) for m in (model, loaded))
    assert torch.equal(x, y)
    if model.system.has_log_prob:
        assert torch.equal(model.log_prob(x), loaded.log_prob(x))


def test_a_kernel_estimate_with_other_centres(tmp_path: Path) -> None:
    """One window before training, 60 of them after; both come back."""
    untrained = gencourse.build("kde", data.load("ring8"))
    untrained.save(tmp_path / "one.pt")
    trained("kde").save(tmp_path / "many.pt")
    assert gencourse.load(tmp_path / "one.pt").centres.shape == (1, 2)
    assert gencourse.load(tmp_path / "many.pt").centres.shape == (60, 2)


def test_numbers_out_of_numpy(tmp_path: Path) -> None:
    """A grid of rates from np.logspace must not make a model that cannot be loaded."""
    model = gencourse.build(
        "gan", torch.zeros(1, 2), width=np.int64(4), lr_generator=np.float64(1e-3)
    )
    model.save(tmp_path / "model.pt")
    assert gencourse.load(tmp_path / "model.pt").settings == model.settings


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


def bad_file(tmp_path: Path, what: str) -> Path:
    path = tmp_path / "model.pt"
    model = trained("gmm")
    model.save(path)
    content = path.read_bytes()
    saved = torch.load(path, weights_only=True)
    if what == "empty":
        path.write_bytes(b"")
    elif what == "text":
        path.write_text("{'slug': 'gan'}")
    elif what == "truncated":
        path.write_bytes(content[:-100])
    elif what == "half":
        path.write_bytes(content[: len(content) // 2])
    elif what == "zeros":
        path.write_bytes(bytes(4096))
    elif what == "folder":
        path.unlink()
        path.mkdir()
    elif what == "tensor":
        torch.save({"weight": torch.zeros(3)}, path)
    elif what == "checkpoint":
        dataset = data.load("ring8")
        path.unlink()
        gencourse.build("gmm", dataset).fit(dataset, steps=1, progress=False, checkpoint=path)
    elif what == "bomb":
        path.write_bytes(pickle.dumps({**saved, "slug": Bomb(tmp_path / "crater")}, protocol=2))
    elif what == "bomb in a zip":
        torch.save({**saved, "hyperparameters": Bomb(tmp_path / "crater")}, path)
    elif what == "settings":
        torch.save({**saved, "hyperparameters": [1, 2]}, path)
    return path


@pytest.mark.parametrize(
    "what",
    [
        "empty", "text", "truncated", "half", "zeros", "folder", "tensor", "checkpoint",
        "bomb", "bomb in a zip", "settings",
    ],
)  # fmt: skip
def test_files_that_are_no_models(tmp_path: Path, what: str) -> None:
    path = bad_file(tmp_path, what)
    with pytest.raises(ValueError, match=r"model\.pt' is not a model saved by gencourse"):
        gencourse.load(path)
    assert not (tmp_path / "crater").exists()


def test_the_bomb_is_real(tmp_path: Path) -> None:
    """Loaded the careless way it goes off, so the test above would notice."""
    torch.load(bad_file(tmp_path, "bomb in a zip"), weights_only=False)
    assert (tmp_path / "crater").exists()


@pytest.mark.parametrize(
    ("change", "error", "complaint"),
    [
        ({"slug": "gnn"}, KeyError, "unknown system 'gnn'"),
        ({"slug": "gan"}, ValueError, "'gan' has no hyperparameter 'ridge'"),
        ({"format": 99, "gencourse": "9.0"}, ValueError, "by gencourse 9.0 in format 99, but"),
        ({"event_shape": [3]}, ValueError, "the saved tensors do not fit this model"),
        ({"state": {}}, ValueError, "the saved tensors do not fit this model"),
        ({"state": {"weights": 3}}, ValueError, "the saved tensors do not fit this model"),
    ],
)
def test_files_that_contradict_themselves(
    tmp_path: Path, change: dict[str, Any], error: type[Exception], complaint: str
) -> None:
    path = tmp_path / "model.pt"
    trained("gmm").save(path)
    torch.save({**torch.load(path, weights_only=True), **change}, path)
    with pytest.raises(error, match=complaint):
        gencourse.load(path)


@pytest.mark.parametrize("shape", [(5, 3), (5,), (), (5, 2, 1)])
def test_centres_of_another_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "model.pt"
    trained("kde").save(path)
    saved = torch.load(path, weights_only=True)
    saved["state"]["centres"] = torch.zeros(shape)
    torch.save(saved, path)
    with pytest.raises(ValueError, match="the saved tensors do not fit this model"):
        gencourse.load(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no model file '.*none\.pt'"):
        gencourse.load(tmp_path / "none.pt")


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"could not write .*nothing was changed"):
        trained("gmm").save(tmp_path / "none" / "model.pt")


FULL_DISK = """
import resource, signal, sys
import torch
import gencourse
model = gencourse.build("gan", torch.zeros(1, 2))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    model.save(sys.argv[1])
except OSError as error:
    print(error.strerror)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs resource limits")
def test_a_full_disk_leaves_the_old_model(tmp_path: Path) -> None:
    """The write fails after 50 kB of 400, in a process that may not make larger files."""
    path = tmp_path / "model.pt"
    model = trained("gmm")
    model.save(path)
    content = path.read_bytes()
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True
    )
    assert "File too large" in result.stdout
    assert "nothing was changed on disk" in result.stdout
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["model.pt"]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Any:
    """Mount a file system of 64 kB, where the system permits that."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small file system is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full(tiny_disk: Path) -> None:
    path = tiny_disk / "model.pt"
    small = trained("gmm")
    small.save(path)
    content = path.read_bytes()
    with pytest.raises(OSError, match="No space left on device"):
        gencourse.build("gan", torch.zeros(1, 2)).save(path)
    assert path.read_bytes() == content
    assert os.listdir(tiny_disk) == ["model.pt"]
