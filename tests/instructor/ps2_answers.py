"""Answers to problem set 2: right ones written differently, and wrong ones as students write them.

``RIGHT[task]`` holds code that must get full marks. ``WRONG[task]`` holds (code, part of a sentence
that must be printed by the hidden checks) pairs that must not. A task that asks for several
functions has one list for each, ``"task1-f_pearson"``: the others are right there.
"""

from __future__ import annotations

from functools import partial

from answer_cells import dedented, filled, of_each_function

#: Points of the whole set.
TOTAL = 100

RIGHT: dict[str, list[str]] = {
    "task1": [
        # each shifted by a multiple of u - 1, which changes no divergence
        """
        def f_reverse_kl(u):
            return u - 1 - torch.log(u)
        def f_pearson(u):
            return u**2 - 1
        def f_jensen_shannon(u):
            return 0.5 * (torch.xlogy(u, u) - (u + 1) * torch.log((u + 1) / 2)) + 3 * (u - 1)
        def f_total_variation(u):
            return torch.relu(u - 1)
        """,
        # loops and plain floats
        """
        def each(scalar):
            def f(u):
                return torch.tensor([scalar(v) for v in u.tolist()])
            return f
        f_reverse_kl = each(lambda u: math.log(1 / u))
        f_pearson = each(lambda u: u * u - 2 * u + 1)
        def js(u):
            log_m = math.log((u + 1) / 2)
            return 0.5 * ((u * (math.log(u) - log_m) if u else 0.0) - log_m)
        f_jensen_shannon = each(js)
        f_total_variation = each(lambda u: max(u - 1, 1 - u) / 2)
        """,
        # NumPy, float64
        """
        import numpy as np
        from scipy.special import rel_entr
        def f_reverse_kl(u):
            return -np.log(u.numpy())
        def f_pearson(u):
            return np.square(u.numpy() - 1)
        def f_jensen_shannon(u):
            u = u.numpy()
            return (rel_entr(u, (u + 1) / 2) + rel_entr(1, (u + 1) / 2)) / 2
        def f_total_variation(u):
            return np.abs(u.numpy() - 1) / 2
        """,
    ],
    "task2": [
        # a loop
        """
        def f_divergence(f, slope, p, q):
            total = 0.0
            for a, b in zip(p, q):
                if b > 0:
                    total += float(b * f((a / b).reshape(1))[0])
                elif a > 0:
                    total += float(a) * slope
            return total
        """,
        # where, in float32
        """
        def f_divergence(f, slope, p, q):
            p, q = p.float(), q.float()
            safe = torch.where(q > 0, q, torch.ones_like(q))
            ratio = torch.where(q > 0, p / safe, torch.ones_like(q))
            lost = p[q == 0].sum()
            return (q * f(ratio)).sum() + (lost * slope if lost > 0 else 0)
        """,
        # a dot product, and an early return
        """
        def f_divergence(f, slope, p, q):
            some = q > 0
            value = torch.dot(q[some], f(p[some] / q[some]))
            lost = 1 - p[some].sum()
            return value if lost < 1e-12 else value + slope * lost
        """,
    ],
    "task3": [
        # loops
        """
        def conjugate(f, t, u):
            values = f(u)
            return torch.stack([(s * u - values).max() for s in t])
        def pearson_conjugate(t):
            u = torch.relu(1 + t / 2)
            return u * t - (u - 1) ** 2
        def js_conjugate(t):
            return (torch.log(1 / (2 - torch.exp(2 * t)))) / 2
        """,
        # einsum, clamp, log1p
        """
        def conjugate(f, t, u):
            return -torch.min(f(u)[:, None] - torch.einsum("i,j->ij", u, t), dim=0)[0]
        def pearson_conjugate(t):
            t = t.clamp(min=-2)
            return t * (1 + t / 4)
        def js_conjugate(t):
            return -torch.log1p(-torch.expm1(2 * t)) / 2
        """,
        # NumPy
        """
        import numpy as np
        def conjugate(f, t, u):
            return (np.outer(t, u) - np.asarray(f(u))).max(1)
        def pearson_conjugate(t):
            t = t.numpy()
            return np.where(t < -2, -1, (t + 2) ** 2 / 4 - 1)
        def js_conjugate(t):
            e = np.exp(2 * t.numpy())
            u = e / (2 - e)
            return u * t.numpy() - 0.5 * (u * np.log(u) - (u + 1) * np.log((u + 1) / 2))
        """,
    ],
    "task4": [
        # backward, matrix products
        """
        def optimal_critic(f, p, q):
            u = (p / q).clone().detach().requires_grad_(True)
            f(u).sum().backward()
            return u.grad
        def lower_bound(T, f_star, p, q):
            return p @ T - q @ f_star(T)
        """,
        # by the chain rule: d/dp of q f(p/q)
        """
        def optimal_critic(f, p, q):
            leaf = p.clone().requires_grad_()
            return torch.autograd.grad((q * f(leaf / q)).sum(), leaf)[0]
        def lower_bound(T, f_star, p, q):
            return torch.sum(p * T - q * f_star(T))
        """,
        # torch.func, cell by cell
        """
        def optimal_critic(f, p, q):
            slope = torch.func.grad(lambda u: f(u.reshape(1))[0])
            return torch.stack([slope(a / b) for a, b in zip(p, q)])
        def lower_bound(T, f_star, p, q):
            total, star = 0, f_star(T)
            for i in range(len(T)):
                total = total + p[i] * T[i] - q[i] * star[i]
            return total
        """,
    ],
    "task5": [
        # loops in plain Python
        """
        def four_distances(p, q, x):
            p, q, x = p.tolist(), q.tolist(), x.tolist()
            def kl(a, b):
                total = 0.0
                for s, t in zip(a, b):
                    if s > 0:
                        total += s * math.log(s / t) if t > 0 else math.inf
                return total
            m = [(s + t) / 2 for s, t in zip(p, q)]
            w1 = F = G = 0.0
            for i in range(len(x) - 1):
                F, G = F + p[i], G + q[i]
                w1 += abs(F - G) * (x[i + 1] - x[i])
            tv = sum(max(s - t, 0) for s, t in zip(p, q))
            return tv, kl(p, q), kl(p, m) / 2 + kl(q, m) / 2, w1
        """,
        # NumPy and SciPy's relative entropy
        """
        import numpy as np
        from scipy.special import rel_entr
        def four_distances(p, q, x):
            p, q, x = p.numpy(), q.numpy(), x.numpy()
            m = (p + q) / 2
            js = 0.5 * (rel_entr(p, m) + rel_entr(q, m)).sum()
            w1 = np.abs(np.cumsum(p - q)[:-1]) @ np.diff(x)
            return [1 - np.minimum(p, q).sum(), rel_entr(p, q).sum(), js, w1]
        """,
        # JS by entropies, W1 by the masses above each gap; masks for KL
        """
        def four_distances(p, q, x):
            H = lambda a: -torch.xlogy(a, a).sum()
            has = p > 0
            kl = (p[has] * (p[has] / q[has]).log()).sum()
            above = (p - q).flip(0).cumsum(0).flip(0)[1:]
            w1 = torch.dot(above.abs(), x[1:] - x[:-1])
            return (p - q).abs().sum() / 2, kl, H((p + q) / 2) - (H(p) + H(q)) / 2, w1
        """,
    ],
    "task6": [
        # ranks
        """
        def monge_1d(x, y):
            return y.argsort()[x.argsort().argsort()]
        def wasserstein_1d(x, y, r):
            return (x - y[monge_1d(x, y)]).abs().pow(r).mean().pow(1 / r)
        """,
        # NumPy
        """
        import numpy as np
        def monge_1d(x, y):
            sigma = np.zeros(len(x), dtype=int)
            sigma[np.argsort(x)] = np.argsort(y)
            return sigma
        def wasserstein_1d(x, y, r):
            d = np.abs(np.sort(x) - np.sort(y))
            return float(np.mean(d**r) ** (1 / r))
        """,
        # Python's sort
        """
        def monge_1d(x, y):
            n = len(x)
            from_, to = (sorted(range(n), key=lambda i: float(a[i])) for a in (x, y))
            goes = dict(zip(from_, to))
            return torch.tensor([goes[i] for i in range(n)])
        def wasserstein_1d(x, y, r):
            pairs = zip(sorted(x.tolist()), sorted(y.tolist()))
            return (sum(abs(a - b) ** r for a, b in pairs) / len(x)) ** (1 / r)
        """,
    ],
    "task7": [
        # Kronecker products
        """
        def marginals(n, m):
            one, I = torch.ones(1, n).double(), torch.eye(n).double()
            rows = torch.kron(I, torch.ones(1, m).double())
            return torch.cat([rows, torch.kron(one, torch.eye(m).double())])
        def kantorovich(p, q, C):
            v = linprog(C.reshape(-1).numpy(), A_eq=marginals(len(p), len(q)).numpy(),
                        b_eq=[*p.tolist(), *q.tolist()])  # v >= 0 is the default
            return torch.tensor(v.x).reshape(C.shape)
        """,
        # loops in NumPy; the last, redundant condition left out
        """
        import numpy as np
        def marginals(n, m):
            A = np.zeros((n + m, n * m))
            for i in range(n):
                for j in range(m):
                    A[i, i * m + j] = A[n + j, i * m + j] = 1
            return A
        def kantorovich(p, q, C):
            n, m = C.shape
            b = np.concatenate([p.numpy(), q.numpy()])
            result = linprog(C.numpy().ravel(), A_eq=marginals(n, m)[:-1], b_eq=b[:-1],
                             bounds=(0, None), method="highs-ds")
            return result.x.reshape(n, m)
        """,
        # what A does to each unit plan, and an interior-point solver, scaled to total 1
        """
        def marginals(n, m):
            units = torch.eye(n * m, dtype=torch.float64).reshape(n * m, n, m)
            return torch.cat([units.sum(2), units.sum(1)], dim=1).T
        def kantorovich(p, q, C):
            total = p.sum()
            A, b = marginals(*C.shape), torch.cat([p, q]) / total
            result = linprog(C.flatten(), A_eq=A, b_eq=b, bounds=(0, None), method="highs-ipm")
            return total * torch.from_numpy(result.x).view(*C.shape)
        """,
    ],
    "task8": [
        # loops
        """
        def c_transform(f, C):
            return torch.stack([(C[:, j] - f).min() for j in range(C.shape[1])])
        def lipschitz_bound(f, D, p, q):
            L = 0.0
            for i in range(len(f)):
                for j in range(len(f)):
                    if i != j:
                        L = max(L, abs(float(f[i] - f[j])) / float(D[i, j]))
            return float((f * p).sum() - (f * q).sum()) / L
        """,
        # transposed, amin; the diagonal made infinite
        """
        def c_transform(f, C):
            return torch.amin(C.T - f, dim=1)
        def lipschitz_bound(f, D, p, q):
            away = D + torch.diag(torch.full((len(f),), math.inf).to(D))
            L = ((f[None] - f[:, None]).abs() / away).max()
            return (p @ f - q @ f) / L
        """,
        # a maximum of negatives; NaN ignored; float32
        """
        def c_transform(f, C):
            return -(f.unsqueeze(1) - C).max(0)[0]
        def lipschitz_bound(f, D, p, q):
            f, D = f.float(), D.float()
            slopes = torch.nan_to_num((f[:, None] - f) / D, nan=0.0, posinf=0.0, neginf=0.0)
            return torch.dot(f, (p - q).float()) / slopes.max()
        """,
    ],
    "task9": [
        # the columns first
        """
        def sinkhorn(p, q, C, epsilon, iterations=500):
            f = torch.zeros_like(p)
            for _ in range(iterations):
                g = -epsilon * torch.logsumexp((f[:, None] - C) / epsilon, 0) + epsilon * q.log()
                f = -epsilon * torch.logsumexp((g - C) / epsilon, 1) + epsilon * p.log()
            return ((f[:, None] + g - C) / epsilon).exp()
        """,
        # the log of the plan itself
        """
        def sinkhorn(p, q, C, epsilon, iterations=500):
            L = -C / epsilon
            for _ in range(iterations):
                L = L - L.logsumexp(1, keepdim=True) + p.log()[:, None]
                L = L - L.logsumexp(0, keepdim=True) + q.log()[None, :]
            return L.exp()
        """,
        # NumPy, potentials in units of epsilon
        """
        import numpy as np
        from scipy.special import logsumexp
        def sinkhorn(p, q, C, epsilon, iterations=500):
            K, a, b = -C.numpy() / epsilon, np.log(p.numpy()), np.log(q.numpy())
            u, v = np.zeros(len(a)), np.zeros(len(b))
            for _ in range(iterations):
                u = a - logsumexp(K + v, axis=1)
                v = b - logsumexp(K + u[:, None], axis=0)
            return np.exp(K + u[:, None] + v)
        """,
        # potentials of the plan relative to p q^T
        """
        def sinkhorn(p, q, C, epsilon, iterations=500):
            f, g = torch.zeros_like(p), torch.zeros_like(q)
            for _ in range(iterations):
                f = -epsilon * torch.logsumexp(q.log() + (g - C) / epsilon, 1)
                g = -epsilon * torch.logsumexp(p.log()[:, None] + (f[:, None] - C) / epsilon, 0)
            return p[:, None] * q * torch.exp((f[:, None] + g - C) / epsilon)
        """,
    ],
    "task10": [
        # singular values
        """
        def root(S):
            U, s, _ = torch.linalg.svd(S)
            return U @ torch.diag(s.sqrt()) @ U.T
        def gaussian_map(S1, S2):
            back = torch.linalg.pinv(root(S1))
            return back @ root(root(S1) @ S2 @ root(S1)) @ back
        def gaussian_w2(m1, S1, m2, S2):
            nuclear = torch.linalg.svdvals(root(S1) @ root(S2)).sum()
            squared = torch.dot(m1 - m2, m1 - m2) + S1.trace() + S2.trace() - 2 * nuclear
            return squared.clamp(min=0) ** 0.5
        """,
        # SciPy's matrix root; the map by way of S2
        """
        from scipy.linalg import inv, sqrtm
        def gaussian_map(S1, S2):
            half = sqrtm(S2.numpy()).real
            middle = sqrtm(half @ S1.numpy() @ half).real
            return torch.from_numpy(half @ inv(middle) @ half)
        def gaussian_w2(m1, S1, m2, S2):
            half = sqrtm(S1.numpy()).real
            cross = sqrtm(half @ S2.numpy() @ half).real.trace()
            squared = ((m1 - m2) ** 2).sum().item() + float(S1.trace() + S2.trace()) - 2 * cross
            return math.sqrt(max(squared, 0.0))
        """,
        # the Procrustes form: W2 is the distance of the nearest two roots
        """
        def polar(S1, S2):
            A, B = torch.linalg.cholesky(S1), torch.linalg.cholesky(S2)
            W, _, Vh = torch.linalg.svd(B.T @ A)
            return A, B @ W @ Vh
        def gaussian_map(S1, S2):
            A, B = polar(S1, S2)
            return B @ torch.linalg.inv(A)
        def gaussian_w2(m1, S1, m2, S2):
            A, B = polar(S1, S2)
            return torch.cat([(A - B).flatten(), m1 - m2]).norm()
        """,
    ],
}

