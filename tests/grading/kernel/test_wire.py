"""Plain values survive the journey; nothing else gets through, whoever wrote it."""

from __future__ import annotations

import contextlib
import json
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from gencourse.grading.kernel import wire
from gencourse.grading.kernel.wire import WireError, decode, encode

FLAT = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters(), max_size=20)  # lone surrogates, too
    | st.binary(max_size=20)
)
KEYS = st.recursive(FLAT, lambda x: st.tuples(x, x) | st.frozensets(x, max_size=3), max_leaves=3)
VALUES = st.recursive(
    FLAT,
    lambda x: (
        st.lists(x, max_size=4)
        | st.lists(x, max_size=4).map(tuple)
        | st.sets(KEYS, max_size=3)
        | st.dictionaries(KEYS, x, max_size=3)
        | st.builds(slice, st.integers(), st.none(), st.integers())
    ),
    max_leaves=20,
)
DTYPES = st.sampled_from(list(wire._TENSORS.values()))


@given(VALUES)
def test_values_come_back_as_they_were(value: object) -> None:
    back = decode(encode(value))
    assert shown(back) == shown(value)


def shown(value: object) -> object:
    """A value with the types in it; NaN and -0.0 as they are, sets in a fixed order."""
    if isinstance(value, list | tuple):
        return type(value).__name__, [shown(x) for x in value]
    if isinstance(value, set | frozenset):
        return type(value).__name__, sorted(repr(shown(x)) for x in value)
    if isinstance(value, dict):
        return "dict", [(shown(k), shown(v)) for k, v in value.items()]
    return type(value).__name__, repr(value)


