"""The plots draw what they are given, where they are told, and refuse what they cannot draw."""

from __future__ import annotations

import math
from collections.abc import Iterator

import matplotlib
import numpy as np
import pytest
import torch

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.colors import to_hex, to_rgb

from gencourse import data, plots


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    with plots.style():
        yield
        plt.close("all")


def drawn(ax: plt.Axes) -> np.ndarray:
    """The pixels of a figure: drawing must work, not only building."""
    ax.figure.canvas.draw()
    return np.asarray(ax.figure.canvas.buffer_rgba())[..., :3]


def toy(n: int = 200) -> torch.Tensor:
    return data.load("ring8").sample(n, generator=torch.Generator().manual_seed(0))


EVERY_PLOT = {
    "scatter": lambda ax: plots.scatter(toy(), toy(), ax=ax),
    "density": lambda ax: plots.density(data.load("moons"), ax=ax, resolution=20),
    "surface": lambda ax: plots.surface(lambda x: x.sum(1), ax=ax, resolution=20),
    "field": lambda ax: plots.field(lambda x: -x, ax=ax),
    "image_grid": lambda ax: plots.image_grid(torch.zeros(5, 1, 8, 8), ax=ax),
    "history": lambda ax: plots.history({"loss": [1.0, 0.5]}, ax=ax),
}


@pytest.mark.parametrize("name", EVERY_PLOT)
def test_every_plot_returns_the_axes_it_drew_on(name: str) -> None:
    _, ax = plt.subplots()
    assert EVERY_PLOT[name](ax) is ax
    assert (drawn(ax) != 255).any()
    before = plt.get_fignums()
    own = EVERY_PLOT[name](None)  # and makes a figure when given none
    assert own is not ax
    assert len(plt.get_fignums()) == len(before) + 1
    drawn(own)


def test_palette_differs_in_brightness_and_hue() -> None:
    """Okabe and Ito's colours; data and model are told apart without hue as well."""
    assert len(set(plots.CYCLE)) == len(plots.CYCLE) == len(plots.DASHES)
    assert {plots.DATA, plots.MODEL, plots.DISCRIMINATOR} <= set(plots.CYCLE)

    def luminance(colour: str) -> float:
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    # WCAG asks for a contrast of 3 with white for graphics.
    for colour in (plots.DATA, plots.MODEL, plots.DISCRIMINATOR):
        assert 1.05 / (luminance(colour) + 0.05) > 3


def test_scatter_draws_each_point_in_its_colour() -> None:
    ax = plots.scatter(toy(50), toy(80))
    below, above = ax.collections
    assert len(below.get_offsets()) == 80
    assert len(above.get_offsets()) == 50
    assert to_hex(below.get_facecolor()[0]).upper() == plots.DATA
    assert to_hex(above.get_facecolor()[0]).upper() == plots.MODEL
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["data", "model"]
    assert plots.scatter(toy()).get_legend() is None  # nothing to tell apart


def test_scatter_says_how_many_points_are_not_finite() -> None:
    x = toy(10)
    x[2, 0], x[5, 1] = math.nan, math.inf
    ax = plots.scatter(x)
    assert len(ax.collections[0].get_offsets()) == 8
    assert [text.get_text() for text in ax.texts] == ["2 of 10 not finite"]
    drawn(plots.scatter(torch.full((3, 2), math.nan)))  # even when none is left


def test_limits() -> None:
    assert plots.scatter(toy(), limits=3).get_xlim() == (-3, 3)
    ax = plots.scatter(toy(), limits=(-1, 2, -3, 4))
    assert (ax.get_xlim(), ax.get_ylim()) == ((-1, 2), (-3, 4))
    ax = plots.scatter(100 * toy(), toy())  # by default the data decide, not a model gone astray
    assert -3 < ax.get_xlim()[0] < ax.get_xlim()[1] < 3
    drawn(plots.scatter(torch.zeros(4, 2)))  # a collapsed model is still a picture
    for limits in (0, -1, (1, 0, 0, 1), (0, 1, 2), math.nan):
        with pytest.raises(ValueError, match="limits"):
            plots.scatter(toy(), limits=limits)


