"""A GPU that is not there: tensors of the CPU that say they are elsewhere.

They compute what tensors of the CPU do, but refuse to be mixed with them, as those of a GPU
would, and do not turn into NumPy arrays. So tests without a GPU find what would fail there.

The device they name is ``lazy``, which PyTorch knows and nothing uses. For ``cuda`` the backward
pass would look for a thread of that device.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map, tree_map_only

import gencourse._device

__all__ = ["pretended_gpu"]

GPU = torch.device("lazy", 0)
CPU = torch.device("cpu")
CPU_NUMBER = torch.tensor(0.0)
aten = torch.ops.aten

#: Operations that go from one device to the other.
ACROSS = {aten.copy_.default, aten._to_copy.default, aten.to.device, aten.to.dtype_layout}
#: Operations for which single numbers, too, must be on one device.
JOINING = {aten.cat.default, aten.stack.default}
#: Operations whose indices may be on the CPU.
INDEXING = {
    *(aten.index.Tensor, aten.index_put.default, aten.index_put_.default),
    *(aten._index_put_impl_.default, aten._unsafe_index.Tensor),
}


class OnGPU(Tensor):
    """A tensor that says it is on the GPU, with its numbers in ``host``, on the CPU."""

    host: Tensor

    @staticmethod
    def __new__(cls, host: Tensor) -> OnGPU:
        made = Tensor._make_wrapper_subclass(
            cls,
            host.size(),
            strides=host.stride(),
            storage_offset=host.storage_offset(),
            dtype=host.dtype,
            layout=host.layout,
            device=GPU,
        )
        made.host = host
        return made

    def __repr__(self, **options: Any) -> str:  # type: ignore[override]
        return repr(self.host).removesuffix(")") + f", device={str(GPU)!r})"

    def tolist(self) -> Any:
        return self.detach().cpu().tolist()

    def __format__(self, spec: str) -> str:
        return format(self.item() if self.ndim == 0 else repr(self), spec)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.detach().cpu().__reduce_ex__(protocol)  # files are read on the CPU anyway

    @classmethod
    def __torch_dispatch__(
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return computed(function, args, kwargs or {})


class Everywhere(TorchDispatchMode):
    """Sees to it that what is made on the GPU is made there."""

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return computed(function, args, kwargs or {})


def computed(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Compute on the CPU; say that results are where a GPU would leave them."""
    flat = tree_flatten((args, kwargs))[0]
    there = any(isinstance(x, OnGPU) for x in flat)
    asked = kwargs.get("device")
    if not there and (asked is None or torch.device(asked).type != GPU.type):
        return function(*args, **kwargs)
    if function not in ACROSS:
        checked = (args[0], args[2:]) if function in INDEXING else (args, kwargs)
        refuse_a_mixture(function, tree_flatten(checked)[0])
    if function.namespace != "aten":
        raise NotImplementedError(f"{function} is for the CPU")
    device = GPU if asked is None else torch.device(asked)
    inner_args, inner = tree_map_only(OnGPU, lambda x: x.host, (args, kwargs))
    if asked is not None:
        inner["device"] = CPU
    if function is aten.copy_.default:
        inner_args[0].copy_(inner_args[1])
        return args[0]
    result = function(*inner_args, **inner)
    if device.type == GPU.type:
        result = tree_map(lambda x: OnGPU(x) if isinstance(x, Tensor) else x, result)
    elif there and isinstance(result, Tensor) and result is inner_args[0]:
        result = result.clone()
    if device.type == GPU.type and there:
        return return_and_correct_aliasing(function, args, kwargs, result)
    return result


def refuse_a_mixture(function: Any, flat: list[Any]) -> None:
    """Raise what PyTorch would, if tensors are on two devices; single numbers may be anywhere."""
    here = [x for x in flat if isinstance(x, Tensor) and not isinstance(x, OnGPU)]
    if function not in JOINING:
        here = [x for x in here if x.ndim]
    if here and any(isinstance(x, OnGPU) for x in flat):
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found {GPU} and cpu, in {function}"
        )


class AsCalled(TorchFunctionMode):
    """Sees calls as they were written: with generators, and numbers in lists."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if isinstance(generator := kwargs.get("generator"), Generator):
            tensor = args[0] if args and isinstance(args[0], Tensor) else CPU_NUMBER
            wanted = torch.device(kwargs.get("device") or tensor.device).type
            if generator.device.type != wanted:
                raise RuntimeError(
                    f"Expected a {wanted!r} device type for generator but found "
                    f"{generator.device.type!r}, in {function}"
                )
        if function in (torch.tensor, torch.as_tensor) and isinstance(args[0], (list, tuple)):
            args = (tree_map_only(OnGPU, OnGPU.tolist, args[0]), *args[1:])
        return function(*args, **kwargs)


class Generator(torch.Generator):
    """Of random numbers, on either device."""

    def __new__(cls, device: Any = "cpu") -> Generator:
        return super().__new__(cls)

    def __init__(self, device: Any = "cpu") -> None:
        self.where = torch.device(device)

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.where


class TorchWithGPU:
    """What the choice of a device sees of torch."""

    cuda = SimpleNamespace(is_available=lambda: True, device_count=lambda: 1)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


@contextmanager
def pretended_gpu() -> Iterator[None]:
    """Context in which this machine seems to have a GPU."""
    with ExitStack() as stack:
        patch = mock.patch.object
        stack.enter_context(patch(gencourse._device, "torch", TorchWithGPU()))
        stack.enter_context(patch(gencourse._device, "_own_gpu", return_value=GPU))
        stack.enter_context(patch(torch, "Generator", Generator))
        # A parameter cannot become one of another kind; a module gets a new one when it moves.
        future = torch.__future__
        stack.callback(
            future.set_overwrite_module_params_on_conversion,
            future.get_overwrite_module_params_on_conversion(),
        )
        future.set_overwrite_module_params_on_conversion(True)
        # As PyTorch's own fake tensors do it: numbers are taken to the device by dispatch.
        stack.callback(torch._C._set_only_lift_cpu_tensors, torch._C._only_lift_cpu_tensors())
        torch._C._set_only_lift_cpu_tensors(True)
        stack.enter_context(Everywhere())
        stack.enter_context(AsCalled())
        yield
