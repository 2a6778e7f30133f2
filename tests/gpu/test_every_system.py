"""Mixed precision, compilation, resuming and waiting: the same tests on a CPU and on a GPU.

Those on the GPU carry the mark ``gpu``. What costs much on the CPU is tried there with one
system of each class, and on the GPU with all of them.
"""

from __future__ import annotations

import collections
import functools
import math
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import ring8_bar
import torch
from test_registry import SLUGS, SMALL, any_data
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors
from torch.utils._python_dispatch import TorchDispatchMode

import gencourse
from gencourse import data
from gencourse.training import loop

# For each class the first system that it implements, or two where the objective changes much.
ONE_OF_EACH = tuple(
    {gencourse.models.get(slug).model_class(): slug for slug in SLUGS[::-1]}.values()
)
CLASSES = tuple(
    dict.fromkeys([*ONE_OF_EACH, "gan", *(s for s in ("wgan-gp", "sngan") if s in SLUGS)])
)

# And of those, systems whose networks are unlike each other: tracing one takes a second.
UNLIKE = ("gan", "wgan-gp", "sngan", "realnvp", "made", "cnf", "ddpm", "ebm", "vae", "triangular",
          "gmm")  # fmt: skip

# What asks the device something in every step: linear algebra that may fail, a search for a
# bandwidth, and transport maps, which look whether they have converged.
WAITING = {"kde", "gmm", "gmm-mcem", "cholesky", "ae-ot", "ae-ot-gan"}
# Where a number is read that is on the CPU in any case.
ON_THE_HOST = {"particle_flow.py"}


def everywhere(some: tuple[str, ...] = CLASSES) -> pytest.MarkDecorator:
    """Run a test with these systems on the CPU, and with all of them on a GPU."""
    on_gpu = [pytest.param("cuda", slug, marks=pytest.mark.gpu) for slug in SLUGS]
    cases = [*(("cpu", slug) for slug in some), *on_gpu]
    return pytest.mark.parametrize(("where", "slug"), cases, indirect=["where"])


def fitted(
    slug: str, where: str, *, steps: int = 3, **options: Any
) -> tuple[gencourse.GenerativeModel, gencourse.History]:
    dataset = data.load(any_data(slug))
    model = gencourse.build(slug, dataset, seed=1, device=where, **SMALL[slug])
    return model, model.fit(dataset, steps=steps, seed=2, progress=False, **options)


@functools.cache
def plain(slug: str, where: str) -> tuple[dict[str, list[float]], dict[str, Tensor]]:
    model, history = fitted(slug, where)
    return history.metrics, {k: v.cpu().clone() for k, v in model.state_dict().items()}


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k].cpu(), b[k].cpu()) for k in a)


# ----------------------------------------------------------------- precision


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("slug", SLUGS)
def test_mixed_precision(
    where: str, slug: str, precision: str, record_property: Callable[[str, object], None]
) -> None:
    """Networks round, and nothing else does: losses are near those of float32, and finite."""
    if where == "cuda":
        if precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
            pytest.skip("this GPU has no bfloat16")
        torch.cuda.reset_peak_memory_stats()
    metrics, before = plain(slug, where)
    model, history = fitted(slug, where, precision=precision)
    if where == "cuda":
        record_property("peak_memory_mb", torch.cuda.max_memory_allocated() / 2**20)
    state = model.state_dict()
    assert all(v.dtype == before[k].dtype for k, v in state.items())
    samples = model.sample(5, generator=torch.Generator().manual_seed(0))
    assert samples.dtype == torch.float32
    assert samples.isfinite().all()
    networks = model.networks()
    assert not any("forward" in vars(module) for module in model.modules())  # lowered no longer
    if not networks:
        assert history.metrics == metrics
        assert same(state, before)
        return
    # Were they equal in all digits, nothing was rounded: then `networks` returns modules that
    # training does not call.
    assert history.metrics != metrics
    for name, values in history.metrics.items():
        assert math.isfinite(values[-1])
        if precision == "fp16":
            continue  # steps may have been left out while the scale of the loss was found
        # Three digits in each product, and networks of a few layers.
        assert values[-1] == pytest.approx(metrics[name][-1], rel=0.1, abs=0.1), name


