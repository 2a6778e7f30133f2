"""Harmless stand-ins for what is not there while grading: Colab, a keyboard, a GPU."""

from __future__ import annotations

import builtins
import getpass
import re
import sys
import types
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["asks_for_cuda", "use_the_processor", "without_colab", "without_keyboard"]


def without_keyboard() -> None:
    """Let ``input()`` and ``getpass()`` answer with an empty line."""

    def nobody(prompt: object = "", *rest: object, **options: object) -> str:
        print(f"{prompt} (nobody answers while grading)")
        return ""

    builtins.input = nobody
    getpass.getpass = nobody


class _Colab(types.ModuleType):
    """A module of Colab's whose functions do nothing."""

    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def nothing(*args: object, **options: object) -> Any:
            print(f"Skipped while grading: {self.__name__}.{name}.")
            return {"upload": {}, "get": "", "eval_js": ""}.get(name)

        return nothing


def without_colab() -> None:
    """Put a ``google.colab`` in place that mounts, uploads and downloads nothing."""
    try:
        import google
    except ImportError:
        google = types.ModuleType("google")
        google.__path__ = []
        sys.modules["google"] = google
    colab = _Colab("google.colab")
    google.colab = colab
    sys.modules["google.colab"] = colab
    for name in (
        "auth",
        "data_table",
        "drive",
        "files",
        "output",
        "patches",
        "runtime",
        "userdata",
        "widgets",
    ):
        part = _Colab(f"google.colab.{name}")
        setattr(colab, name, part)
        sys.modules[part.__name__] = part


_NO_CUDA = re.compile(
    r"not compiled with CUDA|Found no NVIDIA driver|No CUDA GPUs|no CUDA-capable device"
    r"|CUDA driver|Invalid device string: 'cuda|torch\.cuda\.is_available\(\) is False"
    r"|CUDA must not be initialized|not linked with support for cuda|Cannot get CUDA generator"
    r"|invalid device ordinal|cuda(?:Get|Set)Device|'CUDA' backend|without ATen_cuda|CUDAHooks",
    re.IGNORECASE,
)


def asks_for_cuda(error: BaseException | None) -> bool:
    """Whether an error says that a GPU was asked for which isn't there."""
    return isinstance(error, RuntimeError | AssertionError | ValueError) and bool(
        _NO_CUDA.search(str(error))
    )


class _Processor(TorchFunctionMode):
    """Answers every call that names CUDA with the same call on the CPU."""

    def __torch_function__(
        self, function: Any, kinds: Any, args: tuple[Any, ...] = (), options: Any = None
    ) -> Any:
        options = options or {}
        if function is torch.Tensor.cuda:
            return args[0]
        args = tuple(_here(x) for x in args)
        options = {key: _here(x) for key, x in options.items()}
        options.pop("pin_memory", None)
        return function(*args, **options)


def _here(device: Any) -> Any:
    named = isinstance(device, str) and device.startswith("cuda")
    if named or (isinstance(device, torch.device) and device.type == "cuda"):
        return torch.device("cpu")
    return device


_in_use = False


def use_the_processor() -> bool:
    """Answer whatever asks for CUDA on the CPU from now on; whether that is new."""
    global _in_use
    if _in_use or torch.cuda.is_available():
        return False
    _in_use = True
    _Processor().__enter__()
    _generators()
    torch.set_default_device = lambda device: None
    torch.Tensor.pin_memory = lambda tensor, *rest: tensor  # type: ignore[method-assign]
    for name in ("synchronize", "set_device", "empty_cache", "reset_peak_memory_stats"):
        setattr(torch.cuda, name, lambda *rest, **options: None)
    for name in ("memory_allocated", "max_memory_allocated", "memory_reserved"):
        setattr(torch.cuda, name, lambda *rest, **options: 0)
    torch.cuda.get_device_name = lambda *rest, **options: "CPU"
    torch.cuda.current_device = lambda: 0
    return True


def _generators() -> None:
    plain = torch.Generator

    class Generator(plain):  # type: ignore[misc, valid-type]
        def __new__(cls, device: Any = "cpu") -> Any:
            return plain(_here(device))

    torch.Generator = Generator  # type: ignore[misc]
