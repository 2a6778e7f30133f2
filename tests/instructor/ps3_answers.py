"""Answers to problem set 3: right ones written differently, and wrong ones as students write them.

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
        # backward() on a leaf of its own
        """
        def score(energy, x):
            leaf = x.detach().clone().requires_grad_(True)
            (-energy(leaf)).sum().backward()
            return leaf.grad
        """,
        # one point after the other
        """
        def score(energy, x):
            rows = []
            for row in x:
                row = row.clone().requires_grad_(True)
                rows.append(-torch.autograd.grad(energy(row[None])[0], row)[0])
            return torch.stack(rows)
        """,
        # the whole Jacobian in float64, and its diagonal blocks
        """
        def score(energy, x):
            J = torch.autograd.functional.jacobian(energy, x.double())
            return -J[range(len(x)), range(len(x))]
        """,
        # with a vector of ones instead of a sum
        """
        def score(energy, x):
            u = torch.autograd.Variable(x.data.clone(), requires_grad=True)
            e = energy(u)
            return torch.autograd.grad(e, u, -torch.ones_like(e))[0]
        """,
    ],
    "task2": [
        """
        def langevin_step(x, s, h, noise):
            eps = 2 * h
            return x + eps / 2 * s + eps**0.5 * noise
        """,
        """
        def langevin_step(x, s, h, noise):
            new = x.clone()
            new += h * s
            new += torch.tensor(2.0 * h).sqrt() * noise
            return new
        """,
        """
        def langevin_step(x, s, h, noise):
            rows = [a.double() + h * b + (2 * h) ** 0.5 * e for a, b, e in zip(x, s, noise)]
            return torch.stack(rows)
        """,
    ],
    "task3": [
        # log densities of both proposals with their constants
        """
        def log_acceptance(x, y, energy_x, energy_y, s_x, s_y, h):
            def log_q(there, here, s):
                d = here.shape[1]
                square = ((there - here - h * s) ** 2).sum(1)
                return -square / (4 * h) - d / 2 * math.log(4 * math.pi * h)
            log_ratio = -energy_y + energy_x + log_q(x, y, s_y) - log_q(y, x, s_x)
            return torch.minimum(log_ratio, torch.zeros_like(log_ratio))
        """,
        # the squares multiplied out
        """
        def log_acceptance(x, y, energy_x, energy_y, s_x, s_y, h):
            x, y, s_x, s_y = x.double(), y.double(), s_x.double(), s_y.double()
            linear = ((y - x) * (s_x + s_y)).sum(1) / 2
            quadratic = h * (s_x.square().sum(1) - s_y.square().sum(1)) / 4
            return (energy_x - energy_y - linear + quadratic).clamp(max=0)
        """,
        # a loop
        """
        def log_acceptance(x, y, energy_x, energy_y, s_x, s_y, h):
            out = []
            for i in range(len(x)):
                there = torch.dist(y[i], x[i] + h * s_x[i]) ** 2
                back = torch.dist(x[i], y[i] + h * s_y[i]) ** 2
                out.append(min(0.0, float(energy_x[i] - energy_y[i] + (there - back) / (4 * h))))
            return torch.tensor(out)
        """,
    ],
    "task4": [
        # two loops
        """
        def metropolis_matrix(p, Q):
            k = len(p)
            P = torch.zeros(k, k)
            for i in range(k):
                for j in range(k):
                    if i != j and Q[i, j] > 0:
                        P[i, j] = Q[i, j] * min(1.0, float(p[j] * Q[j, i] / (p[i] * Q[i, j])))
                P[i, i] = 1 - P[i].sum()
            return P
        """,
        # the ratio, with 0/0 replaced, in float64
        """
        def metropolis_matrix(p, Q):
            p, Q = p.double(), Q.double()
            ratio = p[None] * Q.T / (p[:, None] * Q)
            accept = torch.where(Q > 0, ratio, torch.zeros_like(Q)).clamp(max=1)
            P = Q * accept * (1 - torch.eye(len(p)))
            P[range(len(p)), range(len(p))] = 1 - P.sum(1)
            return P
        """,
        # what is refused goes to the diagonal, where what was proposed stays
        """
        def metropolis_matrix(p, Q):
            law = p / p.sum()
            moved = torch.minimum(Q, law / law[:, None] * Q.T)
            return moved + torch.diag((Q - moved).sum(1))
        """,
    ],
    "task5": [
        """
        def additive(x, m):
            k = x.shape[1] // 2
            y = x.clone()
            y[:, k:] += m(x[:, :k])
            return y
        def additive_inverse(y, m):
            k = y.shape[1] // 2
            x = y.clone()
            x[:, k:] -= m(y[:, :k])
            return x
        """,
        """
        def additive(x, m, sign=1):
            k = x.shape[1] // 2
            a = x[:, :k]
            return x + sign * torch.cat([torch.zeros_like(a), m(a)], 1)
        def additive_inverse(y, m):
            return additive(y, m, -1)
        """,
        """
        def shifted(x, f):
            rows = []
            for row in x.double():
                a, b = row.split(len(row) // 2)
                rows.append(torch.hstack([a, b + f(a[None])[0]]))
            return torch.stack(rows)
        additive = lambda x, m: shifted(x, m)
        additive_inverse = lambda y, m: shifted(y, lambda a: -m(a))
        """,
    ],
    "task6": [
        """
        def affine(x, s, t):
            k = x.shape[1] // 2
            y = x.clone()
            y[:, k:] = x[:, k:] * torch.exp(s(x[:, :k])) + t(x[:, :k])
            return y, torch.log(torch.exp(s(x[:, :k])).prod(1))
        def affine_inverse(y, s, t):
            k = y.shape[1] // 2
            x = y.clone()
            x[:, k:] = (y[:, k:] - t(y[:, :k])) / torch.exp(s(y[:, :k]))
            return x
        """,
        # the log determinant of the Jacobian, by brute force
        """
        def forward(x, s, t):
            a, b = x.chunk(2, -1)
            return torch.cat([a, b * s(a).exp() + t(a)], -1)
        def affine(x, s, t):
            x = x.double()
            J = [torch.autograd.functional.jacobian(lambda u: forward(u[None], s, t)[0], r)
                 for r in x]
            return forward(x, s, t), torch.linalg.slogdet(torch.stack(J))[1]
        def affine_inverse(y, s, t):
            a, b = y.double().chunk(2, -1)
            return torch.cat([a, b / s(a).exp() - t(a) / s(a).exp()], -1)
        """,
        # row by row, as a pair in a list
        """
        def affine(x, s, t):
            ys, dets = [], []
            for row in x:
                a, b = row[None].chunk(2, 1)
                ys.append(torch.cat([a, b * math.e ** s(a) + t(a)], 1)[0])
                dets.append(sum(float(v) for v in s(a)[0]))
            return [torch.stack(ys), torch.tensor(dets)]
        def affine_inverse(y, s, t):
            a, b = torch.tensor_split(y, 2, dim=1)
            return torch.column_stack((a, torch.exp(-s(a)) * (b - t(a))))
        """,
    ],
    "task7": [
        # the log determinants collected
        """
        def flow_log_density(x, layers):
            dets = [torch.zeros(len(x))]
            for f in layers:
                x, det = f(x)
                dets.append(det)
            log_q = -0.5 * (x**2 + math.log(2 * math.pi)).sum(1)
            return log_q + torch.stack(dets).sum(0)
        """,
        # recursion
        """
        def flow_log_density(x, layers):
            if not layers:
                return -0.5 * (x * x).sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi)
            y, det = layers[0](x)
            return det + flow_log_density(y, layers[1:])
        """,
        # float64, coordinate by coordinate
        """
        def flow_log_density(x, layers):
            z, total = x.double(), 0
            for k in range(len(layers)):
                out = layers[k](z)
                z, total = out[0], total + out[1]
            for column in z.T:
                total = total - column.pow(2) / 2 - math.log(math.sqrt(2 * math.pi))
            return total
        """,
    ],
    "task8": [
        # entry by entry
        """
        def masks(d, hidden):
            degrees = [torch.arange(d) + 1] + list(hidden) + [torch.arange(d) + 1]
            result = []
            for l in range(len(degrees) - 1):
                M = torch.zeros(len(degrees[l + 1]), len(degrees[l]))
                for k, a in enumerate(degrees[l + 1]):
                    for j, b in enumerate(degrees[l]):
                        strict = l == len(degrees) - 2
                        M[k, j] = float(a > b) if strict else float(a >= b)
                result.append(M)
            return result
        """,
        # outputs count from 0, and then all comparisons are the same
        """
        def masks(d, hidden):
            degrees = [torch.arange(1, d + 1), *hidden, torch.arange(0, d)]
            return [(a.unsqueeze(1) >= b.unsqueeze(0)).double()
                    for b, a in zip(degrees, degrees[1:])]
        """,
        # the complement, transposed, as a tuple
        """
        def masks(d, hidden):
            order, result = torch.arange(1, d + 1), []
            below = order
            for m in hidden:
                result.append(1 - (below[:, None] > m).float().T)
                below = m
            result.append(1 - (below[:, None] >= order).float().T)
            return tuple(result)
        """,
    ],
    "task9": [
        # columns collected
        """
        def autoregressive_sample(net, z):
            n, d = z.shape
            columns, log_p = [], 0.0
            for i in range(d):
                filled = torch.cat([torch.stack(columns, 1), torch.zeros(n, d - i)], 1) if i else (
                    torch.zeros(n, d))
                mu, a = net(filled)
                columns.append(mu[:, i] + torch.exp(a[:, i]) * z[:, i])
                log_p = log_p - 0.5 * z[:, i] ** 2 - 0.5 * math.log(2 * math.pi) - a[:, i]
            return torch.stack(columns, 1), log_p
        """,
        # a fixed point: after d passes over all columns, every one is right
        """
        def autoregressive_sample(net, z):
            x = torch.randn(z.shape)
            for _ in range(z.shape[1]):
                mu, a = net(x)
                x = mu + a.exp() * z
            mu, a = net(x)
            return x, (-0.5 * z**2 - 0.5 * math.log(2 * math.pi) - a).sum(1)
        """,
        # float64, the log density of the finished sample
        """
        def autoregressive_sample(net, z):
            z = z.double()
            x = z.clone()
            for i in range(z.shape[1]):
                out = net(x)
                x[:, i] = out[0][:, i] + out[1][:, i].exp() * z[:, i]
            mu, a = net(x)
            e = (x - mu) / a.exp()
            return x, -(e.square() / 2 + a + math.log(2 * math.pi) / 2).sum(1)
        """,
    ],
    "task10": [
        # Jacobians
        """
        def jacobians(v, x):
            return torch.stack([
                torch.autograd.functional.jacobian(lambda u: v(u[None])[0], row) for row in x])
        def exact_divergence(v, x):
            return torch.einsum("nii->n", jacobians(v, x))
        def hutchinson(v, x, noise):
            return torch.einsum("kni,nij,knj->kn", noise, jacobians(v, x), noise).mean(0)
        """,
        # forward mode
        """
        def exact_divergence(v, x):
            total = 0
            for k in range(x.shape[1]):
                e = torch.zeros_like(x)
                e[:, k] = 1
                total = total + torch.autograd.functional.jvp(v, x, e)[1][:, k]
            return total
        def hutchinson(v, x, noise):
            total = 0
            for e in noise:
                total = total + (torch.autograd.functional.jvp(v, x, e)[1] * e).sum(1)
            return total / len(noise)
        """,
        # all probes in one batch, in float64
        """
        def exact_divergence(v, x):
            axes = x.shape[1] ** 0.5 * torch.eye(x.shape[1])[:, None].expand(-1, *x.shape)
            return hutchinson(v, x, axes)
        def hutchinson(v, x, noise):
            K, n, d = noise.shape
            u = x.double().repeat(K, 1).requires_grad_(True)
            e = noise.double().reshape(K * n, d)
            (g,) = torch.autograd.grad(v(u), u, e)
            return (g * e).sum(1).reshape(K, n).mean(0).detach()
        """,
    ],
    "task11": [
        """
        def cnf_step(v, divergence, x, log_p, t, dt):
            new = log_p - divergence(x, t) * dt
            return x + v(x, t) * dt, new
        """,
        """
        def cnf_step(v, divergence, x, log_p, t, dt):
            slope, rate = v(x, t), divergence(x, t)
            return [torch.add(x, slope, alpha=dt), torch.sub(log_p, rate, alpha=dt)]
        """,
        """
        def cnf_step(v, divergence, x, log_p, t, dt):
            rows = [x[i].double() + dt * v(x[i : i + 1], t)[0] for i in range(len(x))]
            logs = [log_p[i] - dt * divergence(x[i : i + 1], t)[0] for i in range(len(x))]
            return torch.stack(rows), torch.stack(logs)
        """,
    ],
}

WRONG: dict[str, list[tuple[str, str]]] = {
    "task1": [
        ("return {g}", "the score is minus that"),
        ("return -{g} / len(x)", "a mean divides by n"),
        ("return -{g} / {g}.norm(dim=1, keepdim=True)", "Don't normalise"),
        ("return -2 * {g}", "score of p²"),
        ("return torch.autograd.grad((-energy(u)).exp().sum(), u)[0]", "not exp(-energy)"),
        ("return -{g}.mean(0).expand_as(x)", "All rows are the same"),
        ("return -{g}.sum(1)", "should be shape"),
        ("-{g}", "return missing"),
        ("return torch.zeros_like(x)", "zero"),
        ("return x", "does not agree"),
        ("x.requires_grad_(True); return -torch.autograd.grad(energy(x).sum(), x)[0]", "switched"),
        (
            "return -torch.autograd.grad(energy(u).sum(), u, create_graph=True)[0]",
            "hangs on a graph",
        ),
    ],
    "task2": [
        ("return x - h * s + {r} * noise", "uphill"),
        ("return x + h * s + 2 * h * noise", "root of 2h"),
        ("return x + h * s + math.sqrt(h) * noise", "variance 2h, not h"),
        ("return x + h / 2 * s + math.sqrt(h) * noise", "without a ½"),
        ("return x + h / 2 * s + {r} * noise", "other convention"),
        ("return h * s + {r} * noise", "add it to x"),
        ("return x + h * s", "noise is missing"),
        ("return x + {r} * noise", "drift along the score is missing"),
        ("return x + h * s + 2 * math.sqrt(h) * noise", "under the root"),
        ("return x + {r} * s + {r} * noise", "not √(2h)"),
        ("return x + h * s + {r} * torch.randn_like(x)", "does not agree"),
        ("return x", "does not agree"),
        ("return torch.zeros_like(x)", "zero"),
        ("return (x + h * s + {r} * noise).mean(0)", "should be shape"),
        ("x += h * s + {r} * noise; return x", "in place"),
    ],
    "task3": [
        ("return gain + (there - back) / (4 * h)", "at most 1"),
        ("return (gain + (there - back) / (4 * h)).clamp(max=0).exp()", "its log is asked"),
        ("return (-gain + (there - back) / (4 * h)).clamp(max=0)", "E(x) - E(y)"),
        ("return gain.clamp(max=0)", "ratio of the proposals is missing"),
        ("return (gain + (back - there) / (4 * h)).clamp(max=0)", "exchanged"),
        ("return (-gain + (back - there) / (4 * h)).clamp(max=0)", "upside down"),
        ("return (gain + (there - back) / (2 * h)).clamp(max=0)", "divide by 4h"),
        ("return (gain + (there - old) / (4 * h)).clamp(max=0)", "score at y"),
        ("return ((there - back) / (4 * h)).clamp(max=0)", "energies are missing"),
        (
            "return (gain + (there - back) / x.shape[1] / (4 * h)).clamp(max=0)",
            "Sum the squares",
        ),
        (
            "return (((-energy_y).exp() * (-back / (4 * h)).exp())"
            " / ((-energy_x).exp() * (-there / (4 * h)).exp())).clamp(max=1).log()",
            "NaN",
        ),
        ("return torch.zeros(len(x))", "zero"),
        ("return (gain + (there - back) / (4 * h)).clamp(max=0).mean()", "Did you reduce"),
        ("return (gain + (there - back) / (4 * h)).clamp(min=0)", "does not agree"),
        ("return None", "return missing"),
    ],
    "task4": [
        ("return {full}.T", "transpose"),
        ("return off", "belongs to the diagonal"),
        ("return settled(Q * (p / p[:, None]).clamp(max=1))", "Hastings' factor"),
        (
            "return settled(Q * (p[:, None] / p * Q.T / Q).clamp(max=1))",
            "π_j/π_i is upside down",
        ),
        ("return settled(Q * (p / p[:, None] * Q / Q.T).clamp(max=1))", "Q_ji/Q_ij is upside"),
        ("return settled(Q * (1 / (p / p[:, None] * Q.T / Q)).clamp(max=1))", "whole ratio"),
        ("return settled((p / p[:, None] * Q.T / Q).clamp(max=1))", "That is the acceptance"),
        ("return settled(torch.minimum(flow, flow.T))", "divide by π_i"),
        ("return settled(Q * (p / p[:, None] * Q.T / Q))", "min with 1 is missing"),
        ("return off / off.sum(1, keepdim=True)", "normalise rows"),
        ("return Q", "nothing is ever refused"),
        ("return (p / p.sum()).expand_as(Q).clone()", "proposed by Q"),
        ("return settled(Q * (p / p[:, None] * Q.T / Q).clamp(max=1))", "NaN"),
        ("return torch.eye(len(p))", "never moves"),
        ("return torch.zeros_like(Q)", "zero"),
    ],
    "task5": [
        ("torch.cat([a, b - m(a)], 1)", "Add the shift on the way out"),
        ("torch.cat([a + m(b), b], 1)", "not the first by m of the second"),
        ("torch.cat([a, b + m(b)], 1)", "not from the half it shifts"),
        ("torch.cat([b + m(a), a], 1)", "halves are exchanged"),
        ("torch.cat([a, m(a)], 1)", "x_b is missing"),
        ("torch.cat([a, b * m(a)], 1)", "not multiplied"),
        ("torch.cat([a + m(a), b + m(a)], 1)", "first half stays"),
        ("x", "nothing moved"),
        ("b + m(a)", "should be shape"),
        ("torch.zeros_like(x)", "zero"),
        ("None", "return missing"),
    ],
    "task5-inverse": [
        ("torch.cat([a, b + m(a)], 1)", "Subtract the shift"),
        ("torch.cat([a, m(a) - b], 1)", "not the other way round"),
        ("torch.cat([a, b - m(b)], 1)", "did not change"),
        ("torch.cat([a - m(b), b], 1)", "did not change"),
        ("torch.cat([b - m(a), a], 1)", "halves are exchanged"),
        ("y", "nothing moved"),
    ],
    "task6": [
        ("torch.cat([a, (b + t(a)) * s(a).exp()], 1), {det}", "Scale first, then shift"),
        ("torch.cat([a, b * s(a) + t(a)], 1), {det}", "exp(s), not s"),
        ("torch.cat([a, b * (-s(a)).exp() + t(a)], 1), {det}", "multiplies by exp(s)"),
        ("torch.cat([a, b * s(a).exp()], 1), {det}", "Add the shift t"),
        ("torch.cat([a, (b - t(a)) * (-s(a)).exp()], 1), {det}", "That is the inverse"),
        ("torch.cat([a, b * t(a).exp() + s(a)], 1), {det}", "are exchanged"),
        ("torch.cat([a, b * s(b).exp() + t(b)], 1), {det}", "by functions of the first"),
        ("x, {det}", "nothing moved"),
        ("{y}, -{det}", "its sign is wrong"),
        ("{y}, {det}.exp()", "its log is asked"),
        ("{y}, s(a).mean(1)", "don't average"),
        ("{y}, s(a).exp().sum(1)", "its log the sum of the s"),
        ("{y}, s(b).sum(1)", "function of the first half"),
        ("{y}, {det} + t(a).sum(1)", "not t"),
        ("{y}, s(a).sum()", "Did you reduce"),
        ("{y}, s(a)", "should be shape"),
        ("{y}, torch.zeros(len(x))", "zero"),
        ("{y}", "2 values"),
    ],
    "task6-inverse": [
        ("torch.cat([a, b * (-s(a)).exp() - t(a)], 1)", "Undo the shift first"),
        ("torch.cat([a, (b - t(a)) * s(a).exp()], 1)", "Divide by exp(s)"),
        ("torch.cat([a, (b + t(a)) * (-s(a)).exp()], 1)", "Subtract t"),
        ("torch.cat([a, (b - t(a)) / s(a)], 1)", "exp(s), not s"),
        ("torch.cat([a, b - t(a)], 1)", "scale is still there"),
        ("torch.cat([a, (b - t(b)) * (-s(b)).exp()], 1)", "did not change"),
        ("torch.cat([a, b * s(a).exp() + t(a)], 1)", "not its inverse"),
        ("y", "nothing moved"),
    ],
    "task7": [
        ("return {q} - total", "Add the log determinants"),
        ("return {q}", "log determinants are missing"),
        ("return total", "log q(z) is missing"),
        ("return {q} + det", "Only the last layer's"),
        ("return {q} + total - {q} - 0.5 * (start**2).sum(1) - 2 * {c}", "at z, not at x"),
        ("return {q} + total + x.shape[1] / 2 * {c}", "constant (d/2) log 2π is missing"),
        ("return -0.5 * (x**2).sum(1) - 0.5 * {c} + total", "there is a d in it"),
        ("return -(x**2).sum(1) - x.shape[1] / 2 * {c} + total", "factor ½"),
        ("return ({q} + total).exp()", "its log is asked"),
        ("return -({q} + total)", "minus the log-likelihood"),
        ("return ({q} + total).mean()", "Did you reduce"),
        ("return ({q} + total).detach()", "no gradient flows"),
        ("return {q} + sum(f(start)[1] for f in layers)", "what the one before it returned"),
        ("return torch.zeros(len(x))", "zero"),
        ("{q} + total", "return missing"),
    ],
    "task8": [
        ("[a[:, None] > b for b, a in pairs] + [last]", "≥, not >"),
        ("[a[:, None] <= b for b, a in pairs] + [last]", "upside down"),
        ("[a[:, None] >= b for b, a in low] + [last]", "begin with 1, not 0"),
        ("[a[:, None] == b for b, a in pairs] + [last]", "not only its own"),
        ("[a[:, None] >= b.sort()[0] for b, a in pairs] + [last]", "mask between hidden"),
        ("into + [order[:, None] >= hidden[-1]]", ">, not ≥"),
        ("into + [order[:, None] < hidden[-1]]", "sees lower degrees"),
        ("into + [order[:, None] - 1 > hidden[-1]]", "Degrees of outputs begin with 1"),
        ("into + [torch.ones(d, len(hidden[-1]))]", "nothing is masked"),
        ("[torch.ones(m.shape) for m in into] + [last]", "nothing is masked"),
        ("[m.T for m in into] + [last.T]", "axes are in another order"),
        ("into", "should be"),
        ("[torch.zeros(m.shape) for m in [*into, last]]", "zero"),
        ("into[:1] + [a[:, None] > b for b, a in pairs[1:]] + [last]", "≥, not >"),
    ],
    "task9": [
        ("mu + a.exp() * z, log_q - a.sum(1)", "reads x, not the noise"),
        ("once, log_q - a_once.sum(1)", "One pass is not enough"),
        ("short, {p}", "a pass short"),
        ("wrong(lambda a: a), {p}", "exp(a), not a"),
        ("wrong(lambda a: (a / 2).exp()), {p}", "not of the variance"),
        ("wrong(lambda a: (-a).exp()), {p}", "not exp(-a)"),
        ("(z - mu) * (-a).exp(), {p}", "from data to noise"),
        ("z, {p}", "the noise itself"),
        ("x, log_q + last.sum(1)", "subtract the a"),
        ("x, log_q", "log scales are missing"),
        ("x, -0.5 * (z**2).sum(1) - last.sum(1)", "log 2π is missing"),
        ("x, -0.5 * (z**2).sum(1) - 0.5 * math.log(2 * math.pi) - last.sum(1)", "there is a d"),
        ("x, log_q - last.mean(1)", "Sum the log scales over all"),
        ("x, log_q - last[:, -1]", "Sum the log scales over all"),
        ("x, log_q - a.sum(1)", "not at the noise"),
        ("x, log_q + 0.5 * (z**2 - x**2).sum(1) - last.sum(1)", "at the noise, not at the sample"),
        ("x, log_q - last.exp().sum(1)", "not of exp(a)"),
        ("x, log_q - 0.5 * (z**2).sum(1) - last.sum(1)", "factor ½"),
        ("x, {p}.exp()", "its log is asked"),
        ("x", "2 values"),
        ("torch.zeros_like(z), {p}", "zero"),
    ],
    "task10": [
        ("J.sum((1, 2))", "diagonal of the Jacobian only"),
        ("J.diagonal(dim1=1, dim2=2).prod(1)", "not its product"),
        ("torch.linalg.det(J)", "not the determinant"),
        ("J.diagonal(dim1=1, dim2=2).mean(1)", "don't average"),
        ("J[:, 0, 0]", "first entry"),
        ("J.diagonal(dim1=1, dim2=2).abs().sum(1)", "Keep the sign"),
        ("J.diagonal(dim1=1, dim2=2).sum().expand(len(x))", "summed over the batch"),
        ("J.diagonal(dim1=1, dim2=2).sum()", "Did you reduce"),
        ("-torch.einsum('nii->n', J)", "opposite sign"),
        ("torch.zeros(len(x))", "zero"),
    ],
    "task10-probes": [
        ("torch.einsum('nii->n', J)", "use the probes"),
        ("(l * e).sum(2).sum(0)", "Average over the probes, don't sum"),
        ("(l * e)[0].sum(1)", "average over all K"),
        ("l.sum(2).mean(0)", "second factor"),
        ("(J.sum(1) * e).sum(2).mean(0)", "first factor"),
        ("(l * e).mean((0, 2))", "Sum over the coordinates"),
        ("torch.einsum('ni,nij,nj->n', e.mean(0), J, e.mean(0))", "mean probe is nearly 0"),
        ("((l * e).sum(2) / e.square().sum(2)).mean(0)", "used as they come"),
        ("torch.einsum('kni,nij->kn', e**2, J).mean(0)", "not twice before"),
        ("(l * torch.randn_like(e)).sum(2).mean(0)", "does not agree"),
        ("(l * e).sum(2).mean()", "Did you reduce"),
        ("(l * e).sum(2)", "should be shape"),
        ("torch.zeros(len(x))", "zero"),
    ],
    "task11": [
        ("x + v(x, t), {l}", "Multiply the velocity"),
        ("x - dt * v(x, t), {l}", "its sign is wrong"),
        ("x + abs(dt) * v(x, t), {l}", "runs backwards"),
        ("dt * v(x, t), {l}", "add it to x"),
        ("x + dt * v(x, t + dt), {l}", "velocity at the time t"),
        ("x, {l}", "did not move"),
        ("{x}, log_p + dt * divergence(x, t)", "subtract the divergence"),
        ("{x}, log_p - divergence(x, t)", "Multiply the divergence"),
        ("{x}, log_p - dt * divergence({x}, t)", "old point"),
        ("{x}, log_p - dt * divergence(x, t + dt)", "divergence at the time t"),
        ("{x}, -dt * divergence(x, t)", "carried along"),
        ("{x}, log_p", "log p changes"),
        ("{x}, log_p - abs(dt) * divergence(x, t)", "runs backwards"),
        ("{x}, {l}.mean()", "Did you reduce"),
        ("{x}", "2 values"),
        ("torch.zeros_like(x), {l}", "zero"),
    ],
}


right = partial(dedented, RIGHT)


_FRAMES = {
    "task1": """\
