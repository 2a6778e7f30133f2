"""Adversarial training: the loops that most people start from, and ours."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

import gencourse
from gencourse.models.gan import AdversarialModel

from .harness import Comparison, Options

__all__ = ["comparisons"]

LAMBDA = 0.1  # weight of the penalty, and the rest of the settings of the toy experiment
LR, BETAS = 1e-4, (0.5, 0.9)
CRITIC_STEPS, BATCH = 5, 256
LR_DCGAN, BETAS_DCGAN = 2e-4, (0.5, 0.999)


def comparisons(options: Options) -> Iterator[Comparison]:
    """WGAN-GP on eight Gaussians, and on a GPU DCGAN on images of 32 × 32."""
    for width, aim in ((128, 1.6), (512, 1.15)):
        yield wgan_gp(options, options.size(width, 16), aim if options.device.type == "cpu" else 4)
    if options.device.type == "cuda" or options.small:
        yield dcgan(options)


# ------------------------------------------------------------------------- WGAN-GP


def eight_gaussians(batch: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Batches of a ring of eight Gaussians without end, as NumPy arrays."""
    draw = np.random.RandomState(seed)
    angles = 2 * np.pi * np.arange(8) / 8
    centres = 2 * np.stack([np.cos(angles), np.sin(angles)], 1)
    while True:
        points = 0.02 * draw.randn(batch, 2) + centres[draw.randint(8, size=batch)]
        yield (points / 1.414).astype("float32")


def gradient_penalty(D: nn.Module, real: Tensor, fake: Tensor, alpha: Tensor) -> Tensor:
    """λ E (‖∇D(x̃)‖ - 1)² by differentiating twice."""
    between = (alpha * real + (1 - alpha) * fake).detach().requires_grad_(True)
    scores = D(between)
    (gradients,) = torch.autograd.grad(
        outputs=scores,
        inputs=between,
        grad_outputs=torch.ones_like(scores),
        create_graph=True,
        retain_graph=True,
    )
    return LAMBDA * ((gradients.norm(2, dim=1) - 1) ** 2).mean()


def critic_step(
    D: nn.Module,
    G: nn.Module,
    optimiser: torch.optim.Optimizer,
    real: Tensor,
    z: Tensor,
    alpha: Tensor,
) -> float:
    optimiser.zero_grad()
    with torch.no_grad():
        fake = G(z)
    d_real, d_fake = D(real).mean(), D(fake).mean()
    loss = d_fake - d_real + gradient_penalty(D, real, fake, alpha)
    loss.backward()
    optimiser.step()
    return loss.item()


def generator_step(
    D: nn.Module, G: nn.Module, z: Tensor, optimiser: torch.optim.Optimizer
) -> float:
    optimiser.zero_grad()
    loss = -D(G(z)).mean()
    loss.backward()
    optimiser.step()
    return loss.item()


def toy_loop(D: nn.Module, G: nn.Module, steps: int, device: torch.device) -> list[float]:
    """Train as the toy experiment of Gulrajani et al. (2017) does.

    A re-creation in current PyTorch of how that script works, not a copy of it: batches come from
    a generator of NumPy arrays and are sent to the device one by one, the penalty is
    differentiated twice, Adam is the plain one, the critic's parameters are switched on and off
    by hand, and each step asks for its losses.
    """
    data = eight_gaussians(BATCH)
    optimiser_d = torch.optim.Adam(D.parameters(), lr=LR, betas=BETAS)
    optimiser_g = torch.optim.Adam(G.parameters(), lr=LR, betas=BETAS)
    losses = []
    for _ in range(steps):
        for p in D.parameters():
            p.requires_grad = True
        for _ in range(CRITIC_STEPS):
            real = torch.from_numpy(next(data)).to(device)
            z = torch.randn(BATCH, 2, device=device)
            alpha = torch.rand(BATCH, 1, device=device)
            losses.append(critic_step(D, G, optimiser_d, real, z, alpha))
        for p in D.parameters():
            p.requires_grad = False
        generator_step(D, G, torch.randn(BATCH, 2, device=device), optimiser_g)
    return losses