def test_density_has_the_right_values_in_the_right_places() -> None:
    """The picture's array is the density, its rows running upwards from the bottom."""
    centre = torch.tensor([[1.0, -2.0]])
    mixture = data.GaussianMixture(centre, 0.3)
    ax = plots.density(mixture, limits=(0, 4, -3, 1), resolution=41)
    picture = ax.images[0]
    values = picture.get_array()
    row, column = np.unravel_index(values.argmax(), values.shape)
    cell = 4 / 41
    assert 0 + (column + 0.5) * cell == pytest.approx(1.0, abs=cell)
    assert -3 + (row + 0.5) * cell == pytest.approx(-2.0, abs=cell)
    assert values.max() == pytest.approx(1 / (2 * math.pi * 0.09), rel=0.1)
    assert values.sum() * cell**2 == pytest.approx(1.0, abs=5e-3)  # 3.3 σ fit on either side
    assert picture.get_extent() == [0, 4, -3, 1]


def test_density_of_a_function_or_a_model() -> None:
    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))

        def log_prob(self, x: torch.Tensor) -> torch.Tensor:
            assert x.dtype == torch.float64  # called in the model's own precision
            return -(x * self.scale).square().sum(1)

    for density in (Model(), Model().log_prob, lambda x: -x.square().sum(1)):
        values = plots.density(density, resolution=5, limits=2).images[0].get_array()
        assert values[2, 2] == 1.0
    with pytest.raises(ValueError, match=r"density of .* is not known"):
        plots.density(data.load("parallel_lines"))
    with pytest.raises(ValueError, match="neither a function"):
        plots.density(torch.zeros(3))


def test_surface_is_centred_where_told() -> None:
    _, ax = plt.subplots()
    plots.surface(lambda x: torch.sigmoid(x[:, :1]), ax=ax, center=0.5, colorbar=False)
    line = ax.collections[-1]  # the level 0.5 lies on x₁ = 0
    on_line = np.concatenate([path.vertices for path in line.get_paths()])
    np.testing.assert_allclose(on_line[:, 0], 0, atol=1e-6)
    pixels = drawn(ax)
    box = ax.get_window_extent()
    middle = pixels.shape[0] - int((box.y0 + box.y1) / 2)
    left = pixels[middle, int(box.x0 + 0.1 * box.width)]
    right = pixels[middle, int(box.x0 + 0.9 * box.width)]
    assert left[0] > left[2] + 30  # the model's side is reddish,
    assert right[2] > right[0] + 30  # the data's bluish


def test_surface_of_a_constant() -> None:
    drawn(plots.surface(lambda x: torch.full((len(x),), 0.5), center=0.5))


def test_functions_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="one value each"):
        plots.surface(lambda x: x)
    with pytest.raises(ValueError, match="NaN"):
        plots.surface(lambda x: x[:, 0] * math.nan)
    with pytest.raises(ValueError, match="not finite"):
        plots.surface(lambda x: x[:, 0] * math.inf + 1)
    with pytest.raises(ValueError, match="vectors of the same shape"):
        plots.field(lambda x: x[:, 0])
    with pytest.raises(ValueError, match="resolution"):
        plots.density(data.load("moons"), resolution=0)


def test_field_points_where_the_function_says() -> None:
    def score(x: torch.Tensor) -> torch.Tensor:  # by autograd, as critics' gradients are
        x.requires_grad_()
        return torch.autograd.grad(-x.square().sum() / 2, x)[0]

    arrows = plots.field(score, limits=1, resolution=4).collections[0]
    at = arrows.get_offsets()
    np.testing.assert_allclose(np.stack([arrows.U, arrows.V], 1), -at, atol=1e-6)
    unit = plots.field(score, limits=1, resolution=4, normalize=True).collections[0]
    np.testing.assert_allclose(np.hypot(unit.U, unit.V), 1, atol=1e-6)


def test_image_grid_places_images_row_by_row() -> None:
    images = torch.linspace(-1, 1, 5).reshape(5, 1, 1, 1).expand(5, 1, 3, 2)
    sheet = plots.image_grid(images, 2).images[0].get_array()
    assert sheet.shape == (3 * 3 + 2, 2 * 2 + 1)
    assert [sheet[4 * r, 3 * c] for r, c in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0))] == (
        pytest.approx([0, 0.25, 0.5, 0.75, 1])
    )
    assert sheet[10, 4] == 1  # nothing there: white
    assert 0 < sheet[0, 2] < 1  # between images: grey
    colour = plots.image_grid(torch.rand(4, 3, 5, 5), padding=0).images[0].get_array()
    assert colour.shape == (10, 10, 3)