def score(energy, x):
    u = x.detach().clone().requires_grad_(True)
    {}
""",
    "task2": """\
def langevin_step(x, s, h, noise):
    {}
""",
    "task3": """\
def log_acceptance(x, y, energy_x, energy_y, s_x, s_y, h):
    gain = energy_x - energy_y
    there = (y - x - h * s_x).square().sum(1)
    back = (x - y - h * s_y).square().sum(1)
    old = (x - y - h * s_x).square().sum(1)
    {}
""",
    "task4": """\
def settled(P):
    P = P - torch.diag(P.diagonal())
    return P + torch.diag(1 - P.sum(1))

def metropolis_matrix(p, Q):
    flow = p[:, None] * Q
    off = torch.minimum(flow, flow.T) / p[:, None]
    off = off - torch.diag(off.diagonal())
    {}
""",
    "task5": """\
def additive(x, m):
    a, b = x.chunk(2, 1)
    return {}

def additive_inverse(y, m):
    a, b = y.chunk(2, 1)
    return {}
""",
    "task6": """\
def affine(x, s, t):
    a, b = x.chunk(2, 1)
    return {}

def affine_inverse(y, s, t):
    a, b = y.chunk(2, 1)
    return {}
""",
    "task7": """\
def flow_log_density(x, layers):
    start, total, det = x, torch.zeros(len(x)), 0
    for layer in layers:
        x, det = layer(x)
        total = total + det
    {}
