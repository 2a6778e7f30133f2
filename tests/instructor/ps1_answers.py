"""Answers to problem set 1: right ones written differently, and wrong ones as students write them.

``RIGHT[task]`` holds code that must get full marks. ``WRONG[task]`` holds (code, part of a sentence
that must be printed by the hidden checks) pairs that must not.
"""

from __future__ import annotations

from functools import partial

from answer_cells import beside_its_half, dedented, framed

#: Points of the whole set.
TOTAL = 100

RIGHT: dict[str, list[str]] = {
    "task1": [
        # bins compared by broadcasting
        """
        def histogram_density(x, samples, low, high, bins):
            def along(points):
                k = ((points - low) / (high - low) * bins).floor()
                k[points == high.expand_as(points)] = bins - 1
                outside = ((points < low) | (points > high)).any(1)
                return k, outside
            kx, out_x = along(x)
            ks, out_s = along(samples)
            together = (kx[:, None] == ks[None]).all(2) & ~out_s
            p = together.sum(1) / len(samples) / ((high - low) / bins).prod()
            p[out_x] = 0
            return p
        """,
        # a loop over points and axes, in float64, with the faces spelt out
        """
        def histogram_density(x, samples, low, high, bins):
            result = []
            edges = [torch.linspace(float(a), float(b), bins + 1, dtype=torch.float64)
                     for a, b in zip(low, high)]
            for point in x.double():
                keep = torch.ones(len(samples), dtype=torch.bool)
                volume = 1.0
                for k, e in enumerate(edges):
                    volume *= float(e[1] - e[0])
                    if point[k] < e[0] or point[k] > e[-1]:
                        keep &= False
                        continue
                    i = min(int(torch.searchsorted(e, point[k], right=True)) - 1, bins - 1)
                    s = samples[:, k].double()
                    upper = (s < e[i + 1]) | ((s == e[-1]) if i == bins - 1 else False)
                    keep &= (s >= e[i]) & upper
                result.append(keep.sum().item() / (len(samples) * volume))
            return torch.tensor(result)
        """,
        # NumPy
        """
        import numpy as np
        def histogram_density(x, samples, low, high, bins):
            x, s, l, h = (t.numpy().astype(float) for t in (x, samples, low, high))
            ranges = list(zip(l, h))
            counts, _ = np.histogramdd(s, bins=bins, range=ranges)
            k = np.clip(np.floor((x - l) / (h - l) * bins), 0, bins - 1).astype(int)
            inside = ((x >= l) & (x <= h)).all(1)
            return np.where(inside, counts[tuple(k.T)], 0) / len(s) / np.prod((h - l) / bins)
        """,
        # a grid of counts with d axes
        """
        def histogram_density(x, samples, low, high, bins):
            d = len(low)
            counts = torch.zeros((bins,) * d)
            scale = bins / (high - low)
            for s in samples:
                if (s >= low).all() and (s <= high).all():
                    counts[tuple(((s - low) * scale).long().clamp(max=bins - 1))] += 1
            p = torch.zeros(len(x))
            for i, point in enumerate(x):
                if (point >= low).all() and (point <= high).all():
                    p[i] = counts[tuple(((point - low) * scale).long().clamp(max=bins - 1))]
            return p * scale.prod() / len(samples)
        """,
    ],
    "task2": [
        # cdist, and the mean inside the log
        """
        def kde_log_density(x, samples, h):
            n, d = samples.shape
            a = -0.5 * (torch.cdist(x, samples) / h) ** 2 - math.log(n)
            return a.logsumexp(1) - 0.5 * d * math.log(2 * math.pi * h * h)
        """,
        # log-sum-exp by hand, in float64
        """
        def kde_log_density(x, samples, h):
            n, d = samples.shape
            a = -((x.double()[:, None] - samples.double()[None]) ** 2).sum(-1) / (2 * h * h)
            top = a.max(1, keepdim=True).values
            return (top[:, 0] + (a - top).exp().mean(1).log()
                    - d * (math.log(h) + 0.5 * math.log(2 * math.pi)))
        """,
        # a loop in plain Python
        """
        def kde_log_density(x, samples, h):
            d, result = x.shape[1], []
            for p in x.tolist():
                a = [-sum((u - v) ** 2 for u, v in zip(p, s)) / (2 * h**2)
                     for s in samples.tolist()]
                top = max(a)
                total = sum(math.exp(v - top) for v in a) / len(a)
                result.append(top + math.log(total) - d / 2 * math.log(2 * math.pi * h**2))
            return torch.tensor(result)
        """,
        # one sample after the other
        """
        def kde_log_density(x, samples, h):
            total = torch.full((len(x),), -math.inf)
            for s in samples:
                log_window = (-0.5 * ((x - s) / h) ** 2 - math.log(h)
                              - 0.5 * math.log(2 * math.pi)).sum(1)
                total = torch.logaddexp(total, log_window)
            return total - math.log(len(samples))
        """,
    ],
    "task3": [
        # one sample after the other
        """
        def leave_one_out(samples, h):
            n, d = samples.shape
            total = 0.0
            for i in range(n):
                others = torch.cat([samples[:i], samples[i + 1:]])
                a = -((others - samples[i]) ** 2).sum(1) / (2 * h**2)
                total = total + torch.logsumexp(a, 0) - math.log(n - 1)
            return total / n - d / 2 * math.log(2 * math.pi * h**2)
        """,
        # boolean mask, float64
        """
        def leave_one_out(samples, h):
            x = samples.double()
            n, d = x.shape
            squared = (x[:, None] - x[None]).pow(2).sum(-1)
            others = squared[~torch.eye(n, dtype=torch.bool)].reshape(n, n - 1)
            log_p = torch.logsumexp(-others / (2 * h * h), 1) - math.log(n - 1)
            return (log_p - d * math.log(h * math.sqrt(2 * math.pi))).mean()
        """,
        # an infinite distance to oneself, and a plain number
        """
        def leave_one_out(samples, h):
            n, d = samples.shape
            distance = torch.cdist(samples.double(), samples.double())
            distance = distance + torch.diag(torch.full((n,), math.inf)).nan_to_num(0, posinf=1e9)
            log_p = (-0.5 * (distance / h) ** 2).logsumexp(1)
            log_p = log_p - math.log(n - 1) - d * math.log(h) - d / 2 * math.log(2 * math.pi)
            return log_p.sum().item() / n
        """,
        # NumPy
        """
        import numpy as np
        def leave_one_out(samples, h):
            x = samples.numpy().astype(float)
            n, d = x.shape
            a = -((x[:, None] - x) ** 2).sum(2) / (2 * h**2)
            np.fill_diagonal(a, -np.inf)
            top = a.max(1)
            log_sum = top + np.log(np.exp(a - top[:, None]).sum(1))
            return np.mean(log_sum - np.log(n - 1) - d / 2 * np.log(2 * np.pi * h**2))
        """,
    ],
    "task4": [
        # inverse and slogdet; torch.cov
        """
        def gaussian_log_density(x, mean, covariance):
            c = covariance.double()
            centred = x.double() - mean.double()
            quadratic = torch.einsum("ni,ij,nj->n", centred, torch.linalg.inv(c), centred)
            constant = len(mean) * math.log(2 * math.pi)
            return -0.5 * (quadratic + torch.linalg.slogdet(c).logabsdet + constant)

        def fit_gaussian(samples):
            return samples.mean(0), torch.cov(samples.T, correction=0)
        """,
        # eigenvectors; second moments
        """
        def gaussian_log_density(x, mean, covariance):
            values, vectors = torch.linalg.eigh(covariance.double())
            y = (x - mean).double() @ vectors
            return -0.5 * (y**2 / values + values.log() + math.log(2 * math.pi)).sum(1)

        def fit_gaussian(samples):
            x = samples.double()
            m = x.mean(0)
            return m, x.T @ x / len(x) - torch.outer(m, m)
        """,
        # loops and cholesky_solve
        """
        def gaussian_log_density(x, mean, covariance):
            L = torch.linalg.cholesky(covariance.double())
            half_log_det = L.diagonal().log().sum()
            result = []
            for point in x.double():
                v = (point - mean)[:, None]
                q = (v.T @ torch.cholesky_solve(v, L)).item()
                result.append(-0.5 * q - half_log_det - len(mean) / 2 * math.log(2 * math.pi))
            return torch.stack(result)

        def fit_gaussian(samples):
            n, d = samples.shape
            mean = sum(samples) / n
            covariance = torch.zeros(d, d)
            for x in samples:
                covariance += torch.outer(x - mean, x - mean) / n
            return [mean, covariance]
        """,
        # solve, with NumPy for the fit
        """
        import numpy as np
        def gaussian_log_density(x, mean, covariance):
            centred = (x - mean).double()
            solved = torch.linalg.solve(covariance.double(), centred.T).T
            log_det = torch.logdet(covariance.double())
            constant = len(mean) * math.log(2 * math.pi)
            return -((centred * solved).sum(1) + log_det + constant) / 2

        def fit_gaussian(samples):
            x = samples.numpy()
            return x.mean(0), np.cov(x, rowvar=False, bias=True)
        """,
    ],
    "task5": [
        """
        def e_step(log_normal, weights):
            log_joint = torch.log(weights)[None] + log_normal
            return torch.log_softmax(log_joint, 1), log_joint.logsumexp(1)
        """,
        # by hand, in float64
        """
        def e_step(log_normal, weights):
            top = log_normal.double().max(1, keepdim=True).values
            joint = weights * (log_normal - top).exp()
            total = joint.sum(1, keepdim=True)
            return (joint / total).log(), (total.log() + top)[:, 0]
        """,
        # one component after the other
        """
        def e_step(log_normal, weights):
            n, K = log_normal.shape
            log_p = torch.full((n,), -math.inf)
            for k in range(K):
                log_p = torch.logaddexp(log_p, log_normal[:, k] + weights[k].log())
            log_r = torch.zeros(n, K)
            for k in range(K):
                log_r[:, k] = log_normal[:, k] + weights[k].log() - log_p
            return log_r, log_p
        """,
        # a list, made row by row in plain Python
        """
        def e_step(log_normal, weights):
            w = [math.log(v) if v > 0 else -math.inf for v in weights.tolist()]
            rows, sums = [], []
            for row in log_normal.tolist():
                joint = [a + b for a, b in zip(row, w)]
                top = max(joint)
                log_p = top + math.log(sum(math.exp(a - top) for a in joint))
                rows.append([a - log_p for a in joint])
                sums.append(log_p)
            return [torch.tensor(rows), torch.tensor(sums)]
        """,
    ],
    "task6": [
        # a loop over components
        """
        def m_step(x, r):
            weights, means, covariances = r.mean(0), [], []
            for k in range(r.shape[1]):
                share = r[:, k] / r[:, k].sum()
                mean = share @ x
                means.append(mean)
                covariances.append((x - mean).T @ torch.diag(share) @ (x - mean))
            return weights, torch.stack(means), torch.stack(covariances)
        """,
        # second moments, in float64
        """
        def m_step(x, r):
            x, r = x.double(), r.double()
            N = r.sum(0)
            means = torch.einsum("nk,nd->kd", r, x) / N[:, None]
            second = torch.einsum("nk,ni,nj->kij", r, x, x) / N[:, None, None]
            return N / N.sum(), means, second - means[:, :, None] * means[:, None, :]
        """,
        # a loop over samples
        """
        def m_step(x, r):
            n, d = x.shape
            K = r.shape[1]
            N, means, covariances = torch.zeros(K), torch.zeros(K, d), torch.zeros(K, d, d)
            for i in range(n):
                for k in range(K):
                    N[k] += r[i, k]
                    means[k] += r[i, k] * x[i]
            means = means / N[:, None]
            for i in range(n):
                for k in range(K):
                    v = x[i] - means[k]
                    covariances[k] += r[i, k] * torch.outer(v, v) / N[k]
            return N / n, means, covariances
        """,
        # torch.cov with weights
        """
        def m_step(x, r):
            weights = r.sum(0) / r.sum()
            means = (r / r.sum(0)).T @ x
            covariances = [torch.cov(x.T, correction=0, aweights=share) for share in r.T]
            return [weights, means, torch.stack(covariances)]
        """,
    ],
    "task7": [
        # entropies
        """
        def lower_bound(log_joint, r):
            entropy = torch.special.entr(r).sum(1)
            return ((r * log_joint).sum(1) + entropy).mean()

        def gap(log_joint, r):
            return torch.logsumexp(log_joint, 1).mean() - lower_bound(log_joint, r)
        """,
        # kl_div, in float64
        """
        def gap(log_joint, r):
            log_posterior = torch.log_softmax(log_joint.double(), 1)
            kl = torch.nn.functional.kl_div(log_posterior, r.double(), reduction="sum")
            return kl / len(r)

        def lower_bound(log_joint, r):
            return log_joint.double().logsumexp(1).mean() - gap(log_joint, r)
        """,
        # loops in plain Python
        """
        def lower_bound(log_joint, r):
            total = 0.0
            for a, s in zip(log_joint.tolist(), r.tolist()):
                total += sum(q * (b - math.log(q)) for b, q in zip(a, s) if q > 0)
            return total / len(r)

        def gap(log_joint, r):
            total = 0.0
            for a, s in zip(log_joint.tolist(), r.tolist()):
                top = max(a)
                log_p = top + math.log(sum(math.exp(b - top) for b in a))
                total += sum(q * (math.log(q) - b + log_p) for b, q in zip(a, s) if q > 0)
            return total / len(r)
        """,
        # where instead of xlogy
        """
        def lower_bound(log_joint, r):
            log_r = torch.where(r > 0, r, torch.ones_like(r)).log()
            return (r * (log_joint - log_r)).sum() / len(r)

        def gap(log_joint, r):
            log_r = torch.where(r > 0, r, torch.ones_like(r)).log()
            log_p = log_joint.logsumexp(1, keepdim=True)
            return (r * (log_r - (log_joint - log_p))).sum() / r.shape[0]
        """,
    ],
    "task8": [
        # the inverse of the distribution function
        """
        def monte_carlo_responsibilities(r, M, generator):
            u = torch.rand(len(r), M, generator=generator)
            edges = r.cumsum(1)
            edges[:, -1] = 1.0
            k = torch.searchsorted(edges, u, right=True).clamp(max=r.shape[1] - 1)
            return torch.stack([(k == j).float().mean(1) for j in range(r.shape[1])], 1)
        """,
        # Gumbel's trick
        """
        def monte_carlo_responsibilities(r, M, generator):
            n, K = r.shape
            u = torch.rand(M, n, K, generator=generator, dtype=torch.float64)
            k = (r.double().log() - (-u.log()).log()).argmax(2)
            return torch.nn.functional.one_hot(k, K).double().mean(0)
        """,
        # a loop over samples and bincount
        """
        def monte_carlo_responsibilities(r, M, generator):
            rows = []
            for row in r:
                k = torch.multinomial(row, M, replacement=True, generator=generator)
                rows.append(torch.bincount(k, minlength=len(row)) / M)
            return torch.stack(rows)
        """,
        # one draw after the other
        """
        def monte_carlo_responsibilities(r, M, generator):
            share = torch.zeros_like(r)
            for _ in range(M):
                k = torch.multinomial(r, 1, generator=generator)
                share.scatter_add_(1, k, torch.full_like(k, 1 / M, dtype=r.dtype))
            return share
        """,
    ],
    "task9": [
        # a loop over rows, and the density by slogdet
        """
        def linear_push(z, mean, covariance):
            T = torch.linalg.cholesky(covariance)
            x = torch.stack([mean + T @ row for row in z])
            half = torch.linalg.slogdet(covariance.double()).logabsdet / 2
            log_p = -0.5 * (z**2).sum(1) - len(mean) / 2 * math.log(2 * math.pi) - half
            return x, log_p
        """,
        # the density of N(m, Σ) at x
        """
        def linear_push(z, mean, covariance):
            L = torch.linalg.cholesky(covariance.double())
            x = mean.double() + torch.einsum("ij,nj->ni", L, z.double())
            return x, gaussian_log_density(x, mean.double(), covariance.double())
        """,
        # Cholesky by hand
        """
        def linear_push(z, mean, covariance):
            d = len(mean)
            T = torch.zeros(d, d)
            for j in range(d):
                T[j, j] = (covariance[j, j] - T[j, :j] @ T[j, :j]).sqrt()
                for i in range(j + 1, d):
                    T[i, j] = (covariance[i, j] - T[i, :j] @ T[j, :j]) / T[j, j]
            log_normal = (-0.5 * z**2 - 0.5 * math.log(2 * math.pi)).sum(1)
            return mean + (T @ z.T).T, log_normal - T.diag().prod().log()
        """,
        # NumPy
        """
        import numpy as np
        def linear_push(z, mean, covariance):
            T = np.linalg.cholesky(covariance.numpy().astype(float))
            z, m = z.numpy().astype(float), mean.numpy()
            log_q = -0.5 * (z**2).sum(1) - z.shape[1] / 2 * np.log(2 * np.pi)
            return m + z @ T.T, log_q - np.log(np.diag(T)).sum()
        """,
    ],
    "task10": [
        # Newton with halving, in float64, one number after the other
        """
        def push(z, c, A):
            x = z + c * torch.tanh(3 * z) + (A @ (z**2).T).T
            return x, torch.log1p(3 * c / torch.cosh(3 * z) ** 2).sum(1)

        def pull(x, c, A):
            z = torch.zeros(x.shape, dtype=torch.float64)
            for i in range(len(x)):
                for k in range(x.shape[1]):
                    y = float(x[i, k]) - sum(float(A[k, j]) * float(z[i, j]) ** 2 for j in range(k))
                    s = float(c[k])
                    low, high = y - abs(s), y + abs(s)
                    u = y
                    for step in range(100):
                        f = u + s * math.tanh(3 * u) - y
                        if f > 0:
                            high = u
                        else:
                            low = u
                        u = u - f / (1 + 3 * s * (1 - math.tanh(3 * u) ** 2))
                        if step % 2 or not low < u < high:
                            u = (low + high) / 2
                    z[i, k] = u
            return z
        """,
        # coordinate by coordinate, with a bracket of its own
        """
        def push(z, c, A):
            columns, log_det = [], 0.0
            for k in range(z.shape[1]):
                t = torch.tanh(3 * z[:, k])
                columns.append(z[:, k] + c[k] * t + (z[:, :k] ** 2) @ A[k, :k])
                log_det = log_det + torch.log(1 + 3 * c[k] - 3 * c[k] * t**2)
            return torch.stack(columns, 1), log_det

        def pull(x, c, A):
            found = []
            for k in range(x.shape[1]):
                y = x[:, k].double()
                for j in range(k):
                    y = y - A[k, j] * found[j] ** 2
                a, b = torch.full_like(y, -1e4), torch.full_like(y, 1e4)
                for _ in range(80):
                    m = 0.5 * (a + b)
                    high = m + c[k] * torch.tanh(3 * m) > y
                    a, b = torch.where(high, a, m), torch.where(high, m, b)
                found.append(m)
            return torch.stack(found, dim=1)
        """,
        # SciPy's root finder; the determinant of the whole Jacobian
        """
        from scipy.optimize import brentq
        def push(z, c, A):
            J = torch.tril(2 * z.double()[:, None] * A.double(), -1)
            J = J + torch.diag_embed(1 + 3 * c.double() * (1 - (3 * z.double()).tanh() ** 2))
            x = z + c * (3 * z).tanh() + z**2 @ A.T
            return x, torch.linalg.slogdet(J).logabsdet

        def pull(x, c, A):
            rows = []
            for row in x.tolist():
                z = []
                for k, value in enumerate(row):
                    y = value - sum(A[k, j].item() * z[j] ** 2 for j in range(k))
                    s = c[k].item()
                    f = lambda u: u + s * math.tanh(3 * u) - y
                    z.append(brentq(f, y - abs(s) - 1e-9, y + abs(s) + 1e-9))
                rows.append(z)
            return torch.tensor(rows)
        """,
    ],
    "task11": [
        # one point after the other
        """
        def pushed_log_density(T, z):
            result = []
            for row in z:
                J = torch.autograd.functional.jacobian(lambda u: T(u[None])[0], row)
                log_q = -0.5 * (row**2).sum() - len(row) / 2 * math.log(2 * math.pi)
                result.append(log_q - torch.linalg.slogdet(J).logabsdet)
            return torch.stack(result)
        """,
        # torch.func
        """
        def pushed_log_density(T, z):
            J = torch.func.vmap(torch.func.jacrev(lambda u: T(u[None])[0]))(z)
            log_q = (-0.5 * z**2 - 0.5 * math.log(2 * math.pi)).sum(1)
            return log_q - torch.log(torch.abs(torch.linalg.det(J)))
        """,
        # the Jacobian of the whole batch, in float64, and det JᵀJ
        """
        def pushed_log_density(T, z):
            z = z.double()
            n, d = z.shape
            J = torch.autograd.functional.jacobian(T, z)
            J = torch.stack([J[i, :, i] for i in range(n)])
            half = 0.5 * torch.logdet(J.transpose(1, 2) @ J)
            return -0.5 * (z**2).sum(1) - d / 2 * math.log(2 * math.pi) - half
        """,
        # finite differences
        """
        def pushed_log_density(T, z):
            z = z.double()
            d = z.shape[1]
            J = torch.zeros(len(z), d, d, dtype=torch.float64)
            for k in range(d):
                e = torch.zeros(d, dtype=torch.float64)
                e[k] = 1e-5
                J[:, :, k] = (T(z + e) - T(z - e)) / 2e-5
            log_q = -0.5 * (z**2).sum(1) - d / 2 * math.log(2 * math.pi)
            return log_q - torch.linalg.slogdet(J)[1]
        """,
    ],
}

