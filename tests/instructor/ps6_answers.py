"""Answers to problem set 6: right ones written differently, and wrong ones as students write them.

``RIGHT[task]`` holds code that must get full marks. ``WRONG[task]`` holds (code, part of a sentence
that must be printed by the hidden checks) pairs that must not. A task that asks for several
functions has one list for each, ``"task1-kl_terms(v)"``: the others are right there.
"""

from __future__ import annotations

from functools import partial

from answer_cells import dedented, filled, of_each_function

#: Points of the whole set.
TOTAL = 100

RIGHT: dict[str, list[str]] = {
    "task1": [
        # logaddexp
        """
        def kl_terms(v):
            return 1 * v, torch.exp(v) / math.e
        def reverse_kl_terms(v):
            return -1 / torch.exp(v), -1 + v
        def js_terms(v):
            zero = torch.zeros_like(v)
            return math.log(2) - torch.logaddexp(zero, -v), torch.logaddexp(zero, v) - math.log(2)
        def gan_terms(v):
            zero = torch.zeros_like(v)
            return -torch.logaddexp(zero, -v), torch.logaddexp(zero, v)
        """,
        # log-sigmoid, a list for a pair
        """
        from torch.nn.functional import logsigmoid
        def kl_terms(v):
            return [v.clone(), (v - 1).exp()]
        def reverse_kl_terms(v):
            return [-(-v).exp(), -(1 - v)]
        def js_terms(v):
            return [math.log(2) + logsigmoid(v), -math.log(2) - logsigmoid(-v)]
        def gan_terms(v):
            return [logsigmoid(v), -logsigmoid(-v)]
        """,
        # NumPy
        """
        import numpy as np
        def soft(v):
            return np.maximum(v, 0) + np.log1p(np.exp(-np.abs(v)))
        def kl_terms(v):
            return v.numpy(), np.exp(v.numpy() - 1)
        def reverse_kl_terms(v):
            return -np.exp(-v.numpy()), v.numpy() - 1
        def js_terms(v):
            return np.log(2) - soft(-v.numpy()), soft(v.numpy()) - np.log(2)
        def gan_terms(v):
            return -soft(-v.numpy()), soft(v.numpy())
        """,
    ],
    "task2": [
        """
        def fgan_critic_loss(terms, real, fake):
            return -(terms(real)[0].mean() - terms(fake)[1].mean())
        def fgan_generator_loss(terms, fake):
            return -terms(fake)[1].mean()
        """,
        # one call on both, float32
        """
        def fgan_critic_loss(terms, real, fake):
            T, star = terms(torch.cat([real, fake]).float())
            return star[len(real):].mean() - T[: len(real)].mean()
        def fgan_generator_loss(terms, fake):
            T, star = terms(fake)
            return -star.sum() / star.numel()
        """,
        # one sample at a time
        """
        def fgan_critic_loss(terms, real, fake):
            loss = 0
            for v in real:
                loss = loss - terms(v)[0].sum() / len(real)
            for v in fake:
                loss = loss + terms(v)[1].sum() / len(fake)
            return loss
        def fgan_generator_loss(terms, fake):
            return -torch.stack([terms(v)[1].squeeze() for v in fake]).mean()
        """,
    ],
    "task3": [
        """
        def density_ratio(f_star, T):
            T = T.clone().requires_grad_(True)
            (u,) = torch.autograd.grad(f_star(T).sum(), T)
            return u
        def best_output(name, u):
            return u.log() + (1.0 if name == "kl" else 0.0)
        """,
        # torch.func, one value at a time
        """
        def density_ratio(f_star, T):
            return torch.func.vmap(torch.func.grad(f_star))(T.flatten()).reshape(T.shape)
        def best_output(name, u):
            if name == "kl":
                return torch.log(math.e * u)
            return -torch.log(1 / u)
        """,
        # by inverting each activation
        """
        def density_ratio(f_star, T):
            leaf = T.detach().double().requires_grad_()
            return torch.autograd.grad(f_star(leaf), leaf, torch.ones_like(leaf))[0]
        def best_output(name, u):
            if name == "kl":
                return 1 + u.log()
            if name == "reverse-kl":
                return -torch.log(1 / u)
            if name == "js":
                return -torch.log((1 + u) / u - 1)
            return torch.logit(u / (1 + u))
        """,
    ],
    "task4": [
        """
        def wgan_critic_loss(real, fake):
            return fake.mean() - real.mean()
        def wgan_generator_loss(fake):
            return -fake.mean()
        def clip_weights(critic, c):
            for p in critic.parameters():
                p.data.clamp_(min=-c, max=c)
        """,
        """
        def wgan_critic_loss(real, fake):
            return -(real.sum() / len(real) - fake.sum() / len(fake))
        def wgan_generator_loss(fake):
            return torch.mean(-1 * fake)
        @torch.no_grad()
        def clip_weights(critic, c):
            for p in critic.parameters():
                p[p > c] = c
                p[p < -c] = -c
        """,
        """
        def wgan_critic_loss(real, fake):
            loss = 0
            for v in fake:
                loss = loss + v[0] / len(fake)
            for v in real:
                loss = loss - v[0] / len(real)
            return loss
        def wgan_generator_loss(fake):
            return -fake.squeeze(1).mean(0)
        def clip_weights(critic, c):
            with torch.no_grad():
                for m in critic.modules():
                    if isinstance(m, nn.Linear):
                        m.weight.copy_(m.weight.clip(-c, c))
                        m.bias.copy_(m.bias.clip(-c, c))
            return critic
        """,
    ],
    "task5": [
        """
        def clipped_lipschitz(sizes, c):
            return math.prod(c * (a * b) ** 0.5 for a, b in zip(sizes, sizes[1:]))
        def clip_for(sizes, K):
            areas = math.prod(a * b for a, b in zip(sizes, sizes[1:]))
            return (K / areas**0.5) ** (1 / (len(sizes) - 1))
        """,
        """
        def clipped_lipschitz(sizes, c):
            n = torch.tensor(sizes).double()
            return (n[1:] * n[:-1]).sqrt().prod() * c ** (len(n) - 1)
        def clip_for(sizes, K):
            n = torch.tensor(sizes).double()
            return torch.exp((math.log(K) - 0.5 * (n[1:] * n[:-1]).log().sum()) / (len(n) - 1))
        """,
        # by the matrices; by bisection
        """
        def clipped_lipschitz(sizes, c):
            K = torch.ones(())
            for a, b in zip(sizes[:-1], sizes[1:]):
                K = K * torch.full((b, a), float(c)).norm()
            return K
        def clip_for(sizes, K):
            low, high = 0.0, 1e3
            for _ in range(200):
                c = (low + high) / 2
                low, high = (c, high) if clipped_lipschitz(sizes, c) < K else (low, c)
            return c
        """,
    ],
    "task6": [
        """
        def interpolate(real, fake, t):
            t = t.view(-1, *[1] * (real.ndim - 1))
            return fake + t * (real - fake)
        def slopes(critic, x):
            x = x.clone().requires_grad_(True)
            (d,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
            return (d.flatten(1) ** 2).sum(1) ** 0.5
        """,
        """
        def interpolate(real, fake, t):
            return torch.stack([t[i] * real[i] + (1 - t[i]) * fake[i] for i in range(len(t))])
        def slopes(critic, x):
            x = x.detach().requires_grad_()
            f = critic(x)
            d = torch.autograd.grad(f, x, torch.ones_like(f), create_graph=True)[0]
            return torch.linalg.vector_norm(d, dim=tuple(range(1, d.ndim)))
        """,
        # one sample at a time
        """
        def interpolate(real, fake, t):
            return torch.einsum("n,n...->n...", t, real) + torch.einsum("n,n...->n...", 1 - t, fake)
        def slopes(critic, x):
            norms = []
            for point in x:
                point = point[None].clone().requires_grad_()
                d = torch.autograd.grad(critic(point)[0, 0], point, create_graph=True)[0]
                norms.append(d.square().sum().sqrt())
            return torch.stack(norms)
        """,
    ],
    "task7": [
        """
        def two_sided_penalty(slope, weight):
            return weight * (slope - 1).pow(2).mean()
        def one_sided_penalty(slope, weight):
            return weight * torch.relu(slope - 1).pow(2).mean()
        """,
        """
        def two_sided_penalty(slope, weight):
            return weight * torch.nn.functional.mse_loss(slope, torch.ones_like(slope))
        def one_sided_penalty(slope, weight):
            return weight * torch.nn.functional.mse_loss(slope.clamp(min=1), torch.ones_like(slope))
        """,
        """
        def two_sided_penalty(slope, weight):
            return sum(weight * (s - 1) ** 2 for s in slope) / len(slope)
        def one_sided_penalty(slope, weight):
            return sum(weight * (s - 1) ** 2 if s > 1 else 0 * s for s in slope) / len(slope)
        """,
    ],
    "task8": [
        """
        def power_iteration(W, u, steps):
            with torch.no_grad():
                for _ in range(steps):
                    v = nn.functional.normalize(W.T @ u, dim=0)
                    u = nn.functional.normalize(W @ v, dim=0)
            return u @ W @ v, u
        """,
        # without normalising in between
        """
        def power_iteration(W, u, steps):
            A = W.detach()
            for _ in range(steps):
                v = A.T @ u
                u = A @ v
                v, u = v / v.norm(), u / u.norm()
            return (torch.outer(u, v) * W).sum(), u
        """,
        """
        def power_iteration(W, u, steps):
            u = u.clone()
            for _ in range(steps):
                v = torch.mv(W.detach().T, u)
                v /= torch.sqrt((v * v).sum())
                u = torch.mv(W.detach(), v)
                u /= torch.sqrt((u * u).sum())
            return torch.einsum("i,ij,j->", u, W, v), u
        """,
    ],
    "task9": [
        """
        def gaussian_kernel(x, y, h):
            return torch.exp(-torch.cdist(x, y) ** 2 / (2 * h**2))
        def mmd2(kernel, x, y):
            K, L = kernel(x, x), kernel(y, y)
            n, m = len(x), len(y)
            a = (K.sum() - K.diagonal().sum()) / (n * (n - 1))
            b = (L.sum() - L.diagonal().sum()) / (m * (m - 1))
            return a + b - 2 * kernel(x, y).mean()
        """,
        """
        def gaussian_kernel(x, y, h):
            rows = [[math.exp(-0.5 * float(((a - b) ** 2).sum()) / h**2) for b in y] for a in x]
            return torch.tensor(rows)
        def mmd2(kernel, x, y):
            def off(z):
                K = kernel(z, z)
                return K[~torch.eye(len(z), dtype=torch.bool)].mean()
            return off(x) + off(y) - 2 * kernel(x, y).mean()
        """,
        # matrix products, one joint Gram matrix
        """
        def gaussian_kernel(x, y, h):
            D2 = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
            return (-D2.clamp_min(0) / h**2 / 2).exp()
        def mmd2(kernel, x, y):
            n, m = len(x), len(y)
            z = torch.cat([x, y])
            K = kernel(z, z)
            w = torch.full_like(K, -1 / (n * m))
            w[:n, :n] = 1 / (n * (n - 1))
            w[n:, n:] = 1 / (m * (m - 1))
            w.fill_diagonal_(0)
            return (w * K).sum()
        """,
    ],
    "task10": [
        """
        def energy_distance(x, y):
            def mean(a, b, pairs):
                return torch.cdist(a, b).sum() / pairs
            n, m = len(x), len(y)
            return 2 * mean(x, y, n * m) - mean(x, x, n * (n - 1)) - mean(y, y, m * (m - 1))
        def cramer_1d(x, y):
            def mean(a, b):
                return (a[:, None] - b).abs().mean()
            return mean(x, y) - mean(x, x) / 2 - mean(y, y) / 2
        """,
        # differences, .norm; a loop over the steps
        """
        def energy_distance(x, y):
            n, m = len(x), len(y)
            d = lambda a, b: (a[:, None] - b).norm(dim=2).sum()
            return 2 * d(x, y) / n / m - d(x, x) / n / (n - 1) - d(y, y) / m / (m - 1)
        def cramer_1d(x, y):
            z, total = sorted(x.tolist() + y.tolist()), 0.0
            for a, b in zip(z[:-1], z[1:]):
                F = sum(v <= a for v in x.tolist()) / len(x)
                G = sum(v <= a for v in y.tolist()) / len(y)
                total += (F - G) ** 2 * (b - a)
            return total
        """,
        # pairs i < j; cumulated masses
        """
        def energy_distance(x, y):
            def within(a):
                i, j = torch.triu_indices(len(a), len(a), 1)
                return (a[i] - a[j]).norm(dim=1).mean()
            return 2 * torch.cdist(x, y).mean() - within(x) - within(y)
        def cramer_1d(x, y):
            z, order = torch.cat([x, y]).sort()
            mass = torch.cat([torch.full_like(x, 1 / len(x)), torch.full_like(y, -1 / len(y))])
            return torch.dot(mass[order].cumsum(0)[:-1] ** 2, z.diff())
        """,
    ],
    "task11": [
        """
        from scipy.stats import binom
        def expected_w1_gradient(theta, theta_star, m):
            P = [binom.pmf(k, m, theta_star) for k in range(m + 1)]
            return sum(P[k] * (1 if k < theta * m else -1) for k in range(m + 1))
        def expected_cramer_gradient(theta, theta_star, m):
            return 2 * theta - 2 * theta_star
        """,
        # tensors
        """
        def law(p, m):
            k = torch.arange(m + 1).double()
            ways = torch.tensor([math.comb(m, i) for i in range(m + 1)])
            return ways * p**k * (1 - p) ** (m - k), k / m
        def expected_w1_gradient(theta, theta_star, m):
            chance, estimate = law(theta_star, m)
            return (chance * torch.sign(theta - estimate)).sum()
        def expected_cramer_gradient(theta, theta_star, m):
            chance, estimate = law(theta_star, m)
            return (chance * 2 * (theta - estimate)).sum()
        """,
        # the law of the count by m convolutions
        """
        import numpy as np
        def expected_w1_gradient(theta, theta_star, m):
            P = np.ones(1)
            for _ in range(m):
                P = np.convolve(P, [1 - theta_star, theta_star])
            share = np.arange(m + 1) / m
            return P[share < theta].sum() - P[share > theta].sum()
        def expected_cramer_gradient(theta, theta_star, m):
            return -2.0 * theta_star + 2.0 * theta
        """,
    ],
}

