"""Answers to problem set 5: right ones written differently, and wrong ones as students write them.

``RIGHT[task]`` holds code that must get full marks. ``WRONG[task]`` holds (code, part of a sentence
that must be printed by the hidden checks) pairs that must not.
"""

from __future__ import annotations

from functools import partial

from answer_cells import Wrong, beside_its_half, dedented, filled, framed, of_each_function

#: Points of the whole set.
TOTAL = 100

RIGHT: dict[str, list[str]] = {
    "task1": [
        # logsigmoid
        """
        from torch.nn.functional import logsigmoid
        def value_function(real_logits, fake_logits):
            return logsigmoid(real_logits).mean() + logsigmoid(-fake_logits).mean()
        """,
        # cross-entropy
        """
        def value_function(real_logits, fake_logits):
            one, zero = torch.ones_like(real_logits), torch.zeros_like(fake_logits)
            return -(bce(real_logits, one) + bce(fake_logits, zero))
        """,
        # a loop, in float64
        """
        def value_function(real_logits, fake_logits):
            total, zero = 0.0, torch.zeros((), dtype=torch.float64)
            for s in real_logits.double().flatten():
                total = total - torch.logaddexp(zero, -s) / real_logits.numel()
            for s in fake_logits.double().flatten():
                total = total - torch.logaddexp(zero, s) / fake_logits.numel()
            return total
        """,
        # by hand: log(1 + e^-s) = max(-s, 0) + log1p(e^-|s|)
        """
        def value_function(real_logits, fake_logits):
            def log_sigmoid(s):
                return -(torch.clamp(-s, min=0) + torch.log1p(torch.exp(-s.abs())))
            r, f = log_sigmoid(real_logits), log_sigmoid(-fake_logits)
            return r.sum() / len(r) + f.sum() / len(f)
        """,
    ],
    "task2": [
        """
        def optimal_discriminator(log_p, log_q):
            return 1 / (1 + torch.exp(log_q - log_p))
        """,
        """
        def optimal_discriminator(log_p, log_q):
            return torch.exp(log_p.double() - torch.logaddexp(log_p.double(), log_q.double()))
        """,
        """
        def optimal_discriminator(log_p, log_q):
            return torch.softmax(torch.stack([log_p, log_q]), dim=0)[0]
        """,
        """
        def optimal_discriminator(log_p, log_q):
            top = torch.maximum(log_p, log_q)
            p, q = (log_p - top).exp(), (log_q - top).exp()
            return p / (p + q)
        """,
    ],
    "task3": [
        # trapezoids, by way of entropies
        """
        def jensen_shannon(log_p, log_q, dx):
            def entropy(l):
                return -torch.trapezoid(l.exp() * l, dx=dx)
            m = torch.logaddexp(log_p, log_q) - math.log(2)
            return entropy(m) - 0.5 * entropy(log_p) - 0.5 * entropy(log_q)

        def criterion(log_p, log_q, dx):
            return -math.log(4) + 2 * jensen_shannon(log_p, log_q, dx)
        """,
        # softplus, and a float
        """
        def jensen_shannon(log_p, log_q, dx):
            return (criterion(log_p, log_q, dx) + math.log(4)) / 2

        def criterion(log_p, log_q, dx):
            a = log_p.exp() * -softplus(log_q - log_p)
            b = log_q.exp() * -softplus(log_p - log_q)
            return float((a + b).double().sum() * dx)
        """,
        # a loop in plain Python
        """
        def jensen_shannon(log_p, log_q, dx):
            total = 0.0
            for a, b in zip(log_p.tolist(), log_q.tolist()):
                top = max(a, b)
                log_m = top + math.log((math.exp(a - top) + math.exp(b - top)) / 2)
                total += 0.5 * (math.exp(a) * (a - log_m) + math.exp(b) * (b - log_m)) * dx
            return total

        def criterion(log_p, log_q, dx):
            total = 0.0
            for a, b in zip(log_p.tolist(), log_q.tolist()):
                top = max(a, b)
                log_sum = top + math.log(math.exp(a - top) + math.exp(b - top))
                total += (math.exp(a) * (a - log_sum) + math.exp(b) * (b - log_sum)) * dx
            return total
        """,
        # densities with 0 log 0 = 0 said explicitly
        """
        def jensen_shannon(log_p, log_q, dx):
            p, q = log_p.double().exp(), log_q.double().exp()
            m = (p + q) / 2
            def kl(a):
                terms = a * torch.log(a / m.clamp_min(1e-300))
                return torch.where(a > 0, terms, torch.zeros_like(a)).sum() * dx
            return 0.5 * kl(p) + 0.5 * kl(q)

        def criterion(log_p, log_q, dx):
            p, q = log_p.double().exp(), log_q.double().exp()
            s = (p + q).clamp_min(1e-300)
            return (torch.xlogy(p, p / s) + torch.xlogy(q, q / s)).sum() * dx
        """,
    ],
    "task4": [
        # value_function of Task 1, and a 0-d tensor that is still on the graph
        """
        def discriminator_step(D, G, optimiser, real, z):
            optimiser.zero_grad(set_to_none=False)
            loss = -value_function(D(real), D(G(z).detach()))
            loss.backward()
            optimiser.step()
            return loss
        """,
        # no_grad, one forward pass of both batches
        """
        def discriminator_step(D, G, optimiser, real, z):
            with torch.no_grad():
                fake = G(z)
            logits = D(torch.cat([real, fake]))
            loss = softplus(-logits[:len(real)]).mean() + softplus(logits[len(real):]).mean()
            D.zero_grad()
            loss.backward()
            optimiser.step()
            return float(loss)
        """,
        # gradients asked for by name
        """
        def discriminator_step(D, G, optimiser, real, z):
            parameters = list(D.parameters())
            loss = softplus(-D(real)).mean() + softplus(D(G(z))).mean()
            for p, g in zip(parameters, torch.autograd.grad(loss, parameters)):
                p.grad = g
            optimiser.step()
            return loss.detach()
        """,
        # two backward passes, and G frozen for the while
        """
        def discriminator_step(D, G, optimiser, real, z):
            optimiser.zero_grad()
            a = softplus(-D(real)).mean()
            a.backward()
            with nets.frozen(G):
                b = softplus(D(G(z))).mean()
                b.backward()
            optimiser.step()
            return a.item() + b.item()
        """,
    ],
    "task5": [
        """
        def saturating_gradient(fake_logits):
            return -1 / (1 + torch.exp(-fake_logits))

        def non_saturating_gradient(fake_logits):
            return -1 / (1 + torch.exp(fake_logits))
        """,
        """
        def saturating_gradient(fake_logits):
            s = fake_logits.detach().clone().requires_grad_(True)
            return torch.autograd.grad((-softplus(s)).sum(), s)[0]

        def non_saturating_gradient(fake_logits):
            s = fake_logits.detach().clone().requires_grad_(True)
            return torch.autograd.grad(softplus(-s).sum(), s)[0]
        """,
        """
        def saturating_gradient(fake_logits):
            return -torch.sigmoid(fake_logits.double())

        def non_saturating_gradient(fake_logits):
            return torch.sigmoid(fake_logits) - 1
        """,
        """
        def saturating_gradient(fake_logits):
            values = [-0.5 * (1 + math.tanh(s / 2)) if s > -15 else -math.exp(s)
                      for s in fake_logits.flatten().tolist()]
            return torch.tensor(values, dtype=fake_logits.dtype).reshape(fake_logits.shape)

        def non_saturating_gradient(fake_logits):
            return saturating_gradient(-fake_logits)
        """,
    ],
    "task6": [
        """
        def generator_step(D, G, optimiser, z):
            logits = D(G(z))
            loss = bce(logits, torch.ones_like(logits))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            D.zero_grad()
            return loss
        """,
        """
        def generator_step(D, G, optimiser, z):
            parameters = list(G.parameters())
            loss = -torch.nn.functional.logsigmoid(D(G(z))).mean()
            for p, g in zip(parameters, torch.autograd.grad(loss, parameters)):
                p.grad = g
            optimiser.step()
            return float(loss)
        """,
        """
        def generator_step(D, G, optimiser, z):
            for p in D.parameters():
                p.requires_grad_(False)
            G.zero_grad()
            loss = torch.log1p(torch.exp(-D(G(z)))).sum() / len(z)
            loss.backward(inputs=list(G.parameters()))
            optimiser.step()
            for p in D.parameters():
                p.requires_grad_(True)
            return loss.detach()
        """,
    ],
    "task7": [
        # loops
        """
        def mode_coverage(samples, modes, std):
            counts, good = [0] * len(modes), 0
            for x in samples.tolist():
                d = [math.dist(x, m) for m in modes.tolist()]
                if min(d) <= 3 * std:
                    counts[d.index(min(d))] += 1
                    good += 1
            return sum(10 * len(modes) * c >= len(samples) for c in counts), good / len(samples)
        """,
        # broadcasting, float64, 0-d tensors
        """
        def mode_coverage(samples, modes, std):
            d2 = ((samples.double()[:, None] - modes.double()[None]) ** 2).sum(-1)
            best, nearest = d2.min(1)
            good = best <= (3 * std) ** 2
            share = torch.nn.functional.one_hot(nearest, len(modes))[good].sum(0) / len(samples)
            return (share >= 0.1 / len(modes) - 1e-9).sum(), good.double().mean()
        """,
        # NumPy
        """
        import numpy as np
        def mode_coverage(samples, modes, std):
            d = np.linalg.norm(samples.numpy()[:, None] - modes.numpy()[None], axis=-1)
            good = d.min(1) <= 3 * std
            counts = np.array([(good & (d.argmin(1) == k)).sum() for k in range(len(modes))])
            return int((counts >= 0.1 * len(samples) / len(modes)).sum()), float(good.mean())
        """,
    ],
    "task9": [
        # scores by hand, no autograd
        """
        def slope(f, x, h=1e-5):
            return (f(x + h) - f(x - h)) / (2 * h)

        def log_d_gradient(log_p, theta, z, dz):
            m, s = theta[0], theta[1].exp()
            x = m + s * z
            d_fake = torch.sigmoid(log_q(x, theta) - log_p(x))
            down = d_fake * (-(x - m) / s**2 - slope(log_p, x))
            w = torch.exp(log_normal(z, 0.0, 1.0)) * dz
            return torch.stack([(w * down).sum(), (w * down * s * z).sum()])

        def divergence_gradient(log_p, theta, x, dx):
            m, s = theta[0], theta[1].exp()
            a, b = log_p(x), log_q(x, theta)
            score = torch.stack([(x - m) / s**2, ((x - m) / s) ** 2 - 1])
            log_m = torch.logaddexp(a, b) - math.log(2)
            return (score * b.exp() * (log_m - a)).sum(1) * dx
        """,
        # C(G) of Task 3, and two leaves
        """
        def log_d_gradient(log_p, theta, z, dz):
            m, l = (t.clone().requires_grad_() for t in theta.detach())
            x = m + torch.exp(l) * z
            loss = -torch.log(torch.sigmoid(log_p(x) - log_q(x, theta)).clamp_min(1e-290))
            (torch.exp(-z**2 / 2) * loss).sum().mul(dz / math.sqrt(2 * math.pi)).backward()
            return torch.stack([m.grad, l.grad])

        def divergence_gradient(log_p, theta, x, dx):
            m, l = (t.clone().requires_grad_() for t in theta.detach())
            a, b = log_p(x), log_q(x, (m, l))
            s = torch.logaddexp(a, b)
            c = torch.trapezoid(a.exp() * (a - s) + b.exp() * (b - s), dx=dx)
            (torch.trapezoid(b.exp() * (b - a), dx=dx) - c).backward()
            return torch.stack([m.grad, l.grad])
        """,
        # central differences, and the functional interface of autograd
        """
        def log_d_gradient(log_p, theta, z, dz):
            fixed = theta.detach().clone()
            def loss(t):
                x = t[0] + t[1].exp() * z
                minus_log_d = torch.logaddexp(log_p(x), log_q(x, fixed)) - log_p(x)
                return (log_normal(z, 0.0, 1.0).exp() * minus_log_d).sum() * dz
            return torch.autograd.functional.jacobian(loss, fixed)

        def divergence_gradient(log_p, theta, x, dx):
            def value(t):
                a, b = log_p(x), log_q(x, t)
                m = torch.log((a.exp() + b.exp()) / 2 + 1e-300)
                kl = (b.exp() * (b - a)).sum()
                js = ((a.exp() * (a - m)).sum() + (b.exp() * (b - m)).sum()) / 2
                return (kl - 2 * js) * dx
            steps = 1e-5 * torch.eye(2).double()
            return torch.stack([(value(theta + e) - value(theta - e)) / 2e-5 for e in steps])
        """,
    ],
    "task10": [
        # two backward passes through the losses themselves
        """
        def signals(D, real, fake):
            out = []
            for loss in (lambda s: -softplus(s), lambda s: softplus(-s)):
                x = fake.clone().requires_grad_(True)
                loss(D(x)).sum().backward()
                out.append(x.grad.pow(2).sum(1).sqrt().mean().item())
            hits = torch.cat([D(real).flatten() > 0, D(fake).flatten() < 0])
            return hits.double().mean().item(), *out
        """,
        # one fake at a time
        """
        def signals(D, real, fake):
            right = sum(float(D(x[None])) > 0 for x in real)
            right += sum(float(D(x[None])) < 0 for x in fake)
            a = b = 0.0
            for x in fake:
                x = x.detach().clone().requires_grad_(True)
                s = D(x[None])[0, 0]
                (g,) = torch.autograd.grad(s, x)
                a += float(torch.sigmoid(s) * g.norm()) / len(fake)
                b += float(torch.sigmoid(-s) * g.norm()) / len(fake)
            return right / (len(real) + len(fake)), a, b
        """,
        # from D itself
        """
        def signals(D, real, fake):
            x = fake.detach().double().requires_grad_(True)
            s = D(x)
            one, = torch.autograd.grad(torch.log(torch.sigmoid(-s)).sum(), x, retain_graph=True)
            two, = torch.autograd.grad(-torch.nn.functional.logsigmoid(s).sum(), x)
            n, m = len(real), len(fake)
            a, b = (D(real) > 0).double().mean(), (D(fake) < 0).double().mean()
            share = (n * a + m * b) / (n + m)
            return [share, torch.linalg.vector_norm(one, dim=1).mean(), two.norm(dim=1).mean()]
        """,
    ],
    "task11": [
        # cdist and a loop over points
        """
        def log_blurred(x, samples, sigma):
            d = x.shape[1]
            total = torch.full((len(x),), -float("inf"), dtype=torch.float64)
            for point in samples.double():
                squared = (x.double() - point).pow(2).sum(1)
                bump = -squared / 2 / sigma**2 - d * math.log(sigma * math.sqrt(2 * math.pi))
                total = torch.logaddexp(total, bump)
            return total - math.log(len(samples))

        def blurred_loss(D, real, fake, sigma, real_noise, fake_noise):
            return -value_function(D(real + sigma * real_noise), D(fake + sigma * fake_noise))
        """,
        # the largest by hand, and cross-entropy
        """
        def log_blurred(x, samples, sigma):
            a = -(torch.cdist(x.double(), samples.double()) / sigma) ** 2 / 2
            top = a.max(dim=1, keepdim=True).values
            mean = torch.exp(a - top).mean(1)
            return top[:, 0] + mean.log() - x.shape[1] / 2 * math.log(2 * math.pi) - x.shape[
                1
            ] * math.log(sigma)

        def blurred_loss(D, real, fake, sigma, real_noise, fake_noise):
            a, b = D(real + sigma * real_noise), D(fake + sigma * fake_noise)
            return bce(a, torch.ones_like(a)) + bce(b, torch.zeros_like(b))
        """,
        # coordinate by coordinate; one pass of D
        """
        def log_blurred(x, samples, sigma):
            a = torch.zeros(len(x), len(samples), dtype=x.dtype)
            for k in range(x.shape[1]):
                a = a + log_normal(x[:, k, None] - samples[None, :, k], 0.0, sigma)
            return torch.log_softmax(torch.zeros(len(samples)), 0)[0].item() + a.logsumexp(1)

        def blurred_loss(D, real, fake, sigma, real_noise, fake_noise):
            both = torch.cat([real, fake]) + sigma * torch.cat([real_noise, fake_noise])
            s = D(both)
            return float(softplus(-s[: len(real)]).mean() + softplus(s[len(real) :]).mean())
        """,
    ],
    "task12": [
        """
        from statistics import NormalDist
        def least_between(a, delta, L):
            return NormalDist().cdf(NormalDist().inv_cdf(a) + delta / L) - a

        def bridges(samples, modes, std):
            K, n = len(modes), len(samples)
            table = [[0.0] * K for _ in range(K)]
            for x in samples.tolist():
                d = [math.dist(x, m) for m in modes.tolist()]
                i, j = sorted(range(K), key=lambda k: d[k])[:2]
                if d[i] > 3 * std:
                    table[i][j] += 1 / n
                    table[j][i] += 1 / n
            return torch.tensor(table)
        """,
        """
        def least_between(a, delta, L):
            normal = torch.distributions.Normal(torch.zeros(()).double(), 1)
            return normal.cdf(normal.icdf(torch.tensor(a).double()) + delta / L) - a

        def bridges(samples, modes, std):
            d = torch.cdist(samples.double(), modes.double())
            order = d.argsort(1)
            bad = d.min(1).values > 3 * std
            one = torch.nn.functional.one_hot(order[:, 0], len(modes))[bad].double()
            two = torch.nn.functional.one_hot(order[:, 1], len(modes))[bad].double()
            return (one.T @ two + two.T @ one) / len(samples)
        """,
        """
        import numpy as np
        def least_between(a, delta, L):
            def cdf(t):
                return 0.5 * (1 + math.erf(t / math.sqrt(2)))
            t = math.sqrt(2) * torch.erfinv(torch.tensor(2 * a - 1, dtype=torch.float64)).item()
            return cdf(t + delta / L) - a

        def bridges(samples, modes, std):
            x, m = samples.numpy(), modes.numpy()
            d = np.sqrt(((x[:, None] - m[None]) ** 2).sum(-1))
            table = np.zeros((len(m), len(m)))
            for row in d:
                i, j = np.argsort(row)[:2]
                if row[i] > 3 * std:
                    table[i, j] += 1
            return (table + table.T) / len(x)
        """,
    ],
}