@pytest.mark.nightly
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("slug", ["gan", "realnvp"])
def test_mixed_precision_meets_the_bar(where: str, slug: str, precision: str) -> None:
    """Full trainings on the ring, with rounding networks, are as good as others."""
    ring = data.load("ring8")
    model = gencourse.build(slug, ring, seed=0, device=where)
    model.fit(ring, seed=0, progress=False, precision=precision)
    assert ring8_bar.shortcomings(ring8_bar.measure(model, 0)) == []


@pytest.mark.parametrize("precision", ["fp32", "float16", "", 16, True])
def test_no_such_precision(precision: Any) -> None:
    with pytest.raises(ValueError, match="precision must be None, 'bf16' or 'fp16'"):
        fitted("gan", "cpu", precision=precision)


def test_a_gpu_without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    from gencourse.training.precision import precision_dtype

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    with pytest.raises(ValueError, match=r"\(Tesla T4\) has no bfloat16; use precision='fp16'"):
        precision_dtype("bf16", torch.device("cuda"))
    assert precision_dtype("fp16", torch.device("cuda")) == torch.float16


# ----------------------------------------------------------------- compilation


@pytest.mark.usefixtures("fresh")
@everywhere(UNLIKE)
def test_compiled(where: str, slug: str) -> None:
    """The same numbers up to rounding; a fast backend on the CPU, the real one on a GPU."""
    metrics, before = plain(slug, where)
    # The faster of the two would not notice a derivative of a derivative.
    backend = "aot_eager" if slug in ("wgan-gp", "realnvp", "ebm") else "eager"
    model, history = fitted(slug, where, compile=backend if where == "cpu" else True)
    assert bool(model.compilable()) == (torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0)
    assert not any(module._compiled_call_impl for module in model.modules())
    assert model.state_dict().keys() == before.keys()
    for name, values in history.metrics.items():
        # Kernels that are fused add in another order; the metrics are of the third step.
        assert values[-1] == pytest.approx(metrics[name][-1], rel=2e-3, abs=2e-3), name


@pytest.mark.usefixtures("fresh")
@everywhere(("gan", "realnvp"))
def test_cuda_graphs(where: str, slug: str) -> None:
    """Kernels that were recorded and are launched together: warm-up, recording, then replays.

    A CPU has none to record; there the networks run as torch traced them.
    """
    _, plain = fitted(slug, where, steps=6)
    model, history = fitted(slug, where, steps=6, compile="cudagraphs")
    assert bool(model.compilable()) == (torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0)
    for name, values in history.metrics.items():
        assert values[-1] == pytest.approx(plain.metrics[name][-1], rel=2e-3, abs=2e-3), name
    assert model.sample(3).isfinite().all()  # the graphs' memory is theirs; samples have their own


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("slug", ["ebm", "realnvp"])
def test_compiled_in_mixed_precision(where: str, slug: str) -> None:
    """Rounded in training, exact in between: the chains of `ebm` change from one to the other."""
    backend = "aot_eager" if where == "cpu" else True
    model, history = fitted(slug, where, compile=backend, precision="bf16")
    metrics, _ = plain(slug, where)
    for name, values in history.metrics.items():
        assert values[-1] == pytest.approx(metrics[name][-1], rel=0.1, abs=0.1), name
    assert model.sample(3).isfinite().all()


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("slug", "source"),
    [
        pytest.param("gan", "ring8", marks=pytest.mark.slow),
        pytest.param("gan", "digits", marks=pytest.mark.nightly),
        pytest.param("realnvp", "digits", marks=pytest.mark.nightly),
    ],
)
def test_compiled_to_machine_code_of_a_cpu(slug: str, source: str) -> None:
    dataset = data.load(source)
    plain, compiled = (
        gencourse.build(slug, dataset, seed=1, device="cpu", **SMALL[slug]) for _ in range(2)
    )
    metrics = plain.fit(dataset, steps=3, progress=False).metrics
    history = compiled.fit(dataset, steps=3, progress=False, compile=True)
    for name, values in history.metrics.items():
        assert values[-1] == pytest.approx(metrics[name][-1], rel=2e-3, abs=2e-3), name


