"""From one image to another through a model's latent space (decks A and C)."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import torch
from torch import Tensor, nn

from gencourse import nets, samplers
from gencourse._validate import points, positive
from gencourse.flows import Compose
from gencourse.models.ae_ot_gan import TransportGAN
from gencourse.models.autoencoder import LatentModel
from gencourse.models.base import GenerativeModel
from gencourse.models.ddpm import DiffusionModel
from gencourse.models.flow import FlowModel
from gencourse.models.gan import AdversarialModel
from gencourse.models.ncsn import ScoreNetwork
from gencourse.models.pushforward import PushForward
from gencourse.models.schrodinger_bridge import SchrodingerBridge
from gencourse.models.wae import WassersteinAutoencoder
from gencourse.training import adam, descend

__all__ = ["code", "cross_fade", "decode", "interpolate", "slerp"]

PATHS = ("linear", "spherical")
ODE_STEPS = 25  # of the equation between an image and its noise, either way
SEARCH = 4096  # random codes among which the search for an adversarial net's begins
BLUR = 0.5  # σ of the noise that hides which of two images a mixture is of
DESCENT = 200  # steps of that search
LR = 0.05  # of its Adam


def cross_fade(a: Tensor, b: Tensor, steps: int = 9) -> Tensor:
    """Blend pixels, (1 - t) a + t b: the path that knows nothing of images.

    Parameters
    ----------
    a, b : Tensor of shape (n, …)
    steps : int
        Points on the path, ends included.

    Returns
    -------
    Tensor of shape (n, steps, …)
    """
    positive(steps, "steps", integer=True)
    t = torch.linspace(0, 1, steps, dtype=a.dtype, device=a.device)
    t = t.reshape(1, steps, *[1] * (a.ndim - 1))
    return torch.lerp(a[:, None], b[:, None], t)


def slerp(a: Tensor, b: Tensor, steps: int = 9) -> Tensor:
    r"""Great-circle path between vectors, whose length goes evenly from ‖a‖ to ‖b‖.

    With ω the angle between them, directions are
    (sin((1 - t) ω) a/‖a‖ + sin(t ω) b/‖b‖) / sin ω (Shoemake 1985). Gaussian noise in many
    dimensions d lies near a sphere of radius √d, and the straight path cuts through its empty
    inside (White 2016, *Sampling generative networks*).

    Parameters
    ----------
    a, b : Tensor of shape (n, …)
    steps : int
        Points on the path, ends included.

    Returns
    -------
    Tensor of shape (n, steps, …)

    Examples
    --------
    >>> import torch
    >>> path = slerp(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), 3)
    >>> path[0, 1]
    tensor([0.7071, 0.7071])
    """
    positive(steps, "steps", integer=True)
    u, v = a.flatten(1), b.flatten(1)
    length = cross_fade(u.norm(dim=1, keepdim=True), v.norm(dim=1, keepdim=True), steps)
    u = u / u.norm(dim=1, keepdim=True).clamp_min(1e-12)
    v = v / v.norm(dim=1, keepdim=True).clamp_min(1e-12)
    ω = (u * v).sum(1, keepdim=True).clamp(-1, 1).acos()[:, None]
    t = torch.linspace(0, 1, steps, dtype=a.dtype, device=a.device)[None, :, None]
    sin = ω.sin()
    circle = (((1 - t) * ω).sin() * u[:, None] + (t * ω).sin() * v[:, None]) / sin
    # Where the directions agree the formula is 0/0, and the path is straight.
    path = length * torch.where(sin > 1e-4, circle, torch.lerp(u[:, None], v[:, None], t))
    return path.reshape(len(a), steps, *a.shape[1:])


@torch.no_grad()
def interpolate(
    model: GenerativeModel,
    a: Tensor,
    b: Tensor,
    *,
    steps: int = 9,
    path: str = "spherical",
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Lead from images ``a`` to images ``b`` by images of the model.

    Both ends are turned into latent codes, the codes are joined by a path, and every point of it
    is decoded. What a code is depends on the model:

    - ``vae``, ``wae-mmd``, ``ae-ot`` …: what the encoder says;
    - flows: the noise f(x);
    - ``ddpm``: the noise at the other end of the probability-flow equation;
    - ``ncsn``, ``schrodinger-bridge``: the image under noise, the same for both ends,
      from which the sampler's last steps lead back to images (deck A);
    - adversarial nets, which have no encoder: the noise whose image is nearest, searched for
      by gradient descent.

    Parameters
    ----------
    model : GenerativeModel
        Trained on images.
    a, b : Tensor of shape (n, \*event_shape)
        In [-1, 1]; row i of ``a`` goes to row i of ``b``.
    steps : int
        Points on the path, ends included, which are reconstructions.
    path : "spherical" or "linear"
        Of the codes; see :func:`slerp`. Codes that are noisy images always take the straight one.
    generator : torch.Generator, optional
        Source of the noise and of the search's first guesses, on any device.

    Returns
    -------
    Tensor of shape (n, steps, *event_shape)
        In [-1, 1], of the dtype and on the device of ``a``.

    Raises
    ------
    ValueError
        If the model has no latent space, the images have not its shape, or the path is unknown.
    """
    points(a, "a", model.event_shape)
    points(b, "b", model.event_shape)
    if len(a) != len(b):
        raise ValueError(f"a and b must be as many, not {len(a)} and {len(b)}")
    if path not in PATHS:
        raise ValueError(f"path must be 'linear' or 'spherical', not {path!r}")
    positive(steps, "steps", integer=True)
    ends = torch.cat([a, b]).to(device=model.device, dtype=torch.float32)
    z_a, z_b = code(model, ends, generator).chunk(2)
    straight = path == "linear" or isinstance(model, ScoreNetwork | SchrodingerBridge)
    z = (cross_fade if straight else slerp)(z_a, z_b, steps)
    x = decode(model, z.flatten(0, 1), generator).clamp(-1, 1)
    return x.reshape(len(a), steps, *model.event_shape).to(a)