WRONG: dict[str, list[tuple[str, str]]] = {
    "task1": [
        ("return softplus(-real_logits).mean() + softplus(fake_logits).mean()", "minus sign"),
        ("return -softplus(-real_logits).sum() - softplus(fake_logits).sum()", "not the sum"),
        ("return -softplus(-real_logits).mean() + softplus(fake_logits).mean()", "are added"),
        ("return -softplus(-fake_logits).mean() - softplus(real_logits).mean()", "swapped"),
        (
            "return -softplus(-real_logits).mean() - softplus(-fake_logits).mean()",
            "log(1 - D(G(z)))",
        ),
        ("return (-softplus(-real_logits).mean() - softplus(fake_logits).mean()) / 2", "no ½"),
        (
            "return torch.sigmoid(real_logits).mean() + (1 - torch.sigmoid(fake_logits)).mean()",
            "no logarithm",
        ),
        (
            "return torch.log(torch.sigmoid(real_logits)).mean()"
            " + torch.log(1 - torch.sigmoid(fake_logits)).mean()",
            "infinity",
        ),
        ("return torch.log(real_logits).mean() + torch.log(1 - fake_logits).mean()", "NaN"),
        ("return (-softplus(-real_logits) - softplus(fake_logits)).mean(dim=0)", "single number"),
        (
            "return -torch.cat([softplus(-real_logits), softplus(fake_logits)]).mean() * 2",
            "each batch by itself",
        ),
        (
            "return (-softplus(-real_logits).mean() - softplus(fake_logits).mean()).item()",
            "no gradient flows",
        ),
        ("return torch.zeros(())", "zero"),
        ("return real_logits", "single number"),
        ("-softplus(-real_logits).mean() - softplus(fake_logits).mean()", "return missing"),
        ("return torch.tensor(-math.log(4))", "does not agree"),
    ],
    "task2": [
        ("return torch.sigmoid(log_q - log_p)", "being fake"),
        ("return log_p / (log_p + log_q)", "log densities"),
        ("return torch.exp(log_p - log_q)", "ratio"),
        ("return log_p - log_q", "apply the sigmoid"),
        ("return log_p - torch.logaddexp(log_p, log_q)", "log D*"),
        ("return log_p.exp() / (log_p.exp() + log_q.exp())", "NaN"),
        ("return log_p.exp() / (log_p.exp() + log_q.exp() + 1e-12)", "tails"),
        ("return 2 * torch.sigmoid(log_p - log_q)", "halved"),
        ("return torch.sigmoid(log_p - log_q).mean()", "Did you reduce"),
        ("return torch.full_like(log_p, 0.5)", "same number everywhere"),
        ("return torch.zeros_like(log_p)", "zero"),
        ("return log_p", "does not agree"),
    ],
    "task3": [
        ("{js} * 2", "Two halves"),
        ("{js} / math.log(2)", "natural logarithms"),
        ("{js} / dx", "dx"),
        ("{js} - math.log(2)", "its ½ is missing"),
        ("-{js}", "at least 0"),
        ("(log_p.exp() * (log_p - {m})).sum() * dx / 2", "the term of q is missing"),
        ("(log_p.exp() * (log_p - {m})).sum() * dx", "takes the mean over p and q"),
        ("(log_p.exp() * (log_p - log_q)).sum() * dx", "KL between p and q"),
        ("({m}.exp() * ({m} - (log_p + log_q) / 2)).sum() * dx", "wrong way round"),
        ("((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum() * dx / 2", "mean of KL(p‖q)"),
        ("((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum() * dx / 4", "mean of the logs"),
        ("torch.zeros(())", "zero"),
        ("log_p", "single number"),
        ("{naive}", "NaN"),
        ("criterion(log_p, log_q, dx)", "C(G)"),
    ],
    "task3-criterion": [
        ("-{c}", "at most 0"),
        ("{c} / dx", "dx"),
        ("{c} + math.log(4)", "-log 4 is missing"),
        ("({c} + math.log(4)) / 2", "That is JS"),
        ("({c} - math.log(4)) / 2", "counts twice"),
        ("(log_p.exp() * (log_p + log_q - 2 * {s})).sum() * dx", "second integrand"),
        ("((log_p.exp() + log_q.exp()) * (log_p - {s})).sum() * dx", "second integrand"),
        ("(log_p.exp() * (log_p - {s})).sum() * dx", "Only the term of p"),
        ("{c} + math.log(2)", "log 4, not log 2"),
        ("torch.zeros(())", "zero"),
        ("torch.tensor(-math.log(4))", "does not agree"),
    ],
    "task4": [
        # sign
        (
            "{zero}; loss = -({loss}); {go}; {ret}",
            "descends V",
        ),
        (
            "{zero}; loss = 12 * ({loss}); {go}; {ret}",
            "mean, not the sum",
        ),
        (
            "{zero}; loss = ({loss}) / 2; {go}; {ret}",
            "no ½",
        ),
        (
            "{zero}; loss = {on_real}; {go}; {ret}",
            "Only the real",
        ),
        (
            "{zero}; loss = {on_fake}; {go}; {ret}",
            "Only the fakes",
        ),
        (
            "{zero}; loss = {on_real} + softplus(-D(G(z).detach())).mean(); {go}; {ret}",
            "wrong label",
        ),
        # pollution, leftovers, nothing done
        (
            "{zero}; loss = {on_real} + softplus(D(G(z))).mean(); {go}; {ret}",
            "left in G",
        ),
        (
            "loss = {loss}; {go}; {ret}",
            "zero_grad() before",
        ),
        (
            "{zero}; loss = {loss}; loss.backward(); {zero}; optimiser.step(); {ret}",
            "D did not move",
        ),
        (
            "{zero}; loss = {loss}; loss.backward(); {ret}",
            "D did not move",
        ),
        (
            "{zero}; loss = {loss}; {go}; optimiser.step(); {ret}",
            "Two steps",
        ),
        (
            "{zero}; loss = {loss}; {go}; return -loss.item()",
            "not V",
        ),
        (
            "{zero}; loss = {loss}; {go}",
            "return missing",
        ),
        (
            "G.requires_grad_(False); {zero}; loss = {loss}; {go}; {ret}",
            "frozen",
        ),
        (
            "{zero}; loss = {loss}; {go}; G[0].bias.data += 1; {ret}",
            "parameters of G changed",
        ),
        (
            "{zero}; loss = ({loss}).detach(); {go}; {ret}",
            "raised RuntimeError",
        ),
        ("return 0.0", "D did not move"),
    ],
    "task5": [
        ("torch.sigmoid(s) | torch.sigmoid(-s)", "sign is wrong"),
        ("-torch.sigmoid(-s) | -torch.sigmoid(s)", "swapped"),
        ("-1 / (1 - torch.sigmoid(s)) | -1 / torch.sigmoid(s)", "derivative in D"),
        (
            "torch.sigmoid(s) * torch.sigmoid(-s) | torch.sigmoid(s) * torch.sigmoid(-s)",
            "log is missing",
        ),
        ("-softplus(s) | softplus(-s)", "not its derivative"),
        ("-torch.sigmoid(s) / s.numel() | -torch.sigmoid(-s) / s.numel()", "batch size"),
        ("-torch.sigmoid(s).mean() | -torch.sigmoid(-s).mean()", "Did you reduce"),
        ("torch.zeros_like(s) | torch.zeros_like(s)", "zero"),
        ("s | s", "does not agree"),
        ("torch.full_like(s, -0.5) | torch.full_like(s, -0.5)", "same number everywhere"),
        ("-torch.exp(s) / (1 + torch.exp(s)) | -torch.exp(-s) / (1 + torch.exp(-s))", "NaN"),
    ],
    "task6": [
        (
            "{zero}; loss = -({loss}); {go}; {clean}",
            "to be caught",
        ),
        (
            "{zero}; loss = -softplus(D(G(z))).mean(); {go}; {clean}",
            "minimax",
        ),
        (
            "{zero}; loss = softplus(D(G(z))).mean(); {go}; {clean}",
            "ascends log(1 - D)",
        ),
        (
            "{zero}; loss = softplus(-D(G(z))).sum(); {go}; {clean}",
            "not the sum",
        ),
        (
            "{zero}; loss = {loss}; {go}; {ret}",
            "left in D",
        ),
        (
            "loss = {loss}; {go}; {clean}",
            "zero_grad() before",
        ),
        (
            "{zero}; loss = softplus(-D(G(z).detach())).mean(); {go}; {clean}",
            "G did not move",
        ),
        (
            "D.requires_grad_(False); {zero}; loss = {loss}; {go}; {ret}",
            "frozen",
        ),
        (
            "{zero}; loss = {loss}; {go}; torch.optim.SGD(D.parameters(), 0.1).step(); {clean}",
            "parameters of D changed",
        ),
        (
            "{zero}; loss = {loss}; {go}; optimiser.step(); {clean}",
            "Two steps",
        ),
        (
            "{zero}; loss = {loss}; {go}; D.zero_grad(); return -loss.item()",
            "minus that",
        ),
        (
            "{zero}; loss = {loss}; {go}; D.zero_grad()",
            "return missing",
        ),
        ("return 0.0", "G did not move"),
    ],
    "task7": [
        ("return hit, 100 * quality", "percent"),
        ("return hit, quality * len(samples)", "count"),
        ("return hit, 1 - quality", "not good"),
        ("return hit, (distance <= std).float().mean().item()", "one σ"),
        ("return hit, (distance <= 2 * std).float().mean().item()", "2σ"),
        ("return hit, (distance <= 3 * std**2).float().mean().item()", "variance"),
        ("return hit, (distance**2 <= 3 * std).float().mean().item()", "squared distance"),
        (
            "return hit, ({p1} <= 3 * std).float().mean().item()",
            "sum over coordinates",
        ),
        (
            "return hit, ({pinf} <= 3 * std).float().mean().item()",
            "each coordinate",
        ),
        ("return (counts > 0).sum().item(), quality", "too large"),
        ("return (counts > 0.1 * len(samples) / len(modes)).sum().item(), quality", "just 10 %"),
        ("return (counts >= len(samples) / len(modes)).sum().item(), quality", "too small"),
        (
            "return ({all} >= 0.1 * len(samples) / len(modes)).sum().item(), quality",
            "too large",
        ),
        ("return len(modes), quality", "too large"),
        ("return hit", "2 values"),
        ("return quality, hit", "whole number"),
        ("return 0, 0.0", "too small"),
        ("return counts, quality", "single number"),
    ],
    "task9-log_d_gradient(log_p, theta, z, dz)": [
        ("return -({left})", "minus log D*"),
        ("{moving}; {fakes}; c = softplus(log_q(x, t) - log_p(x)); {end}", "without a graph"),
        ("{moving}; {fakes}; c = -softplus(log_p(x) - log_q(x, theta)); {end}", "minimax"),
        ("{moving}; {fakes}; c = softplus(log_p(x) - log_q(x, theta)); {end}", "swapped"),
        ("{moving}; {fakes}; c = log_q(x, theta) - log_p(x); {end}", "does not agree"),
        ("{moving}; {fakes}; c = {cost}; w = dz; return {grad}", "standard normal density"),
        ("{moving}; {fakes}; c = {cost} / dz; {end}", "Multiply by dz"),
        ("return divergence_gradient(log_p, theta, z, dz)[:1]", "shape"),
        ("return torch.zeros(2)", "zero"),
        ("return theta", "does not agree"),
        ("{moving}; {fakes}; c = {cost}; w = {weight}; return (w * c).sum()", "Did you reduce"),
    ],
    "task9-divergence_gradient(log_p, theta, x, dx)": [
        ("return -({right})", "sign is wrong"),
        ("{laws}; v = {kl} + 2 * {js}; {go}", "pushes the laws apart"),
        ("{laws}; v = {kl} - {js}; {go}", "JS counts twice"),
        ("{laws}; v = {kl} - 4 * {js}; {go}", "½ is missing"),
        ("{laws}; v = {kl}; {go}", "KL alone"),
        ("{laws}; v = -2 * {js}; {go}", "KL is missing"),
        ("{laws}; v = (a.exp() * (a - b)).sum() * dx - 2 * {js}; {go}", "other way round"),
        ("{laws}; v = ({kl} - 2 * {js}) / dx; {go}", "Multiply by dx"),
        ("{laws}; v = {kl} - 2 * {js}; return v.detach() * torch.ones(2)", "not its gradient"),
        ("return torch.zeros(2)", "zero"),
        ("return theta", "does not agree"),
    ],
    "task10": [
        ("return ((D(real) > 0).double().mean() + (s < 0).double().mean()) / 2, a, b", "together"),
        ("return 1 - acc, a, b", "wrong side"),
        ("return 100 * acc, a, b", "percent"),
        ("return (D(real) > 0).double().mean(), a, b", "Only the real"),
        ("return (s < 0).double().mean(), a, b", "Only the fakes"),
        ("return acc, b, a", "swapped"),
        ("return acc, length.mean(), length.mean()", "own derivative is missing"),
        (
            "both = s.sigmoid() * (-s).sigmoid() * length; return acc, both.mean(), both.mean()",
            "logarithm is missing",
        ),
        ("return acc, (s.sigmoid()[:, None] * g).mean(0).norm(), b", "Average the lengths"),
        ("return acc, a / len(fake), b / len(fake)", "as long"),
        ("return acc, a * len(fake), b * len(fake)", "not the sum"),
        ("return acc, a, ((-s).sigmoid() * g.abs().sum(1)).mean()", "sum over coordinates"),
        ("return acc, (s.sigmoid() * length).pow(2).mean(), b", "not squared"),
        ("return acc, -a, -b", "not negative"),
        ("return acc, s.sigmoid() * length, b", "average over the batch"),
        ("return acc, a", "3 values"),
        ("return 0.0, 0.0, 0.0", "zero"),
    ],
    "task11-log_blurred(x, samples, sigma)": [
        ("return {whole} + math.log(len(samples))", "not the sum"),
        ("return {bare} - 0.5 * math.log(2 * math.pi * sigma**2)", "d dimensions"),
        ("return {bare}", "is missing"),
        (
            "return {bare} - x.shape[1] / 2 * math.log(2 * math.pi) - math.log(sigma)",
            "exponent of σ",
        ),
        ("return (-{sq} / sigma**2).logsumexp(1) - {n} - {const}", "has a ½"),
        ("return (-{sq} / (2 * sigma)).logsumexp(1) - {n} - {const}", "divide by σ²"),
        ("return (-{sq}.sqrt() / (2 * sigma**2)).logsumexp(1) - {n} - {const}", "not the distance"),
        ("return (-{sq} / (2 * sigma**2)).mean(1) - {const}", "mean of the logs"),
        ("return ({whole}).exp()", "its log is asked"),
        ("return (-{sq} / (2 * sigma**2)).exp().mean(1).log() - {const}", "infinity"),
        ("return ({whole}).mean()", "Did you reduce"),
        ("return torch.zeros(len(x))", "zero"),
    ],
    "task11-blurred_loss(D, real, fake, sigma, real_noise, fake_noise)": [
        ("return -({loss})", "sign is wrong"),
        ("return softplus(-D(real)).mean() + softplus(D(fake)).mean()", "Neither"),
        ("b = fake; return {ab}", "Fakes are blurred too"),
        ("a = real; return {ab}", "Real samples are blurred too"),
        (
            "a = real + sigma**2 * real_noise; b = fake + sigma**2 * fake_noise; return {ab}",
            "variance",
        ),
        ("a = real + real_noise; b = fake + fake_noise; return {ab}", "multiplied by σ"),
        ("return softplus(-D(b)).mean() + softplus(D(a)).mean()", "swapped"),
        ("return softplus(-D(a)).sum() + softplus(D(b)).sum()", "not the sum"),
        ("return softplus(-D(a)) + softplus(D(b)).mean()", "average over the batch"),
        ("b = fake + sigma * real_noise; return {ab}", "raised RuntimeError"),
        ("return torch.zeros(())", "zero"),
    ],
    "task12-least_between(a, delta, L)": [
        ("return cdf(inv(a) + delta / L)", "still to be subtracted"),
        ("return cdf(inv(a) + delta) - a", "divided by L"),
        ("return cdf(inv(a) + delta * L) - a", "divided by L"),
        ("return cdf(inv(a) + L / delta) - a", "divided by L"),
        ("return cdf(a + delta / L) - a", "Φ⁻¹ first"),
        ("return cdf(inv(a) - delta / L) - a", "step is added"),
        ("return a - cdf(inv(a) + delta / L)", "not negative"),
        ("return 0.0", "zero"),
        ("return a", "does not agree"),
    ],
    "task12-bridges(samples, modes, std)": [
        ("return {t} * len(samples)", "not counts"),
        ("return {t} / {t}.triu().sum()", "not of those between"),
        ("return {t}.triu()", "symmetric"),
        ("return {t} / 2", "symmetric"),
        ("return table / len(samples)", "symmetric"),
        ("distance = distance + 4 * std; {again}; return {t}", "lies on no bridge"),
        ("distance = 3 * distance; {again}; return {t}", "not farther than σ"),
        ("distance = distance**2; {again}; return {t}", "squared distance"),
        ("return {t} + torch.eye(len(modes))", "wrong for the others"),
        ("return {t}.sum()", "Did you reduce"),
        ("return torch.zeros(len(modes), len(modes))", "zero"),
    ],
}


