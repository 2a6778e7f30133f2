"""Answers to problem set 4: right ones written differently, and wrong ones as students write them.

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
        # draw by draw
        """
        def reparametrise(mean, log_var, eps):
            return torch.stack([mean + log_var.mul(0.5).exp() * e for e in eps])
        """,
        # the root of the variance, in float64
        """
        def reparametrise(mean, log_var, eps):
            return mean.double() + log_var.double().exp().sqrt() * eps.double()
        """,
        # einsum, with axes spelt out
        """
        def reparametrise(mean, log_var, eps):
            s = torch.pow(math.e, log_var / 2)
            return mean[None] + torch.einsum("nd,knd->knd", s, eps)
        """,
    ],
    "task2": [
        # a loop over coordinates
        """
        def kl_to_prior(mean, log_var):
            total = 0
            for k in range(mean.shape[1]):
                m, s = mean[:, k], log_var[:, k]
                total = total + (m * m + torch.exp(s) - s - 1) / 2
            return total
        """,
        # the general formula, with matrices
        """
        def kl_to_prior(mean, log_var):
            v = torch.diag_embed(log_var.double().exp())
            trace = v.diagonal(dim1=1, dim2=2).sum(1)
            log_det = torch.linalg.slogdet(v).logabsdet
            return 0.5 * (trace + mean.square().sum(1) - mean.shape[1] - log_det)
        """,
        # with standard deviations
        """
        def kl_to_prior(mean, log_var):
            s = (log_var / 2).exp()
            return (mean.pow(2) / 2 + (s**2 - 1) / 2 - s.log()).sum(-1)
        """,
        # negative entropy less cross-entropy
        """
        def kl_to_prior(mean, log_var):
            d = mean.shape[1]
            c = d * math.log(2 * math.pi)
            entropy = 0.5 * (log_var.sum(1) + c + d)
            cross = 0.5 * ((mean**2 + log_var.exp()).sum(1) + c)
            return cross - entropy
        """,
    ],
    "task3": [
        # x l - softplus(l); standard deviation
        """
        def bernoulli_log_likelihood(x, logits):
            return (x * logits - nn.functional.softplus(logits)).sum(-1)

        def gaussian_log_likelihood(x, mean):
            e = (x - mean).double()
            s = e.pow(2).mean().sqrt()
            D = x.shape[1]
            return -D * s.log() - D / 2 * math.log(2 * math.pi) - ((e / s) ** 2).sum(1) / 2
        """,
        # torch's cost; loops
        """
        def bernoulli_log_likelihood(x, logits):
            cost = nn.functional.binary_cross_entropy_with_logits(
                logits, x.expand_as(logits), reduction="none")
            return -cost.sum(-1)

        def gaussian_log_likelihood(x, mean):
            n, D = x.shape
            variance = sum(float(((a - b) ** 2).sum()) for a, b in zip(x, mean)) / (n * D)
            c = D * math.log(2 * math.pi * variance)
            return torch.stack([-0.5 * (((a - b) ** 2).sum() / variance + c)
                                for a, b in zip(x, mean)])
        """,
        # log-sum-exp; relative to the mean row
        """
        def bernoulli_log_likelihood(x, logits):
            zero = torch.zeros_like(logits)
            return (x * logits - torch.logaddexp(zero, logits)).double().sum(dim=-1)

        def gaussian_log_likelihood(x, mean):
            D = x.size(-1)
            rows = torch.linalg.vector_norm(x - mean, dim=1) ** 2
            relative = rows / rows.mean()
            return -D / 2 * (relative + torch.log(2 * torch.pi * rows.mean() / D))
        """,
    ],
    "task4": [
        # means term by term; log-sum-exp by hand
        """
        def elbo(log_lik, log_prior, log_q):
            return log_lik.mean(0) + log_prior.mean(0) - log_q.mean(0)

        def importance_bound(log_lik, log_prior, log_q):
            w = log_lik - log_q + log_prior
            top = w.max(0).values
            return top + (w - top).exp().mean(0).log()
        """,
        # a loop over the draws, float64
        """
        def elbo(log_lik, log_prior, log_q):
            total = 0
            for a, b, c in zip(log_lik.double(), log_prior.double(), log_q.double()):
                total = total + a + b - c
            return total / len(log_lik)

        def importance_bound(log_lik, log_prior, log_q):
            total = torch.full(log_lik.shape[1:], -math.inf, dtype=torch.float64)
            for a, b, c in zip(log_lik.double(), log_prior.double(), log_q.double()):
                total = torch.logaddexp(total, a + b - c)
            return total - math.log(log_lik.shape[0])
        """,
        # a loop over the inputs; 1/K inside
        """
        def elbo(log_lik, log_prior, log_q):
            w = (log_lik + log_prior - log_q).T
            return torch.stack([row.sum() / len(row) for row in w])

        def importance_bound(log_lik, log_prior, log_q):
            K = len(log_lik)
            return (log_lik + (log_prior - math.log(K)) - log_q).logsumexp(0)
        """,
    ],
    "task5": [
        # one row after the other, float64
        """
        def split_elbo(log_lik, log_prior, log_q):
            q, n = log_q.double(), len(log_q)
            mixed = torch.stack([torch.logsumexp(row, 0) for row in q]) - math.log(n)
            own = torch.stack([q[i, i] for i in range(n)])
            return log_lik.double().mean(), own.mean() - mixed.mean(), (mixed - log_prior).mean()
        """,
        # plain numbers, in a list
        """
        def split_elbo(log_lik, log_prior, log_q):
            n, information, marginal = len(log_lik), 0.0, 0.0
            for i, row in enumerate(log_q.tolist()):
                top = max(row)
                mixed = top + math.log(sum(math.exp(v - top) for v in row) / n)
                information += (row[i] - mixed) / n
                marginal += (mixed - float(log_prior[i])) / n
            return [float(log_lik.sum()) / n, information, marginal]
        """,
        # the last part from the whole divergence
        """
        def split_elbo(log_lik, log_prior, log_q):
            own = torch.diagonal(log_q)
            information = math.log(len(log_q)) + torch.log_softmax(log_q, 1).diagonal().mean()
            return log_lik.mean(), information, (own - log_prior).mean() - information
        """,
    ],
    "task6": [
        # conditioning by the covariance of x; inverse and slogdet
        """
        def posterior(x, W, b, sigma):
            D, k = W.shape
            C = (W @ W.T + sigma**2 * torch.eye(D)).double()
            gain = torch.linalg.solve(C, W.double()).T
            return (x - b).double() @ gain.T, torch.eye(k) - gain @ W.double()

        def log_evidence(x, W, b, sigma):
            D = W.shape[0]
            C = (W @ W.T + sigma**2 * torch.eye(D)).double()
            y = (x - b).double()
            quadratic = torch.einsum("ni,ij,nj->n", y, torch.linalg.inv(C), y)
            return -0.5 * (quadratic + torch.linalg.slogdet(C)[1] + D * math.log(2 * math.pi))
        """,
        # M = WᵀW + σ² I, and Woodbury's identity
        """
        def posterior(x, W, b, sigma):
            M = W.T @ W + sigma**2 * torch.eye(W.shape[1])
            mean = torch.linalg.solve(M, W.T @ (x - b).T).T
            return mean, sigma**2 * torch.linalg.inv(M)

        def log_evidence(x, W, b, sigma):
            W, y = W.double(), (x - b).double()
            D, k = W.shape
            M = W.T @ W + sigma**2 * torch.eye(k)
            through = y @ W
            quadratic = (y**2).sum(1) - (through @ torch.linalg.inv(M) * through).sum(1)
            log_det = torch.logdet(M) + (D - k) * math.log(sigma**2)
            return -0.5 * (quadratic / sigma**2 + log_det + D * math.log(2 * math.pi))
        """,
        # one input after the other; Bayes' rule at z = 0
        """
        def posterior(x, W, b, sigma):
            W, b = W.double(), b.double()
            P = torch.eye(W.shape[1]).double() + W.T.mm(W) / sigma**2
            rows = [torch.linalg.solve(P, W.T @ (row - b) / sigma**2) for row in x.double()]
            return torch.stack(rows), torch.cholesky_inverse(torch.linalg.cholesky(P))

        def log_evidence(x, W, b, sigma):
            mean, S = posterior(x, W, b, sigma)
            D, k = W.shape
            turn = math.log(2 * math.pi)
            likelihood = -0.5 * ((x - b).double() ** 2).sum(1) / sigma**2
            likelihood = likelihood - D / 2 * (turn + 2 * math.log(sigma))
            quadratic = (mean @ torch.linalg.inv(S) * mean).sum(1)
            after = -0.5 * (quadratic + torch.logdet(S) + k * turn)
            return likelihood - k / 2 * turn - after
        """,
    ],
    "task7": [
        # pixel by pixel: the variance of (Wz) is Σ W² v
        """
        def linear_elbo(x, m, v, W, b, sigma):
            squares = (x - b - m @ W.T) ** 2 + (W**2) @ v
            likelihood = -0.5 * (squares / sigma**2 + math.log(2 * math.pi * sigma**2))
            kl = 0.5 * (m**2 + v - 1 - torch.log(v))
            return likelihood.sum(1) - kl.sum(1)
        """,
        # traces, float64
        """
        def linear_elbo(x, m, v, W, b, sigma):
            x, m, v, W, b = (t.double() for t in (x, m, v, W, b))
            D, k = W.shape
            trace = torch.trace(W @ torch.diag(v) @ W.T)
            error = torch.linalg.vector_norm(x - b - m @ W.T, dim=1) ** 2
            likelihood = -(error + trace) / (2 * sigma**2) - D * math.log(sigma)
            likelihood = likelihood - D / 2 * math.log(2 * math.pi)
            kl = (m.square().sum(1) + v.sum() - k - torch.logdet(torch.diag(v))) / 2
            return likelihood - kl
        """,
        # a loop over the inputs; entropy and energies
        """
        def linear_elbo(x, m, v, W, b, sigma):
            D, k = W.shape
            turn = math.log(2 * math.pi)
            entropy = 0.5 * (v.log() + 1 + turn).sum()
            values = []
            for row, code in zip(x, m):
                e = row - b - W @ code
                lik = -0.5 * (e @ e + torch.einsum("dk,dk,k->", W, W, v)) / sigma**2
                lik = lik - D / 2 * (turn + math.log(sigma**2))
                prior = -0.5 * (code @ code + v.sum()) - k / 2 * turn
                values.append(lik + prior + entropy)
            return torch.stack(values)
        """,
    ],
    "task8": [
        # norms and products
        """
        def mmd(z, y, c):
            def k(a, b):
                sq = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
                return c / (c + sq.clamp(min=0))
            n, m = len(z), len(y)
            a, b = k(z, z), k(y, y)
            return ((a.sum() - a.diagonal().sum()) / n / (n - 1)
                    + (b.sum() - b.diagonal().sum()) / m / (m - 1) - 2 * k(z, y).mean())
        """,
        # a mask, float64
        """
        def mmd(z, y, c):
            z, y = z.double(), y.double()
            def k(a, b):
                return 1 / (1 + (a[:, None] - b[None]).pow(2).sum(2) / c)
            def off(a):
                return k(a, a)[~torch.eye(len(a), dtype=torch.bool)].mean()
            return off(z) + off(y) - k(z, y).sum() / (len(z) * len(y)) * 2
        """,
        # loops over pairs
        """
        def mmd(z, y, c):
            def k(a, b):
                return c / (c + ((a - b) ** 2).sum())
            def among(p):
                n = len(p)
                pairs = [k(p[i], p[j]) for i in range(n) for j in range(i)]
                return 2 * sum(pairs) / (n * (n - 1))
            return among(z) + among(y) - 2 * sum(k(a, b) for a in z for b in y) / len(z) / len(y)
        """,
        # triangles
        """
        def mmd(z, y, c):
            def k(a, b):
                return (1 + (a.unsqueeze(1) - b).square().sum(-1) / c).reciprocal()
            n, m = len(z), len(y)
            return (k(z, z).triu(1).sum() / (n * (n - 1) / 2)
                    + k(y, y).tril(-1).sum() / (m * (m - 1) / 2) - 2 * k(z, y).mean())
        """,
    ],
    "task9": [
        # one-hot
        """
        def power_cells(x, y, h):
            planes = torch.einsum("md,nd->mn", x, y) + h[None]
            index = planes.max(1).indices
            return index, nn.functional.one_hot(index, len(y)).float().mean(0)
        """,
        # a loop, float64
        """
        def power_cells(x, y, h):
            index = []
            for p in x.double():
                scores = [float(p @ t) + float(s) for t, s in zip(y.double(), h)]
                index.append(max(range(len(y)), key=scores.__getitem__))
            counts = [index.count(i) / len(x) for i in range(len(y))]
            return torch.tensor(index), torch.tensor(counts)
        """,
        # power distances
        """
        def power_cells(x, y, h):
            power = (x[:, None] - y).square().sum(-1) - (y.square().sum(1) + 2 * h)
            index = power.argmin(1)
            return index, (index[:, None] == torch.arange(len(y))).double().mean(0)
        """,
    ],
    "task10": [
        # max; a common height subtracted before the step too
        """
        def transport_energy(x, y, h, w):
            return torch.max(x @ y.T + h, dim=1).values.mean() - torch.dot(w, h)

        def height_step(h, mass, w, rate):
            change = rate * (w - mass)
            return h - h.mean() + change - change.mean()
        """,
        # loops, float64
        """
        def transport_energy(x, y, h, w):
            x, y, h, w = x.double(), y.double(), h.double(), w.double()
            return sum((y @ p + h).max() for p in x) / len(x) - (h * w).sum()

        def height_step(h, mass, w, rate):
            new = [float(a) - rate * (float(b) - float(c)) for a, b, c in zip(h, mass, w)]
            return torch.tensor([a - sum(new) / len(new) for a in new])
        """,
        # gather; a projection
        """
        def transport_energy(x, y, h, w):
            planes = torch.addmm(h, x, y.T)
            top = planes.gather(1, planes.argmax(1, keepdim=True))
            return top.mean() - w @ h

        def height_step(h, mass, w, rate):
            n = len(h)
            P = torch.eye(n) - 1 / n
            return P @ (h - rate * (mass - w))
        """,
    ],
    "task11": [
        # sorting, lerp, float64
        """
        def extend(x, y, h, weight, angle):
            x, y, h = x.double(), y.double(), h.double()
            order = (x @ y.T + h).argsort(1, descending=True)
            a, b = y[order[:, 0]], y[order[:, 1]]
            cosine = ((a * b).sum(1) + 1) / (
                (1 + (a**2).sum(1)).sqrt() * (1 + (b**2).sum(1)).sqrt())
            z = torch.lerp(b, a, weight.double()[:, None])
            return z, torch.acos(cosine.clamp(-1, 1)) < angle
        """,
        # the highest masked to find the second; compare cosines
        """
        def extend(x, y, h, weight, angle):
            planes = x @ y.T + h
            i = planes.argmax(1)
            planes = planes.scatter(1, i[:, None], -math.inf)
            j = planes.argmax(1)
            normal = torch.cat([y, -torch.ones(len(y), 1)], 1).double()
            cosine = nn.functional.cosine_similarity(normal[i], normal[j])
            w = weight.unsqueeze(1)
            keep = cosine > math.cos(angle) if angle < math.pi else cosine > -2
            return y[j] + w * (y[i] - y[j]), keep
        """,
        # a loop; the angle from a chord
        """
        def extend(x, y, h, weight, angle):
            z, keep = [], []
            for p, t in zip(x, weight):
                i, j = (y @ p + h).topk(2).indices.tolist()
                z.append(t * y[i] + (1 - t) * y[j])
                u, v = (torch.cat([y[k], torch.tensor([-1.0])]).double() for k in (i, j))
                u, v = u / u.norm(), v / v.norm()
                keep.append(2 * math.asin(min(1.0, float((u - v).norm()) / 2)) < angle)
            return torch.stack(z), torch.tensor(keep)
        """,
    ],
}

WRONG: dict[str, list[tuple[str, str]]] = {
    "task1": [
        ("return mean + log_var.exp() * eps", "not by the variance"),
        ("return mean + log_var * eps", "take its exponential"),
        ("return mean + log_var / 2 * eps", "take its exponential"),
        ("return mean + (-log_var / 2).exp() * eps", "you divide by the standard deviation"),
        ("return mean + (2 * log_var).exp() * eps", "not 2 log v"),
        ("return (log_var / 2).exp() * eps", "mean is missing"),
        ("return mean + (log_var / 2).exp() * torch.randn_like(eps)", "don't draw any"),
        ("return mean.expand_as(eps)", "noise is missing"),
        ("return (mean + (log_var / 2).exp() * eps).detach()", "no gradient flows"),
        ("return mean + (log_var.detach() / 2).exp() * eps", "no gradient flows"),
        ("return (mean + (log_var / 2).exp() * eps).mean(0)", "should be shape"),
        ("return mean + (log_var / 2).exp() * eps[0]", "should be shape"),
        ("mean + (log_var / 2).exp() * eps", "return missing"),
        ("return torch.zeros_like(eps)", "zero"),
        ("return eps", "does not agree"),
    ],
    "task2": [
        ("return -{kl}.sum(1)", "opposite sign"),
        ("return 2 * {kl}.sum(1)", "twice what it should be"),
        ("return {kl}.mean(1)", "don't average"),
        ("return ({kl} + 0.5).sum(1)", "constant -1 missing"),
        ("return {kl}.sum(1) + (mean.shape[1] - 1) / 2", "-1 for each coordinate"),
        ("return ({kl} + log_var).sum(1)", "minus sign"),
        ("return ({kl} + log_var / 2).sum(1)", "term log v is missing"),
        ("return ({kl} - mean**2 / 2).sum(1)", "mean is missing"),
        ("return ({kl} + (mean - mean**2) / 2).sum(1)", "enters squared"),
        ("return ({kl} - log_var.exp() / 2).sum(1)", "v is missing"),
        ("return ({kl} + (log_var - log_var.exp()) / 2).sum(1)", "not v"),
        (
            "return 0.5 * (mean**2 + (log_var / 2).exp() - 1 - log_var).sum(1)",
            "not the standard deviation",
        ),
        ("return 0.5 * (mean**2 + (2 * log_var).exp() - 1 - log_var).sum(1)", "not log of the st"),
        (
            "return 0.5 * ((1 + mean**2) / log_var.exp() - 1 + log_var).sum(1)",
            "the other way round",
        ),
        ("return {kl}.sum()", "Did you reduce"),
        ("return {kl}.sum(1).detach()", "no gradient flows"),
        ("return {kl}.sum(1, keepdim=True)", "An axis of length 1"),
        ("{kl}.sum(1)", "return missing"),
        ("return torch.zeros(len(mean))", "zero"),
        ("return mean[:, 0]", "does not agree"),
    ],
    "task3": [
        ("return -{b}.sum(-1)", "That is the cost"),
        ("return {b}.mean(-1)", "don't average"),
        ("return (x * {white}).sum(-1)", "Only the term of x"),
        ("return ((1 - x) * {black}).sum(-1)", "Only the term of 1 - x"),
        ("return ((1 - x) * {white} + x * {black}).sum(-1)", "swapped"),
        ("return (x * p - nn.functional.softplus(p)).sum(-1)", "once, not twice"),
        ("x = x.round(); return {b}.sum(-1)", "don't round"),
        ("return -((x - p) ** 2).sum(-1)", "squared error"),
        ("return (x * p + (1 - x) * (1 - p)).sum(-1)", "logs are missing"),
        ("return (x * p.log() + (1 - x) * (1 - p).log()).sum(-1)", "log of zero"),
        (
            "return (x * (p + 1e-8).log() + (1 - x) * (1 - p + 1e-8).log()).sum(-1)",
            "logits far from 0",
        ),
        ("return {b}.sum()", "Did you reduce"),
        ("return {b}.sum(0)", "should be shape"),
        ("{b}.sum(-1)", "return missing"),
        ("return torch.zeros(logits.shape[:-1])", "zero"),
        ("return logits[..., 0]", "does not agree"),
    ],
    "task3-gaussian": [
        ("return -0.5 * (sq + math.log(2 * math.pi)).sum(1)", "density for σ = 1"),
        ("return -0.5 * sq.sum(1)", "normalising constant"),
        ("return -0.5 * (sq / s).sum(1)", "normalising constant"),
        ("return -0.5 * (sq / s + torch.log(s)).sum(1)", "log 2π is missing"),
        ("return -0.5 * (sq / s + math.log(2 * math.pi)).sum(1)", "log of σ is missing"),
        ("return -(0.5 * sq / s + torch.log(2 * math.pi * s)).sum(1)", "there is a factor ½"),
        ("return -0.5 * ((sq / s).sum(1) + torch.log(2 * math.pi * s))", "once for each pixel"),
        ("s = sq.mean(1, keepdim=True); return {g}.sum(1)", "average over the batch"),
        ("s = sq.mean(0); return {g}.sum(1)", "average over the pixels"),
        ("s = sq.sum(1).mean(); return {g}.sum(1)", "over the batch and over the pixels"),
        ("s = sq.mean().sqrt(); return {g}.sum(1)", "you use its root"),
        ("return {g}.mean(1)", "don't average"),
        ("return -{g}.sum(1)", "That is the cost"),
        ("s = (x - mean).var(correction=0); return {g}.sum(1)", "their own mean"),
        ("return {g}.sum()", "Did you reduce"),
        ("{g}.sum(1)", "return missing"),
        ("return torch.zeros(len(x))", "zero"),
    ],
    "task4": [
        ("w.sum(0)", "that is their sum"),
        ("w.logsumexp(0) - math.log(len(w))", "the mean of the logs is asked"),
        ("w.logsumexp(0)", "log of the sum"),
        ("w.exp().mean(0)", "logs are asked"),
        ("(log_lik + log_prior + log_q).mean(0)", "log q has a minus sign"),
        ("(log_lik - log_prior + log_q).mean(0)", "log q has a minus sign"),
        ("(log_lik - log_q).mean(0)", "prior is missing"),
        ("(log_lik + log_prior).mean(0)", "log q is missing"),
        ("log_lik.mean(0)", "likelihood alone"),
        ("(log_prior - log_q).mean(0)", "likelihood is missing"),
        ("(log_q - log_prior).mean(0)", "likelihood is missing"),
        ("-w.mean(0)", "opposite sign"),
        ("w[0]", "first of the draws"),
        ("w.mean()", "Did you reduce"),
        ("w.mean(1)", "should be shape"),
        ("None", "return missing"),
        ("torch.zeros(w.shape[1])", "zero"),
    ],
    "task4-importance": [
        ("w.logsumexp(0)", "Divide the sum of the weights by K"),
        ("w.logsumexp(0) / len(w)", "by subtracting log K"),
        ("w.mean(0)", "the log of the mean is asked"),
        ("w.exp().mean(0)", "its log is asked"),
        ("w.max(0).values", "all draws count"),
        ("w.exp().mean(0).log()", "infinity"),
        ("(w.exp().mean(0) + 1e-12).log()", "evidence"),
        (
            "(log_lik + log_prior + log_q).logsumexp(0) - math.log(len(w))",
            "log q has a minus sign",
        ),
        ("(log_lik - log_q).logsumexp(0) - math.log(len(w))", "prior is missing"),
        ("w.logsumexp(1) - math.log(w.shape[1])", "should be shape"),
        ("torch.zeros(w.shape[1])", "zero"),
        ("(w.logsumexp(0) - math.log(len(w))).mean()", "Did you reduce"),
    ],
    "task5": [
        ("rec, mi | marg, mi + marg", "should be 3 values"),
        ("log_lik.sum(), mi | marg", "that is their sum"),
        ("-rec, mi | marg", "That is a cost"),
        ("rec, n * mi | marg", "that is their sum"),
        ("rec, -mi | marg", "opposite sign"),
        ("rec, (own - log_q.logsumexp(0) + math.log(n)).mean() | marg", "the other axis"),
        ("rec, mi - math.log(n) | marg", "Divide by n"),
        ("rec, (own - log_q.mean(1)).mean() | marg", "not a mean of logs"),
        ("rec, (log_q - mixed[:, None]).mean() | marg", "take the diagonal"),
        ("rec, (own - log_prior).mean() | marg", "not with the prior"),
        (
            "rec, (own - log_q.clone().fill_diagonal_(-math.inf).logsumexp(1)"
            " + math.log(n - 1)).mean() | marg",
            "don't leave it out",
        ),
        ("rec, own.mean() | marg", "log q(z) is missing"),
        ("rec, marg | mi", "That is the marginal KL"),
        ("rec, mi | n * marg", "that is their sum"),
        ("rec, mi | -marg", "the sign is wrong"),
        ("rec, mi | (log_q.logsumexp(0) - math.log(n) - log_prior).mean()", "the other axis"),
        ("rec, mi | marg + math.log(n)", "Divide by n"),
        ("rec, mi | (log_q.mean(1) - log_prior).mean()", "not a mean of logs"),
        ("rec, mi | (own - log_prior).mean()", "take q(z), not q(z|x)"),
        ("rec, mi | mixed.mean()", "prior is missing"),
        ("rec, mi | (mixed + log_prior).mean()", "minus sign"),
        (
            "rec, (own - log_q.exp().mean(1).log()).mean()"
            " | (log_q.exp().mean(1).log() - log_prior).mean()",
            "infinity",
        ),
        ("rec, own - mixed | mixed - log_prior", "Did you forget to average"),
        ("None", "None"),
        ("torch.zeros(()), torch.zeros(()) | torch.zeros(())", "zero"),
    ],
    "task6": [
        ("y @ torch.linalg.pinv(W).T | S", "least squares"),
        ("x @ W @ S / sigma**2 | S", "Subtract b"),
        ("y @ W @ S | S", "1/σ² in front is missing"),
        ("y @ W @ S / sigma | S", "not 1/σ"),
        (
            "y @ W @ torch.linalg.inv(torch.eye(k) + W.T @ W / sigma) / sigma"
            " | torch.linalg.inv(torch.eye(k) + W.T @ W / sigma)",
            "σ enters squared",
        ),
        ("y @ W / sigma**2 | S", "Σ is missing"),
        ("y @ W @ P / sigma**2 | S", "precision is inverted"),
        ("y @ W @ torch.linalg.inv(torch.eye(k) + W.T @ W) / sigma**2 | S", "divided by σ²"),
        ("m | P", "That is the precision"),
        ("m | sigma**2 * torch.linalg.inv(W.T @ W)", "adds I to the precision"),
        ("m | torch.linalg.inv(torch.eye(k) + W.T @ W)", "divided by σ²"),
        ("m | S / sigma**2", "too many or too few"),
        ("m | S.diag().diag()", "off-diagonal"),
        ("m | S.diag()", "should be shape"),
        ("m.T | S", "should be shape"),
        ("torch.zeros(len(x), k) | torch.zeros(k, k)", "zero"),
    ],
    "task6-evidence": [
        ("{e}.exp()", "its log is asked"),
        ("-{e}", "sign is wrong"),
        ("{e} + D / 2 * math.log(2 * math.pi)", "log 2π is missing"),
        ("{e} + (D - 1) / 2 * math.log(2 * math.pi)", "once for each"),
        ("{e} + log_det / 2", "determinant is missing"),
        ("{e} - log_det / 2", "log det C has a factor"),
        ("{e} + log_det", "minus sign"),
        ("{e} - quadratic / 2", "quadratic form has a factor"),
        ("{e} + quadratic / 2 - (y @ C * y).sum(1) / 2", "inverse of C"),
        ("{e}.mean()", "Did you reduce"),
        (
            "-0.5 * (y**2 / C.diag() + C.diag().log() + math.log(2 * math.pi)).sum(1)",
            "Pixels are correlated",
        ),
        (
            "-0.5 * (y**2 / sigma**2 + math.log(2 * math.pi * sigma**2)).sum(1)",
            "adds W Wᵀ",
        ),
        ("torch.zeros(len(x))", "zero"),
    ],
    "task7": [
        ("return lik + noise - kl", "term with v is missing"),
        ("return lik + 2 * noise - kl", "lowers the bound"),
        ("return lik", "divergence from the prior is missing"),
        ("return lik + kl", "is subtracted"),
        ("return lik - 2 * kl", "divergence from the prior has a factor"),
        ("return lik + noise - v.sum() / sigma**2 / 2 - kl", "its own column"),
        (
            "return lik + noise - v.mean() * (W**2).sum() / sigma**2 / 2 - kl",
            "its own column",
        ),
        ("return lik + noise - (W**2 @ v**2).sum() / sigma**2 / 2 - kl", "take no root"),
        (
            "return lik - 0.5 * (m**2 + v.exp() - 1 - v).sum(1)",
            "not its log",
        ),
        ("return lik - kl + D * math.log(sigma)", "σ² in its log"),
        ("return lik - kl + D / 2 * math.log(sigma)", "σ² in its log"),
        ("return lik - kl + D / 2 * math.log(2 * math.pi)", "log 2π is missing"),
        (
            "return lik - kl + (D - 1) / 2 * math.log(2 * math.pi * sigma**2)",
            "each of the D pixels",
        ),
        ("return lik - kl - (error + trace) / sigma**2 / 2", "with the squared error"),
        ("return -(lik - kl)", "the bound itself is asked"),
        ("return (lik - kl).mean()", "Did you reduce"),
        ("return (lik - kl).detach()", "no gradient flows"),
        ("lik - kl", "return missing"),
        ("return torch.zeros(len(x))", "zero"),
        ("return x[:, 0]", "does not agree"),
    ],
    "task8": [
        ("return k(z, z).mean() + k(y, y).mean() - 2 * k(z, y).mean()", "with itself"),
        ("return off(z) * (n - 1) / n + off(y) * (m - 1) / m - {x}", "not by n²"),
        (
            "return k(z, z).sum() / n / (n - 1) + k(y, y).sum() / m / (m - 1) - {x}",
            "with itself",
        ),
        ("return off(z) + off(y) - {x} / 2", "counts twice"),
        ("return off(z) + off(y) + {x}", "is subtracted"),
        ("return {x} - off(z) - off(y)", "sign is wrong"),
        ("return (off(z) + off(y) - {x}).abs().sqrt()", "the square is asked"),
        ("return off(z) * n * (n - 1) + off(y) * m * (m - 1) - {x} * n * m", "Those are sums"),
        ("return off(z) + off(y) - 2 * k(z, y).sum() / n**2", "divide by n m"),
        ("k = lambda a, b: c / (c + sq(a, b).sqrt()); {return}", "distance is squared"),
        ("k = lambda a, b: c**2 / (c**2 + sq(a, b)); {return}", "c is not squared"),
        ("k = lambda a, b: 1 / (c + sq(a, b)); {return}", "a c above"),
        ("k = lambda a, b: 1 / (1 + sq(a, b)); {return}", "c below"),
        ("k = lambda a, b: (-sq(a, b) / (2 * c)).exp(); {return}", "Gaussian kernel"),
        ("k = lambda a, b: (c / (c + sq(a, b))).sqrt(); {return}", "root of the kernel"),
        (
            "k = lambda a, b: c / (c + ((a[:, None] - b) ** 2).mean(-1)); {return}",
            "don't average",
        ),
        ("return (z.mean(0) - y.mean(0)).square().sum()", "Means alone"),
        (
            "k = lambda a, b: c / (c + sq(a, b).sqrt() ** 2); {return}",
            "gradient holds NaN",
        ),
        ("return (off(z) + off(y) - {x}).item()", "no gradient flows"),
        ("return k(z, y).mean(1)", "Did you forget to average"),
        ("off(z) + off(y) - {x}", "return missing"),
        ("return torch.zeros(())", "zero"),
        ("return z", "single number"),
    ],
    "task9": [
        ("i = planes.argmin(1); return i, share(i)", "not the lowest"),
        ("i = (x @ y.T).argmax(1); return i, share(i)", "heights are missing"),
        ("i = (x @ y.T - h).argmax(1); return i, share(i)", "you subtract them"),
        ("i = torch.cdist(x, y).argmin(1); return i, share(i)", "nearest targets"),
        (
            "i = (torch.cdist(x, y) ** 2 - h).argmin(1); return i, share(i)",
            "nearest targets",
        ),
        ("return i + 1, share(i)", "from 0"),
        ("return planes.amax(1), share(i)", "their indices are asked"),
        ("return i, share(i) * len(x)", "by the number of points"),
        ("return i, share(i) * len(x) / len(y)", "not of targets"),
        ("return i, torch.bincount(i).float() / len(x)", "should be shape"),
        ("return i, torch.full((len(y),), 1 / len(y))", "not the same for all"),
        ("return i", "should be 2 values"),
        ("return share(i), i", "should be shape"),
        ("return 0 * i, 0 * share(i)", "zero"),
        ("i, share(i)", "None"),
    ],
    "task10": [
        ("planes.amax(1).sum() - (w * h).sum()", "that is their sum"),
        ("planes.amax(1).mean()", "masses are missing"),
        ("planes.amax(1).mean() + (w * h).sum()", "is subtracted"),
        ("planes.amax(1).mean() - h.mean()", "its own mass"),
        ("planes.amax(1).mean() - (w * h).mean()", "it is a sum"),
        ("planes.amin(1).mean() - (w * h).sum()", "not the lowest"),
        ("planes.mean() - (w * h).sum()", "not the mean of all"),
        ("(planes - h).amax(1).mean() - (w * h).sum()", "heights are missing there"),
        ("planes.amax(0).mean() - (w * h).sum()", "other way round"),
        ("planes.logsumexp(1).mean() - (w * h).sum()", "soft maximum"),
        ("(w * h).sum() - planes.amax(1).mean()", "sign of the energy"),
        ("planes.amax(1) - (w * h).sum()", "Did you forget to average"),
        ("(planes.amax(1).mean() - (w * h).sum()).item()", "no gradient flows"),
        ("None", "return missing"),
        ("torch.zeros(())", "zero"),
    ],
    "task10-step": [
        ("h + rate * (mass - w) - h.mean()", "sign of the step"),
        ("h - rate * (mass - w)", "sum to 0"),
        ("h - (mass - w) - h.mean()", "rate is missing"),
        ("h - rate * mass - (h - rate * mass).mean()", "masses asked for are missing"),
        ("h - rate * (mass - w) - (w * (h - rate * (mass - w))).sum()", "same weight"),
        ("-rate * (mass - w)", "only the change"),
        ("h - h.mean()", "don't change"),
        ("h - rate * (mass - w).sign() - (h - rate * (mass - w).sign()).mean()", "by its sign"),
        ("h - rate * (mass / w - 1) - (h - rate * (mass / w - 1)).mean()", "divide by w"),
        ("(h - rate * (mass - w)).mean()", "Did you reduce"),
        ("None", "return missing"),
        ("torch.zeros(len(h))", "zero"),
    ],
    "task11": [
        ("return (1 - w) * a + w * b, {keep}", "λ belongs to the highest"),
        ("i, j = planes.topk(2, largest=False).indices.T; {return}", "those are the lowest"),
        ("i, j = (x @ y.T).topk(2).indices.T; {return}", "heights are missing"),
        ("i, j = (x @ y.T - h).topk(2).indices.T; {return}", "you subtract them"),
        ("i, j = (-torch.cdist(x, y)).topk(2).indices.T; {return}", "nearest targets"),
        ("return a, {keep}", "mix with the second target"),
        ("return b, {keep}", "second target alone"),
        ("return (a + b) / 2, {keep}", "its own λ"),
        ("return weight[0] * a + (1 - weight[0]) * b, {keep}", "its own λ"),
        ("return w * a + (1 - w) * x, {keep}", "not between x"),
        ("i, _, j = planes.topk(3).indices.T; {return}", "not the third"),
        ("return w * a + (1 - w) * b, ~({keep})", "you keep large ones"),
        (
            "return w * a + (1 - w) * b, nn.functional.cosine_similarity(a, b).acos() < angle",
            "angle between the codes",
        ),
        ("return w * a + (1 - w) * b, cosine < angle", "arc cosine is missing"),
        ("return w * a + (1 - w) * b, cosine.acos().rad2deg() < angle", "in radians"),
        (
            "return w * a + (1 - w) * b, ((a * b).sum(1) + 1).clamp(-1, 1).acos() < angle",
            "lengths of the normals",
        ),
        ("return w * a + (1 - w) * b, torch.ones(len(x))", "Not all are kept"),
        ("return w * a + (1 - w) * b, (a - b).norm(dim=1) < angle", "a distance"),
        ("return (w * a + (1 - w) * b)[{keep}], {keep}", "should be shape"),
        ("return w * a + (1 - w) * b", "should be 2 values"),
        ("return 0 * a, 0 * weight", "zero"),
        ("w * a + (1 - w) * b, {keep}", "None"),
    ],
}


right = partial(dedented, RIGHT)


_FRAMES = {
    "task1": """\