""",
    "task8": """\
def masks(d, hidden):
    order = torch.arange(1, d + 1)
    degrees = [order, *hidden]
    pairs = list(zip(degrees[:-1], degrees[1:]))
    low = list(zip([order - 1, *hidden[:-1]], hidden))
    into = [a[:, None] >= b for b, a in pairs]
    last = order[:, None] > hidden[-1]
    return [m.float() for m in ({})]
""",
    "task9": """\
def autoregressive_sample(net, z):
    def made(scale, passes):
        x = torch.zeros_like(z)
        for i in range(passes):
            mu, a = net(x)
            x[:, i:] = (mu + scale(a) * z)[:, i:]
        return x
    def wrong(scale):
        return made(scale, z.shape[1])
    x, short, once = wrong(torch.exp), made(torch.exp, 3), made(torch.exp, 1)
    last, a_once = net(x)[1], net(torch.zeros_like(z))[1]
    mu, a = net(z)
    log_q = -0.5 * (z**2).sum(1) - z.shape[1] / 2 * math.log(2 * math.pi)
    return {}
""",
    "task10": """\
def jacobians(v, x):
    return torch.stack([
        torch.autograd.functional.jacobian(lambda u: v(u[None])[0], row) for row in x])

def exact_divergence(v, x):
    J = jacobians(v, x)
    return {}

