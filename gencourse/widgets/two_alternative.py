"""Which picture is real? The judgement that all metrics of images stand in for.

In a two-alternative forced choice a person sees a real and a generated image side by side and says
which is real. Half of the answers are right if nobody can tell. Deck D lists human judgement
first among the ways to evaluate; published studies ask the same (Denton et al. 2015, section
5.3; Zhou et al. 2019, *HYPE*).
"""

from __future__ import annotations

import base64
import io
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gencourse._validate import points, positive

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Score", "TwoAlternativeTest", "TwoAlternativeTrials"]

LEVEL = 0.95  # of the confidence interval
PIXELS = 200  # side of a picture on the screen
SIDES = ("left", "right")

#: Set to anything but 0 where pages are built that no kernel will stand behind.
STATIC_VARIABLE = "GENCOURSE_STATIC"


@dataclass(frozen=True)
class Score:
    """How somebody did so far.

    Attributes
    ----------
    right, asked : int
        Answers that were right, and all of them.
    low, high : float
        Exact 95 % confidence interval (Clopper & Pearson 1934) of the probability of a
        right answer; from 0 to 1 before the first. If ½ lies in it, the generated images may
        as well be real.
    """

    right: int
    asked: int
    low: float
    high: float

    def __str__(self) -> str:
        if self.asked == 0:
            return "No answers yet."
        share, low, high = (100 * p for p in (self.right / self.asked, self.low, self.high))
        return (
            f"{self.right} of {self.asked} right, {share:.0f} % "
            f"(95 % interval {low:.0f} % to {high:.0f} %; guessing gives 50 %)."
        )


class TwoAlternativeTrials:
    """A series of pairs, one real and one generated image each, in random order.

    This is the test without its looks; :class:`TwoAlternativeTest` shows it in a notebook.

    Parameters
    ----------
    real, fake : Tensor of shape (n, channels, height, width)
        Images in [-1, 1], with 1 or 3 channels. Each is shown at most once, so that the
        smaller set says how many pairs there are.
    seed : int
        Of the order and the sides.

    Raises
    ------
    ValueError
        If the images differ in shape, are not images, are empty or not finite.

    Examples
    --------
    >>> import torch
    >>> trials = TwoAlternativeTrials(torch.ones(3, 1, 8, 8), -torch.ones(3, 1, 8, 8))
    >>> left, right = trials.pair
    >>> trials.answer("left" if left.mean() > right.mean() else "right")
    True
    """

    def __init__(self, real: Tensor, fake: Tensor, *, seed: int = 0) -> None:
        for name, images in (("real", real), ("fake", fake)):
            points(images, name)
            if images.ndim != 4 or images.shape[1] not in (1, 3):
                raise ValueError(
                    f"{name} must have shape (n, 1 or 3, height, width), not {tuple(images.shape)}"
                )
        if real.shape[1:] != fake.shape[1:]:
            raise ValueError(
                "real and fake images must have the same shape, or it would give them away: "
                f"{tuple(real.shape[1:])} and {tuple(fake.shape[1:])}"
            )
        generator = torch.Generator().manual_seed(seed)
        self.total = min(len(real), len(fake))
        self._real, self._fake = (
            x.detach().cpu()[torch.randperm(len(x), generator=generator)[: self.total]]
            for x in (real, fake)
        )
        self._real_is_left = (torch.rand(self.total, generator=generator) < 0.5).tolist()
        self._answers: list[bool] = []

    @property
    def done(self) -> bool:
        """Whether every pair has been judged."""
        return len(self._answers) == self.total

    @property
    def pair(self) -> tuple[Tensor, Tensor]:
        """The left and the right image of the pair to judge, each (channels, height, width).

        After the last answer it is still the last pair.
        """
        return self.pairs(len(self._answers), 1)[0]

    def pairs(self, start: int, n: int) -> list[tuple[Tensor, Tensor]]:
        """Return up to ``n`` pairs as they are shown, from number ``start`` or the last on."""
        start = min(start, self.total - 1)
        return [
            (real, fake) if real_is_left else (fake, real)
            for real, fake, real_is_left in zip(
                self._real[start : start + n],
                self._fake[start : start + n],
                self._real_is_left[start : start + n],
                strict=True,
            )
        ]

    def solution(self, start: int, n: int) -> list[str]:
        """Return the side of the real image for the same pairs."""
        start = min(start, self.total - 1)
        return [SIDES[0] if left else SIDES[1] for left in self._real_is_left[start : start + n]]

    def answer(self, side: str) -> bool:
        """Take the side that is thought to be real, go on to the next pair, and judge.

        Raises
        ------
        ValueError
            If the side is neither ``"left"`` nor ``"right"``, or all pairs have been judged.
        """
        if side not in SIDES:
            raise ValueError(f"the answer must be 'left' or 'right', not {side!r}")
        if self.done:
            raise ValueError(f"all {self.total} pairs have been judged")
        right = self._real_is_left[len(self._answers)] == (side == SIDES[0])
        self._answers.append(right)
        return right

    @property
    def score(self) -> Score:
        """Right answers so far, with their confidence interval."""
        from scipy.stats import binomtest

        right, asked = sum(self._answers), len(self._answers)
        if asked == 0:
            return Score(0, 0, 0.0, 1.0)
        interval = binomtest(right, asked).proportion_ci(LEVEL, method="exact")
        return Score(right, asked, float(interval.low), float(interval.high))