right = partial(dedented, RIGHT)


_FRAMES = {
    "task1": "def value_function(real_logits, fake_logits):\n    {}\n",
    "task2": "def optimal_discriminator(log_p, log_q):\n    {}\n",
    "task4": "def discriminator_step(D, G, optimiser, real, z):\n    {}\n",
    "task6": "def generator_step(D, G, optimiser, z):\n    {}\n",
    "task10": """\
def signals(D, real, fake):
    x = fake.detach().clone().requires_grad_(True)
    s = D(x)
    (g,) = torch.autograd.grad(s.sum(), x)
    s, length = s.detach()[:, 0], g.norm(dim=1)
    acc = ((D(real) > 0).sum() + (s < 0).sum()) / (len(real) + len(fake))
    a, b = (s.sigmoid() * length).mean(), ((-s).sigmoid() * length).mean()
    {}
""",
    "task7": """\
def mode_coverage(samples, modes, std):
    distance, nearest = torch.cdist(samples, modes).min(dim=1)
    good = distance <= 3 * std
    counts = torch.bincount(nearest[good], minlength=len(modes))
    hit = (10 * len(modes) * counts >= len(samples)).sum().item()
    quality = good.float().mean().item()
    {}
""",
}
_LOSSES = {
    "task4": "softplus(-D(real)).mean() + softplus(D(G(z).detach())).mean()",
    "task6": "softplus(-D(G(z))).mean()",
}
_SHORT = {
    "p1": "torch.cdist(samples, modes, p=1).min(1).values",
    "pinf": "torch.cdist(samples, modes, p=math.inf).min(1).values",
    "all": "torch.bincount(nearest, minlength=len(modes))",
    "zero": "optimiser.zero_grad()",
    "go": "loss.backward(); optimiser.step()",
    "ret": "return loss.item()",
    "clean": "D.zero_grad(); return loss.item()",
    "on_real": "softplus(-D(real)).mean()",
    "on_fake": "softplus(D(G(z).detach())).mean()",
}
_M = "(torch.logaddexp(log_p, log_q) - math.log(2))"
_S = "torch.logaddexp(log_p, log_q)"
_JS = f"((log_p.exp() * (log_p - {_M}) + log_q.exp() * (log_q - {_M})).sum() * dx / 2)"
_C = f"((log_p.exp() * (log_p - {_S}) + log_q.exp() * (log_q - {_S})).sum() * dx)"
_NAIVE = (
    "0.5 * sum((a * (a / ((log_p.exp() + log_q.exp()) / 2)).log()).sum() * dx"
    " for a in (log_p.exp(), log_q.exp()))"
)