def hutchinson(v, x, e):
    J = jacobians(v, x)
    l = torch.einsum("kni,nij->knj", e, J)
    return {}
""",
    "task11": """\
def cnf_step(v, divergence, x, log_p, t, dt):
    return {}
""",
}
#: The right half beside a wrong one, for tasks that ask for two functions.
_HALVES = {
    "task5": ("torch.cat([a, b + m(a)], 1)", "torch.cat([a, b - m(a)], 1)"),
    "task6": ("{y}, {det}", "torch.cat([a, (b - t(a)) * (-s(a)).exp()], 1)"),
    "task10": ("torch.einsum('nii->n', J)", "(l * e).sum(2).mean(0)"),
}
_SHORT = {
    "task1": {"g": "torch.autograd.grad(energy(u).sum(), u)[0]"},
    "task2": {"r": "math.sqrt(2 * h)"},
    "task4": {"full": "settled(off)"},
    "task6": {"y": "torch.cat([a, b * s(a).exp() + t(a)], 1)", "det": "s(a).sum(1)"},
    "task7": {
        "q": "(-0.5 * (x**2).sum(1) - x.shape[1] / 2 * {c})",
        "c": "math.log(2 * math.pi)",
    },
    "task9": {"p": "(log_q - last.sum(1))"},
    "task11": {"x": "(x + dt * v(x, t))", "l": "(log_p - dt * divergence(x, t))"},
}


def wrong(task: str) -> list[tuple[str, str]]:
    """Wrong answers as whole cells, with the part of the sentence each must get."""
    name, _, second = task.partition("-")
    cells = []
    for code, sentence in WRONG[task]:
        parts = [code]
        if name in _HALVES:
            parts = beside_its_half(_HALVES[name], code, second=bool(second))
        cells.append((framed(_FRAMES[name], parts, _SHORT.get(name, {})), sentence))
    return cells