def reparametrise(mean, log_var, eps):
    {}
""",
    "task2": """\
def kl_to_prior(mean, log_var):
    {}
""",
    "task3": """\
def bernoulli_log_likelihood(x, logits):
    p = logits.sigmoid()
    {}

def gaussian_log_likelihood(x, mean):
    sq = (x - mean) ** 2
    s = sq.mean()
    {}
""",
    "task4": """\
def elbo(log_lik, log_prior, log_q):
    w = log_lik + log_prior - log_q
    return {}

def importance_bound(log_lik, log_prior, log_q):
    w = log_lik + log_prior - log_q
    return {}
""",
    "task5": """\
def split_elbo(log_lik, log_prior, log_q):
    n = len(log_q)
    own, mixed = log_q.diagonal(), log_q.logsumexp(1) - math.log(n)
    rec, mi, marg = log_lik.mean(), (own - mixed).mean(), (mixed - log_prior).mean()
    return {}
""",
    "task6": """\
def posterior(x, W, b, sigma):
    y, (D, k) = x - b, W.shape
    P = torch.eye(k) + W.T @ W / sigma**2
    S = torch.linalg.inv(P)
    m = y @ W @ S / sigma**2
    return {}

def log_evidence(x, W, b, sigma):
    y, (D, k) = x - b, W.shape
    C = W @ W.T + sigma**2 * torch.eye(D)
    log_det = torch.logdet(C)
    quadratic = (y @ torch.linalg.inv(C) * y).sum(1)
    return {}