# ----------------------------------------------------------------- checkpoints


@pytest.fixture
def deterministic(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """On a GPU, sums in a fixed order where there is a choice."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("deterministic")
@pytest.mark.parametrize("precision", [None, "fp16"])
@everywhere()
def test_resumed_to_the_same_numbers(
    where: str, slug: str, precision: str | None, tmp_path: Path
) -> None:
    """With the scale of the loss in the checkpoint, or without one."""
    checkpoint = tmp_path / "run.pt"

    def interrupt(step: int) -> None:
        if step == 5:
            raise KeyboardInterrupt

    whole, history = fitted(slug, where, steps=7, precision=precision)
    options: dict[str, Any] = {"checkpoint": checkpoint, "steps": 7, "precision": precision}
    with pytest.raises(KeyboardInterrupt):
        fitted(slug, where, **options, checkpoint_every=2, callback=interrupt, every=1)
    resumed, again = fitted(slug, where, **options)
    assert again.metrics == history.metrics
    assert same(resumed.state_dict(), whole.state_dict())
    x, y = (m.sample(5, generator=torch.Generator().manual_seed(0)) for m in (whole, resumed))
    assert torch.equal(x, y)


def test_the_scale_of_the_loss_is_in_the_checkpoint(tmp_path: Path) -> None:
    """Gradients of a large loss overflow at first, so the scale is halved until they do not."""
    path = tmp_path / "run.pt"
    fitted("vae", "cpu", steps=4, precision="fp16", checkpoint=path)
    saved = torch.load(path, weights_only=True)
    assert saved["state"]["scaler"]["scale"] < 2.0**16
    assert saved["run"]["precision"] == "fp16"
    with pytest.raises(ValueError, match="its precision is 'fp16', and that of this run is None"):
        fitted("vae", "cpu", steps=4, checkpoint=path)
    with pytest.raises(ValueError, match="its compile is None, and that of this run is 'eager'"):
        fitted("vae", "cpu", steps=4, precision="fp16", compile="eager", checkpoint=path)


# ----------------------------------------------------------------- waiting for the device


class Questions(TorchDispatchMode):
    """Counts what would wait for a GPU, were there one: reading a value, or a data-sized result."""

    WAIT = ("aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten.is_nonzero")

    def __init__(self) -> None:
        super().__init__()
        self.asked: collections.Counter[str] = collections.Counter()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = str(function)
        by_mask = name.startswith("aten.index.") and any(
            i is not None and i.dtype == torch.bool for i in args[1]
        )
        if by_mask or name.startswith(self.WAIT):
            files = [Path(frame.filename) for frame in traceback.extract_stack()]
            inside = [file.name for file in files if "gencourse" in file.parts]
            self.asked[inside[-1] if inside else "torch"] += 1
        return function(*args, **(kwargs or {}))


class MadeByTheHost(TorchFunctionMode):
    """Counts tensors that a GPU would get from the host: it waits for each."""

    MAKERS = _device_constructors()
    OF_NUMBERS = (torch.tensor, torch.as_tensor, torch.asarray, torch.from_numpy)

    def __init__(self, asked: collections.Counter[str]) -> None:
        super().__init__()
        self.asked = asked

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        of_numbers = function in self.OF_NUMBERS and not isinstance(args[0], Tensor)
        elsewhere = function in self.MAKERS and kwargs.get("device") is None
        if of_numbers or (elsewhere and function not in self.OF_NUMBERS):
            frames = traceback.extract_stack()
            files = [Path(frame.filename) for frame in frames if frame.filename != __file__]
            inside = [file.name for file in files if "gencourse" in file.parts]
            if files and "gencourse" in files[-1].parts:
                self.asked[inside[-1]] += 1
        return function(*args, **kwargs)


@pytest.mark.parametrize(
    ("slug", "precision"),
    [*((slug, None) for slug in SLUGS if slug not in WAITING), ("gan", "fp16"), ("ddpm", "fp16")],
)
def test_no_step_waits_for_the_device(
    where: str, slug: str, precision: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = Questions()

    def watched(step: Callable[[int], Any], **options: Any) -> Any:
        def look(i: int) -> Any:
            if where == "cpu":
                with questions, MadeByTheHost(questions.asked):
                    return step(i)
            if i == 0:  # what is set up once may wait
                return step(i)
            torch.cuda.set_sync_debug_mode("error")
            try:
                return step(i)
            finally:
                torch.cuda.set_sync_debug_mode("default")

        return train(look, **options)

    train = loop.train
    gencourse.models.get(slug).model_class()  # imports it
    for name, module in list(sys.modules.items()):
        if name.startswith("gencourse") and getattr(module, "train", None) is train:
            monkeypatch.setattr(module, "train", watched)
    fitted(slug, where, precision=precision)
    for file in ON_THE_HOST:
        del questions.asked[file]
    assert questions.asked == {}


def test_questions_are_noticed() -> None:
    """The moving average of torch itself asks twice, and so would not pass."""
    network = torch.nn.Linear(2, 2)

    def asked(what: Callable[[], object]) -> int:
        with Questions() as questions:
            what()
        return sum(questions.asked.values())

    average = torch.optim.swa_utils.AveragedModel(network)
    assert asked(lambda: average.update_parameters(network)) >= 2
    assert asked(lambda: float(network.weight.detach().sum())) == 1
    assert asked(lambda: network.weight[network.weight > 0]) == 1


# ----------------------------------------------------------------- the GPU against the CPU


@pytest.fixture
def random_numbers_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw every random number on the CPU, so that both devices see the same ones."""

    class Generator(torch.Generator):
        def __new__(cls, device: object = None) -> Generator:
            return super().__new__(cls)

    monkeypatch.setattr(torch, "Generator", Generator)
    for name in ("rand", "randn", "randint", "randperm"):
        draw = getattr(torch, name)

        def on_host(*args: Any, draw: Any = draw, device: Any = None, **options: Any) -> Tensor:
            return draw(*args, **options).to(device)

        monkeypatch.setattr(torch, name, on_host)
    for name in ("multinomial", "bernoulli", "normal"):
        draw = getattr(torch, name)

        def from_host(x: Tensor, *args: Any, draw: Any = draw, **options: Any) -> Tensor:
            return draw(x.cpu(), *args, **options).to(x.device)

        monkeypatch.setattr(torch, name, from_host)


@pytest.mark.gpu
@pytest.mark.usefixtures("random_numbers_of_the_host")
@pytest.mark.parametrize("slug", SLUGS)
def test_the_first_step_is_that_of_the_cpu(accelerator: str, slug: str) -> None:
    _, here = fitted(slug, "cpu", steps=1)
    _, there = fitted(slug, accelerator, steps=1)
    for name, values in here.metrics.items():
        assert math.isfinite(values[0])
        # TF32 is off by default for matrix products, but on for convolutions: three digits.
        assert there.metrics[name][0] == pytest.approx(values[0], rel=5e-3, abs=5e-3), name


def test_these_tests_are_on_the_machine_they_say(where: str) -> None:
    model, _ = fitted("gan", where)
    assert model.device.type == where
    assert os.environ.get("GENCOURSE_DEVICE") is None
