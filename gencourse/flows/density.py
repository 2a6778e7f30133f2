"""Laws of the noise that a flow starts from, and the density that a flow makes of one."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gencourse._validate import positive
from gencourse.flows.base import Transform, log_density, standard_normal_log_density

__all__ = ["Base", "DiagonalMixture", "FlowDensity", "StandardNormal"]

LOG_2PI = math.log(2 * math.pi)
LEAST_SPREAD = 1e-3  # of a component at first, relative to the size of z
SHRINK = 5  # rows with the average spread that each component's own are joined by


class Base(nn.Module, ABC):
    """The law q of the noise z that a flow starts from."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        r"""Log q(z) in nats, shape ``(n,)``, for z of shape ``(n, \*event_shape)``."""

    @abstractmethod
    def draw(self, noise: Tensor, u: Tensor) -> Tensor:
        r"""Make draws from q out of standard normal ``noise``, and ``u`` uniform in [0, 1).

        Parameters
        ----------
        noise : Tensor of shape (n, \*event_shape)
        u : Tensor of shape (n,)
        """


class StandardNormal(Base):
    """q = N(0, I)."""

    def log_prob(self, z: Tensor) -> Tensor:
        """See :meth:`Base.log_prob`."""
        return standard_normal_log_density(z)

    def draw(self, noise: Tensor, u: Tensor) -> Tensor:
        """The noise itself."""
        return noise


class DiagonalMixture(Base):
    r"""q(z) = Σ_k π_k N(z; μ_k, diag σ_k²), all of it learned along with the flow.

    A flow is continuous both ways, so the image of one Gaussian is connected: between the modes
    of the data it leaves bridges, and samples on them (Cornish et al. 2020, *Relaxing bijectivity
    constraints with continuously indexed normalising flows*, section 2). Here the modes are
    apart from the start, and the flow bends each of them into shape (Izmailov et al. 2020,
    *Semi-supervised learning with normalizing flows*).

    Parameters
    ----------
    event_shape : sequence of int
    components : int
        K.

    Attributes
    ----------
    logits : Parameter of shape (K,)
        log π, up to a constant.
    means : Parameter of shape (K, D)
        μ, of flattened z.
    log_stds : Parameter of shape (K, D)
        log σ.
    """

    def __init__(self, event_shape: Sequence[int], components: int) -> None:
        super().__init__()
        positive(components, "components", integer=True)
        D = math.prod(event_shape)
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(torch.randn(components, D))
        self.log_stds = nn.Parameter(torch.zeros(components, D))

    @torch.no_grad()
    def measure(self, z: Tensor, *, generator: torch.Generator | None = None) -> None:
        """Begin with a component for each cluster that k-means finds among the rows of ``z``.

        Raises
        ------
        ValueError
            If there are fewer rows than components.
        """
        from sklearn.cluster import KMeans

        K, rows = len(self.logits), z.flatten(1)
        if len(rows) < K:
            raise ValueError(
                f"{len(rows)} samples cannot begin {K} components; give more samples or ask for "
                "fewer components"
            )
        where = z.device if generator is None else generator.device
        seed = int(torch.randint(2**31, (1,), generator=generator, device=where))
        found = KMeans(K, n_init=1, random_state=seed).fit(rows.cpu().double().numpy())
        cluster = torch.as_tensor(found.labels_, dtype=torch.long, device=z.device)
        means = torch.as_tensor(found.cluster_centers_).to(z)
        squares = (rows - means[cluster]).square()
        size = cluster.bincount(minlength=K).to(z)
        # A cluster of few has hardly a spread of its own.
        sums = torch.zeros_like(means).index_add_(0, cluster, squares) + SHRINK * squares.mean(0)
        variances = sums / (size[:, None] + SHRINK)
        # Rows that are all the same have no spread, and their density no bound.
        least = LEAST_SPREAD**2 * rows.square().mean() + torch.finfo(z.dtype).eps ** 2
        variances = variances.clamp_min(least.item())
        self.logits.copy_((size / len(rows)).log())
        self.means.copy_(means)
        self.log_stds.copy_(0.5 * variances.log())

    def log_prob(self, z: Tensor) -> Tensor:
        """See :meth:`Base.log_prob`."""
        z = z.flatten(1)
        # Σ_j (z_j - μ_j)² / σ_j², multiplied out: three matrix products, nothing of (n, K, D).
        precisions = (-2 * self.log_stds).exp()
        weighted = self.means * precisions
        squares = z.square() @ precisions.T - 2 * z @ weighted.T + (self.means * weighted).sum(1)
        log_normal = -0.5 * squares - self.log_stds.sum(1) - 0.5 * z.shape[1] * LOG_2PI
        return (self.logits.log_softmax(0) + log_normal).logsumexp(1)

    def draw(self, noise: Tensor, u: Tensor) -> Tensor:
        """μ_k + σ_k ε, with the component k that ``u`` falls on."""
        ends = self.logits.softmax(0).cumsum(0)
        k = torch.searchsorted(ends, u.to(ends)).clamp_max(len(ends) - 1)
        z = self.means[k] + self.log_stds[k].exp() * noise.flatten(1)
        return z.view_as(noise)


class FlowDensity(nn.Module):
    """The law of x = f⁻¹(z) with z ~ q.

    Parameters
    ----------
    flow : Transform
        f, from data to noise.
    base : Base
        q.
    """

    def __init__(self, flow: Transform, base: Base) -> None:
        super().__init__()
        self.flow, self.base = flow, base

    def log_prob(self, x: Tensor) -> Tensor:
        r"""Log p(x) in nats, ``(n,)``, for x of ``(n, \*event_shape)``; see :func:`log_density`."""
        return log_density(self.flow, x, self.base.log_prob)