""",
    "task7": """\
def linear_elbo(x, m, v, W, b, sigma):
    D = len(W)
    error, trace = ((x - b - m @ W.T) ** 2).sum(1), (W**2 @ v).sum()
    noise = trace / sigma**2 / 2
    lik = -error / sigma**2 / 2 - noise - D / 2 * math.log(2 * math.pi * sigma**2)
    kl = 0.5 * (m**2 + v - 1 - v.log()).sum(1)
    {}
""",
    "task8": """\
def mmd(z, y, c):
    n, m = len(z), len(y)
    sq = lambda a, b: ((a[:, None] - b) ** 2).sum(-1)
    k = lambda a, b: c / (c + sq(a, b))
    off = lambda a: (k(a, a).sum() - k(a, a).trace()) / len(a) / (len(a) - 1)
    {}
""",
    "task9": """\
def power_cells(x, y, h):
    share = lambda i: torch.bincount(i, minlength=len(y)).float() / len(x)
    planes = x @ y.T + h
    i = planes.argmax(1)
    {}
""",
    "task10": """\
def transport_energy(x, y, h, w):
    planes = x @ y.T + h
    return {}

def height_step(h, mass, w, rate):
    return {}
""",
    "task11": """\
def extend(x, y, h, weight, angle):
    planes, w = x @ y.T + h, weight[:, None]
    normal = torch.cat([y, -torch.ones(len(y), 1)], 1)
    i, j = planes.topk(2).indices.T
    a, b = y[i], y[j]
    cosine = nn.functional.cosine_similarity(normal[i], normal[j])
    {}