# ------------------------------------------------------------- codes of each family


@singledispatch
def code(model: Any, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return the latent code of each image; see :func:`interpolate`."""
    raise ValueError(f"{model.system.slug!r} has no latent space to interpolate in")


@singledispatch
def decode(model: Any, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return the image of each code; see :func:`interpolate`."""
    raise ValueError(f"{model.system.slug!r} has no latent space to interpolate in")


@code.register
def _(model: LatentModel, x: Tensor, generator: Any = None) -> Tensor:
    return model.encode(x)


@decode.register
def _(model: LatentModel, z: Tensor, generator: Any = None) -> Tensor:
    return model.decode(z)


@decode.register
def _(model: WassersteinAutoencoder | TransportGAN, z: Tensor, generator: Any = None) -> Tensor:
    return model.average(z)  # the decoder that they sample with


@code.register
def _(model: PushForward, x: Tensor, generator: Any = None) -> Tensor:
    return model.pull(model.working(x.flatten(1)))[0].to(x)


@decode.register
def _(model: PushForward, z: Tensor, generator: Any = None) -> Tensor:
    return model.push(model.working(z)).reshape(len(z), *model.event_shape).to(z)


def _flow(model: FlowModel) -> Compose:
    density: Any = model.average.module
    return density.flow


@code.register
def _(model: FlowModel, x: Tensor, generator: Any = None) -> Tensor:
    return _flow(model)(x)[0]


@decode.register
def _(model: FlowModel, z: Tensor, generator: Any = None) -> Tensor:
    return _flow(model).inverse(z)[0]


@code.register
def _(model: DiffusionModel, x: Tensor, generator: Any = None) -> Tensor:
    """Solve the probability-flow equation from the image to noise, by Heun's method.

    The equation of :meth:`DiffusionModel.flow`, dy/dσ = ε(y, σ), with σ rising.
    """
    ratio = model.scale * ((1 - model.alpha_bar) / model.alpha_bar).sqrt()

    def velocity(y: Tensor, sigma: Tensor) -> Tensor:
        t = (ratio - sigma).abs().argmin().clamp_min(1)
        return model.noise_in(model.centre + model.alpha_bar[t].sqrt() * y, t)

    # The first step, from σ = 0, is that of Euler's method: there is no noise to predict at 0.
    times = _times(model)[::-1]
    y = samplers.euler(velocity, x - model.centre, ratio[times[:2]])
    y = samplers.heun(velocity, y, ratio[times[1:]])
    return model.centre + model.alpha_bar[model.first_time].sqrt() * y


@decode.register
def _(model: DiffusionModel, z: Tensor, generator: Any = None) -> Tensor:
    return model.flow(z, _times(model))


def _times(model: DiffusionModel) -> list[int]:
    """Return the times at which the equation is solved, from noise to data, denser towards data."""
    first, steps = model.first_time, min(model.first_time, ODE_STEPS)
    return [max(round(first * (k / steps) ** 1.5), k) for k in range(steps, -1, -1)]


@code.register
def _(model: ScoreNetwork, x: Tensor, generator: Any = None) -> Tensor:
    return _blurred(model, x, float(_last(model)[0]), generator)


@decode.register
def _(model: ScoreNetwork, z: Tensor, generator: Any = None) -> Tensor:
    s = model.settings
    return samplers.annealed_langevin(
        model._score,
        z,
        _last(model),
        step_size=float(s.langevin_step * model.sigmas[-1].square()),
        steps=s.langevin_steps,
        denoise=True,
        generator=generator,
    )


def _last(model: ScoreNetwork) -> Tensor:
    """Return the noise levels from the first that leaves images recognisable."""
    low = model.sigmas <= BLUR
    return model.sigmas[low] if bool(low.any()) else model.sigmas[-1:]


@code.register
def _(model: SchrodingerBridge, x: Tensor, generator: Any = None) -> Tensor:
    return _blurred(model, x, min(BLUR, float(model.sigma)), generator)


@decode.register
def _(model: SchrodingerBridge, z: Tensor, generator: Any = None) -> Tensor:
    σ = min(BLUR, float(model.sigma))
    return model.denoise(z, variance=σ**2, generator=generator)


def _blurred(
    model: ScoreNetwork | SchrodingerBridge, x: Tensor, σ: float, generator: torch.Generator | None
) -> Tensor:
    """Add noise σε, the same for both ends of a pair, so that it does not thin out between them."""
    ε = model.noise(len(x) // 2, *model.event_shape, generator=generator)
    return x + σ * ε.repeat(2, 1, 1, 1)


@code.register
def _(model: AdversarialModel, x: Tensor, generator: Any = None) -> Tensor:
    """Minimise ‖G(z) - x‖² over z, from the best of many random z."""
    first = model.noise(SEARCH, model.settings.latent, generator=generator)
    made = model.average(first).flatten(1)
    z = nn.Module()
    z.code = nn.Parameter(first[torch.cdist(x.flatten(1), made).argmin(1)].clone())
    optimiser = adam(z, LR)
    with torch.enable_grad(), nets.frozen(model.average):
        for _ in range(DESCENT):
            descend((model.average(z.code) - x).square().flatten(1).sum(1).mean(), optimiser)
    return z.code.detach()


@decode.register
def _(model: AdversarialModel, z: Tensor, generator: Any = None) -> Tensor:
    return model.average(z)