WRONG: dict[str, list[tuple[str, str]]] = {
    "task1-kl_terms(v)": [
        ("return v, torch.exp(v)", "not exp(t)"),
        ("return v - 1, torch.exp(v - 1)", "same amount"),
        ("return torch.exp(v - 1)", "should be 2 values"),
        ("return torch.exp(v - 1), v", "does not agree"),
    ],
    "task1-reverse_kl_terms(v)": [
        ("return -torch.exp(v), v - 1", "+v in the exponent"),
        ("return torch.exp(-v), v - 1", "minus in front is missing"),
        ("return -torch.exp(-v), -1 - v", "sign of v"),
        ("return -torch.exp(-v), v", "constant -1"),
        ("T = -torch.exp(-v); return T, -1 - torch.log(-T)", "overflows"),
    ],
    "task1-js_terms(v)": [
        ("return -softplus(-v), softplus(v) - math.log(2)", "log 2 is missing"),
        ("return math.log(2) - softplus(-v), softplus(v)", "log 2 is missing"),
        ("return math.log(2) - softplus(v), softplus(v) - math.log(2)", "sign of v"),
        ("return math.log(2) - softplus(-v), softplus(-v) - math.log(2)", "sign of v"),
        ("return math.log(2) - softplus(-v), softplus(v) + math.log(2)", "wrong sign"),
        ("T = math.log(2) - softplus(-v); return T, -torch.log(2 - torch.exp(T))", "overflows"),
    ],
    "task1-gan_terms(v)": [
        ("return softplus(-v), softplus(v)", "minus in front"),
        ("return -softplus(v), softplus(v)", "sign of v"),
        ("return torch.sigmoid(v), softplus(v)", "its logarithm"),
        ("return -softplus(-v), softplus(-v)", "sign is wrong".replace("sign is", "sign of v is")),
        ("return -softplus(-v), -softplus(v)", "minus in front of the logarithm"),
        ("return -torch.log(1 + torch.exp(-v)), torch.log(1 + torch.exp(v))", "overflows"),
        ("return 0 * v, 0 * v", "zero"),
    ],
    "task2-fgan_critic_loss(terms, real, fake)": [
        ("return terms(real)[0].mean() - terms(fake)[1].mean()", "minus the bound"),
        ("return terms(fake)[0].mean() - terms(real)[0].mean()", "f*(T), not T"),
        ("return terms(fake)[1].mean() - terms(real)[1].mean()", "T, not f*(T)"),
        ("return terms(real)[1].mean() - terms(fake)[0].mean()", "swapped"),
        ("return -terms(real)[0].mean() - terms(fake)[1].mean()", "opposite signs"),
        ("return terms(fake)[1].sum() - terms(real)[0].sum()", "take means"),
        ("return fake.mean() - real.mean()", "averaged v itself"),
        ("return terms(fake.detach())[1].mean() - terms(real)[0].mean()", "no gradient flows"),
        ("return terms(fake)[1] - terms(real)[0].mean()", "Did you forget to average"),
    ],
    "task2-fgan_generator_loss(terms, fake)": [
        ("return terms(fake)[1].mean()", "sign is wrong"),
        ("return -terms(fake)[0].mean()", "here it is f*(T)"),
        ("return -terms(fake)[1].sum()", "take the mean"),
        ("return -fake.mean()", "averaged v itself"),
        ("return -terms(fake)[1].mean().item()", "no gradient flows"),
        ("return -terms(fake)[1]", "Did you forget to average"),
    ],
    "task3-density_ratio(f_star, T)": [
        ("return f_star(T)", "not its derivative"),
        (
            "T = T.clone().requires_grad_(); f_star(T).mean().backward(); return T.grad",
            "not its mean",
        ),
        ("return torch.exp(T - 1)", "right for KL"),
        ("return 1 + T / 2", "right for Pearson"),
        ("T = T.clone().requires_grad_(); f_star(T).sum().backward(); return 1 / T.grad", "1 over"),
        ("T = T.clone().requires_grad_(); f_star(T).sum().backward()", "return missing"),
        ("return torch.zeros_like(T)", "zero"),
    ],
    "task3-best_output(name, u)": [
        ("return u.log()", "For KL the constant"),
        ("return 1 + u.log()", "Only KL"),
        ("return -u.log() if name != 'kl' else 1 - u.log()", "sign is wrong"),
        ("return u", "logarithm"),
        ("return {'kl': 1 + u.log(), 'reverse-kl': -1 / u}.get(name, u.log())", "solve g(v*)"),
        ("return u.log().sum() + (name == 'kl')", "should be shape"),
    ],
    "task4-wgan_critic_loss(real, fake)": [
        ("return real.mean() - fake.mean()", "sign is wrong"),
        ("return fake.sum() - real.sum()", "take means"),
        ("return softplus(-real).mean() + softplus(fake).mean()", "no logarithm"),
        ("return fake.mean() + real.mean()", "opposite signs"),
        ("return fake.mean().item() - real.mean().item()", "no gradient flows"),
        ("return fake - real", "should be"),
    ],
    "task4-wgan_generator_loss(fake)": [
        ("return fake.mean()", "sign is wrong"),
        ("return -fake.sum()", "take the mean"),
        ("return softplus(-fake).mean()", "original GAN"),
        ("return -fake.detach().mean()", "no gradient flows"),
    ],
    "task4-clip_weights(critic, c)": [
        ("[p.clamp(-c, c) for p in critic.parameters()]", "Nothing was clipped"),
        ("[p.data.clamp_(max=c) for p in critic.parameters()]", "from below"),
        ("[p.data.clamp_(min=-c) for p in critic.parameters()]", "from above"),
        ("[p.data.clamp_(0, c) for p in critic.parameters()]", "not to [0, c]"),
        (
            "[p.data.mul_(c / p.data.abs().max()) for p in critic.parameters()]",
            "scales the weights",
        ),
        ("[p.data.clamp_(-c, c) for p in critic.parameters() if p.ndim > 1]", "clipped"),
        (
            "[p.requires_grad_(False).clamp_(-c, c) for p in critic.parameters()]",
            "no longer trained",
        ),
        ("[p.clamp_(-c, c) for p in critic.parameters()]", "RuntimeError"),
    ],
    "task5-clipped_lipschitz(sizes, c)": [
        ("return c * {one}", "its own factor"),
        ("return c ** len(sizes) * {one}", "one less than sizes"),
        ("return c ** (len(sizes) - 2) * {one}", "factor c is missing"),
        ("return c ** (len(sizes) - 1) * {one} ** 2", "Take the root"),
        ("return {one}", "factors c are missing"),
        ("return sum(c * math.sqrt(a * b) for a, b in zip(sizes, sizes[1:]))", "don't add"),
        ("return 0.0", "zero"),
    ],
    "task5-clip_for(sizes, K)": [
        ("return K / {one}", "take that root"),
        ("return (K / {one}) ** (1 / len(sizes))", "take that root"),
        ("return (K / {one}) ** 0.5", "take that root"),
        ("return ({one} / K) ** (1 / (len(sizes) - 1))", "1/c"),
        ("return K ** (1 / (len(sizes) - 1))", "widths"),
        ("return 0.01", "does not agree"),
    ],
    "task6-interpolate(real, fake, t)": [
        ("t = {t}; return t * fake + (1 - t) * real", "share t belongs"),
        ("return t[0] * real + (1 - t[0]) * fake", "its own t"),
        ("t = {t}; return t * real + fake", "1 - t is missing"),
        ("return t * real + (1 - t) * fake", "wrong axis"),
        ("return real", "does not agree"),
        ("t = {t}; return (t * real + (1 - t) * fake).flatten(1)", "should be shape"),
    ],
    "task6-slopes(critic, x)": [
        ("{mean}; return d.flatten(1).norm(dim=1)", "not their mean"),
        ("{d}; return d.flatten(1).square().sum(1)", "root is missing"),
        ("{d}; return d.norm()", "Did you reduce"),
        ("{d}; return d.norm().expand(len(x))", "each sample has its own"),
        ("{d}; return d.flatten(1).abs().sum(1)", "absolute values"),
        ("{d}; return d.flatten(1).square().mean(1).sqrt()", "not of their mean"),
        ("{d}; return d.flatten(1).norm(dim=1).detach()", "keep the graph"),
        ("{d}; return d", "should be shape"),
        ("{d}; return d.norm(dim=1)", "should be shape"),
        ("return torch.zeros(len(x))", "zero"),
    ],
    "task7-two_sided_penalty(slope, weight)": [
        ("return weight * (slope - 1).relu().square().mean()", "one-sided"),
        ("return weight * (slope - 1).abs().mean()", "square of the difference"),
        ("return weight * (slope - 1).mean() ** 2", "before the mean"),
        ("return ((slope - 1) ** 2).mean()", "λ is missing"),
        ("return weight * ((slope - 1) ** 2).sum()", "take the mean"),
        ("return weight * ((slope**2 - 1) ** 2).mean()", "s² - 1"),
        ("return weight * (slope**2).mean()", "not to 0"),
        ("return weight * (slope - 1) ** 2", "Did you forget to average"),
    ],
    "task7-one_sided_penalty(slope, weight)": [
        ("return weight * ((slope - 1) ** 2).mean()", "two-sided"),
        ("return weight * (1 - slope).relu().square().mean()", "wrong side"),
        ("return weight * (slope[slope > 1] - 1).square().mean()", "all samples"),
        ("return weight * (slope - 1).relu().mean()", "square of the difference"),
        ("return (slope - 1).relu().square().mean()", "λ is missing"),
        ("return weight * (slope - 1).relu().square().sum()", "take the mean"),
        ("return weight * (slope.detach() - 1).relu().square().mean()", "no gradient flows"),
    ],
    "task8-power_iteration(W, u, steps)": [
        ("A, B, C = torch.linalg.svd(W); return B[0], A[:, 0]", "exact singular value"),
        ("{loop+1}; return u @ (W @ v), u", "one step too many"),
        ("u = torch.ones_like(u) / len(u) ** 0.5; {loop}; return u @ (W @ v), u", "not used"),
        ("return W.norm(), u", "Frobenius"),
        ("{loop}; return (u @ (W @ v)) ** 2, u", "squared"),
        ("start = u; {loop}; return u @ (W @ v), start", "you were given"),
        ("{loop}; return u @ (W @ v), v", "u"),
        ("{loop}; return u @ (W @ v), W @ v", "length is not 1"),
        ("{loop}; return (u @ (W @ v)).item(), u", "No gradient flows"),
        ("D = W; {loopD}; return u @ (W @ v), u", "through the iteration"),
        ("{loop}; return u @ (W @ v)", "2 values"),
        ("return torch.zeros(()), u * 0", "zero"),
    ],
    "task9-gaussian_kernel(x, y, h)": [
        ("return (-torch.cdist(x, y) ** 2 / h**2).exp()", "2 in 2h²"),
        ("return (-torch.cdist(x, y) ** 2 / (2 * h)).exp()", "h is squared"),
        ("return (-torch.cdist(x, y) / (2 * h**2)).exp()", "distance is squared"),
        ("return (torch.cdist(x, y) ** 2 / (2 * h**2)).exp()", "minus in the exponent"),
        ("return (-((x[:, None] - y) ** 2) / (2 * h**2)).exp()", "should be shape"),
        ("return torch.zeros(len(x), len(y))", "zero"),
    ],
    "task9-mmd2(kernel, x, y)": [
        (
            "return kernel(x, x).mean() + kernel(y, y).mean() - 2 * kernel(x, y).mean()",
            "diagonal is counted",
        ),
        ("return {in} - kernel(x, y).mean()", "factor 2"),
        ("return {in} + 2 * kernel(x, y).mean()", "subtracted"),
        ("return ({in} - 2 * kernel(x, y).mean()).clamp_min(0).sqrt()", "MMD²"),
        ("return {in} - 2 * kernel(x, y)", "Did you forget to average"),
        ("return {nn} - 2 * kernel(x, y).mean()", "not n²"),
        ("return torch.zeros(())", "zero"),
    ],
    "task10-energy_distance(x, y)": [
        ("d = torch.cdist; return 2 * d(x, y).mean() - d(x, x).mean() - d(y, y).mean()", "n(n-1)"),
        ("return torch.cdist(x, y).mean() - {in}", "factor 2"),
        ("return {in} - 2 * torch.cdist(x, y).mean()", "sign is wrong"),
        ("return torch.cdist(x, y).mean() - ({in}) / 2", "half of it"),
        ("return 2 * torch.cdist(x, y).mean() - ({in}).detach()", "gradient"),
        (
            "d = lambda a, b: ((a[:, None] - b) ** 2).sum(2).sqrt(); n, m = len(x), len(y)\n"
            "    return 2 * d(x, y).mean() - d(x, x).sum() / (n * n - n)"
            " - d(y, y).sum() / (m * m - m)",
            "NaN",
        ),
        ("return torch.zeros(())", "zero"),
    ],
    "task10-cramer_1d(x, y)": [
        ("{gap}; return (gap.abs() * z.diff()).sum()", "that is W₁"),
        ("{gap}; return 2 * (gap**2 * z.diff()).sum()", "twice it"),
        ("{gap}; return (gap**2 * z.diff()).sum().sqrt()", "its root"),
        ("{gap}; return (gap**2).sum()", "by its width"),
        ("{gap}; return (gap * z.diff()).sum() ** 2", "before the sum"),
        ("return torch.zeros(())", "zero"),
        ("return (x.sort()[0] - y.sort()[0]).abs().mean()", "that is W₁"),
    ],
    "task11-expected_w1_gradient(theta, theta_star, m)": [
        ("return -{sum}", "sign is wrong"),
        ("theta_star = theta; return {sum}", "not with θ"),
        ("return 1.0 if theta > theta_star else -1.0", "true distance"),
        (
            "return sum(theta_star**k * (1 - theta_star) ** (m - k)"
            " * (1 if k / m < theta else -1) for k in range(m + 1))",
            "number of ways",
        ),
        ("return (1 + {sum}) / 2", "Only one"),
        ("return 0.0", "zero"),
        ("return 1 - 2 * theta_star", "does not agree"),
    ],
    "task11-expected_cramer_gradient(theta, theta_star, m)": [
        ("return theta - theta_star", "2 from the square"),
        ("return 2 * (theta_star - theta)", "sign is wrong"),
        ("return (theta - theta_star) ** 2", "not its derivative"),
        ("return 2 * m * (theta - theta_star)", "take the mean"),
        (
            "return (theta - theta_star) ** 2 + theta_star * (1 - theta_star) / m",
            "average distance",
        ),
    ],
}


