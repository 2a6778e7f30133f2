"""Answers to problem set 8: right ones written differently, and wrong ones as students write them.

``RIGHT[task]`` holds code that must get full marks. ``WRONG[task]`` holds (code, part of a sentence
that must be printed by the hidden checks) pairs that must not. A task that asks for several
functions has one list for each: the others are right there.
"""

from __future__ import annotations

from functools import partial

from answer_cells import dedented, filled, of_each_function

#: Points of the whole set.
TOTAL = 100

RIGHT: dict[str, list[str]] = {
    "task1": [
        """
        def first_drift(x, t, weights, means, v, tau):
            V = t * v + (1 - t) * tau
            rows = []
            for p in x:
                logits = torch.stack([w.log() + (p @ c - t * (c @ c) / 2) / V
                                      for w, c in zip(weights, means)])
                r = (logits - logits.max()).exp()
                r = r / r.sum()
                rows.append((tau * (r[:, None] * means).sum(0) - (tau - v) * p) / V)
            return torch.stack(rows)
        """,
        """
        def first_drift(x, t, weights, means, v, tau):
            V = t * v + (1 - t) * tau
            y = x.clone().requires_grad_()
            logits = weights.log() + (y @ means.T - t * (means**2).sum(1) / 2) / V
            log_h = torch.logsumexp(logits, 1)
            log_h = log_h - (tau - v) / (2 * tau * V) * (y**2).sum(1)
            (slope,) = torch.autograd.grad(log_h.sum(), y)
            return tau * slope
        """,
        """
        import numpy as np
        def first_drift(x, t, weights, means, v, tau):
            x, w, c = x.numpy(), weights.numpy(), means.numpy()
            V = tau + t * (v - tau)
            e = np.log(w) + (x @ c.T - t / 2 * (c**2).sum(1)) / V
            r = np.exp(e - e.max(1, keepdims=True))
            r /= r.sum(1, keepdims=True)
            return (tau * (r @ c) + (v - tau) * x) / V
        """,
    ],
    "task2": [
        """
        def drawn_drift(x, t, z, log_ratio, score, tau):
            above, below = 0, 0
            ys = [x + (tau * (1 - t)) ** 0.5 * noise for noise in z]
            logs = torch.stack([log_ratio(y) for y in ys])
            for y, log_f in zip(ys, logs - logs.amax(0)):
                f = log_f.exp()[:, None]
                above, below = above + f * (score(y) + y / tau), below + f
            return tau * above / below
        """,
        """
        def drawn_drift(x, t, z, log_ratio, score, tau):
            y = x + math.sqrt(tau * (1 - t)) * z
            logs = torch.stack([log_ratio(a) for a in y])
            slopes = torch.stack([score(a) for a in y])
            w = (logs - torch.logsumexp(logs, 0)).exp()
            return tau * torch.einsum("mn,mnd->nd", w, slopes + y / tau)
        """,
        """
        def drawn_drift(x, t, z, log_ratio, score, tau):
            rows = []
            for i in range(x.shape[0]):
                y = x[i] + math.sqrt(tau) * math.sqrt(1 - t) * z[:, i]
                rows.append(torch.softmax(log_ratio(y), 0) @ (tau * score(y) + y))
            return torch.stack(rows)
        """,
    ],
    "task3": [
        """
        def second_drift(x, t, weights, means, s, sigma):
            V = s**2 + sigma**2 * (1 - t)
            e = weights.log() + (x @ means.T - (means**2).sum(1) / 2) / V
            return sigma**2 * (torch.softmax(e, 1) @ means - x) / V
        """,
        """
        def second_drift(x, t, weights, means, s, sigma):
            V = s**2 + sigma**2 * (1 - t)
            y = x.clone().requires_grad_()
            q = ((y[:, None] - means) ** 2).sum(2)
            log_q = torch.logsumexp(weights.log() - q / (2 * V), 1)
            (slope,) = torch.autograd.grad(log_q.sum(), y)
            return slope * sigma**2
        """,
        """
        def second_drift(x, t, weights, means, s, sigma):
            left = math.sqrt(1 - t) * sigma
            V = s**2 + left**2
            rows = []
            for p in x:
                e = weights.log() - ((p - means) ** 2).sum(1) / (2 * V)
                r = (e - e.logsumexp(0)).exp()
                rows.append(sum(a * (c - p) for a, c in zip(r, means)) * sigma**2 / V)
            return torch.stack(rows)
        """,
    ],
    "task4": [
        """
        def solve(x, drift, c, times, z):
            for h, t, noise in zip(times.diff(), times, z):
                x = x + h * drift(x, t) + c * h**0.5 * noise
            return x
        """,
        """
        def solve(x, drift, c, times, z):
            t = times.tolist()
            y = x.clone()
            for k in range(len(t) - 1):
                step = t[k + 1] - t[k]
                y += step * drift(y, t[k]) + c * math.sqrt(step) * z[k]
            return y
        """,
        """
        def solve(x, drift, c, times, z):
            if len(times) == 1:
                return x
            h = float(times[1] - times[0])
            x = x + h * drift(x, float(times[0])) + z[0] * c * h**0.5
            for k in range(1, len(z)):
                h = float(times[k + 1] - times[k])
                x = x + h * drift(x, float(times[k])) + z[k] * c * h**0.5
            return x
        """,
    ],
    "task5": [
        """
        def keep_known(x, t, truth, known, sigma, eps):
            out = x.clone()
            out[:, known] = (truth + (1 - t) ** 0.5 * sigma * eps)[:, known]
            return out
        """,
        """
        def keep_known(x, t, truth, known, sigma, eps):
            m = known.to(x.dtype)
            return m * (truth + math.sqrt(1 - t) * sigma * eps) + (1 - m) * x
        """,
        """
        import numpy as np
        def keep_known(x, t, truth, known, sigma, eps):
            noisy = truth.numpy() + np.sqrt(1 - t) * sigma * eps.numpy()
            return np.where(known.numpy()[None], noisy, x.numpy())
        """,
    ],
    "task6": [
        """
        def bridge_plan(log_R, a, b, rounds):
            log_P = log_R
            for _ in range(rounds):
                log_P = log_P + (a.log() - log_P.logsumexp(1))[:, None]
                log_P = log_P + b.log() - log_P.logsumexp(0)
            return log_P.exp()
        """,
        """
        def bridge_plan(log_R, a, b, rounds):
            R = (log_R - log_R.max()).exp()
            v = torch.ones_like(b)
            for _ in range(rounds):
                u = a / (R @ v)
                v = b / (R.T @ u)
            return torch.diag(u) @ R @ torch.diag(v)
        """,
        """
        import numpy as np
        def bridge_plan(log_R, a, b, rounds):
            P = np.exp(log_R.numpy() - log_R.numpy().max(1, keepdims=True))
            for _ in range(rounds):
                P = P * (a.numpy() / P.sum(1))[:, None]
                P = P * (b.numpy() / P.sum(0))[None]
            return P
        """,
    ],
    "task7": [
        """
        def frechet(x, y):
            S1, S2 = torch.cov(x.T), torch.cov(y.T)
            root = torch.linalg.eigvals(S1 @ S2).real.clamp(min=0).sqrt().sum()
            return (x.mean(0) - y.mean(0)).square().sum() + (S1 + S2).trace() - 2 * root
        """,
        """
        def frechet(x, y):
            a, b = x - x.mean(0), y - y.mean(0)
            a, b = a / (len(x) - 1) ** 0.5, b / (len(y) - 1) ** 0.5
            nuclear = torch.linalg.svdvals(a @ b.T).sum()
            return ((x.mean(0) - y.mean(0)) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * nuclear
        """,
        """
        import numpy as np
        def frechet(x, y):
            x, y = x.numpy(), y.numpy()
            S, T = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
            w, Q = np.linalg.eigh(S)
            R = Q * np.sqrt(np.maximum(w, 0)) @ Q.T
            inner = np.sqrt(np.maximum(np.linalg.eigvalsh(R @ T @ R), 0)).sum()
            return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(S + T) - 2 * inner
        """,
    ],
    "task8": [
        """
        def kid(x, y):
            def k(a, b):
                return (a @ b.T / a.shape[1] + 1).pow(3)
            def off(a):
                return k(a, a)[~torch.eye(len(a), dtype=torch.bool)].mean()
            return off(x) + off(y) - 2 * k(x, y).mean()
        """,
        """
        def kid(x, y):
            d = x.shape[1]
            def k(a, b):
                return (float(a @ b) / d + 1) ** 3
            n, m = len(x), len(y)
            one = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / n / (n - 1)
            two = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / m / (m - 1)
            return one + two - 2 * sum(k(a, b) for a in x for b in y) / n / m
        """,
        """
        import numpy as np
        def kid(x, y):
            x, y = x.numpy(), y.numpy()
            d = x.shape[1]
            def within(a):
                K = (a @ a.T / d + 1) ** 3
                np.fill_diagonal(K, 0)
                return K.sum() / (len(a) * (len(a) - 1))
            return within(x) + within(y) - 2 * np.mean((x @ y.T / d + 1) ** 3)
        """,
    ],
    "task9": [
        """
        def precision_recall(real, fake, k):
            def share(points, centres):
                radii = torch.cdist(centres, centres).kthvalue(k + 1, dim=1).values
                hits = 0
                for p in points:
                    hits += bool(((centres - p).norm(dim=1) <= radii).any())
                return hits / len(points)
            return share(fake, real), share(real, fake)
        """,
        """
        def precision_recall(real, fake, k):
            def radii(a):
                d = torch.cdist(a, a)
                d.fill_diagonal_(float("inf"))
                return d.topk(k, dim=1, largest=False).values[:, -1]
            between = torch.cdist(real, fake)
            P = (between < radii(real)[:, None]).any(0).double().mean()
            R = (between < radii(fake)[None]).any(1).double().mean()
            return P, R
        """,
        """
        import numpy as np
        def precision_recall(real, fake, k):
            def far(a, b):
                return ((a[:, None] - b[None]) ** 2).sum(-1)
            a, b = real.numpy(), fake.numpy()
            ra, rb = np.sort(far(a, a), 1)[:, k], np.sort(far(b, b), 1)[:, k]
            D = far(a, b)
            return float((D <= ra[:, None]).any(0).mean()), float((D <= rb).any(1).mean())
        """,
    ],
    "task10": [
        """
        def parzen(samples, test, h):
            total = 0
            d = test.shape[1]
            for x in test:
                e = -((x - samples) ** 2).sum(1) / (2 * h**2)
                top = e.max()
                total += top + (e - top).exp().mean().log() - d * math.log(h)
            return total / len(test) - d / 2 * math.log(2 * math.pi)
        """,
        """
        def parzen(samples, test, h):
            q = torch.cdist(test, samples, compute_mode="donot_use_mm_for_euclid_dist") ** 2 / h**2
            logs = -(q + samples.shape[1] * math.log(2 * math.pi * h * h)) / 2
            return torch.logsumexp(logs - math.log(len(samples)), 1).mean()
        """,
        """
        import numpy as np
        from scipy.special import logsumexp
        def parzen(samples, test, h):
            y, x = samples.numpy() / h, test.numpy() / h
            e = -0.5 * ((x[:, None] - y) ** 2).sum(2)
            c = y.shape[1] * (np.log(h) + 0.5 * np.log(2 * np.pi))
            return np.mean(logsumexp(e, axis=1)) - np.log(len(y)) - c
        """,
    ],
    "task11": [
        """
        def twins(x, z):
            def power(S, p):
                w, Q = torch.linalg.eigh(S)
                return Q @ torch.diag(w**p) @ Q.T
            B = power(torch.cov(z.T), -0.5) @ power(torch.cov(x.T), 0.5)
            return (z - z.mean(0)) @ B + x.mean(0)
        def copied_share(fake, train, test):
            count = 0
            for y in fake:
                count += bool((train - y).norm(dim=1).min() < (test - y).norm(dim=1).min())
            return count / len(fake)
        """,
        """
        def twins(x, z):
            centred = z - z.mean(0)
            Q, _ = torch.linalg.qr(centred)
            _, R = torch.linalg.qr(x - x.mean(0))
            return Q @ R * ((len(z) - 1) / (len(x) - 1)) ** 0.5 + x.mean(0)
        def copied_share(fake, train, test):
            nearest = torch.cdist(fake, torch.cat([train, test])).argmin(1)
            return (nearest < len(train)).double().mean()
        """,
        """
        import numpy as np
        def twins(x, z):
            x, z = x.numpy(), z.numpy()
            S, C = np.atleast_2d(np.cov(x.T)), np.atleast_2d(np.cov(z.T))
            B = np.linalg.cholesky(S) @ np.linalg.inv(np.linalg.cholesky(C))
            return (z - z.mean(0)) @ B.T + x.mean(0)
        def copied_share(fake, train, test):
            def nearest(a):
                return ((fake.numpy()[:, None] - a.numpy()) ** 2).sum(2).min(1)
            return float(np.mean(nearest(train) < nearest(test)))
        """,
    ],
}