WRONG: dict[str, list[tuple[str, str]]] = {
    "task1": [
        ("return n_c.float()", "Those are counts"),
        ("return n_c / n", "Those are shares"),
        ("return n_c / v", "Divide by the number n"),
        ("return n_c / (n * box)", "not of the whole box"),
        ("return n_c / (n * width[0])", "widths along all axes"),
        ("return n_c / (n * width.sum())", "widths along all axes"),
        ("return n_c / n * v", "multiply instead of dividing"),
        ("return (n_c / (n * v)).log()", "log of the density"),
        ("return n_c / (len(samples[counted]) * v)", "of all samples"),
        ("return counts[where] / (n * v)", "Outside the box the density is 0"),
        (
            "return torch.bincount(occupied, minlength=bins**d)[where] * inside / (n * v)",
            "lie in no cell",
        ),
        ("return (n_c / (n * v)).mean()", "Did you reduce"),
        ("return (n_c / (n * v))[:, None]", "An axis of length 1"),
        ("return n_c / (n * v) * ((x < high).all(1))", "The upper face belongs"),
        ("p = n_c / (n * v)", "return missing"),
        ("return torch.zeros(len(x))", "zero"),
        ("return x[:, 0]", "does not agree"),
        ("return torch.ones(len(x)) / box", "the same number everywhere"),
        (
            "s = along(samples); return torch.stack([torch.stack([((s[:, k] == i) & counted).sum()"
            " for i in along(x)[:, k]]) / (n * width[k]) for k in range(d)]).prod(0)",
            "product of one histogram for each axis",
        ),
    ],
    "task2": [
        ("return {right}.exp()", "its log is asked"),
        ("return {right} + math.log(n)", "Divide by n"),
        ("return {sum} - math.log(n) - d * math.log(h)", "(2π)^(d/2) is missing"),
        ("return {sum} - math.log(n) - d * math.log(h) - {c} / d", "has the d in its exponent"),
        ("return {sum} - math.log(n) - math.log(h) - {c}", "d times log h"),
        ("return {sum} - math.log(n) - {c}", "h^d is missing"),
        ("return {sum} - math.log(n) - 2 * d * math.log(h) - {c}", "power d, not 2d"),
        ("return torch.logsumexp(-sq / h**2, 1) + {rest}", "the 2 is missing"),
        ("return torch.logsumexp(-sq / (2 * h), 1) + {rest}", "not by 2h"),
        ("return torch.logsumexp(-sq.sqrt() / (2 * h**2), 1) + {rest}", "distance is squared"),
        ("return (-sq / (2 * h**2)).mean(1) + {rest} + math.log(n)", "mean of the log windows"),
        ("return (-sq / (2 * h**2)).sum(1) + {rest}", "no sum of logs"),
        ("return (-sq / (2 * h**2)).exp().sum(1).log() + {rest}", "infinity"),
        ("return ((-sq / (2 * h**2)).exp().sum(1) + 1e-12).log() + {rest}", "far from all samples"),
        ("return {right}.mean()", "Did you reduce"),
        ("return -{right}", "opposite sign"),
        ("return torch.logsumexp(-sq / (2 * h**2), 0) + {rest}", "should be shape"),
        ("{right}", "return missing"),
        ("return torch.zeros(len(x))", "zero"),
        ("return x[:, 0]", "does not agree"),
    ],
    "task3": [
        ("return torch.logsumexp(a, 1).mean() - math.log(n) - {c}", "by its own window"),
        ("return torch.logsumexp(a, 1).mean() - math.log(n - 1) - {c}", "by its own window"),
        ("return {sum}.mean() - math.log(n) - {c}", "divide by n - 1"),
        ("return {sum}.mean() - {c}", "Divide by n - 1"),
        ("return ({sum} - math.log(n - 1) - {c}).sum()", "not the sum"),
        ("return -({sum}.mean() - math.log(n - 1) - {c})", "minus sign"),
        ("return {sum}.exp().mean().log() - math.log(n - 1) - {c}", "log of the mean"),
        ("return ({sum} - math.log(n - 1) - {c}).exp().mean()", "logs are missing"),
        ("return {sum}.mean() - math.log(n - 1)", "constant"),
        ("return {sum}.mean() - math.log(n - 1) - d * math.log(h)", "constant"),
        ("return {sum}.mean() - math.log(n - 1) - {c} + math.log(h)", "h^d below"),
        (
            "return torch.logsumexp((2 * a).fill_diagonal_(-math.inf), 1).mean()"
            " - math.log(n - 1) - {c}",
            "exponent is",
        ),
        (
            "a[sq < 1e-12] = -math.inf;"
            " return torch.logsumexp(a, 1).mean() - math.log(n - 1) - {c}",
            "not another one",
        ),
        ("return (a.exp().sum(1) - 1).log().mean() - math.log(n - 1) - {c}", "lonely"),
        (
            "p = a.exp().fill_diagonal_(0).sum(1) + 1e-10;"
            " return p.log().mean() - math.log(n - 1) - {c}",
            "lonely",
        ),
        ("return {sum} - math.log(n - 1) - {c}", "Did you forget to average"),
        ("{sum}.mean() - math.log(n - 1) - {c}", "return missing"),
        ("return torch.zeros(())", "zero"),
        ("return samples", "single number"),
        ("return torch.tensor(-2.5)", "does not agree"),
    ],
    "task4": [
        ("({q} - 0.5 * log_det - {c}).exp()", "its log is asked"),
        ("-{q} + 0.5 * log_det + {c}", "the sign is wrong"),
        ("{q} + 0.5 * log_det - {c}", "log det Σ has a minus sign"),
        ("{q} - log_det - {c}", "log det Σ has a factor ½"),
        ("{q} - 0.25 * log_det - {c}", "the 2 is missing"),
        ("{q} - {c}", "log det Σ is missing"),
        ("{q} - 0.5 * log_det", "log 2π is missing"),
        ("{q} - 0.5 * log_det - {c} / d", "there is a d in it"),
        ("2 * {q} - 0.5 * log_det - {c}", "quadratic form has a factor ½"),
        ("-0.5 * (-2 * {q}).sqrt() - 0.5 * log_det - {c}", "the square is missing"),
        ("-0.5 * ((x - mean) @ covariance * (x - mean)).sum(1) - 0.5 * log_det - {c}", "not Σ"),
        (
            "-0.5 * (x * torch.linalg.solve(covariance, x.T).T).sum(1) - 0.5 * log_det - {c}",
            "Subtract the mean",
        ),
        (
            "-0.5 * ((x - mean) ** 2 / covariance.diagonal() + covariance.diagonal().log()).sum(1)"
            " - {c}",
            "Only the diagonal of Σ",
        ),
        ("{q} - 0.5 * torch.linalg.det(covariance).log() - {c}", "infinity"),
        ("({q} - 0.5 * log_det - {c}).sum()", "Did you reduce"),
        ("torch.zeros(len(x))", "zero"),
        ("x", "should be shape"),
    ],
    "task4-fit": [
        ("m, torch.cov(samples.T)", "not by n - 1"),
        ("m, centred.T @ centred", "Divide by n."),
        ("m, samples.T @ samples / n", "Subtract the mean"),
        ("m, torch.corrcoef(samples.T)", "correlation"),
        ("m, centred.var(0, correction=0).diag()", "correlated"),
        ("m, torch.linalg.cholesky(centred.T @ centred / n)", "Cholesky factor"),
        ("samples.sum(0), centred.T @ centred / n", "That is the sum"),
        ("m, centred.var(0, correction=0)", "should be shape"),
        ("m, centred @ centred.T / n", "should be shape"),
        ("m", "should be 2 values"),
        ("samples.mean(), centred.T @ centred / n", "single number"),
        ("torch.zeros(d), torch.eye(d)", "zero"),
    ],
    "task5": [
        ("{r}.exp() | {p}", "their logs are asked"),
        ("log_joint | {p}", "divide by p(x)"),
        ("log_normal.log_softmax(1) | log_normal.logsumexp(1)", "weights are missing"),
        ("log_normal - {p}[:, None] | {p}", "weights are missing"),
        ("log_joint.log_softmax(0) | {p}", "not over the samples"),
        (
            "(log_normal + weights).log_softmax(1) | (log_normal + weights).logsumexp(1)",
            "Add the log",
        ),
        ("(log_normal * weights).log_softmax(1) | {p}", "multiplying logs"),
        ("{r} | {p}.exp()", "its log is asked"),
        ("{r} | log_joint.sum(1)", "not the log of the sum"),
        ("{r} | log_joint.max(1).values", "all components count"),
        ("{r} | (weights * log_normal).sum(1)", "mean of the log densities"),
        ("{r} | {p} - math.log(3)", "were averaged over k"),
        ("{r} | {p}.mean()", "Did you reduce"),
        (
            "(joint / joint.sum(1, keepdim=True)).log() | joint.sum(1).log()",
            "NaN",
        ),
        ("(joint / (joint.sum(1, keepdim=True) + 1e-12)).log() | {p}", "far from all"),
        ("{r} | {p}[:, None]", "An axis of length 1"),
        ("{p} | {r}", "should be shape"),
        ("torch.zeros(n, K) | torch.zeros(n)", "zero"),
        ("log_normal | log_normal[:, 0]", "does not agree"),
    ],
    "task6": [
        ("{N} | {m} | {S}", "Divide N_k by n"),
        ("torch.full((K,), 1 / K) | {m} | {S}", "depend on the responsibilities"),
        ("{w} | r.T @ x | {S}", "the mass of the component"),
        ("{w} | r.T @ x / n | {S}", "not by n"),
        ("{w} | x.mean(0).repeat(K, 1) | {S}", "by their responsibilities"),
        ("{w} | one.T @ x / one.sum(0)[:, None] | {S}", "to one component only"),
        ("{w} | (r**2).T @ x / (r**2).sum(0)[:, None] | {S}", "not squared"),
        ("{w} | {m} | {S} * {N}[:, None, None]", "the mass of the component"),
        ("{w} | {m} | {S} * {w}[:, None, None]", "not by n"),
        ("{w} | {m} | {S} * ({N} / ({N} - 1))[:, None, None]", "not by N_k - 1"),
        ("{w} | {m} | {S} + {m}[:, :, None] * {m}[:, None]", "Subtract μ_k"),
        (
            "{w} | {m} | torch.einsum('nk,ni,nj->kij', r, x - x.mean(0), x - x.mean(0))"
            " / {N}[:, None, None]",
            "not about the mean of all samples",
        ),
        (
            "{w} | {m} | torch.stack([(x - m).T @ (x - m) / n for m in {m}])",
            "Weight the products",
        ),
        (
            "{w} | {m} | torch.stack([({S}[k].diagonal()).diag() for k in range(K)])",
            "Only the diagonals",
        ),
        (
            "{w} | {m} | torch.stack([((x - m) * r[:, [k]]).T @ ((x - m) * r[:, [k]]) / {N}[k]"
            " for k, m in enumerate({m})])",
            "count once, not squared",
        ),
        ("{w} | {m} | {S}.diagonal(dim1=1, dim2=2)", "should be shape"),
        ("{w} | {m}.T | {S}", "axes are in another order"),
        ("{w} | {m}", "should be 3 values"),
        ("torch.zeros(K) | torch.zeros(K, d) | torch.zeros(K, d, d)", "zero"),
    ],
    "task7": [
        ("{F}.sum()", "not the sum"),
        ("(r * (log_joint - r.log())).mean()", "Sum over k"),
        ("(r * log_joint).sum(1).mean()", "-r log r is missing"),
        ("(r * (log_joint + r.log())).sum(1).mean()", "has a minus sign"),
        ("-{F}.mean()", "That is -F"),
        ("log_joint.logsumexp(1).mean()", "whatever the shares are"),
        ("(r * log_joint - r.log()).sum(1).mean()", "Weight log r by r"),
        ("log_joint.logsumexp(1).mean() - {F}.mean()", "That is the gap"),
        ("(r * (log_joint - r.log())).sum(1).mean()", "NaN"),
        ("(r * (log_joint - (r + 1e-3).log())).sum(1).mean()", "does not agree"),
        ("{F}", "Did you forget to average"),
        ("torch.zeros(())", "zero"),
    ],
    "task7-gap": [
        ("{G}.sum()", "not the sum"),
        ("{G}.mean() / r.shape[1]", "Sum over k"),
        ("-{G}.mean()", "its sign is wrong"),
        ("(q * (q.log() - r.log())).sum(1).mean()", "not the other way round"),
        ("(torch.xlogy(r, r) - r * log_joint).sum(1).mean()", "not p(x, k)"),
        ("-(r * q.log()).sum(1).mean()", "r log r is missing"),
        (
            "(torch.xlogy(r, r) - r * log_joint.log_softmax(0)).sum(1).mean()",
            "not over the samples",
        ),
        ("(r * (r.log() - q.log())).sum(1).mean()", "NaN"),
        ("{G}", "Did you forget to average"),
        ("torch.zeros(())", "zero"),
        ("r", "single number"),
    ],
    "task8": [
        ("return r", "not multiples of 1/M"),
        ("return share * M", "Divide the counts by M"),
        ("return one_hot(r.argmax(1), K).float()", "likeliest component"),
        (
            "k = torch.randint(K, (n, M), generator=generator); return one_hot(k, K).sum(1) / M",
            "drawn equally often",
        ),
        (
            "k = torch.multinomial(r.mean(0), n * M, replacement=True, generator=generator);"
            " return one_hot(k.reshape(n, M), K).sum(1) / M",
            "does not agree",
        ),
        (
            "k = torch.multinomial(r.flip(0), M, replacement=True, generator=generator);"
            " return one_hot(k, K).sum(1) / M",
            "another sample",
        ),
        (
            "k = torch.multinomial(r, M, replacement=True); return one_hot(k, K).sum(1) / M",
            "use the generator you are given",
        ),
        (
            "g = torch.Generator().manual_seed(0);"
            " k = torch.multinomial(r, M, replacement=True, generator=g);"
            " return one_hot(k, K).sum(1) / M",
            "Another seed gave the same draws",
        ),
        (
            "k = torch.multinomial(r, min(M, K), generator=generator);"
            " return one_hot(k, K).sum(1) / min(M, K)",
            "with replacement",
        ),
        (
            "k = torch.multinomial(r, M, generator=generator); return one_hot(k, K).sum(1) / M",
            "raised RuntimeError",
        ),
        (
            "k = torch.multinomial(r[0], M, replacement=True, generator=generator);"
            " return one_hot(k, K).sum(0).repeat(n, 1) / M",
            "All samples got the same draws",
        ),
        ("return one_hot(k, K) / M", "should be shape"),
        ("return share.mean(0)", "should be shape"),
        (
            "k = torch.multinomial(r, 1, generator=generator); return one_hot(k[:, 0], K).float()",
            "the variance",
        ),
        ("share", "return missing"),
        ("return torch.zeros_like(r)", "zero"),
    ],
    "task9": [
        ("z @ T.T | {p}", "The mean is missing"),
        ("mean + z @ T | {p}", "z @ T.T"),
        ("mean + z @ covariance | {p}", "Σ itself is no square root"),
        ("mean + z @ V @ e.sqrt().diag() @ V.T | {p}", "is symmetric"),
        ("mean + z @ (V @ e.sqrt().diag()).T | {p}", "not triangular"),
        ("mean + z * covariance.diagonal().sqrt() | {p}", "variances only"),
        ("torch.linalg.solve_triangular(T, (z - mean).T, upper=False).T | {p}", "push z forward"),
        ("{x} | {q} + {det}", "subtract log det T"),
        ("{x} | {q}", "log det T is missing"),
        ("{x} | {q} - 2 * {det}", "the square root of det"),
        ("{x} | -0.5 * (z**2).sum(1) - {det}", "log 2π is missing"),
        ("{x} | -0.5 * (z**2).sum(1) - math.log(2 * math.pi) / 2 - {det}", "there is a d in it"),
        ("{x} | {p}.exp()", "its log is asked"),
        ("{x} | -0.5 * ({x}**2).sum(1) - {c} - {det}", "at z, not at x"),
        ("{x} | {p}.mean()", "Did you reduce"),
        ("{x}", "should be 2 values"),
        ("torch.zeros_like(z) | torch.zeros(len(z))", "zero"),
        ("z | {p}", "does not agree"),
    ],
    "task10": [
        ("z + c * t + z @ A.T | {det}", "not z_j."),
        ("z + c * t + z**2 @ A | {det}", "wrong way round"),
        ("z + c * t | {det}", "sum over j is missing"),
        ("c * t + z**2 @ A.T | {det}", "first term z_k"),
        ("{x} | (1 + 3 * c * (1 - t**2)).prod(1)", "its log is asked"),
        ("{x} | -{det}", "not that of the inverse"),
        ("{x} | (1 + 3 * c * (1 - t**2)).sum(1).log()", "product of its diagonal"),
        ("{x} | torch.log(1 + c * (1 - t**2)).sum(1)", "has a factor 3"),
        ("z + c * z.tanh() + z**2 @ A.T | {det}", "tanh is of 3 z_k"),
        ("{x} | (1 + 3 * c * t).abs().log().sum(1)", "derivative of tanh"),
        ("{x} | (1 + 3 * c * (1 - t)).abs().log().sum(1)", "derivative of tanh"),
        ("{x} | (3 * c * (1 - (3 * z.double()).tanh() ** 2)).abs().log().sum(1)", "begins with 1"),
        ("{x} | {det} / 4", "don't average"),
        ("{x} | {det} + (2 * z @ A.T).sum(1)", "What A does drops out"),
        ("{x} | torch.log(1 + 3 * c * (1 - t**2))", "should be shape"),
        ("{x} | {det}.mean()", "Did you reduce"),
        ("{x}", "should be 2 values"),
        ("torch.zeros_like(z) | torch.zeros(len(z))", "zero"),
        ("z | z[:, 0]", "does not agree"),
    ],
    "task10-pull": [
        ("solved(x - x**2 @ A.T, c)", "not the x_j"),
        ("solved(x, c)", "before you solve"),
        ("push(x, c, A)[0]", "not its inverse"),
        ("x / (1 + 3 * c)", "No division by a slope"),
        ("x - c * (3 * x).tanh() - x**2 @ A.T", "looking for"),
        ("solved(x - z0**2 @ A.T, c)", "one z_k after the other"),
        ("{exact}[:, 0]", "should be shape"),
        ("{exact}.round(decimals=2)", "halve more often"),
        ("torch.zeros_like(x)", "zero"),
        ("x", "does not agree"),
    ],
    "task11": [
        ("return log_q + {det}", "subtract the log determinant"),
        ("return log_q", "log determinant is missing"),
        ("return -{det}", "log q(z) is missing"),
        ("return log_q - J.diagonal(dim1=1, dim2=2).abs().log().sum(1)", "not its determinant"),
        (
            "u = z.clone().requires_grad_(True); d = torch.autograd.grad(T(u).sum(), u)[0];"
            " return log_q - d.abs().log().sum(1)",
            "row sums",
        ),
        ("return log_q - J.diagonal(dim1=1, dim2=2).sum(1).log()", "not the trace"),
        ("return log_q - torch.linalg.det(J)", "Take the log"),
        ("return -0.5 * (T(z) ** 2).sum(1) - {c} - {det}", "at z, not at T(z)"),
        ("return -0.5 * (z**2).sum(1) - {det}", "log 2π is missing"),
        ("return -0.5 * (z**2).sum(1) - {c} / z.shape[1] - {det}", "there is a d in it"),
        ("return (log_q - {det}).exp()", "its log is asked"),
        ("return log_q - {det} / 2", "without a square root"),
        ("return log_q - torch.linalg.det(J).log()", "NaN"),
        ("return log_q - torch.logdet(J)", "NaN"),
        ("return (log_q - {det}).mean()", "Did you reduce"),
        ("return (log_q - {det})[:, None]", "An axis of length 1"),
        ("log_q - {det}", "return missing"),
        ("return torch.zeros(len(z))", "zero"),
        ("return z[:, 0]", "does not agree"),
    ],
}


