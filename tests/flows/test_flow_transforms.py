"""Every transform: inverse and forward undo each other, and log|det| is autograd's."""

from __future__ import annotations

import math

import pytest
import torch
from flow_checks import CASES, case, generator, jacobian, normal, shaken
from hypothesis import given
from hypothesis import strategies as st

from gencourse import flows
from gencourse.flows import Compose, Inverse, architectures, log_density

LAYERS_OF_NICE = ("additive", "additive swap", "board additive")
MOVES = ("permutation", "reverse", "reverse image", "squeeze")


@pytest.mark.parametrize("name", CASES)
def test_the_directions_undo_each_other(name: str) -> None:
    """Both ways, to rounding of float64: 1e-9 leaves room for e^bound in each of 4 layers."""
    f, x = case(name)
    z, log_det = f(x)
    back, log_det_back = f.inverse(z)
    torch.testing.assert_close(back, x, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(log_det_back, -log_det, rtol=1e-9, atol=1e-9)
    y, _ = f.inverse(x.reshape(z.shape))
    torch.testing.assert_close(f(y)[0], x.reshape(z.shape), rtol=1e-9, atol=1e-9)
    assert log_det.shape == (5,)
    if name not in MOVES:
        assert (z - x).abs().max() > 0.01  # it does something


@pytest.mark.parametrize("name", CASES)
def test_log_det_is_that_of_the_jacobian(name: str) -> None:
    f, x = case(name)
    _, log_det = f(x)
    J = jacobian(lambda r: f(r)[0], x)
    torch.testing.assert_close(log_det, torch.linalg.slogdet(J).logabsdet, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [*LAYERS_OF_NICE, *MOVES])
def test_volume_is_kept(name: str) -> None:
    """Exactly zero, for any weights; the Jacobian agrees to rounding."""
    f, x = case(name)
    assert (f(x)[1] == 0).all()
    assert (f.inverse(f(x)[0])[1] == 0).all()
    determinant = torch.linalg.det(jacobian(lambda r: f(r)[0], x)).abs()
    torch.testing.assert_close(determinant, torch.ones_like(determinant), rtol=1e-10, atol=0)


@pytest.mark.parametrize("shape", [(5,), (1, 4, 4)])
def test_nice_changes_volume_in_its_last_layer_only(shape: tuple[int, ...]) -> None:
    nice = shaken(architectures.nice(shape, layers=3, width=6, depth=1))
    assert isinstance(nice, Compose)
    x = normal(5, *shape)
    couplings, scaling = Compose(*list(nice)[:-1]), nice[-1]
    assert isinstance(scaling, flows.DiagonalScaling)
    assert (couplings(x)[1] == 0).all()
    # The same everywhere: Σ_k s_k.
    torch.testing.assert_close(nice(x)[1], scaling.log_scale.sum().expand(5))


def test_the_sign_of_a_stretch() -> None:
    """z = x e^s with s = log 2 > 0 stretches: + log 2 forwards, - log 2 backwards."""
    f = flows.DiagonalScaling((1,))
    f.log_scale.data.fill_(math.log(2))
    z, log_det = f(torch.ones(1, 1))
    assert z.item() == pytest.approx(2)
    assert log_det.item() == pytest.approx(math.log(2))
    # z ~ N(0, 1) is x ~ N(0, ½²): density 2 / √(2π) at 0.
    p = log_density(f, torch.zeros(1, 1)).exp().item()
    assert p == pytest.approx(2 / math.sqrt(2 * math.pi))


def test_affine_coupling_by_hand() -> None:
    """Network outputs u and t for the second coordinate; s = B tanh u, signed."""

    class Fixed(torch.nn.Module):
        def forward(self, x_a: torch.Tensor) -> torch.Tensor:
            return torch.cat((x_a, 10 * x_a), dim=1)

    f = flows.AffineCoupling(Fixed(), bound=2.0)
    x = torch.tensor([[-0.5, 3.0]], dtype=torch.float64)
    s = 2 * math.tanh(-0.5)
    z, log_det = f(x)
    assert z[0].tolist() == pytest.approx([-0.5, 3 * math.exp(s) - 5])
    assert log_det.item() == pytest.approx(s)
    assert log_det.item() < 0  # not |Σ s|, as deck D has it


def test_composition_adds_and_reverses() -> None:
    f, g = flows.Permutation([1, 2, 0]), flows.DiagonalScaling((3,))
    g.log_scale.data.copy_(torch.tensor([1.0, 2.0, 3.0]))
    both = Compose(f, g)
    x = torch.eye(3)
    torch.testing.assert_close(both(x)[0], g(f(x)[0])[0])
    torch.testing.assert_close(both(x)[1], torch.full((3,), 6.0))
    torch.testing.assert_close(both.inverse(both(x)[0])[0], x)
    turned = Inverse(both)
    torch.testing.assert_close(turned(both(x)[0])[0], x)
    torch.testing.assert_close(turned.inverse(x)[0], both(x)[0])
    identity = Compose()
    assert torch.equal(identity(x)[0], x)
    assert (identity(x)[1] == 0).all()


def test_standardising_gives_mean_0_and_variance_1() -> None:
    x = 5 * torch.randn(400, 2, generator=generator()) + 3
    x = torch.cat((x, torch.full((400, 1), 7.0)), dim=1)  # a coordinate that never changes
    f = flows.Standardise((3,))
    f.measure(x)
    z, log_det = f(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(z.var(0, correction=0), torch.tensor([1.0, 1.0, 0.0]))
    torch.testing.assert_close(log_det, -x[:, :2].std(0, correction=0).log().sum().expand(400))


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0625, 1.0625)])
def test_the_logit(low: float, high: float) -> None:
    f = flows.Logit(low, high).double()
    x = low + (high - low) * torch.rand(6, 1, 3, 3, generator=generator()).double()
    assert f.contains(x).all()
    z, log_det = f(x)
    J = jacobian(lambda r: f(r)[0], x)
    # The ends are float32 numbers, hence not exactly 2.125 apart: both sides use the same.
    torch.testing.assert_close(log_det, torch.linalg.slogdet(J).logabsdet, rtol=1e-9, atol=1e-9)
    back, log_det_back = f.inverse(z)
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(log_det_back, -log_det)
    x[2, 0, 1, 1] = high
    x[4, 0, 0, 0] = low - 1
    assert f.contains(x).tolist() == [True, True, False, True, False, True]
    # Far out, where u (1 - u) underflows, the slope is still right: |z| + log(high - low).
    slope = f.inverse(torch.full((1, 1), 800.0, dtype=torch.float64))[1]
    assert slope.item() == pytest.approx(-(800 - math.log(high - low)), rel=1e-6)