# Each wrong answer replaces one function of a task; the others of that task are right.
WRONG: dict[str, list[tuple[str, str]]] = {
    "task1-first_drift(x, t, weights, means, v, tau)": [
        ("{V}; {r}; return (tau * r @ means - tau * x) / V", "factor τ - v"),
        ("V = (1 - t) * v + t * tau; {r}; return {b}", "other way round"),
        ("{V}; {e}; r = torch.softmax(e, 1); return {b}", "weights don't count"),
        ("{V}; {e}; r = torch.softmax(weights + e, 1); return {b}", "logarithm of the weights"),
        ("{V}; {r}; return tau * r @ means / V", "x is missing"),
        ("{V}; {r}; return (r @ means - (tau - v) * x) / V", "before the means"),
        ("{V}; {r}; return {b} / tau", "is τ times that"),
        ("{V}; {r}; return {b} * V", "division by V"),
        ("{V}; {e}; k = weights * e.exp(); r = k / k.sum(1)[:, None]; return {b}", "NaN"),
        ("{V}; {r}; return -{b}", "opposite sign"),
        ("return torch.zeros_like(x)", "zero"),
    ],
    "task2-drawn_drift(x, t, z, log_ratio, score, tau)": [
        ("{y}; return h.mean(0)", "don't count"),
        ("{y}; return (torch.softmax(f, 1) * h).sum(0)", "over the first axis"),
        ("{y}; return (f.exp() * h).mean(0)", "division by the mean"),
        ("{y}; return (f.exp() * h).sum(0) / f.exp().sum(0)", "NaN"),
        ("{y}; return (torch.softmax(f, 0) * (h - y)).sum(0)", "y/τ is missing"),
        ("{y}; return (torch.softmax(f, 0) * (h - y + x)).sum(0)", "not x"),
        ("{y}; return (torch.softmax(f, 0) * h).sum(0) / tau", "factor τ"),
        ("{y}; return (torch.softmax(f, 0) * h).mean(0)", "don't average"),
        ("return x", "does not agree"),
    ],
    "task3-second_drift(x, t, weights, means, s, sigma)": [
        ("V = s**2 + t * sigma**2; {s}; return sigma**2 * S", "not t σ²"),
        ("V = s**2 + (1 - t) ** 2 * sigma**2; {s}; return sigma**2 * S", "loses the root"),
        ("V = (1 - t) * sigma**2; {s}; return sigma**2 * S", "own variance"),
        ("V = s**2 + sigma**2; {s}; return sigma**2 * S", "does not depend on the time"),
        ("{W}; {s}; return S", "That is the score"),
        ("{W}; {s}; return sigma * S", "not σ"),
        ("{W}; {s}; return (1 - t) * sigma**2 * S", "belongs to V alone"),
        ("{W}; {s}; return -sigma**2 * S", "opposite sign"),
        ("V = s + (1 - t) * sigma**2; {s}; return sigma**2 * S", "V has its square"),
    ],
    "task4-solve(x, drift, c, times, z)": [
        ("{for}: h = {h}; x = x + h * drift(x, times[k]) + c * h * z[k]\n    return x", "not h"),
        ("{for}: h = {h}; x = x + h * drift(x, times[k]) + c * z[k]\n    return x", "has none"),
        ("{for}: h = {h}; x = x + h * drift(x, times[k])\n    return x", "noise is missing"),
        (
            "{for}: h = {h}; x = x + h * drift(x, times[k + 1]) + c * h**0.5 * z[k]\n    return x",
            "at its beginning",
        ),
        (
            "{for}: h = times[-1] / len(z); x = x + h * drift(x, times[k]) + c * h**0.5 * z[k]"
            "\n    return x",
            "not equal",
        ),
        (
            "{for}: h = {h}; x = x + h * drift(x, times[k]) + c * h**0.5 * z[0]\n    return x",
            "Each step has its own",
        ),
        (
            "{for}: h = {h}; x += h * drift(x, times[k]) + c * h**0.5 * z[k]\n    return x",
            "changes the points",
        ),
        ("return x", "does not agree"),
    ],
    "task5-keep_known(x, t, truth, known, sigma, eps)": [
        ("return torch.where(known, x, truth + (1 - t) ** 0.5 * sigma * eps)", "other way round"),
        ("return torch.where(known, truth + (1 - t) * sigma * eps, x)", "root of 1 - t"),
        ("return torch.where(known, truth, x)", "need the noise"),
        ("return torch.where(known, truth + t**0.5 * sigma * eps, x)", "not √t"),
        ("return torch.where(known, truth + sigma * eps, x)", "does not depend"),
        ("return truth + (1 - t) ** 0.5 * sigma * eps", "stay as they are"),
        ("return torch.where(known, truth, x) + (1 - t) ** 0.5 * sigma * eps", "stay as they are"),
        (
            "x[:, known] = (truth + (1 - t) ** 0.5 * sigma * eps)[:, known]; return x",
            "changes the points",
        ),
        ("return x", "wrong for the others"),
    ],
    "task6-bridge_plan(log_R, a, b, rounds)": [
        ("R = log_R.exp(); v = 1 + 0 * b\n    for _ in range(rounds): {u}; {v}\n    {P}", "NaN"),
        (
            "{R}; u = 1 + 0 * a\n    for _ in range(rounds): {v}; {u}\n    {P}",
            "The rows come first",
        ),
        ("{R}; v = 1 + 0 * b\n    for _ in range(rounds - 1): {u}; {v}\n    {P}", "too few"),
        ("{R}; v = 1 + 0 * b\n    for _ in range(rounds + 1): {u}; {v}\n    {P}", "too many"),
        ("{R}; v = 1 + 0 * b\n    for _ in range(rounds): {u}; {v}\n    {P}.log()", "take exp"),
        (
            "R = log_R.exp(); u, v = 1 + 0 * a, 1 + 0 * b\n"
            "    for _ in range(rounds): u, v = a / (R @ v), b / (u @ R)\n    {P}",
            "new u",
        ),
        (
            "{R}; v = 1 + 0 * b\n    for _ in range(rounds): {u}; {v}\n"
            "    return u[:, None] * v + 0 * R",
            "does not agree",
        ),
        ("return a[:, None] * b", "does not agree"),
    ],
    "task7-frechet(x, y)": [
        ("{S}; return (m + T - 2 * i).sqrt()", "not its root"),
        ("{S}; return T - 2 * i", "means is missing"),
        ("{S}; return m.sqrt() + T - 2 * i", "is squared"),
        ("{S}; return m + T - i", "2 before the root"),
        ("{S}; return m + T + 2 * i", "is subtracted"),
        ("{S}; return m + T - 2 * (A * B).diagonal().sqrt().sum()", "not of each entry"),
        (
            "{S}; return m + T - 2 * (A @ B).diagonal().clamp(min=0).sqrt().sum()",
            "not of each entry",
        ),
        ("{S}; return m + T - 2 * (A @ B).trace()", "root of S₁ S₂"),
        ("{S}; return m", "covariances are missing"),
        (
            "{S}; k, l = (len(x) - 1) / len(x), (len(y) - 1) / len(y)"
            "; return m + k * A.trace() + l * B.trace() - 2 * (k * l) ** 0.5 * i",
            "by n - 1",
        ),
    ],
    "task8-kid(x, y)": [
        ("{k}; return k(x, x).mean() + k(y, y).mean() - 2 * k(x, y).mean()", "left out"),
        (
            "{k}; a, b = k(x, x), k(y, y); return (a.sum() - a.trace()) / len(x) ** 2"
            " + (b.sum() - b.trace()) / len(y) ** 2 - 2 * k(x, y).mean()",
            "not n²",
        ),
        ("{k}; {o}; return off(x) + off(y) - k(x, y).mean()", "2 before"),
        ("{k}; {o}; return off(x) + off(y) + 2 * k(x, y).mean()", "is subtracted"),
        ("k = lambda a, b: (a @ b.T + 1) ** 3; {o}; return {K}", "dimension d"),
        ("k = lambda a, b: (a @ b.T / a.shape[1] + 1) ** 2; {o}; return {K}", "power 3"),
        ("k = lambda a, b: (a @ b.T / a.shape[1]) ** 3; {o}; return {K}", "+ 1 inside"),
        ("{k}; {o}; return ({K}).abs().sqrt()", "not its root"),
    ],
    "task9-precision_recall(real, fake, k)": [
        ("return {p}(fake, real, k - 1), {p}(real, fake, k - 1)", "own neighbour"),
        ("return {p}(fake, real, k + 1), {p}(real, fake, k + 1)", "after the k-th"),
        ("return {p}(real, fake, k), {p}(fake, real, k)", "swapped"),
        ("return 1 - {p}(fake, real, k), 1 - {p}(real, fake, k)", "outside"),
        ("return {q}(fake, real, k), {q}(real, fake, k)", "one for each"),
        ("return {m}(fake, real, k), {m}(real, fake, k)", "One ball is enough"),
        ("return {p}(fake, real, k)", "2 values"),
    ],
    "task10-parzen(samples, test, h)": [
        ("{g}; return (L.logsumexp(1)).mean()", "not a sum"),
        ("{g}; return L.exp().mean().log()", "before the mean over test"),
        ("{g}; return L.mean()", "after the mean over samples"),
        ("{g}; return (L.logsumexp(1) - math.log(len(samples))).sum()", "don't add"),
        ("{g}; return (L + C).logsumexp(1).mean() - math.log(len(samples))", "constant is missing"),
        ("samples, test = test, samples; {g}; return {A}", "swapped"),
        ("{g}; return -({A})", "negative log-likelihood"),
        ("{g}; return L.exp().mean(1).log().mean()", "infinity"),
        ("{g}; L = L - Q; return {A}", "½ in the exponent"),
    ],
    "task11-twins(x, z)": [
        ("return x", "no affine image"),
        ("{M}; return w @ M.T", "mean of the data"),
        ("{M}; return (z - z.mean(0)) @ M.T + x.mean(0)", "not white"),
        ("{M}; return (z - z.mean(0)) + x.mean(0)", "is not changed"),
        ("{M}; return w @ torch.cov(x.T) + x.mean(0)", "not the covariance"),
        ("{M}; return w @ M + x.mean(0)", "wrong side"),
        ("return (z - z.mean(0)) / z.std(0) * x.std(0) + x.mean(0)", "scale them by a matrix"),
        ("{M}; return w * x.std(0) + x.mean(0)", "no correlations"),
    ],
    "task11-copied_share(fake, train, test)": [
        ("return ({d}(fake, train).amin(1) > {d}(fake, test).amin(1)).double().mean()", "test set"),
        ("return ({d}(fake, train).amin(1) < {d}(fake, test).amin(1)).sum()", "not a number"),
        ("return ({d}(fake, train).mean(1) < {d}(fake, test).mean(1)).double().mean()", "not the"),
        ("return ({d}(fake, train).amin(0) < {d}(fake, test).amin(0)).double().mean()", "for each"),
        ("return ({d}(fake, train).amin(1) == 0).double().mean()", "not only exact"),
    ],
}