right = partial(dedented, RIGHT)


_HISTOGRAM = """\
def histogram_density(x, samples, low, high, bins):
    n, d = samples.shape
    width = (high - low) / bins
    v, box = width.prod(), (high - low).prod()
    place = bins ** torch.arange(d)
    def along(points):
        return ((points - low) / width).floor().clamp(0, bins - 1).long()
    def cell(points):
        return (along(points) * place).sum(1), ((points >= low) & (points <= high)).all(1)
    (occupied, counted), (where, inside) = cell(samples), cell(x)
    counts = torch.bincount(occupied[counted], minlength=bins**d)
    n_c = counts[where] * inside
    {}
"""
_KERNEL = """\
def kde_log_density(x, samples, h):
    n, d = samples.shape
    sq = (x[:, None] - samples).square().sum(2)
    {}
"""
_LEFT_OUT = """\
def leave_one_out(samples, h):
    n, d = samples.shape
    sq = (samples[:, None] - samples).square().sum(2)
    a = -sq / (2 * h**2)
    {}
"""
_GAUSSIAN = """\
def gaussian_log_density(x, mean, covariance):
    d = len(mean)
    T = torch.linalg.cholesky(covariance)
    white = torch.linalg.solve_triangular(T, (x - mean).T, upper=False)
    log_det = 2 * T.diagonal().log().sum()
    return ({})

def fit_gaussian(samples):
    n, d = samples.shape
    m = samples.mean(0)
    centred = samples - m
    return {}
"""
_E_STEP = """\
def e_step(log_normal, weights):
    n, K = log_normal.shape
    log_joint = log_normal + weights.log()
    joint = log_joint.exp()
    return {}, {}
"""
_M_STEP = """\
def m_step(x, r):
    (n, d), K = x.shape, r.shape[1]
    one = torch.nn.functional.one_hot(r.argmax(1), K).float()
    centred = x[:, None] - r.T @ x / r.sum(0)[:, None]
    return {}
"""
_BOUND = """\
def lower_bound(log_joint, r):
    return {}

def gap(log_joint, r):
    q = log_joint.softmax(1)
    return {}
"""
_MONTE_CARLO = """\
def monte_carlo_responsibilities(r, M, generator):
    from torch.nn.functional import one_hot
    n, K = r.shape
    k = torch.multinomial(r, M, replacement=True, generator=generator)
    share = one_hot(k, K).sum(1) / M
    {}
"""
_LINEAR = """\
def linear_push(z, mean, covariance):
    T = torch.linalg.cholesky(covariance)
    e, V = torch.linalg.eigh(covariance)
    return {}
"""
_TRIANGULAR = """\
def push(z, c, A):
    t = (3 * z).tanh()
    return {}

def solved(y, c):
    low, high = y - c.abs(), y + c.abs()
    for _ in range(40):
        m = (low + high) / 2
        below = m + c * (3 * m).tanh() < y
        low, high = torch.where(below, m, low), torch.where(below, high, m)
    return m

def inverse(x, c, A):
    z = torch.zeros_like(x)
    for k in range(x.shape[1]):
        z[:, k] = solved(x - z**2 @ A.T, c)[:, k]
    return z

def pull(x, c, A):
    z0 = solved(x, c)
    return {}
"""
_CHANGE = """\
def pushed_log_density(T, z):
    J = torch.stack([
        torch.autograd.functional.jacobian(lambda u: T(u[None])[0], row) for row in z
    ])
    log_q = -0.5 * (z**2).sum(1) - {c}
    {}
"""