_TWO = {
    "task9": (
        """\
def log_d_gradient(log_p, theta, z, dz):
    {}
def divergence_gradient(log_p, theta, x, dx):
    {}
""",
        (
            "{moving}; {fakes}; c = {cost}; {end}",
            "{laws}; v = {kl} - 2 * {js}; {go}",
        ),
        {
            "left": "_left(log_p, theta, z, dz)",
            "right": "_right(log_p, theta, x, dx)",
            "moving": "t = theta.detach().clone().requires_grad_()",
            "fakes": "x = t[0] + t[1].exp() * z",
            "cost": "softplus(log_q(x, theta) - log_p(x))",
            "end": "w = {weight}; return {grad}",
            "weight": "torch.exp(-z**2 / 2) / math.sqrt(2 * math.pi) * dz",
            "grad": "torch.autograd.grad((w * c).sum(), t)[0]",
            "laws": "t = theta.detach().clone().requires_grad_(); a = log_p(x); b = log_q(x, t)"
            "; m = torch.logaddexp(a, b) - math.log(2)",
            "kl": "(b.exp() * (b - a)).sum() * dx",
            "js": "((a.exp() * (a - m) + b.exp() * (b - m)).sum() * dx / 2)",
            "go": "return torch.autograd.grad(v, t)[0]",
        },
    ),
    "task11": (
        """\
def log_blurred(x, samples, sigma):
    {}
def blurred_loss(D, real, fake, sigma, real_noise, fake_noise):
    a, b = real + sigma * real_noise, fake + sigma * fake_noise
    {}
""",
        ("return {whole}", "return {loss}"),
        {
            "whole": "{bare} - {const}",
            "bare": "(-{sq} / (2 * sigma**2)).logsumexp(1) - {n}",
            "const": "x.shape[1] / 2 * math.log(2 * math.pi * sigma**2)",
            "sq": "((x[:, None] - samples) ** 2).sum(2)",
            "n": "math.log(len(samples))",
            "loss": "{ab}",
            "ab": "softplus(-D(a)).mean() + softplus(D(b)).mean()",
        },
    ),
    "task12": (
        """\
def inv(a):
    return torch.special.ndtri(torch.tensor(a).double())
def cdf(t):
    return torch.special.ndtr(torch.as_tensor(t).double())
def least_between(a, delta, L):
    {}
def between(distance, nearest, K, std):
    i, j = nearest[distance[:, 0] > 3 * std].T
    table = torch.zeros(K, K)
    return table.index_put_((i, j), torch.ones(len(i)), accumulate=True)
def bridges(samples, modes, std):
    distance, nearest = torch.cdist(samples, modes).topk(2, dim=1, largest=False)
    table = between(distance, nearest, len(modes), std)
    {}
""",
        ("return cdf(inv(a) + delta / L) - a", "return {t}"),
        {
            "t": "((table + table.T) / len(samples))",
            "again": "table = between(distance, nearest, len(modes), std)",
        },
    ),
}