# Each wrong answer replaces one function of a task; the others of that task are right.
WRONG: dict[str, list[tuple[str, str]]] = {
    "task1-f_reverse_kl(u)": [
        ("return torch.xlogy(u, u)", "That is KL(p‖q)"),
        ("return torch.log(u)", "sign is wrong"),
        ("return u * torch.log(1 / u)", "the factor u belongs"),
        ("return -torch.log(u).mean()", "Did you reduce"),
        ("return -torch.log2(u)", "base 2"),
        ("return torch.zeros_like(u)", "zero"),
        ("return u", "the reverse KL "),
        ("-torch.log(u)", "return missing"),
    ],
    "task1-f_pearson(u)": [
        ("return (u - 1) ** 2 / u", "divided by q"),
        ("return (u - 1).abs()", "square is missing"),
        ("return u**2", "off by one"),
        ("return (u - 1) ** 2 / 2", "half of what"),
        ("return ((u - 1) ** 2).sum()", "Did you reduce"),
        ("return 2 * u - 2", "zero"),
    ],
    "task1-f_jensen_shannon(u)": [
        ("return torch.xlogy(u, u) - (u + 1) * torch.log((u + 1) / 2)", "twice JS"),
        ("return 0.5 * (torch.xlogy(u, u) - (u + 1) * torch.log(u + 1))", "its ½ is missing"),
        ("return torch.xlogy(u, u) - (u + 1) * torch.log(u + 1)", "its ½ is missing"),
        ("return 0.5 * (u * torch.log(u) - (u + 1) * torch.log((u + 1) / 2))", "NaN"),
        ("return 0.5 * torch.xlogy(u, 2 * u / (u + 1))", "Only the term of p"),
        ("return torch.log(2 / (u + 1))", "Only the term of q"),
        ("return 0.5 * (u - 1) * torch.log(u)", "compare each law with m"),
        ("return 0.5 * ((u + 1) * torch.log((u + 1) / 2) - torch.xlogy(u, u))", "at least 0"),
        (
            "return 0.5 * (torch.xlogy(u, u) - (u + 1) * torch.log((u + 1) / 2)) / math.log(2)",
            "base 2",
        ),
    ],
    "task1-f_total_variation(u)": [
        ("return (u - 1).abs()", "½ in front"),
        ("return 0.5 * (u - 1)", "cancel"),
        ("return 0.5 * (u - 1) ** 2", "squared"),
        ("return 0.5 * u.abs()", "the total variation "),
    ],
    "task2-f_divergence(f, slope, p, q)": [
        ("return (q * f(q / p)).sum()", "yours is q/p"),
        ("return (p * f(p / q)).sum()", "weight f(p/q) by q"),
        ("return f(p / q).mean()", "weight f(p/q) by q"),
        ("return (q * f(p / q)).mean()", "don't take a mean"),
        ("return (q * f(p / q)).sum()", "NaN"),
        ("return q * f(p / q)", "single number"),
        ("i = q > 0; return (q[i] * f(p[i] / q[i])).sum()", "is not counted"),
        (
            "i = (q > 0) & (p > 0); o = (q == 0) & (p > 0)\n"
            "    return (q[i] * f(p[i] / q[i])).sum() + (p[o] * slope).sum()",
            "Cells where p = 0 count too",
        ),
        (
            "i = q > 0; o = (q == 0) & (p > 0)\n"
            "    return (q[i] * f(p[i] / q[i])).sum() + o.sum() * slope",
            "not slope alone",
        ),
        (
            "i = q > 0\n    return (q[i] * f(p[i] / q[i])).sum() + (p[~i] * slope).sum()",
            "NaN",
        ),
        ("p, q = p + 1e-3, q + 1e-3; return (q * f(p / q)).sum()", "D_f "),
        ("return torch.xlogy(p, p / q).sum()", "D_f "),
        ("return torch.zeros(())", "zero"),
        ("return p", "single number"),
    ],
    "task3-conjugate(f, t, u)": [
        ("return (t[:, None] * u - f(u)).min(1).values", "not a minimum"),
        ("return u[(t[:, None] * u - f(u)).argmax(1)]", "the u which is best"),
        ("return (t[:, None] * u - f(u)).argmax(1)", "number of the best u"),
        ("return (f(u) - t[:, None] * u).max(1).values", "other way round"),
        ("return (t[:, None] * u + f(u)).max(1).values", "Subtract "),
        ("return (t[:, None] * u).max(1).values - f(u).min()", "as a whole"),
        ("return (t[:, None] * u - f(u)).max(0).values", "should be shape"),
        ("return (t[:, None] * u - f(u)).max()", "Did you reduce"),
        ("return torch.exp(t - 1)", "does not agree"),
        ("return torch.zeros_like(t)", "zero"),
        ("return t", "does not agree"),
    ],
    "task3-pearson_conjugate(t)": [
        ("return t**2 / 4 + t", "u ≥ 0"),
        ("return t**2 / 4", "the f is (u - 1)²"),
        ("return torch.where(t > -2, t**2 / 2 + t, -1.0)", "is not subtracted"),
        ("return torch.relu(1 + t / 2)", "That is the best u"),
        ("return t * (1 + t / 2)", "not subtracted"),
        ("return torch.where(t > -2, t**2 / 4 + t, 0.0)", "f(0) is 1"),
        ("return torch.full_like(t, -1.0)", "same number everywhere"),
    ],
    "task3-js_conjugate(t)": [
        ("return -torch.log(2 - torch.exp(t))", "without its ½"),
        ("return -0.5 * torch.log(2 - torch.exp(t))", "without its ½"),
        ("return -torch.log(2 - torch.exp(2 * t))", "without its ½"),
        ("return 0.5 * torch.log(2 - torch.exp(2 * t))", "sign is wrong"),
        ("return torch.exp(2 * t) / (2 - torch.exp(2 * t))", "the best u"),
        ("return -torch.log(1 - torch.exp(t))", "NaN"),
    ],
    "task4-optimal_critic(f, p, q)": [
        ("{u} = (q / p).requires_grad_(); {d}", "yours is q/p"),
        ("return f(p / q)", "not its derivative"),
        (
            "{u} = (p / q).requires_grad_(); return torch.autograd.grad(f(u).mean(), u)[0]",
            "own deri",
        ),
        (
            "a = p.clone().requires_grad_(); return torch.autograd.grad(f(a / q).sum(), a)[0]",
            "in p",
        ),
        (
            "{u} = (p / q).requires_grad_(); return torch.autograd.grad((q * f(u)).sum(), u)[0]",
            "T* has no weight",
        ),
        ("{u} = p.clone().requires_grad_(); {d}", "not at the ratio"),
        ("return 1 + torch.log(p / q)", "another function"),
        ("{u} = (p / q).requires_grad_(); return torch.autograd.grad(f(u).sum(), u)", "tuple"),
        ("{u} = p / q; {d}", "raised RuntimeError"),
        ("return torch.zeros_like(p)", "zero"),
        ("return p", "does not agree"),
    ],
    "task4-lower_bound(T, f_star, p, q)": [
        ("return (q * T).sum() - (p * f_star(T)).sum()", "swapped"),
        ("return (p * T).sum() + (q * f_star(T)).sum()", "Subtract "),
        ("return (p * f_star(T)).sum() - (q * f_star(T)).sum()", "Only the second term"),
        ("return ((p - q) * T).sum()", "not E_q T"),
        ("return (p * (T - f_star(T))).sum()", "both expectations are under p"),
        ("return T.mean() - f_star(T).mean()", "weight by the masses"),
        ("return (p * T).mean() - (q * f_star(T)).mean()", "don't take a mean"),
        ("return (q * f_star(T)).sum() - (p * T).sum()", "whole bound"),
        ("return ((p * T).sum() - (q * f_star(T)).sum()).item()", "no gradient flows"),
        ("return p * T - q * f_star(T)", "single number"),
        ("return torch.zeros(())", "zero"),
    ],
    "task5": [
        ("2 * tv, kl, js, w1", "the ½ is missing"),
        ("(p - q).sum() / 2, kl, js, w1", "cancel"),
        ("(p - q).abs().mean(), kl, js, w1", "don't take a mean"),
        ("(p - q).abs().max(), kl, js, w1", "largest difference"),
        ("tv, KL(q, p), js, w1", "That is KL(q‖p)"),
        ("tv, (p * (p / q).log()).sum(), js, w1", "NaN"),
        ("tv, -kl, js, w1", "sign is wrong"),
        ("tv, kl / math.log(2), js, w1", "natural logarithms"),
        ("tv, (p * ((p + 1e-9) / (q + 1e-9)).log()).sum(), js, w1", "infinite"),
        ("tv, kl, 2 * js, w1", "twice JS"),
        ("tv, kl, js - math.log(2), w1", "its ½ is missing"),
        ("tv, kl, KL(p, m), w1", "Only one of the two"),
        ("tv, kl, js / math.log(2), w1", "natural logarithms"),
        ("tv, kl, js, (F - G).abs().sum()", "widths of the gaps"),
        ("tv, kl, js, ((p - q)[:-1].abs() * x.diff()).sum()", "cumulated masses"),
        ("tv, kl, js, ((F - G)[:-1] * x.diff()).sum()", "Without absolute values"),
        ("tv, kl, js, ((F - G)[1:].abs() * x.diff()).sum()", "off by one"),
        ("tv, kl, js, ((p - q) * x).sum().abs()", "difference of the means"),
        ("tv, kl, js, ((F - G)[:-1].abs() * x.diff() ** 2).sum()", "not squared"),
        ("tv, kl, js", "4 values"),
        ("0.0, 0.0, 0.0, 0.0", "zero"),
    ],
    "task6-monge_1d(x, y)": [
        ("return y.argsort()", "only the order of y"),
        ("return x.argsort()", "only the order of x"),
        ("return y.argsort()[x.argsort().argsort()].argsort()", "That is the inverse"),
        ("return y.argsort()[x.argsort()]", "Undo the order of x"),
        ("return y.argsort(descending=True)[x.argsort().argsort()]", "opposite order"),
        ("return y.argsort().argsort()[x.argsort()]", "other way round"),
        ("return (x[:, None] - y).abs().argmin(1)", "no permutation"),
        ("return torch.zeros(len(x))", "no permutation"),
        ("return torch.arange(len(x))", "the cost of your σ "),
        ("return x", "no permutation"),
    ],
    "task6-wasserstein_1d(x, y, r)": [
        ("return ((x.sort()[0] - y.sort()[0]).abs() ** r).mean()", "root at the end"),
        ("return ((x.sort()[0] - y.sort()[0]).abs() ** r).sum() ** (1 / r)", "not the sum"),
        ("return ((x - y).abs() ** r).mean() ** (1 / r)", "Sort both samples first"),
        ("return ((x.sort()[0] - y).abs() ** r).mean() ** (1 / r)", "only one is sorted"),
        ("return (x.sort()[0] - y.sort()[0]).mean()", "absolute value"),
        ("return (x.sort()[0] - y.sort()[0]).abs().mean()", "That is W₁"),
        ("return ((x.sort()[0] - y.sort()[0]) ** 2).mean().sqrt()", "That is W₂"),
        ("return (x.sort()[0] - y.sort()[0]).abs()", "Did you forget to average"),
        ("return torch.zeros(())", "zero"),
    ],
    "task7-marginals(n, m)": [
        ("A = {A}; return torch.cat([A[n:], A[:n]])", "rows come first"),
        ("A = {A}; return A.reshape(n + m, n, m).mT.flatten(1)", "expects columns"),
        ("A = {A}; return A.T", "axes are in another order"),
        ("A = {A}; return A.clone().fill_(1)", "same number everywhere"),
        ("A = {A}; return A / m", "does not agree"),
        ("A = {A}; return A * 0", "zero"),
        ("A = {A}; return A[:n]", "should be shape"),
    ],
    "task7-kantorovich(p, q, C)": [
        ("return p[:, None] * q / p.sum()", "p qᵀ is allowed"),
        ("c = -C; {solve}; return v.reshape(C.shape)", "dearest plan"),
        ("c = C; {solve}; return v.reshape(C.shape).T", "axes are in another order"),
        ("c = C; {solve}; return v", "should be shape"),
        ("c = C.T; {solve}; return v.reshape(C.shape)", "cost of your plan"),
        ("c = C; {solve}; return (v.reshape(C.shape) * C).sum()", "Did you reduce"),
        ("return torch.zeros_like(C)", "zero"),
        ("return C", "does not agree"),
        (
            "P = torch.zeros_like(C); a, b = p.clone(), q.clone()\n"
            "    for i in range(len(p)):\n        for j in range(len(q)):\n"
            "            P[i, j] = torch.minimum(a[i], b[j]); a[i] -= P[i, j]; b[j] -= P[i, j]\n"
            "    return P",
            "cost of your plan",
        ),
    ],
    "task8-c_transform(f, C)": [
        ("return (C - f[:, None]).max(0).values", "not the largest"),
        ("return (C + f[:, None]).min(0).values", "Subtract f"),
        ("return C.min(0).values", "C alone"),
        ("return (f[:, None] - C).max(0).values", "not f - C"),
        ("return (C - f[:, None]).mean(0)", "minimum is asked"),
        ("return (C - f[:, None]).min(1).values", "should be shape"),
        ("return (C - f[:, None]).min(0)", "tensor"),
        ("return (C - f[:, None].detach()).min(0).values", "no gradient flows"),
        ("return torch.zeros(C.shape[1])", "zero"),
        ("return torch.tensor((C - f[:, None]).min(0).values.tolist())", "no gradient flows"),
    ],
    "task8-lipschitz_bound(f, D, p, q)": [
        ("return ((p - q) * f).sum()", "Divide by the Lipschitz constant"),
        ("return ((q - p) * f).sum() / {L}", "E_p f - E_q f"),
        ("return ((p - q) * f).sum() * {L}", "divide by it"),
        ("return ((p - q) * f).sum() / ({a}[D > 0] / D[D > 0]).mean()", "not a mean"),
        ("return ((p - q) * f).sum() / ({a}[D > 0] / D[D > 0]).min()", "not the smallest"),
        ("return ((p - q) * f).sum() / (f.diff().abs() / D.diagonal(1)).max()", "all pairs"),
        ("return ((p - q) * f).sum() * D.max() / {a}.max()", "ratio of the largest"),
        ("return ((p - q) * f).sum() / {a}.max()", "divided by D_ij"),
        ("return ((p - q) * f).sum() / ({a} / D).max()", "NaN"),
        ("return (f.mean() - f.mean()) / {L}", "Weight f by the masses"),
        ("return (p - q) * f / {L}", "Did you forget"),
        ("return torch.zeros(())", "Weight f by the masses"),
    ],
    "task9-sinkhorn(p, q, C, epsilon, iterations=500)": [
        ("C = -C; {loop}; return {P}", "near pairs get more"),
        ("epsilon = 1 / epsilon; {loop}; return {P}", "Divide the costs by ε"),
        ("p, q = p * 0 + 1 / len(p), q * 0 + 1 / len(q); {loop}; return {P}", "equal masses"),
        ("return p[:, None] * q", "costs don't count"),
        ("epsilon = epsilon / 2; {loop}; return {P}", "without ½"),
        ("{loop}; return ({P}).log() * epsilon", "the exponential of"),
        ("K = (-C / epsilon).exp(); return K / K.sum()", "aren't made right"),
        ("iterations = 1; {loop}; return {P}", "one iteration"),
        (
            "K, v = (-C / epsilon).exp(), torch.ones_like(q)\n"
            "    for _ in range(iterations):\n"
            "        u = p / (K @ v)\n        v = q / (K.T @ u)\n"
            "    return u[:, None] * K * v",
            "NaN",
        ),
        (
            "K, v = (-C / epsilon).exp(), torch.ones_like(q)\n"
            "    for _ in range(iterations):\n"
            "        u = p / (K @ v + 1e-16)\n        v = q / (K.T @ u + 1e-16)\n"
            "    return u[:, None] * K * v",
            "zero",
        ),
        ("{loop}; return ({P} * C).sum()", "Did you reduce"),
        ("{loop}; return f", "should be shape"),
        ("return torch.zeros_like(C)", "zero"),
        ("return C", "does not agree"),
    ],
    "task10-gaussian_map(S1, S2)": [
        ("return {map:S2:S1}", "the map back"),
        ("{chol}; return L2 @ torch.linalg.inv(L1)", "not the cheapest"),
        ("return root(S2) @ torch.linalg.inv(root(S1))", "not the cheapest"),
        ("h = root(S1); return h @ root(h @ S2 @ h) @ h", "outer roots are inverted"),
        (
            "i = torch.linalg.inv(S1); h = root(S1); return i @ root(h @ S2 @ h) @ i",
            "not the inverse of S₁",
        ),
        ("h = root(S1); return root(h @ S2 @ h)", "outer factors are missing"),
        (
            "h = root(S1); i = torch.linalg.inv(h); return i @ (h @ S2 @ h) @ i",
            "root in the middle is missing",
        ),
        ("return S2", "does not agree"),
        ("return torch.zeros_like(S1)", "zero"),
        ("return torch.eye(len(S1))", "does not agree"),
    ],
    "task10-gaussian_w2(m1, S1, m2, S2)": [
        ("return shift + both - 2 * middle", "W₂ squared"),
        ("return (shift + both - middle).sqrt()", "factor 2"),
        ("return (both - 2 * middle).clamp_min(0).sqrt()", "means are not counted"),
        ("return (shift.sqrt() + both - 2 * middle).sqrt()", "squared inside the root"),
        ("return (shift + both - 2 * (root(S1) @ root(S2)).trace()).sqrt()", "commute"),
        ("{chol}; return (shift + ((L1 - L2) ** 2).sum()).sqrt()", "Cholesky"),
        (
            "return (shift + both - 2 * (S1.abs().sqrt() @ S2.abs().sqrt()).trace())"
            ".clamp_min(0).sqrt()",
            "root of each entry",
        ),
        ("return (shift + both - 2 * middle - 1e-9).sqrt()", "NaN"),
        ("return torch.zeros(())", "zero"),
        ("return m1", "single number"),
    ],
}


