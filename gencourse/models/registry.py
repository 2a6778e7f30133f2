"""Every system of the lectures by its slug, and the functions that build and load them.

A model file is imported when one of its systems is first built; listing them imports none.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch

from gencourse._device import device as choose_device
from gencourse._validate import points, unknown_name
from gencourse.data.base import Dataset
from gencourse.models.base import FORMAT
from gencourse.nets import weights_from
from gencourse.objectives import OBJECTIVES

if TYPE_CHECKING:
    from gencourse.models.base import GenerativeModel

__all__ = ["System", "build", "get", "load", "systems"]


@dataclass(frozen=True)
class System:
    """One system of the lectures.

    Attributes
    ----------
    slug : str
        The name for :func:`gencourse.build`.
    title : str
        What it is called in words.
    family : str
        The group it belongs to.
    decks : str
        The lectures that teach it, one letter each (A to E).
    paper : str
        Where it was introduced.
    chapter : str or None
        The chapter that explains it, by its path in the book.
    has_log_prob : bool
        Whether its density can be evaluated.
    kinds : tuple of str
        What it learns: ``"points"`` of shape (n, d), ``"images"`` of shape (n, channels,
        height, width), or both.
    """

    slug: str
    title: str
    family: str
    decks: str
    paper: str
    chapter: str | None
    has_log_prob: bool
    kinds: tuple[str, ...]
    implementation: str = field(repr=False)  # "module:class" under gencourse.models
    options: tuple[tuple[str, Any], ...] = field(default=(), repr=False)

    def model_class(self) -> type[GenerativeModel]:
        """Import and return the class that implements this system."""
        module, name = self.implementation.split(":")
        return getattr(import_module(f"gencourse.models.{module}"), name)


POINTS = ("points",)
BOTH = ("points", "images")


#: Objectives that the chapter on integral probability metrics and their relatives explains.
ZOO = frozenset(
    {
        "lsgan",
        "ebgan",
        "began",
        "mmd-gan",
        "sn-smmd-gan",
        "tv-gan",
        "sobolev-gan",
        "stein-gan",
        "cramer-gan",
    }
)


def _chapter(objective: str) -> str | None:
    """Return the chapter that explains an adversarial objective."""
    if objective in ("gan", "gan-minimax"):
        return "book/gan"
    if objective.startswith("fgan-"):
        return "book/fgan"
    if objective in ("wgan", "wgan-gp", "wgan-lp", "sngan"):
        return "book/wgan"
    if objective in ZOO:
        return "book/ipm_zoo"
    return None


_SYSTEMS = (
    System(
        slug="histogram",
        title="Histogram density",
        family="Densities and energies",
        decks="D",
        paper="Scott 1979",
        chapter="book/density_estimation",
        has_log_prob=True,
        kinds=POINTS,
        implementation="histogram:Histogram",
    ),
    System(
        slug="kde",
        title="Kernel density estimate (Parzen windows)",
        family="Densities and energies",
        decks="DE",
        paper="Parzen 1962",
        chapter="book/density_estimation",
        has_log_prob=True,
        kinds=BOTH,
        implementation="kde:KernelDensity",
    ),
    System(
        slug="gmm",
        title="Gaussian mixture by expectation-maximisation",
        family="Densities and energies",
        decks="BD",
        paper="Dempster, Laird & Rubin 1977",
        chapter="book/density_estimation",
        has_log_prob=True,
        kinds=BOTH,
        implementation="gmm:GaussianMixture",
    ),
    System(
        slug="gmm-mcem",
        title="Gaussian mixture by Monte Carlo EM",
        family="Densities and energies",
        decks="B",
        paper="Wei & Tanner 1990",
        chapter="book/density_estimation",
        has_log_prob=True,
        kinds=BOTH,
        implementation="gmm:MonteCarloMixture",
    ),
    System(
        slug="ebm",
        title="Energy-based model by contrastive divergence",
        family="Densities and energies",
        decks="D",
        paper="Hinton 2002; Tieleman 2008",
        chapter="book/energy_based",
        has_log_prob=True,
        kinds=BOTH,
        implementation="ebm:EnergyModel",
    ),
    System(
        slug="made",
        title="Masked autoregressive density (MADE)",
        family="Densities and energies",
        decks="D",
        paper="Germain et al. 2015",
        chapter="book/flows",
        has_log_prob=True,
        kinds=BOTH,
        implementation="made:AutoregressiveModel",
    ),
    System(
        slug="cholesky",
        title="Linear push-forward by Cholesky factor",
        family="Push-forwards and flows",
        decks="B",
        paper="Cholesky factor of the covariance",
        chapter="book/push_forward",
        has_log_prob=True,
        kinds=BOTH,
        implementation="cholesky:LinearPushForward",
    ),
    System(
        slug="triangular",
        title="Increasing triangular map (Knothe–Rosenblatt)",
        family="Push-forwards and flows",
        decks="B",
        paper="Rosenblatt 1952; Knothe 1957",
        chapter="book/push_forward",
        has_log_prob=True,
        kinds=POINTS,
        implementation="triangular:TriangularMap",
    ),
    System(
        slug="tabak",
        title="Composed radial maps by ascent of the likelihood",
        family="Push-forwards and flows",
        decks="D",
        paper="Tabak & Vanden-Eijnden 2010",
        chapter="book/push_forward",
        has_log_prob=True,
        kinds=POINTS,
        implementation="tabak:RadialFlow",
    ),
    System(
        slug="nice",
        title="NICE: additive coupling flow",
        family="Push-forwards and flows",
        decks="D",
        paper="Dinh, Krueger & Bengio 2015",
        chapter="book/flows",
        has_log_prob=True,
        kinds=BOTH,
        implementation="flow:FlowModel",
        options=(("architecture", "nice"),),
    ),
    System(
        slug="realnvp",
        title="Real-NVP: affine coupling flow",
        family="Push-forwards and flows",
        decks="D",
        paper="Dinh, Sohl-Dickstein & Bengio 2017",
        chapter="book/flows",
        has_log_prob=True,
        kinds=BOTH,
        implementation="flow:FlowModel",
        options=(("architecture", "realnvp"),),
    ),
    System(
        slug="maf",
        title="Masked autoregressive flow",
        family="Push-forwards and flows",
        decks="D",
        paper="Papamakarios, Pavlakou & Murray 2017",
        chapter="book/flows",
        has_log_prob=True,
        kinds=BOTH,
        implementation="flow:FlowModel",
        options=(("architecture", "maf"),),
    ),
    System(
        slug="iaf",
        title="Inverse autoregressive flow",
        family="Push-forwards and flows",
        decks="D",
        paper="Kingma et al. 2016",
        chapter="book/flows",
        has_log_prob=True,
        kinds=POINTS,
        implementation="flow:FlowModel",
        options=(("architecture", "iaf"),),
    ),
    System(
        slug="cnf",
        title="Continuous normalizing flow",
        family="Push-forwards and flows",
        decks="D",
        paper="Chen et al. 2018; Grathwohl et al. 2019",
        chapter="book/flows",
        has_log_prob=True,
        kinds=BOTH,
        implementation="cnf:ContinuousFlow",
    ),
    System(
        slug="ncsn",
        title="Noise-conditional score network",
        family="Push-forwards and flows",
        decks="A",
        paper="Song & Ermon 2019",
        chapter="book/score_diffusion",
        has_log_prob=False,
        kinds=BOTH,
        implementation="ncsn:ScoreNetwork",
    ),
    System(
        slug="ddpm",
        title="Denoising diffusion",
        family="Push-forwards and flows",
        decks="AD",
        paper="Ho, Jain & Abbeel 2020",
        chapter="book/score_diffusion",
        has_log_prob=False,
        kinds=BOTH,
        implementation="ddpm:DiffusionModel",
    ),
    System(
        slug="ae",
        title="Autoencoder",
        family="Autoencoders and transport",
        decks="C",
        paper="Hinton & Salakhutdinov 2006",
        chapter="book/vae",
        has_log_prob=False,
        kinds=BOTH,
        implementation="autoencoder:Autoencoder",
    ),
    System(
        slug="vae",
        title="Variational autoencoder",
        family="Autoencoders and transport",
        decks="BC",
        paper="Kingma & Welling 2014",
        chapter="book/vae",
        has_log_prob=False,
        kinds=BOTH,
        implementation="vae:VariationalAutoencoder",
    ),
    System(
        slug="wae-mmd",
        title="Wasserstein autoencoder, MMD penalty",
        family="Autoencoders and transport",
        decks="C",
        paper="Tolstikhin et al. 2018",
        chapter="book/transport_autoencoders",
        has_log_prob=False,
        kinds=BOTH,
        implementation="wae:WassersteinAutoencoder",
        options=(("penalty", "mmd"),),
    ),
    System(
        slug="wae-gan",
        title="Wasserstein autoencoder, adversarial penalty",
        family="Autoencoders and transport",
        decks="C",
        paper="Tolstikhin et al. 2018",
        chapter="book/transport_autoencoders",
        has_log_prob=False,
        kinds=BOTH,
        implementation="wae:WassersteinAutoencoder",
        options=(("penalty", "gan"),),
    ),
    System(
        slug="ae-ot",
        title="Autoencoder with semi-discrete transport",
        family="Autoencoders and transport",
        decks="C",
        paper="An et al. 2020",
        chapter="book/transport_autoencoders",
        has_log_prob=False,
        kinds=BOTH,
        implementation="ae_ot:TransportAutoencoder",
    ),
    System(
        slug="ae-ot-gan",
        title="Generator trained from transported codes",
        family="Autoencoders and transport",
        decks="C",
        paper="An et al. 2020b",
        chapter="book/transport_autoencoders",
        has_log_prob=False,
        kinds=BOTH,
        implementation="ae_ot_gan:TransportGAN",
    ),
    System(
        slug="dcgan",
        title="Deep convolutional GAN",
        family="Adversarial",
        decks="CE",
        paper="Radford, Metz & Chintala 2016",
        chapter="book/gan",
        has_log_prob=False,
        kinds=("images",),
        implementation="gan:AdversarialModel",
        # The paper's section 4, with batch normalisation in both networks.
        options=(
            ("objective", "gan"),
            ("normalised", True),
            ("lr_discriminator", 2e-4),
            ("lr_generator", 2e-4),
            ("beta1", 0.5),
            ("beta2", 0.999),
            ("steps", 8000),
        ),
    ),
    # One for each adversarial objective: adding an entry there adds a system here.
    *(
        System(
            slug=objective.name,
            title=objective.title,
            family="Adversarial",
            decks=objective.decks,
            paper=objective.paper,
            chapter=_chapter(objective.name),
            has_log_prob=False,
            kinds=BOTH,
            implementation="gan:AdversarialModel",
            options=(("objective", objective.name),),
        )
        for objective in OBJECTIVES.values()
    ),
    # One for each divergence in the table of deck A.
    *(
        System(
            slug=f"vgrow-{divergence}",
            title=f"Variational gradient flow of {title}",
            family="Flows of particles and bridges",
            decks="A",
            paper="Gao et al. 2019",
            chapter="book/vgrow",
            has_log_prob=False,
            kinds=BOTH,
            implementation="vgrow:VGrow",
            options=(("divergence", divergence),),
        )
        for divergence, title in (
            ("kl", "the Kullback–Leibler divergence"),
            ("js", "the Jensen–Shannon divergence"),
            ("logd", "the log-D divergence"),
            ("jeffreys", "the Jeffreys divergence"),
        )
    ),
    System(
        slug="schrodinger-bridge",
        title="Two-stage Schrödinger bridge",
        family="Flows of particles and bridges",
        decks="A",
        paper="Wang et al. 2021",
        chapter="book/schrodinger_bridge",
        has_log_prob=False,
        kinds=BOTH,
        implementation="schrodinger_bridge:SchrodingerBridge",
    ),
    System(
        slug="dsb",
        title="Diffusion Schrödinger bridge",
        family="Flows of particles and bridges",
        decks="A",
        paper="De Bortoli et al. 2021",
        chapter="book/schrodinger_bridge",
        has_log_prob=False,
        kinds=POINTS,
        implementation="dsb:DiffusionBridge",
    ),
)


def systems() -> tuple[System, ...]:
    """Return every system of the course, in the order in which it is taught."""
    return _SYSTEMS


def get(slug: str) -> System:
    """Return the system of this slug.

    Raises
    ------
    KeyError
        If there is none; the message suggests the nearest slugs.
    """
    for system in _SYSTEMS:
        if system.slug == slug:
            return system
    raise unknown_name("system", slug, [system.slug for system in _SYSTEMS])


def build(
    slug: str,
    data: Dataset | torch.Tensor,
    *,
    seed: int = 0,
    device: str | torch.device | None = None,
    **hyperparameters: Any,
) -> GenerativeModel:
    r"""Build an untrained model that fits the shape of ``data``.

    Parameters
    ----------
    slug : str
        Which system; ``gencourse.systems()`` lists them.
    data : Dataset or Tensor of shape (n, \*event_shape)
        Only its shape is used; training data are given to ``fit``.
    seed : int
        Seed of the initial weights. Torch's global generator is left as it was.
    device : str or torch.device, optional
        Where the model lives; by default where :func:`gencourse.device` says.
    **hyperparameters
        Settings of this model, such as ``width=256``; its class documents them.

    Returns
    -------
    GenerativeModel

    Raises
    ------
    KeyError
        If the slug is unknown.
    ValueError
        If a hyperparameter is unknown or out of range, or the data do not suit the model.

    Examples
    --------
    >>> import gencourse
    >>> data = gencourse.data.load("ring8")
    >>> model = gencourse.build("gan", data, device="cpu")
    >>> model.sample(5).shape
    torch.Size([5, 2])
    """
    system = get(slug)
    if isinstance(data, Dataset):
        event_shape = tuple(data.event_shape)
    else:
        event_shape = tuple(points(data, "data").shape[1:])
    where = choose_device(device)
    with weights_from(seed):
        model = system.model_class().create(system, event_shape, hyperparameters)
    return model.to(where)


def load(
    path: str | os.PathLike[str], *, device: str | torch.device | None = None
) -> GenerativeModel:
    """Load a model that ``model.save(path)`` wrote.

    Only tensors and plain values are read, never code, so a file from a stranger is safe.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or is not a model of this course.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        slug, event_shape = saved["slug"], tuple(saved["event_shape"])
        hyperparameters, state = dict(saved["hyperparameters"]), dict(saved["state"])
        written, version = saved["format"], saved["gencourse"]
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no model file {str(path)!r}") from None
    except Exception as error:
        if isinstance(error, PermissionError):
            raise
        raise ValueError(
            f"{str(path)!r} is not a model saved by gencourse, or is damaged"
        ) from error
    if written != FORMAT:
        raise ValueError(
            f"{str(path)!r} was written by gencourse {version} in format {written}, but this "
            f"version reads format {FORMAT}; install the version that wrote it"
        )
    system = get(slug)
    with torch.random.fork_rng(devices=[]):
        model = system.model_class().create(system, event_shape, hyperparameters)
    model.restore(state)
    return model.to(choose_device(device))