def test_image_grid_clips_and_shows_nan_as_grey() -> None:
    images = torch.tensor([-5.0, 5.0, math.nan]).reshape(3, 1, 1, 1)
    sheet = plots.image_grid(images, 3, padding=0).images[0].get_array()
    assert sheet[0].tolist() == [0, 1, 0.5]


def test_image_grid_refuses_other_shapes() -> None:
    for bad in (torch.zeros(3, 8, 8), torch.zeros(2, 2, 8, 8), "images"):
        with pytest.raises(ValueError, match="images must have shape"):
            plots.image_grid(bad)
    with pytest.raises(ValueError, match="no images"):
        plots.image_grid(torch.zeros(0, 1, 8, 8))
    with pytest.raises(ValueError, match="columns"):
        plots.image_grid(torch.zeros(2, 1, 8, 8), 0)
    with pytest.raises(ValueError, match="padding"):
        plots.image_grid(torch.zeros(2, 1, 8, 8), padding=-1)


def test_history_draws_every_quantity_at_its_steps() -> None:
    ax = plots.history({"critic": [3.0, math.nan, 1.0], "generator": [1, 2, 3]}, steps=[10, 20, 30])
    critic, generator = ax.lines
    assert critic.get_xdata().tolist() == generator.get_xdata().tolist() == [10, 20, 30]
    assert critic.get_linestyle() != generator.get_linestyle()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["critic", "generator"]
    assert plots.history({"loss": [1.0, 2.0]}).lines[0].get_xdata().tolist() == [1, 2]
    many = plots.history({f"metric {i}": [0.0, i] for i in range(9)})
    assert len(many.lines) == 9
    with pytest.raises(ValueError, match="nothing to draw"):
        plots.history({})
    with pytest.raises(ValueError, match="'loss' has 2 values for 3 steps"):
        plots.history({"loss": [1.0, 2.0]}, steps=[1, 2, 3])


def test_filmstrip_shares_its_scale_and_wraps() -> None:
    frames = [toy(20) * s for s in (0.1, 0.5, 1.0, 1.5)]
    axes = plots.filmstrip(frames, ["a", "b", "c", "d"], data=toy(), columns=3)
    assert len(axes) == 4
    assert len({ax.get_xlim() for ax in axes}) == 1
    assert [ax.get_title() for ax in axes] == ["a", "b", "c", "d"]
    assert axes[3].get_subplotspec().rowspan.start == 1
    drawn(axes[0])
    images = plots.filmstrip([torch.zeros(4, 1, 8, 8)] * 2)
    assert all(len(ax.images) == 1 for ax in images)
    _, own = plt.subplots(1, 2)
    assert plots.filmstrip(frames[:2], axes=own)[1] is own[1]
    with pytest.raises(ValueError, match="2 titles for 4 frames"):
        plots.filmstrip(frames, ["a", "b"])
    with pytest.raises(ValueError, match="2 axes for 4 frames"):
        plots.filmstrip(frames, axes=own)
    with pytest.raises(ValueError, match="no frames"):
        plots.filmstrip([])


def test_bad_points_are_refused() -> None:
    for bad in (torch.zeros(3), torch.zeros(3, 3), [[0.0, 1.0]]):
        with pytest.raises(ValueError, match="points in the plane"):
            plots.scatter(bad)
    with pytest.raises(ValueError, match="nothing to draw"):
        plots.scatter(None)


def test_style_is_undone_after_the_block() -> None:
    before = matplotlib.rcParamsDefault["font.size"]
    with matplotlib.rc_context({"font.size": before}):
        with plots.style():
            assert matplotlib.rcParams["font.size"] == plots.STYLE["font.size"]
        assert matplotlib.rcParams["font.size"] == before
        plots.use_style()
        assert matplotlib.rcParams["font.size"] == plots.STYLE["font.size"]


@pytest.mark.gpu
def test_tensors_and_networks_on_a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    network = torch.nn.Linear(2, 1).cuda()
    drawn(plots.surface(network, resolution=10))
    drawn(plots.scatter(toy().cuda(), toy().cuda()))
    drawn(plots.image_grid(torch.zeros(4, 1, 8, 8, device="cuda")))
