"""The models of the course, and the registry that names them."""

from __future__ import annotations

from gencourse.models.base import GenerativeModel
from gencourse.models.registry import System, build, get, load, systems

__all__ = ["GenerativeModel", "System", "build", "get", "load", "systems"]