@pytest.mark.parametrize("name", ["nice", "realnvp"])
@pytest.mark.parametrize("colours", [1, 3])
def test_couplings_of_images_take_turns(name: str, colours: int) -> None:
    """Checkerboards, rows, columns: which pixels stay, then all but those."""
    sizes = {} if name == "nice" else {"bound": 1.0}
    make = getattr(architectures, name)
    i, j = torch.meshgrid(torch.arange(4), torch.arange(6), indexing="ij")
    stay = [(i + j) % 2 == 0, i % 2 == 0, j % 2 == 0]
    x = normal(1, colours, 4, 6)
    before = x
    for layers in range(1, 9):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            f = make((colours, 4, 6), layers=layers, width=3, depth=1, **sizes).double()
        # The same weights draw the same first layers: only the last coupling is new.
        after = Compose(*f)(x)[0] if name == "realnvp" else Compose(*list(f)[:-1])(x)[0]
        first = stay[(layers - 1) // 2 % 3]
        expected = first if layers % 2 else ~first
        assert torch.equal((after - before == 0)[0].all(0), expected)
        before = after


@pytest.mark.parametrize("name", ["nice", "realnvp", "maf", "iaf"])
def test_a_density_integrates_to_one(name: str) -> None:
    """By the rectangle rule on 500² points over [-25, 25]².

    Steps of 0.1 are far below the width of what two layers with s < ½ make of a normal law,
    and the mass beyond is below 1e-6; ReLUs leave kinks, hence 1e-3 and not rounding.
    """
    sizes = {} if name == "nice" else {"bound": 0.5}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        f = shaken(getattr(architectures, name)((2,), layers=2, width=8, depth=1, **sizes))
    ticks = torch.linspace(-25, 25, 501, dtype=torch.float64)
    with torch.no_grad():
        mass = log_density(f, torch.cartesian_prod(ticks, ticks)).exp().sum()
    assert mass.item() * 0.1**2 == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("order", [[], [0, 0], [1, 2], [0, 1, 3], [-1, 0]])
def test_orders_that_are_no_permutations(order: list[int]) -> None:
    with pytest.raises(ValueError, match="order must be a permutation"):
        flows.Permutation(order)


@given(st.permutations(list(range(6))))
def test_any_permutation_comes_back(order: list[int]) -> None:
    f = flows.Permutation(order)
    x = torch.arange(12.0).reshape(2, 6)
    z, log_det = f(x)
    assert z[0].tolist() == [float(k) for k in order]
    assert torch.equal(f.inverse(z)[0], x)
    assert (log_det == 0).all()


@pytest.mark.parametrize("bound", [0.0, -1.0, math.nan, math.inf])
def test_bounds_that_make_no_sense(bound: float) -> None:
    for make in (flows.AffineCoupling, flows.MaskedAffine):
        with pytest.raises(ValueError, match="bound must be above 0"):
            make(torch.nn.Identity(), bound=bound)
    with pytest.raises(ValueError, match="bound must be above 0"):
        flows.CheckerboardCoupling((1, 2, 2), torch.nn.Identity(), bound=bound)


def test_what_cannot_be_built() -> None:
    sizes = {"layers": 2, "width": 4, "depth": 1}
    with pytest.raises(ValueError, match="a coupling needs two coordinates"):
        architectures.nice((1,), **sizes)
    with pytest.raises(ValueError, match="a coupling needs two coordinates"):
        architectures.realnvp((1,), **sizes, bound=1.0)
    with pytest.raises(ValueError, match="one pass for each pixel"):
        architectures.iaf((1, 4, 4), **sizes, bound=1.0)
    with pytest.raises(ValueError, match="odd size"):
        flows.Squeeze()(torch.zeros(1, 1, 3, 4))
    with pytest.raises(ValueError, match="high - low must be above 0"):
        flows.Logit(1.0, 1.0)


@pytest.mark.parametrize("u", [-50.0, -1.0, 0.0, 1.0, 50.0])
def test_the_bound_of_log_scales(u: float) -> None:
    s = flows.bounded(torch.tensor(u, dtype=torch.float64), 2.0).item()
    assert abs(s) <= 2
    assert s == pytest.approx(2 * math.tanh(u))