_FRAMES = {
    "task1": _HISTOGRAM,
    "task2": _KERNEL,
    "task3": _LEFT_OUT,
    "task4": _GAUSSIAN,
    "task5": _E_STEP,
    "task6": _M_STEP,
    "task7": _BOUND,
    "task8": _MONTE_CARLO,
    "task9": _LINEAR,
    "task10": _TRIANGULAR,
    "task11": _CHANGE,
}
#: What stands for itself in a frame whose other half is the mistake.
_OTHER_HALF = {
    "task4": ("{q} - 0.5 * log_det - {c}", "m, centred.T @ centred / n"),
    "task7": ("{F}.mean()", "{G}.mean()"),
    "task10": ("{x}, {det}", "{exact}"),
}
_SHORT = {
    "task2": {
        "right": "(torch.logsumexp(-sq / (2 * h**2), 1) + {rest})",
        "sum": "torch.logsumexp(-sq / (2 * h**2), 1)",
        "rest": "(-math.log(n) - d * math.log(h) - {c})",
        "c": "d / 2 * math.log(2 * math.pi)",
    },
    "task3": {
        "sum": "torch.logsumexp(a.clone().fill_diagonal_(-math.inf), 1)",
        "c": "d / 2 * math.log(2 * math.pi * h**2)",
    },
    "task4": {
        "q": "(-0.5 * white.square().sum(0))",
        "c": "d / 2 * math.log(2 * math.pi)",
    },
    "task5": {"r": "log_joint.log_softmax(1)", "p": "log_joint.logsumexp(1)"},
    "task6": {
        "S": "(torch.einsum('nk,nki,nkj->kij', r, centred, centred) / {N}[:, None, None])",
        "m": "(r.T @ x / {N}[:, None])",
        "w": "r.mean(0)",
        "N": "r.sum(0)",
    },
    "task7": {
        "F": "(r * log_joint - torch.xlogy(r, r)).sum(1)",
        "G": "(torch.xlogy(r, r) - r * log_joint.log_softmax(1)).sum(1)",
    },
    "task9": {
        "p": "({q} - {det})",
        "q": "(-0.5 * (z**2).sum(1) - {c})",
        "c": "len(mean) / 2 * math.log(2 * math.pi)",
        "det": "T.diagonal().log().sum()",
        "x": "(mean + z @ T.T)",
    },
    "task10": {
        "x": "z + c * t + z**2 @ A.T",
        "det": "torch.log(1 + 3 * c * (1 - t**2)).sum(1)",
        "exact": "inverse(x, c, A)",
    },
    "task11": {
        "det": "torch.linalg.slogdet(J).logabsdet",
        "c": "z.shape[1] / 2 * math.log(2 * math.pi)",
    },
}


def wrong(task: str) -> list[tuple[str, str]]:
    """Wrong answers as whole cells, with the part of the sentence each must get."""
    name, _, second = task.partition("-")
    cells = []
    for code, sentence in WRONG[task]:
        body = code
        if name == "task5":
            parts = code.split(" | ")
        elif name in ("task6", "task9"):
            parts = [", ".join(code.split(" | "))]
        elif name == "task10" and not second:
            parts = [", ".join(code.split(" | ")), _OTHER_HALF[name][1]]
        elif name in _OTHER_HALF:
            parts = beside_its_half(_OTHER_HALF[name], body, second=bool(second))
        else:
            parts = [body]
        cells.append((framed(_FRAMES[name], parts, _SHORT.get(name, {})), sentence))
    return cells