right = partial(dedented, RIGHT)


_SHORT = {
    "u": "u",
    "d": "return torch.autograd.grad(f(u).sum(), u)[0]",
    "A": ("torch.cat([torch.eye(n).repeat_interleave(m, 1), torch.eye(m).repeat(1, n)]).double()"),
    "solve": (
        "n, m = C.shape; A = torch.cat([torch.eye(n).repeat_interleave(m, 1),"
        " torch.eye(m).repeat(1, n)]).double(); v = torch.from_numpy(linprog(c.flatten().numpy(),"
        " A_eq=A.numpy(), b_eq=torch.cat([p, q]).numpy(), bounds=(0, None)).x)"
    ),
    "a": "(f[:, None] - f).abs()",
    "L": "((f[:, None] - f).abs()[D > 0] / D[D > 0]).max()",
    "loop": ("f, g = loop(p, q, C, epsilon, iterations)"),
    "P": "((f[:, None] + g - C) / epsilon).exp()",
    "chol": "L1, L2 = torch.linalg.cholesky(S1), torch.linalg.cholesky(S2)",
    "map:S2:S1": (
        "torch.linalg.inv(root(S2)) @ root(root(S2) @ S1 @ root(S2)) @ torch.linalg.inv(root(S2))"
    ),
}
# What stands before a wrong function; the right ones of the task are in its first right answer.
_BEFORE = {
    "task5": """\
def KL(a, b):
    return (torch.xlogy(a, a) - torch.xlogy(a, b)).sum()

def four_distances(p, q, x):
    m, F, G = (p + q) / 2, p.cumsum(0), q.cumsum(0)
    tv, kl, js = (p - q).abs().sum() / 2, KL(p, q), (KL(p, m) + KL(q, m)) / 2
    w1 = ((F - G)[:-1].abs() * x.diff()).sum()
    return """,
    "task9": """\
def loop(p, q, C, epsilon, iterations):
    g = torch.zeros_like(q)
    for _ in range(iterations):
        f = epsilon * (p.log() - torch.logsumexp((g - C) / epsilon, 1))
        g = epsilon * (q.log() - torch.logsumexp((f[:, None] - C) / epsilon, 0))
    return f, g

""",
    "task10": """\
def root(S):
    values, axes = torch.linalg.eigh(S)
    return axes @ torch.diag(values.clamp_min(0).sqrt()) @ axes.T

""",
}
_W2 = """\
    h = root(S1)
    shift, both, middle = ((m1 - m2) ** 2).sum(), S1.trace() + S2.trace(), root(h @ S2 @ h).trace()
"""


def wrong(task: str) -> list[tuple[str, str]]:
    """Wrong answers as whole cells, with the part of the sentence each must get."""
    if task not in WRONG:  # a task of several functions
        return of_each_function(WRONG, task, wrong)
    name, _, signature = task.partition("-")
    cells = []
    for body, sentence in WRONG[task]:
        body = filled(body, _SHORT)
        if name == "task5":
            cells.append((_BEFORE[name] + body + "\n", sentence))
            continue
        others = "" if name in ("task2", "task9") else right(name)[0]
        given = _W2 if signature.startswith("gaussian_w2") else ""
        code = f"{others}\n{_BEFORE.get(name, '')}def {signature}:\n{given}    {body}\n"
        cells.append((code, sentence))
    return cells