def _of_two(key: str) -> Wrong:
    """What is wrong with one of the two functions of a task; the other one is right."""
    task, _, function = key.partition("-")
    frame, parts, short = _TWO[task]
    second = function.split("(")[0] in ("divergence_gradient", "blurred_loss", "bridges")
    cells = []
    for code, sentence in WRONG[key]:
        cell = framed(frame, beside_its_half(parts, code, second=second), short)
        if task == "task9":  # "{left}" and "{right}" are the right answers themselves
            good = framed(frame, parts, short)
            good = good.replace("log_d_gradient", "_left").replace("divergence_gradient", "_right")
            cell = good + cell
        cells.append((cell, sentence))
    return cells


def wrong(task: str) -> Wrong:
    """Wrong answers as whole cells, with the part of the sentence each must get."""
    if task.split("-")[0] in _TWO:
        return _of_two(task) if "-" in task else of_each_function(WRONG, task, _of_two)
    cells = []
    for code, sentence in WRONG[task]:
        if task == "task5":
            a, b = code.split(" | ")
            cell = f"def saturating_gradient(s):\n    return {a}\n"
            cell += f"def non_saturating_gradient(s):\n    return {b}\n"
        elif task.startswith("task3"):
            body = code.format(js=_JS, m=_M, c=_C, s=_S, naive=_NAIVE)
            js, c = (_JS, body) if task == "task3-criterion" else (body, _C)
            cell = f"def jensen_shannon(log_p, log_q, dx):\n    return {js}\n"
            cell += f"def criterion(log_p, log_q, dx):\n    return {c}\n"
        else:
            code = filled(code, {"loss": _LOSSES.get(task, ""), **_SHORT})
            cell = _FRAMES[task].format(code)
        cells.append((cell, sentence))
    return cells