def wgan_gp(options: Options, width: int, aim: float) -> Comparison:
    device, steps = options.device, options.size(40 if width <= 128 else 12, 2)
    x = torch.from_numpy(next(eight_gaussians(50_000))).to(device)

    def build() -> AdversarialModel:
        model = gencourse.build(
            "wgan-gp", x, device=device, width=width, depth=3, latent=2, batch=BATCH,
            discriminator_steps=CRITIC_STEPS, weight=LAMBDA, lr_discriminator=LR,
            lr_generator=LR, beta1=BETAS[0], beta2=BETAS[1],
        )  # fmt: skip
        assert isinstance(model, AdversarialModel)
        return model

    def difference() -> float:
        """Of the gradients by which each player's step goes, over the largest of them.

        Weights would say little: Adam's first step is the rate times the sign of the gradient.
        """
        ours, theirs = build(), build()
        real, z = x[:BATCH], torch.randn(2, BATCH, 2, device=device)
        alpha = torch.rand(BATCH, generator=torch.Generator(device).manual_seed(1), device=device)
        d, g = (gencourse.training.adam(p, LR) for p in (ours.discriminator, ours.generator))
        ours.discriminator_step(real, z[0], d, torch.Generator(device).manual_seed(1))
        mine = gradient(ours.discriminator)
        D, G = plain(theirs.discriminator), plain(theirs.generator)
        d, g_ = (torch.optim.Adam(p.parameters(), LR) for p in (D, G))
        critic_step(D, G, d, real, z[0], alpha[:, None])
        apart = relative(mine, gradient(D))
        D.load_state_dict(ours.discriminator.state_dict())
        ours.generator_step(z[1], g)
        generator_step(D, G, z[1], g_)
        return max(apart, relative(gradient(ours.generator), gradient(G)))

    mine, other = build(), build()
    D, G = plain(other.discriminator), plain(other.generator)
    return Comparison(
        work=f"WGAN-GP on 8 Gaussians, width {width}",
        ours=lambda: mine.fit(x, steps=steps, progress=False),
        peers={"toy loop": lambda: toy_loop(D, G, steps, device)},
        difference=difference,
        tolerance=1e-4,
        aim={"": aim},
        calls=steps,
    )


def plain(network: nn.Module) -> nn.Sequential:
    """The same layers as torch passes through them, for those who write their own loop."""
    assert isinstance(network, nn.Sequential)
    return nn.Sequential(*network)


