"""Plain values as JSON and raw bytes, and back; never pickle.

What arrives may have been written by student code, so :func:`decode` builds only values from
a fixed list, checks every size before it allocates, and raises :class:`WireError` for anything
else. A JSON list is a list; any other value that JSON lacks is an object ``{"$": kind, …}``.
The numbers of arrays and tensors lie in one run of bytes beside the JSON.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gencourse.grading.kernel.agreed import BYTES_LIMIT, TEXT_LIMIT, Payload

__all__ = ["DEPTH_LIMIT", "WireError", "decode", "encode", "is_plain"]

#: Lists within lists.
DEPTH_LIMIT = 40
#: Entries of sets and dictionaries in one message. A hostile one has keys that all have one
#: hash, so that the time to read them grows with the square of their number.
KEYS_LIMIT = 20_000
#: Whole numbers, in bits; Python's own limit for reading decimal numbers is higher.
INTEGER_LIMIT = 8192

Node = Any
#: Writes a ticket for a value that is not plain; its second argument writes parts of it.
Opaque = Callable[[object, Callable[[object], Node]], dict[str, Any]]
#: Makes something of a ticket; its second argument reads parts of it.
Redeem = Callable[[dict[str, Any], Callable[[Node], Any]], object]

_TENSORS = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.bool,
        torch.uint8,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
        torch.float16,
        torch.bfloat16,
        torch.float32,
        torch.float64,
        torch.complex64,
        torch.complex128,
    )
}
_ARRAYS = re.compile(r"[<>|](?:b1|[iu][1248]|f[248]|c8|c16|U\d{1,6}|S\d{1,6})")


class WireError(ValueError):
    """Something that is no plain value, is too large, or was not written by :func:`encode`."""


class _Writer:
    def __init__(self, opaque: Opaque | None) -> None:
        self.opaque = opaque
        self.chunks: list[bytes] = []
        self.size = 0
        self.keys = 0

    def raw(self, data: bytes) -> dict[str, int]:
        at, self.size = self.size, self.size + len(data)
        if self.size > BYTES_LIMIT:
            raise WireError(f"values of more than {BYTES_LIMIT >> 20} MB can't be sent")
        self.chunks.append(data)
        return {"at": at, "n": len(data)}

    def node(self, value: object, depth: int) -> Node:
        if value is None or type(value) in (bool, str):
            return value
        if depth > DEPTH_LIMIT:
            raise WireError(f"values are nested more than {DEPTH_LIMIT} deep")
        if isinstance(value, Tensor):
            written = self.tensor(value)
        elif isinstance(value, np.ndarray | np.generic):
            written = self.array(value)
        else:
            written = self.python(value, depth)
        if written is not None:
            return written
        if self.opaque is None:
            raise WireError(f"a {type(value).__name__} is no plain value")
        return {"$": "opaque", **self.opaque(value, lambda part: self.node(part, depth + 1))}

    def python(self, value: object, depth: int) -> Node:
        if isinstance(value, int):
            number = int.__index__(value)
            if number.bit_length() > INTEGER_LIMIT:
                raise WireError("a whole number is too long to be sent")
            return number
        if isinstance(value, float):
            real = float.__float__(value)
            return real if math.isfinite(real) else {"$": "float", "v": repr(real)}
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, complex):
            parts = complex.__complex__(value)
            return {"$": "complex", "v": [self.node(x, depth) for x in (parts.real, parts.imag)]}
        if isinstance(value, bytes | bytearray):
            return {"$": "bytes", **self.raw(bytes(value))}
        if isinstance(value, list):
            return [self.node(x, depth + 1) for x in list.__iter__(value)]
        if isinstance(value, tuple):
            return {"$": "tuple", "v": [self.node(x, depth + 1) for x in tuple.__iter__(value)]}
        if isinstance(value, set):
            self.count(set.__len__(value))
            return {"$": "set", "v": [self.node(x, depth + 1) for x in set.__iter__(value)]}
        if isinstance(value, frozenset):
            self.count(frozenset.__len__(value))
            return {
                "$": "frozenset",
                "v": [self.node(x, depth + 1) for x in frozenset.__iter__(value)],
            }
        if isinstance(value, dict):
            self.count(dict.__len__(value))
            items = dict.items(value)
            pairs = [[self.node(k, depth + 1), self.node(v, depth + 1)] for k, v in items]
            return {"$": "dict", "v": pairs}
        if isinstance(value, slice):
            ends = (value.start, value.stop, value.step)
            return {"$": "slice", "v": [self.node(x, depth + 1) for x in ends]}
        if value is Ellipsis:
            return {"$": "ellipsis"}
        if isinstance(value, torch.dtype):
            name = str(value).removeprefix("torch.")
            return {"$": "dtype", "v": name} if name in _TENSORS else None
        if isinstance(value, torch.device):
            return {"$": "device", "v": str(value)}
        return None

    def count(self, keys: int) -> None:
        self.keys += keys
        if self.keys > KEYS_LIMIT:
            raise WireError(f"sets and dictionaries of more than {KEYS_LIMIT} can't be sent")

    def tensor(self, value: Tensor) -> Node:
        # A subclass that lies about itself is read as the tensor it is.
        with torch._C.DisableTorchFunctionSubclass(), torch.no_grad():
            plain = Tensor.detach(value)
            name = str(plain.dtype).removeprefix("torch.")
            if plain.device.type == "meta" or plain.is_quantized or name not in _TENSORS:
                return None
            if plain.layout not in (torch.strided, torch.sparse_coo):
                return None
            if plain.numel() * plain.element_size() > BYTES_LIMIT:
                raise WireError(f"tensors of more than {BYTES_LIMIT >> 20} MB can't be sent")
            plain = plain.to_dense() if plain.layout is torch.sparse_coo else plain
            plain = plain.as_subclass(Tensor)
            plain = plain.cpu().resolve_conj().resolve_neg().contiguous()
            shape = list(plain.shape)
            data = _bytes_of(plain)
            leaf = _flag(Tensor.requires_grad, value) and _flag(Tensor.is_leaf, value)
        node = {"$": "tensor", "dtype": name, "shape": shape, **self.raw(data)}
        return {**node, "grad": True} if leaf else node

    def array(self, value: np.ndarray | np.generic) -> Node:
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        plain = np.asarray(value)
        if not _ARRAYS.fullmatch(plain.dtype.str):
            return None
        if plain.nbytes > BYTES_LIMIT:
            raise WireError(f"arrays of more than {BYTES_LIMIT >> 20} MB can't be sent")
        shape, dtype = list(plain.shape), plain.dtype.str
        return {"$": kind, "dtype": dtype, "shape": shape, **self.raw(plain.tobytes())}


def _bytes_of(plain: Tensor) -> bytes:
    """Return the numbers of a contiguous tensor as they lie in memory."""
    # Of a single number any stride counts as contiguous, but bytes want a stride of 1.
    flat = plain.as_strided((plain.numel(),), (1,))
    return flat.view(torch.uint8).numpy().tobytes() if plain.numel() else b""


def _flag(attribute: Any, tensor: Tensor) -> bool:
    """Read a property of the base class, whatever a subclass made of it."""
    return bool(attribute.__get__(tensor))


def encode(value: object, opaque: Opaque | None = None) -> Payload:
    """Write a value as JSON and the raw bytes that go with it.

    Parameters
    ----------
    value : object
        None, numbers, text, bytes, lists, tuples, sets, dictionaries, arrays, tensors, and
        these within each other. Subclasses are written as what they are a kind of.
    opaque : callable, optional
        Asked for a ticket for anything else.

    Raises
    ------
    WireError
        If something is no plain value, is too large, or is nested too deep.
    """
    writer = _Writer(opaque)
    text = json.dumps(writer.node(value, 0), allow_nan=False, separators=(",", ":")).encode()
    if len(text) > TEXT_LIMIT:
        raise WireError(f"values of more than {TEXT_LIMIT >> 20} MB of text can't be sent")
    return text, b"".join(writer.chunks)


def is_plain(value: object) -> bool:
    """Whether a value can be sent as it is."""
    try:
        encode(value)
    except WireError:
        return False
    return True


class _Reader:
    def __init__(self, data: bytes, opaque: Redeem | None, leaves: bool) -> None:
        self.data = data
        self.opaque = opaque
        self.leaves = leaves
        self.taken = self.keys = 0

    def value(self, node: Node, depth: int = 0) -> Any:
        if node is None or type(node) in (bool, int, float, str):
            return node
        if depth > DEPTH_LIMIT + 1:
            raise WireError("nested too deep")
        if type(node) is list:
            return [self.value(x, depth + 1) for x in node]
        kind = node.get("$")
        read = getattr(self, f"read_{kind}", None) if type(kind) is str else None
        if read is None:
            raise WireError("a value of an unknown kind")
        return read(node, depth)

    def items(self, node: Node, depth: int, size: int | None = None) -> list[Any]:
        entries = node.get("v")
        if type(entries) is not list or (size is not None and len(entries) != size):
            raise WireError("a list is missing")
        return [self.value(x, depth + 1) for x in entries]

    def raw(self, node: Node) -> bytes:
        at, n = node.get("at"), node.get("n")
        if type(at) is not int or type(n) is not int or not 0 <= at <= at + n <= len(self.data):
            raise WireError("bytes are missing")
        # Each byte belongs to one value: many values of the same bytes would fill the memory.
        self.taken += n
        if self.taken > len(self.data):
            raise WireError("bytes are used twice")
        return self.data[at : at + n]

    def shape(self, node: Node, itemsize: int, size: int) -> list[int]:
        shape = node.get("shape")
        if type(shape) is not list or len(shape) > 32:
            raise WireError("a shape is missing")
        if any(type(n) is not int or not 0 <= n < 2**40 for n in shape):
            raise WireError("a shape is not made of whole numbers")
        if math.prod(shape) * itemsize != size or math.prod(n or 1 for n in shape) >= 2**60:
            raise WireError("a shape does not fit its data")
        return shape

    def text(self, node: Node, key: str, pattern: str) -> str:
        text = node.get(key)
        if type(text) is not str or not re.fullmatch(pattern, text):
            raise WireError(f"a {key} is missing")
        return text

    def read_float(self, node: Node, depth: int) -> float:
        return float(self.text(node, "v", "nan|-?inf"))

    def read_complex(self, node: Node, depth: int) -> complex:
        parts = self.items(node, depth, 2)
        if any(type(x) is not float for x in parts):
            raise WireError("a complex number has two parts")
        return complex(*parts)

    def read_bytes(self, node: Node, depth: int) -> bytes:
        return self.raw(node)

    def read_tuple(self, node: Node, depth: int) -> tuple[Any, ...]:
        return tuple(self.items(node, depth))

    def read_set(self, node: Node, depth: int) -> set[Any]:
        return set(self.hashable(self.items(node, depth)))

    def read_frozenset(self, node: Node, depth: int) -> frozenset[Any]:
        return frozenset(self.hashable(self.items(node, depth)))

    def read_dict(self, node: Node, depth: int) -> dict[Any, Any]:
        pairs = node.get("v")
        if type(pairs) is not list or any(type(p) is not list or len(p) != 2 for p in pairs):
            raise WireError("a dictionary is made of pairs")
        keys = self.hashable([self.value(k, depth + 1) for k, _ in pairs])
        return dict(zip(keys, (self.value(v, depth + 1) for _, v in pairs), strict=True))

    def hashable(self, values: list[Any]) -> list[Any]:
        self.keys += len(values)
        if self.keys > KEYS_LIMIT:
            raise WireError("too many keys")
        try:
            for value in values:
                hash(value)
        except TypeError:
            raise WireError("a key can't be hashed") from None
        return values

    def read_slice(self, node: Node, depth: int) -> slice:
        return slice(*self.items(node, depth, 3))

    def read_ellipsis(self, node: Node, depth: int) -> Any:
        return ...

    def read_dtype(self, node: Node, depth: int) -> torch.dtype:
        return _TENSORS[self.text(node, "v", "|".join(_TENSORS))]

    def read_device(self, node: Node, depth: int) -> torch.device:
        return torch.device(self.text(node, "v", r"(?:cpu|cuda|mps|meta)(?::\d{1,2})?"))

    def read_tensor(self, node: Node, depth: int) -> Tensor:
        dtype = _TENSORS[self.text(node, "dtype", "|".join(_TENSORS))]
        data = self.raw(node)
        shape = self.shape(node, dtype.itemsize, len(data))
        if not data:
            return torch.empty(shape, dtype=dtype)
        raw = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        # Only 0 and 1 are truth values; another byte behaves like neither.
        flat = raw != 0 if dtype is torch.bool else raw.view(dtype)
        tensor = flat.reshape(shape)
        grad = node.get("grad") is True and (dtype.is_floating_point or dtype.is_complex)
        return tensor.requires_grad_(True) if self.leaves and grad else tensor

    def read_array(self, node: Node, depth: int) -> np.ndarray:
        dtype = np.dtype(self.text(node, "dtype", _ARRAYS.pattern))
        data = self.raw(node)
        shape = self.shape(node, dtype.itemsize, len(data))
        if not dtype.itemsize and math.prod(shape) > 1:
            raise WireError("entries of no length")
        if not data:
            return np.zeros(shape, dtype)
        if dtype.kind == "b":
            return (np.frombuffer(data, np.uint8) != 0).reshape(shape)
        if dtype.kind == "U" and bool(
            (np.frombuffer(data, dtype.byteorder + "u4") > 0x10FFFF).any()
        ):
            raise WireError("text of no known character")
        return np.frombuffer(data, dtype).reshape(shape).copy()

    def read_scalar(self, node: Node, depth: int) -> Any:
        array = self.read_array(node, depth)
        if array.shape != ():
            raise WireError("a number has no shape")
        return array[()]

    def read_opaque(self, node: Node, depth: int) -> object:
        if self.opaque is None:
            raise WireError("an object where a plain value belongs")
        return self.opaque(
            {key: value for key, value in node.items() if key != "$"},
            lambda part: self.value(part, depth + 1),
        )


def decode(
    payload: Payload,
    opaque: Redeem | None = None,
    *,
    leaves: bool = False,
) -> Any:
    """Read what :func:`encode` wrote.

    Parameters
    ----------
    payload : tuple of bytes
        JSON and raw bytes, from anyone.
    opaque : callable, optional
        Makes something of a ticket; without it a ticket is an error.
    leaves : bool
        Whether tensors that required a gradient do so again.

    Raises
    ------
    WireError
        If it was not written by :func:`encode`.
    """
    text, data = payload
    if len(text) > TEXT_LIMIT or len(data) > BYTES_LIMIT:
        raise WireError("a message is too large")
    try:
        node = json.loads(text, parse_constant=_no_constant)
        return _Reader(data, opaque, leaves).value(node)
    except WireError:
        raise
    except (
        ValueError,
        TypeError,
        KeyError,
        RecursionError,
        OverflowError,
        RuntimeError,
        MemoryError,
    ) as error:
        raise WireError(f"not a message: {type(error).__name__}") from None


def _no_constant(name: str) -> None:
    raise WireError(f"{name} is not written like this")