class TwoAlternativeTest:
    """Ask the reader which of two pictures is real, and keep the score; for a notebook.

    Put it at the end of a cell. With a kernel there are two buttons under the pictures; on a
    page without one, where the environment variable ``GENCOURSE_STATIC`` is set or no widgets
    are supported, a figure of the first pairs with the solution below it takes their place.

    Parameters
    ----------
    real, fake : Tensor of shape (n, channels, height, width)
        Images in [-1, 1], with 1 or 3 channels.
    seed : int
        Of the order and the sides.

    Attributes
    ----------
    trials : TwoAlternativeTrials
        The test itself; ``test.trials.score`` is the result.

    Raises
    ------
    ValueError
        As for :class:`TwoAlternativeTrials`.
    """

    def __init__(self, real: Tensor, fake: Tensor, *, seed: int = 0) -> None:
        self.trials = TwoAlternativeTrials(real, fake, seed=seed)
        self._view: Any = None

    @property
    def view(self) -> Any:
        """The widget, an ``ipywidgets.VBox``: always the same one."""
        if self._view is None:
            self._view = _View(self.trials).box
        return self._view

    def figure(self, n: int = 6) -> Figure:
        """Draw the first ``n`` pairs, numbered, with the solution below them."""
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        positive(n, "n", integer=True)
        pairs, sides = self.trials.pairs(0, n), self.trials.solution(0, n)
        columns = min(3, len(pairs))
        rows = -(-len(pairs) // columns)
        layout = ConstrainedLayoutEngine(wspace=0.15)  # pairs apart, and each pair together
        figure = Figure(figsize=(2.6 * columns, 1.5 * rows + 0.5), layout=layout)
        axes = list(figure.subplots(rows, columns, squeeze=False).flat)
        for i, (ax, pair) in enumerate(zip(axes, pairs, strict=False)):
            gap = torch.ones(*pair[0].shape[:2], max(1, pair[0].shape[2] // 8))
            both = torch.cat([pair[0], gap, pair[1]], dim=2)
            ax.imshow(_levels(both), cmap="gray", vmin=0, vmax=255)
            ax.set_title(f"{i + 1}", fontsize=11)
        for ax in axes:
            ax.set_axis_off()
        answers = ", ".join(f"{i + 1} {side}" for i, side in enumerate(sides))
        figure.supxlabel(f"Which is real? Solution: {answers}.", fontsize=9)
        return figure

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        buffer = io.BytesIO()
        self.figure().savefig(buffer, format="png", dpi=110)
        bundle: dict[str, Any] = {
            "text/plain": f"{type(self).__name__}: {self.trials.score}",
            "image/png": base64.b64encode(buffer.getvalue()).decode(),
        }
        if os.environ.get(STATIC_VARIABLE, "") in ("", "0"):
            # Whoever can show widgets prefers this, in every version of ipywidgets.
            bundle["application/vnd.jupyter.widget-view+json"] = {
                "version_major": 2,
                "version_minor": 0,
                "model_id": self.view.model_id,
            }
        return bundle


class _View:
    """Two pictures, a button under each, and a line that says how it goes."""

    def __init__(self, trials: TwoAlternativeTrials) -> None:
        from ipywidgets import HTML, Button, HBox, Image, Layout, VBox

        self.trials = trials
        layout = Layout(width=f"{PIXELS}px", height="auto", margin="0 8px 8px 0")
        self.pictures = [
            Image(format="png", layout=layout, tooltip=f"picture on the {side}") for side in SIDES
        ]
        self.buttons = [
            Button(description=f"The {side} one is real", layout=Layout(width=f"{PIXELS}px"))
            for side in SIDES
        ]
        self.status = HTML()
        for side, button in zip(SIDES, self.buttons, strict=True):
            button.on_click(lambda _, side=side: self._answered(side))
        columns = [VBox(pair) for pair in zip(self.pictures, self.buttons, strict=True)]
        self.box = VBox([HBox(columns), self.status])
        self._show("Which picture is real?")

    def _answered(self, side: str) -> None:
        if self.trials.done:  # a second click that was already under way
            return
        verdict = "Right." if self.trials.answer(side) else "No, the other one was."
        if self.trials.done:
            verdict += " That was the last pair."
        self._show(f"{verdict} {self.trials.score}")

    def _show(self, message: str) -> None:
        if self.trials.done:
            for button in self.buttons:
                button.disabled = True
        else:
            for picture, image in zip(self.pictures, self.trials.pair, strict=True):
                picture.value = _png(image)
        left = self.trials.total - self.trials.score.asked
        self.status.value = f'<p role="status">{message} {left} to go.</p>'


def _levels(image: Tensor) -> Any:
    """Bytes of an image in [-1, 1], (height, width) or (height, width, 3), as numpy."""
    levels = (image.float().clamp(-1, 1) + 1).mul(127.5).round().to(torch.uint8)
    return levels[0].numpy() if len(image) == 1 else levels.permute(1, 2, 0).numpy()


def _png(image: Tensor) -> bytes:
    """Draw an image with visible pixels."""
    from PIL import Image

    picture = Image.fromarray(_levels(image))
    factor = max(1, PIXELS // max(picture.size))
    picture = picture.resize([factor * side for side in picture.size], Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
