"""What generative models are used for, on images, each in one file and beside a baseline.

Every application is a function of a trained model:

- :func:`interpolate` and :func:`inpaint` take models of :mod:`gencourse.models`;
- :func:`colorize`, :func:`super_resolve`, :func:`translate` and :func:`class_conditional` take the
  networks beside them, :class:`Colorizer`, :class:`SuperResolver`, :class:`Translator` and
  :class:`ConditionalGAN`, which are built for a shape of images and have a ``fit`` of their own.

:func:`demonstrate` trains one with its default settings, and shows it at work with the
baseline's numbers beside its own; ``gencourse apply`` does so from a terminal. Images have shape
``(n, channels, height, width)`` and values in [-1, 1].
"""

from __future__ import annotations

from gencourse.applications._demonstration import Demonstration
from gencourse.applications._paired import PairedModel, PairedSettings
from gencourse.applications.class_conditional import (
    ConditionalGAN,
    ConditionalSettings,
    ProjectionDiscriminator,
    class_conditional,
)
from gencourse.applications.colorize import Colorizer, ColorizerSettings, chroma, colorize, grey
from gencourse.applications.demonstrations import DEMONSTRATIONS, demonstrate
from gencourse.applications.inpaint import harmonic_fill, inpaint, mean_fill
from gencourse.applications.interpolate import cross_fade, interpolate, slerp
from gencourse.applications.super_resolve import (
    SuperResolver,
    SuperResolverSettings,
    bicubic,
    shrink,
    super_resolve,
)
from gencourse.applications.translate import Translator, TranslatorSettings, edges, translate

__all__ = [
    "DEMONSTRATIONS",
    "Colorizer",
    "ColorizerSettings",
    "ConditionalGAN",
    "ConditionalSettings",
    "Demonstration",
    "PairedModel",
    "PairedSettings",
    "ProjectionDiscriminator",
    "SuperResolver",
    "SuperResolverSettings",
    "Translator",
    "TranslatorSettings",
    "bicubic",
    "chroma",
    "class_conditional",
    "colorize",
    "cross_fade",
    "demonstrate",
    "edges",
    "grey",
    "harmonic_fill",
    "inpaint",
    "interpolate",
    "mean_fill",
    "shrink",
    "slerp",
    "super_resolve",
    "translate",
]