_LOOP = (
    "\n    for _ in range(steps{plus}):\n        v = {D}.T @ u\n        v = v / v.norm()\n"
    "        u = {D} @ v\n        u = u / u.norm()\n    0"
)
_SHORT = {
    "one": "math.prod(math.sqrt(a * b) for a, b in zip(sizes, sizes[1:]))",
    "t": "t.reshape(-1, *[1] * (real.ndim - 1))",
    "d": (
        "x = x.clone().requires_grad_();"
        " d = torch.autograd.grad(critic(x).sum(), x, create_graph=True)[0]"
    ),
    "mean": (
        "x = x.clone().requires_grad_();"
        " d = torch.autograd.grad(critic(x).mean(), x, create_graph=True)[0]"
    ),
    "loop": _LOOP.replace("{plus}", "").replace("{D}", "W.detach()"),
    "loop+1": _LOOP.replace("{plus}", " + 1").replace("{D}", "W.detach()"),
    "loopD": _LOOP.replace("{plus}", "").replace("{D}", "D"),
    "nn": ("sum((K.sum() - K.trace()) / len(K) ** 2 for K in (kernel(x, x), kernel(y, y)))"),
    "gap": (
        "z = torch.cat([x, y]).sort().values; gap = ((x <= z[:, None]).double().mean(1)"
        " - (y <= z[:, None]).double().mean(1))[:-1]"
    ),
    "sum": (
        "sum(math.comb(m, k) * theta_star**k * (1 - theta_star) ** (m - k)"
        " * (1 if k / m < theta else -1) for k in range(m + 1))"
    ),
}
_IN = {
    "task9": (
        "sum((K.sum() - K.trace()) / (len(K) ** 2 - len(K)) for K in (kernel(x, x), kernel(y, y)))"
    ),
    "task10": "sum(torch.cdist(a, a).sum() / (len(a) ** 2 - len(a)) for a in (x, y))",
}


right = partial(dedented, RIGHT)


def wrong(task: str) -> list[tuple[str, str]]:
    """Wrong answers as whole cells, with the part of the sentence each must get."""
    if task not in WRONG:  # a task of several functions
        return of_each_function(WRONG, task, wrong)
    name, _, signature = task.partition("-")
    others = right(name)[0]
    cells = []
    for body, sentence in WRONG[task]:
        body = filled(body, {**_SHORT, "in": _IN.get(name, "")})
        cells.append((f"{others}\ndef {signature}:\n    {body}\n", sentence))
    return cells