def gradient(network: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


def relative(a: Tensor, b: Tensor) -> float:
    return ((a - b).abs().max() / b.abs().max()).item()


# --------------------------------------------------------------------------- DCGAN


def example_loop(
    D: nn.Module,
    G: nn.Module,
    x: Tensor,
    latent: int,
    batch: int,
    steps: int,
    device: torch.device,
    *,
    falling: bool = False,
) -> Tensor:
    """Train as the usual PyTorch example of DCGAN does; return the losses, shape (steps, 2).

    A re-creation, not a copy: a DataLoader, labels made anew, real and fake images one after the
    other, plain Adam, mixed precision by autocast and a scaler, and losses asked for in each step.
    Its rates stay as they are; where they fall, it is to be compared with ours, which do.
    """
    from torch.utils.data import DataLoader, TensorDataset

    loader = DataLoader(TensorDataset(x.cpu()), batch_size=batch, shuffle=True, drop_last=True)
    criterion = nn.BCEWithLogitsLoss()
    optimiser_d = torch.optim.Adam(D.parameters(), lr=LR_DCGAN, betas=BETAS_DCGAN)
    optimiser_g = torch.optim.Adam(G.parameters(), lr=LR_DCGAN, betas=BETAS_DCGAN)
    schedules = [CosineAnnealingLR(o, steps) for o in (optimiser_d, optimiser_g) if falling]
    scaler = torch.amp.GradScaler(device.type, enabled=device.type == "cuda")
    half = torch.float16 if device.type == "cuda" else torch.bfloat16
    losses: list[tuple[float, float]] = []
    while True:
        for (real,) in loader:
            real = real.to(device)
            optimiser_d.zero_grad()
            with torch.autocast(device.type, half):
                loss_real = criterion(D(real)[:, 0], torch.ones(batch, device=device))
                fake = G(torch.randn(batch, latent, device=device))
                loss_fake = criterion(D(fake.detach())[:, 0], torch.zeros(batch, device=device))
            scaler.scale(loss_real).backward()
            scaler.scale(loss_fake).backward()
            scaler.step(optimiser_d)
            optimiser_g.zero_grad()
            with torch.autocast(device.type, half):
                loss_g = criterion(D(fake)[:, 0], torch.ones(batch, device=device))
            scaler.scale(loss_g).backward()
            scaler.step(optimiser_g)
            scaler.update()
            for schedule in schedules:
                schedule.step()
            losses.append((loss_real.item() + loss_fake.item(), loss_g.item()))
            if len(losses) == steps:
                return torch.tensor(losses)


def dcgan(options: Options) -> Comparison:
    """A step is one of each player, on a batch of real images and one of fakes."""
    device, steps, batch = options.device, options.size(50, 1), options.size(128, 8)
    n = options.size(10_000, 32)
    glyphs = gencourse.data.load("glyphs", size=32, channels=3, n_train=n, n_test=16)
    x = glyphs.images("train").to(device)
    precision = "fp16" if device.type == "cuda" else "bf16"

    def build() -> AdversarialModel:
        model = gencourse.build(
            "dcgan", x, device=device, batch=batch, width=options.size(64, 8), latent=100,
            components=1, jitter=0.0, lr_discriminator=LR_DCGAN, lr_generator=LR_DCGAN,
            beta1=BETAS_DCGAN[0], beta2=BETAS_DCGAN[1],
        )  # fmt: skip
        assert isinstance(model, AdversarialModel)
        return model

    def apart() -> float:
        """Relative difference of the discriminator's losses on the same images and fakes."""
        model = build()
        fake = model.generator(torch.randn(batch, 100, device=device)).detach()
        turn = model.turn(x[:batch], fake)
        mine = model.objective.critic_loss(turn.at_real, turn.at_fake)
        criterion = nn.BCEWithLogitsLoss()
        at_real, at_fake = model.discriminator(x[:batch]), model.discriminator(fake)
        other = criterion(at_real, torch.ones_like(at_real))
        other = other + criterion(at_fake, torch.zeros_like(at_fake))
        return abs(mine.item() - other.item()) / other.item()

    def difference() -> float:
        """Of the loss curves: means of each half of a training, over the larger and 1/2.

        Batches and noise are different ones, so means are as far apart as those of two seeds.
        """
        # Convolutions round to TF32 by default, and differently for batches of other sizes.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            assert apart() < 1e-4
        ours, theirs = build(), build()
        theirs.load_state_dict(ours.state_dict())
        length = options.size(400, 40)
        found = ours.fit(x, steps=length, progress=False, precision=precision).metrics
        mine = torch.tensor([found["discriminator"], found["generator"]]).T
        theirs.train()
        args = (x, 100, batch, length, device)
        other = example_loop(theirs.discriminator, theirs.generator, *args, falling=True)
        means = [
            torch.stack([half.mean(0) for half in curve.tensor_split(2)]) for curve in (mine, other)
        ]
        return ((means[0] - means[1]).abs() / (torch.maximum(*means) + 0.5)).max().item()

    mine, other = build(), build()
    other.train()
    return Comparison(
        work=f"DCGAN on images of 32 × 32, mixed precision, a step of {batch} images",
        ours=lambda: mine.fit(x, steps=steps, progress=False, precision=precision),
        peers={
            "example loop": lambda: example_loop(
                other.discriminator, other.generator, x, 100, batch, steps, device
            )
        },
        difference=difference,
        tolerance=0.15,
        aim={"": 1.5},
        calls=steps,
    )