@given(DTYPES, st.lists(st.integers(0, 3), max_size=4), st.integers(0, 2**32), st.booleans())
def test_tensors_come_back_bit_for_bit(
    dtype: torch.dtype, shape: list[int], seed: int, turned: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    size = int(np.prod(shape)) * dtype.itemsize
    raw = torch.randint(0, 256, (size,), generator=generator, dtype=torch.uint8)
    raw = raw % 2 if dtype is torch.bool else raw
    tensor = raw.view(dtype).reshape(shape) if size else torch.empty(shape, dtype=dtype)
    tensor = tensor.mT if turned and tensor.ndim > 1 else tensor
    back = decode(encode({"x": (tensor,)}))["x"][0]
    assert (back.dtype, back.shape) == (tensor.dtype, tensor.shape)
    as_bytes = (
        [t.contiguous().reshape(-1).view(torch.uint8) for t in (back, tensor)] if size else []
    )
    assert not size or torch.equal(*as_bytes)


@given(
    npst.arrays(
        npst.boolean_dtypes()
        | npst.integer_dtypes()
        | npst.floating_dtypes(sizes=(16, 32, 64))
        | npst.complex_number_dtypes(sizes=(64, 128))
        | npst.unicode_string_dtypes(max_len=4),
        npst.array_shapes(min_dims=0, min_side=0),
    )
)
def test_arrays_and_their_numbers_come_back(array: Any) -> None:
    back = decode(encode(array))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    if array.size:
        number = array.flat[0]
        again = decode(encode(number))
        assert type(again) is type(number)
        np.testing.assert_array_equal(again, number)


def test_tensors_of_many_kinds_are_read_as_numbers() -> None:
    x = torch.arange(4.0)
    for tensor in (
        x[::2],
        x.reshape(1, 4)[:, 0],  # one number with a stride of 4
        x.to_sparse(),
        torch.complex(x, x).conj(),
        torch.nn.Parameter(x),
        (2 * torch.nn.Parameter(x)),
    ):
        back = decode(encode(tensor))
        assert type(back) is torch.Tensor
        assert not back.requires_grad
        dense = tensor.detach().to_dense() if tensor.is_sparse else tensor.detach()
        assert torch.equal(back, dense)
    leaf = decode(encode([torch.ones(2, requires_grad=True)]), leaves=True)[0]
    assert leaf.requires_grad
    assert leaf.is_leaf
    assert not decode(encode(2 * torch.ones(2, requires_grad=True)), leaves=True).requires_grad


class Liar(torch.Tensor):
    @classmethod
    def __torch_function__(cls, *args: object, **kwargs: object) -> Any:
        return 42

    shape = (7,)  # type: ignore[assignment]
    requires_grad = True


class Endless(list):  # type: ignore[type-arg]
    def __iter__(self) -> Any:
        while True:
            yield self


class Many(dict):  # type: ignore[type-arg]
    def items(self) -> Any:
        return [(1, 2)] * 5


def test_subclasses_are_read_as_what_they_are_a_kind_of() -> None:
    lie = torch.arange(3.0).as_subclass(Liar)
    assert torch.equal(decode(encode(lie)), torch.arange(3.0))
    assert decode(encode(Endless([1, 2]))) == [1, 2]
    assert decode(encode(Many(a=1))) == {"a": 1}
    for kind, value in ((int, 3), (float, 2.5), (str, "x"), (bytes, b"y"), (tuple, (1,))):
        other = type("Other", (kind,), {"__repr__": lambda self: "?", "__eq__": lambda *a: True})
        back = decode(encode(other(value)))  # type: ignore[call-overload]
        assert type(back) is kind
        assert back == value


@pytest.mark.parametrize(
    "value",
    [object(), len, torch.nn.Linear(1, 1), iter([]), np.array([object()]), lambda: 0, int],
)
def test_objects_need_a_ticket(value: object) -> None:
    with pytest.raises(WireError, match="no plain value"):
        encode([value])
    back = decode(
        encode([value, 1], lambda thing, write: {"n": write((id(thing),))}),
        lambda ticket, read: read(ticket["n"]),
    )
    assert back == [(id(value),), 1]
    with pytest.raises(WireError, match="an object where"):
        decode(encode(value, lambda thing, write: {}))


def test_what_is_too_large_is_refused_before_it_is_copied() -> None:
    with pytest.raises(WireError, match="MB"):
        encode(torch.zeros(1).expand(1 << 40))
    with pytest.raises(WireError, match="MB"):
        encode(np.broadcast_to(np.zeros(1), (1 << 40,)))
    with pytest.raises(WireError, match="MB of text"):
        encode("x" * (wire.TEXT_LIMIT + 1))
    with pytest.raises(WireError, match="too long"):
        encode(1 << 10_000)
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(WireError, match="deep"):
        encode(endless)


HOSTILE = [
    b"",
    b"{",
    b"NaN",
    b"Infinity",
    b"\xff",
    b"[" * 100_000,
    b'{"$":"set","v":[[]]}',
    b'{"$":"dict","v":[[1]]}',
    b'{"$":"dict","v":[[{"$":"dict","v":[]},1]]}',
    b'{"$":"tensor","dtype":"float32","shape":[1099511627775],"at":0,"n":4}',
    b'{"$":"tensor","dtype":"float32","shape":[0,1099511627775,1099511627775],"at":0,"n":0}',
    b'{"$":"tensor","dtype":"float32","shape":[-1],"at":0,"n":4}',
    b'{"$":"tensor","dtype":"float32","shape":[true],"at":0,"n":4}',
    b'{"$":"tensor","dtype":"object","shape":[],"at":0,"n":8}',
    b'{"$":"tensor","dtype":"float32","shape":[1],"at":-4,"n":4}',
    b'{"$":"tensor","dtype":"float32","shape":[1],"at":0,"n":1000}',
    b'{"$":"array","dtype":"|O","shape":[1],"at":0,"n":8}',
    b'{"$":"array","dtype":"<M8[s]","shape":[1],"at":0,"n":8}',
    b'{"$":"array","dtype":"<U1","shape":[1],"at":0,"n":4}',
    b'{"$":"scalar","dtype":"<f4","shape":[1],"at":0,"n":4}',
    b'{"$":"float","v":"1e999"}',
    b'{"$":"complex","v":[1,"a"]}',
    b'{"$":"__class__"}',
    b'{"$":"opaque"}',
    b'{"$":["tensor"]}',
    b'{"$":null}',
    b"{}",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_messages_are_refused(text: bytes) -> None:
    with pytest.raises(WireError):
        decode((text, b"\xff" * 8))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([k.removeprefix("read_") for k in dir(wire._Reader) if "read_" in k])
    | st.sampled_from(["float32", "<f4", "<U2", "bool", "complex64", "nan", "cpu", "cuda:1"])
    | st.text(max_size=4),
    lambda x: (
        st.lists(x, max_size=4)
        | st.dictionaries(
            st.sampled_from(["$", "v", "at", "n", "dtype", "shape", "grad"]), x, max_size=6
        )
    ),
    max_leaves=25,
)


@settings(max_examples=400)
@given(JSON, st.binary(max_size=32))
def test_any_json_is_a_value_or_refused(node: object, data: bytes) -> None:
    try:
        value = decode((json.dumps(node).encode(), data))
    except WireError:
        return
    encode(value)


@settings(max_examples=200)
@given(VALUES, st.data())
def test_damaged_messages_are_values_or_refused(value: object, choose: st.DataObject) -> None:
    text, data = encode([value, torch.ones(2), np.ones(2)])
    at = choose.draw(st.integers(0, len(text) - 1))
    byte = choose.draw(st.integers(0, 255))
    damaged = text[:at] + bytes([byte]) + text[at + 1 :]
    with contextlib.suppress(WireError):
        encode(decode((damaged, data)))


def test_pickles_are_bytes() -> None:
    class Boom:
        def __reduce__(self) -> Any:
            return (pytest.fail, ("unpickled",))

    assert decode(encode(pickle.dumps(1))) == pickle.dumps(1)
    with pytest.raises(WireError):
        encode(Boom())