""",
}
#: What stands for itself in a frame whose other half is the mistake.
_HALVES = {
    "task3": ("return {b}.sum(-1)", "return {g}.sum(1)"),
    "task4": ("w.mean(0)", "w.logsumexp(0) - math.log(len(w))"),
    "task6": ("m, S", "{e}"),
    "task10": (
        "planes.amax(1).mean() - (w * h).sum()",
        "(h - rate * (mass - w)) - (h - rate * (mass - w)).mean()",
    ),
}
_SHORT = {
    "kl": "(0.5 * (mean**2 + log_var.exp() - 1 - log_var))",
    "b": "(x * {white} + (1 - x) * {black})",
    "white": "nn.functional.logsigmoid(logits)",
    "black": "nn.functional.logsigmoid(-logits)",
    "g": "(-0.5 * (sq / s + torch.log(2 * math.pi * s)))",
    "e": "(-0.5 * (quadratic + log_det + D * math.log(2 * math.pi)))",
    "x": "(2 * k(z, y).mean())",
    "keep": "cosine.clamp(-1, 1).acos() < angle",
}
_RETURN = {
    "task8": "return off(z) + off(y) - {x}",
    "task11": "a, b = y[i], y[j]; return w * a + (1 - w) * b, {keep}",
}


def wrong(task: str) -> list[tuple[str, str]]:
    """Wrong answers as whole cells, with the part of the sentence each must get."""
    name, _, second = task.partition("-")
    cells = []
    for code, sentence in WRONG[task]:
        body = ", ".join(code.split(" | "))
        parts = [body]
        if name in _HALVES:
            parts = beside_its_half(_HALVES[name], body, second=bool(second))
        short = {"return": _RETURN.get(name, ""), **_SHORT}
        cells.append((framed(_FRAMES[name], parts, short), sentence))
    return cells
