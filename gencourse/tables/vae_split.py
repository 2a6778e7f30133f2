"""Deck C's table: the ELBO of a variational autoencoder taken apart, by latent dimension."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas
import torch

from gencourse._validate import positive
from gencourse.data.base import ImageDataset
from gencourse.models import build
from gencourse.models.vae import VariationalAutoencoder, binarise
from gencourse.tables._images import image_data

__all__ = ["PUBLISHED", "vae_split"]

STEPS = 6000
#: Hoffman & Johnson 2016, on MNIST, as deck C shows them: nats per image.
PUBLISHED: Mapping[int, Mapping[str, float]] = {
    2: {
        "elbo": -129.63,
        "average_kl": 7.41,
        "mutual_information": 7.20,
        "marginal_kl": 0.21,
    },
    10: {
        "elbo": -88.95,
        "average_kl": 19.17,
        "mutual_information": 10.82,
        "marginal_kl": 8.35,
    },
    20: {
        "elbo": -87.45,
        "average_kl": 20.2,
        "mutual_information": 10.67,
        "marginal_kl": 9.53,
    },
}


def vae_split(
    data: str | ImageDataset = "digits",
    *,
    latents: Sequence[int] = (2, 10, 20),
    steps: int | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> pandas.DataFrame:
    """Train a VAE for each latent dimension, and split its ELBO on the training images.

    Pixels are binarised and have a Bernoulli likelihood. The more latent dimensions, the better
    the ELBO; and the more of the average KL is marginal KL, a gap between the codes' law and the
    prior that the ELBO's regulariser is too weak to close.

    Parameters
    ----------
    data : str or ImageDataset
        The published table is about ``"mnist"``.
    latents : sequence of int
        Latent dimensions, one row each.
    steps : int, optional
        Training steps, by default 6000.
    seed : int
        Seed of the weights, the batches and the codes.
    device : str or torch.device, optional
        Where to train.
    progress : bool
        Show a progress bar for each model.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``latent``: ``elbo``, ``average_kl``, ``mutual_information`` and
        ``marginal_kl`` in nats per image, and the published ones with ``published_`` before
        their names, NaN where there is none. The mutual information is at most ``log_n``.

    Raises
    ------
    ValueError
        If the data are no images, or a latent dimension is not a positive whole number.

    References
    ----------
    M. D. Hoffman & M. J. Johnson 2016, *ELBO surgery*; deck C.
    """
    dataset = image_data(data)
    for latent in latents:
        positive(latent, "latent", integer=True)
    images = dataset.images("train")
    # One fixed binarisation, the same for all rows.
    x = binarise(images, generator=torch.Generator().manual_seed(seed))
    rows = []
    for latent in latents:
        # The plain ELBO is trained, as its parts are what the table shows. With more than one
        # fully connected layer it ends, on small images, with codes that say nothing: KL = 0.
        model = build(
            "vae",
            dataset,
            seed=seed,
            device=device,
            latent=latent,
            likelihood="bernoulli",
            importance=1,
            depth=1,
            lr=1e-3,
            steps=STEPS,
        )
        assert isinstance(model, VariationalAutoencoder)
        model.fit(dataset, steps=steps, seed=seed, progress=progress)
        split = model.elbo_split(
            x.to(model.device), generator=torch.Generator().manual_seed(seed + 1)
        )
        names = ("elbo", "average_kl", "mutual_information", "marginal_kl")
        published = PUBLISHED.get(latent, {})
        rows.append(
            {
                "latent": latent,
                **{name: getattr(split, name) for name in names},
                **{f"published_{name}": published.get(name, float("nan")) for name in names},
            }
        )
    table = pandas.DataFrame(rows).set_index("latent")
    log_n = torch.tensor(float(len(images))).log().item()
    table.attrs["title"] = f"The ELBO of a VAE taken apart: {dataset.name}"
    table.attrs["caption"] = (
        f"Nats per image. Ours: {len(images)} training images of {dataset.name}, binarised; "
        f"mutual information is at most log n = {log_n:.2f}. Published: Hoffman & Johnson 2016, "
        "60,000 images of MNIST, log n = 11.00."
    )
    return table