_SHORT = {
    "V": "V = t * v + (1 - t) * tau",
    "e": "e = (x @ means.T - t * (means**2).sum(1) / 2) / V",
    "r": ("r = torch.softmax(weights.log() + (x @ means.T - t * (means**2).sum(1) / 2) / V, 1)"),
    "b": "((tau * r @ means - (tau - v) * x) / V)",
    "y": (
        "y = x + (tau * (1 - t)) ** 0.5 * z; a = y.reshape(-1, x.shape[1])"
        "; f = log_ratio(a).reshape(*z.shape[:2], 1); h = tau * score(a).reshape(z.shape) + y"
    ),
    "W": "V = s**2 + (1 - t) * sigma**2",
    "s": (
        "a = means - x[:, None]"
        "; r = torch.softmax(weights.log() - (a**2).sum(2) / (2 * V), 1)"
        "; S = (r[:, :, None] * a).sum(1) / V"
    ),
    "for": "for k in range(len(z))",
    "h": "times[k + 1] - times[k]",
    "R": "R = (log_R - log_R.max()).exp()",
    "u": "u = a / (R @ v)",
    "v": "v = b / (u @ R)",
    "P": "return (u[:, None] * R * v)",
    "S": (
        "A, B = torch.cov(x.T), torch.cov(y.T); T = A.trace() + B.trace()"
        "; m = (x.mean(0) - y.mean(0)).pow(2).sum()"
        "; i = torch.linalg.eigvals(A @ B).real.clamp(min=0).sqrt().sum()"
    ),
    "k": "k = lambda a, b: (a @ b.T / a.shape[1] + 1) ** 3",
    "o": "off = lambda a: (k(a, a).sum() - k(a, a).trace()) / len(a) / (len(a) - 1)",
    "K": "off(x) + off(y) - 2 * k(x, y).mean()",
    "p": "share_in",
    "q": "share_in_equal",
    "m": "share_of_balls",
    "g": (
        "Q = torch.cdist(test, samples) ** 2 / (2 * h**2)"
        "; C = samples.shape[1] / 2 * math.log(2 * math.pi * h**2); L = -Q - C"
    ),
    "A": "(L.logsumexp(1) - math.log(len(samples))).mean()",
    "M": (
        "M = torch.linalg.cholesky(torch.cov(x.T))"
        "; w = (z - z.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(z.T))).T"
    ),
    "d": "torch.cdist",
}
_SHARES = """
def share_in(points, centres, k, radii=None):
    own = torch.cdist(centres, centres).sort(1).values[:, k] if radii is None else radii
    return (torch.cdist(points, centres) <= own).any(1).double().mean()
def share_in_equal(points, centres, k):
    return share_in(points, centres, k, torch.cdist(centres, centres).sort(1).values[:, k].mean())
def share_of_balls(points, centres, k):
    own = torch.cdist(centres, centres).sort(1).values[:, k]
    return (torch.cdist(points, centres) <= own).double().mean()
"""

right = partial(dedented, RIGHT)


def wrong(task: str) -> list[tuple[str, str]]:
    """Wrong answers as whole cells, with the part of the sentence each must get."""
    if task not in WRONG:  # a task of several functions
        return of_each_function(WRONG, task, wrong)
    name, _, signature = task.partition("-")
    before = _SHARES if name == "task9" else right(name)[0]
    return [
        (f"{before}\ndef {signature}:\n    {filled(body, _SHORT)}\n", sentence)
        for body, sentence in WRONG[task]
    ]
