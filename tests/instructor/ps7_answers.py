"""Answers to problem set 7: right ones written differently, and wrong ones as students write them.

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
        def speed_js(D):
            return 0.5 + torch.tanh(D / 2) / 2
        def speed_logd(D):
            return 0.5 - torch.tanh(D / 2) / 2
        def speed_jeffreys(D):
            return 1 + 1 / torch.exp(-D)
        """,
        """
        def speed_js(D):
            return torch.exp(torch.nn.functional.logsigmoid(D))
        def speed_logd(D):
            return 1 - torch.sigmoid(D)
        def speed_jeffreys(D):
            r = (-D).exp()
            return (1 / r + 1 / r**2) * r
        """,
        """
        import numpy as np
        from scipy.special import expit
        def speed_js(D):
            return expit(D.numpy())
        def speed_logd(D):
            return expit(-D.numpy())
        def speed_jeffreys(D):
            return np.exp(D.numpy()) + 1
        """,
    ],
    "task2": [
        """
        def ratio_loss(D_p, D_q):
            bce = torch.nn.functional.binary_cross_entropy_with_logits
            return bce(D_p, torch.ones_like(D_p)) + bce(D_q, torch.zeros_like(D_q))
        """,
        """
        def ratio_loss(D_p, D_q):
            zero = torch.zeros(())
            a, b = torch.logaddexp(zero, -D_p), torch.logaddexp(zero, D_q)
            return a.sum() / len(D_p) + b.sum() / len(D_q)
        """,
        """
        def ratio_loss(D_p, D_q):
            log_s = torch.nn.functional.logsigmoid
            total = 0
            for v in D_p:
                total = total - log_s(v) / len(D_p)
            for v in D_q:
                total = total - log_s(-v) / len(D_q)
            return total
        """,
    ],
    "task3": [
        """
        def particle_step(x, D, speed, eta):
            y = x.clone().detach().requires_grad_(True)
            D(y).sum().backward()
            with torch.no_grad():
                return y + eta * speed(D(y)).unsqueeze(1) * y.grad
        """,
        """
        def particle_step(x, D, speed, eta):
            rows = []
            for row in x:
                y = row[None].clone().requires_grad_()
                d = D(y)
                slope = torch.autograd.grad(d[0], y)[0]
                rows.append((y + eta * float(speed(d.detach())[0]) * slope)[0].detach())
            return torch.stack(rows)
        """,
        """
        def particle_step(x, D, speed, eta):
            slope = torch.func.grad(lambda y: D(y).sum())(x)
            return (x + eta * torch.diag(speed(D(x))) @ slope).detach()
        """,
    ],
    "task4": [
        """
        def flow_step(m, v, tau, eta):
            return m * (1 - eta / tau), v * (1 + eta / v - eta / tau) ** 2
        def gaussian_kl(m, v, tau):
            return 0.5 * (v / tau + m * m / tau - 1 + math.log(tau) - math.log(v))
        """,
        """
        def flow_step(m, v, tau, eta):
            s = math.sqrt(v)
            s_new = s + eta * (1 / s - s / tau)
            return torch.tensor(m - eta * m / tau), torch.tensor(s_new**2)
        def gaussian_kl(m, v, tau):
            v, tau = torch.tensor(v), torch.tensor(tau)
            return ((v + m**2) / tau - 1 - torch.log(v / tau)) / 2
        """,
        """
        def flow_step(m, v, tau, eta):
            step = lambda x: x + eta * (-x / tau + (x - m) / v)
            b = step(0.0)
            a = step(1.0) - b
            return [a * m + b, a * a * v]
        def gaussian_kl(m, v, tau):
            N = torch.distributions.Normal
            kl = torch.distributions.kl_divergence
            return float(kl(N(m, v**0.5), N(0.0, tau**0.5)))
        """,
    ],
    "task5": [
        """
        def mixture_score(x, weights, means, v):
            logits = weights.log() - torch.cdist(x, means) ** 2 / (2 * v)
            return (torch.softmax(logits, 1) @ means - x) / v
        """,
        """
        def mixture_score(x, weights, means, v):
            rows = []
            for p in x:
                a = torch.stack([w.log() - ((p - m) ** 2).sum() / (2 * v)
                                 for w, m in zip(weights, means)])
                rho = (a - a.logsumexp(0)).exp()
                rows.append(sum(r * (m - p) / v for r, m in zip(rho, means)))
            return torch.stack(rows)
        """,
        """
        def mixture_score(x, weights, means, v):
            y = x.clone().requires_grad_()
            square = ((y[:, None] - means) ** 2).sum(2)
            log_p = torch.logsumexp(weights.log() - square / (2 * v), 1)
            return torch.autograd.grad(log_p.sum(), y)[0]
        """,
    ],
    "task6": [
        """
        def dsm_loss(s, x, sigma, eps):
            S = sigma.unsqueeze(1)
            error = s(x + S * eps, sigma) + eps / S
            return 0.5 * (sigma**2 * error.square().sum(1)).mean()
        """,
        """
        def dsm_loss(s, x, sigma, eps):
            scores = s(x + sigma.reshape(-1, 1) * eps, sigma)
            total = 0
            for i in range(len(x)):
                total = total + 0.5 * torch.norm(sigma[i] * scores[i] + eps[i]) ** 2
            return total / len(x)
        """,
        """
        def dsm_loss(s, x, sigma, eps):
            S = sigma[:, None]
            noised = x + S * eps
            target = (x - noised) / S**2
            return ((s(noised, sigma) - target) * S).pow(2).mean() * x.shape[1] / 2
        """,
    ],
    "task7": [
        """
        def noise_levels(first, last, L):
            return torch.logspace(math.log10(first), math.log10(last), L)
        def langevin_move(x, score, sigma, last, c, z):
            a = c * sigma**2 / last**2
            return x + a / 2 * score + math.sqrt(a) * z
        """,
        """
        import numpy as np
        def noise_levels(first, last, L):
            return np.geomspace(first, last, L)
        def langevin_move(x, score, sigma, last, c, z):
            k = sigma / last
            return x + 0.5 * c * k * k * score + c**0.5 * k * z
        """,
        """
        def noise_levels(first, last, L):
            i = torch.arange(L) / (L - 1)
            return first ** (1 - i) * last**i
        def langevin_move(x, score, sigma, last, c, z):
            h = c * (sigma / last) ** 2 / 2
            return x + h * score + (2 * h) ** 0.5 * z
        """,
    ],
    "task8": [
        """
        def alpha_bars(beta):
            out = [1.0]
            for b in beta:
                out.append(out[-1] * (1 - float(b)))
            return torch.tensor(out)
        def noised(x0, t, abar, eps):
            a = abar[t].unsqueeze(1)
            return torch.sqrt(a) * x0 + torch.sqrt(1 - a) * eps
        """,
        """
        def alpha_bars(beta):
            return torch.nn.functional.pad(torch.log1p(-beta).cumsum(0), (1, 0)).exp()
        def noised(x0, t, abar, eps):
            return torch.stack([abar[k] ** 0.5 * a + (1 - abar[k]) ** 0.5 * e
                                for k, a, e in zip(t, x0, eps)])
        """,
        """
        import numpy as np
        def alpha_bars(beta):
            return np.concatenate([[1.0], np.cumprod(1 - beta.numpy())])
        def noised(x0, t, abar, eps):
            a = abar.numpy()[t.numpy()].reshape(-1, 1)
            return np.sqrt(a) * x0.numpy() + np.sqrt(1 - a) * eps.numpy()
        """,
    ],
    "task9": [
        """
        def posterior(x0, xt, t, beta, abar):
            b, a, before = (float(v) for v in (beta[t], abar[t], abar[t - 1]))
            mean = (before**0.5 * b * x0 + (1 - b) ** 0.5 * (1 - before) * xt) / (1 - a)
            return mean, b * (1 - before) / (1 - a)
        def loss_weight(t, beta, abar):
            return beta[t] / (2 * (1 - beta[t]) * (1 - abar[t]))
        """,
        """
        def posterior(x0, xt, t, beta, abar):
            b, v = beta[t], 1 - abar[t - 1]
            gain = (1 - b).sqrt() * v / ((1 - b) * v + b)
            prior = abar[t - 1].sqrt() * x0
            return prior + gain * (xt - (1 - b).sqrt() * prior), v - gain * (1 - b).sqrt() * v
        def loss_weight(t, beta, abar):
            move = beta[t] / ((1 - beta[t]) * (1 - abar[t])).sqrt()
            return move**2 / (2 * beta[t])
        """,
        """
        def posterior(x0, xt, t, beta, abar):
            alpha = abar[t] / abar[t - 1]
            noise = (xt - abar[t].sqrt() * x0) / (1 - abar[t]).sqrt()
            mean = (xt - (1 - alpha) / (1 - abar[t]).sqrt() * noise) / alpha.sqrt()
            return mean, (1 - alpha) * (1 - abar[t - 1]) / (1 - abar[t])
        def loss_weight(t, beta, abar):
            return float(beta[t]) / 2 / float(1 - beta[t]) / float(1 - abar[t])
        """,
    ],
    "task10": [
        """
        def ddpm_step(x, eps, t, beta, abar, z):
            b = beta[t]
            x0 = (x - (1 - abar[t]).sqrt() * eps) / abar[t].sqrt()
            mean = abar[t - 1].sqrt() * b * x0 + (1 - b).sqrt() * (1 - abar[t - 1]) * x
            return mean / (1 - abar[t]) + (b * (1 - abar[t - 1]) / (1 - abar[t])) ** 0.5 * z
        def ddim_step(x, eps, t, u, abar):
            x0 = (x - (1 - abar[t]) ** 0.5 * eps) / abar[t] ** 0.5
            return abar[u] ** 0.5 * x0 + (1 - abar[u]) ** 0.5 * eps
        """,
        """
        def ddpm_step(x, eps, t, beta, abar, z):
            b, a, before = (float(v) for v in (beta[t], abar[t], abar[t - 1]))
            mean = (x - b / math.sqrt(1 - a) * eps) / math.sqrt(1 - b)
            return mean + math.sqrt(b * (1 - before) / (1 - a)) * z
        def ddim_step(x, eps, t, u, abar):
            ratio = (1 / abar - 1).sqrt()
            return abar[u].sqrt() * (x / abar[t].sqrt() + (ratio[u] - ratio[t]) * eps)
        """,
        """
        def ddpm_step(x, eps, t, beta, abar, z):
            alpha = 1 - beta[t]
            mean = x / alpha.sqrt() - beta[t] / (alpha * (1 - abar[t])).sqrt() * eps
            return torch.add(mean, z * (beta[t] * (1 - abar[t - 1]) / (1 - abar[t])).sqrt())
        def ddim_step(x, eps, t, u, abar):
            k = (abar[u] / abar[t]).sqrt()
            return k * x + ((1 - abar[u]).sqrt() - k * (1 - abar[t]).sqrt()) * eps
        """,
    ],
}

# Each wrong answer replaces one function of a task; the others of that task are right.
WRONG: dict[str, list[tuple[str, str]]] = {
    "task1-speed_js(D)": [
        ("return torch.sigmoid(-D)", "speed at -D"),
        ("r = (-D).exp(); return 1 / (r * (r + 1))", "has a factor r"),
        ("r = (-D).exp(); return r / (r + 1)", "speed at -D"),
        ("return torch.exp(D) / (1 + torch.exp(D))", "NaN"),
        ("return torch.sigmoid(D).mean()", "Did you reduce"),
        ("return 2 * torch.sigmoid(D)", "twice"),
        ("return D", "does not agree"),
    ],
    "task1-speed_logd(D)": [
        ("return torch.sigmoid(D)", "speed at -D"),
        ("r = (-D).exp(); return r**2 / (r + 1)", "there twice"),
        ("return -torch.sigmoid(-D)", "opposite sign"),
    ],
    "task1-speed_jeffreys(D)": [
        ("return 1 + torch.exp(-D)", "speed at -D"),
        ("return torch.exp(D)", "A term is missing"),
        ("r = (-D).exp(); return 1 / r + 1 / r**2", "has a factor r"),
    ],
    "task2-ratio_loss(D_p, D_q)": [
        ("return {sp}(D_p).mean() + {sp}(-D_q).mean()", "laws are swapped"),
        ("return {sp}(-D_p).sum() + {sp}(D_q).sum()", "not the sum"),
        ("return torch.cat([{sp}(-D_p), {sp}(D_q)]).mean()", "own mean"),
        ("return {sp}(-D_p).mean()", "term of q is missing"),
        ("return -{sp}(-D_p).mean() - {sp}(D_q).mean()", "sign is wrong"),
        ("return {sp}(D_p).mean() + {sp}(D_q).mean()", "same sign"),
        ("return (1 + (-D_p).exp()).log().mean() + (1 + D_q.exp()).log().mean()", "infinity"),
        ("return ({sp}(-D_p).mean() + {sp}(D_q).mean()).item()", "no gradient flows"),
        ("return ({sp}(-D_p).mean() + {sp}(D_q).mean()) / 2", "half of what"),
        ("return {sp}(-D_p)", "forget to average"),
    ],
    "task3-particle_step(x, D, speed, eta)": [
        ("{start}; return x - eta * s * h", "should move up"),
        ("{start}; return x + eta * h", "speed is not used"),
        ("{start}; return x + s * h", "eta is not used"),
        ("{start}; return eta * s * h", "the move, not where"),
        ("{start}; return x + eta * s * h / len(x)", "not its mean"),
        ("{start}; return x + eta * h / s", "multiply by it"),
        ("{start}; x += eta * s * h; return x", "changes the particles"),
        ("{start}; return y + eta * s * h", "graph hangs"),
        ("{start}; return x", "don't move"),
        ("return torch.zeros_like(x)", "zero"),
    ],
    "task4-flow_step(m, v, tau, eta)": [
        ("{a}; return a * m, a**2 * v", "constant part"),
        ("{a}; return (1 + eta / tau) * m, (2 - a) ** 2 * v", "away from the data"),
        ("{a}; return m, a**2 * v", "mean does not move"),
        ("{a}; return (1 - eta / tau) * m, a * v", "square of the slope"),
        ("return (1 - eta / tau) * m, (1 - eta / tau) ** 2 * v", "term of log q is missing"),
        ("{a}; return (1 - eta / tau) * m, a**2", "multiply by v"),
        ("return (1 - eta / tau) * m", "2 values"),
    ],
    "task4-gaussian_kl(m, v, tau)": [
        ("return ((v + m) / tau - 1 - math.log(v / tau)) / 2", "mean is squared"),
        ("return ((tau + m**2) / v - 1 - math.log(tau / v)) / 2", "other way round"),
        ("return ((v + m**2) / tau - 1 + math.log(v / tau)) / 2", "sign of the logarithm"),
        ("return ((v + m**2) / tau - math.log(v / tau)) / 2", "1 is missing"),
        ("return (v + m**2) / tau - 1 - math.log(v / tau)", "twice"),
    ],
    "task5-mixture_score(x, weights, means, v)": [
        ("{mix}; return -(soft(L - q / (2 * v)) * away).sum(1) / v", "points up"),
        ("{mix}; return (soft(L - q / (2 * v)) * away).sum(1) / v**2", "variance already"),
        ("{mix}; return (soft(L - q / (2 * v)) * away).sum(1)", "division by v"),
        ("{mix}; return (soft(-q / (2 * v)) * away).sum(1) / v", "weights don't count"),
        (
            "{mix}; return (soft(weights - q / (2 * v)) * away).sum(1) / v",
            "logarithm of the weights",
        ),
        ("{mix}; return (soft(L - q / v) * away).sum(1) / v", "½ in the exponent"),
        ("{mix}; return (weights @ means - x) / v", "depend on x"),
        ("{mix}; return ((L - q / (2 * v)).exp()[..., None] * away).sum(1) / v", "not of log p"),
        (
            "{mix}; e = (L - q / (2 * v)).exp()[..., None]"
            "; return (e * away).sum(1) / e.sum(1) / v",
            "NaN",
        ),
        ("return torch.zeros_like(x)", "zero"),
    ],
    "task6-dsm_loss(s, x, sigma, eps)": [
        ("{S}; return (S * s(x + S * eps, sigma) - eps).pow(2).sum(1).mean() / 2", "wrong sign"),
        ("{S}; return (S * s(x, sigma) + eps).pow(2).sum(1).mean() / 2", "at the noised data"),
        ("{S}; return (S * s(x + S * eps, sigma) + eps).pow(2).mean() / 2", "coordinates"),
        ("{S}; return (S * s(x + S * eps, sigma) + eps).pow(2).sum() / 2", "not the sum"),
        ("{S}; return (s(x + S * eps, sigma) + eps / S).pow(2).sum(1).mean() / 2", "weight σ²"),
        ("{S}; return (S * s(x + S * eps, sigma) + eps).pow(2).sum(1).mean()", "twice"),
        ("{S}; return (s(x + S * eps, sigma) + eps).pow(2).sum(1).mean() / 2", "by σ, once"),
        ("{S}; return (S * s(x + S * eps, sigma) + eps).norm(dim=1).mean() / 2", "norm is squared"),
        (
            "{S}; return (S * s(x + S * eps, sigma).detach() + eps).pow(2).sum(1).mean() / 2",
            "No gradient flows",
        ),
        ("return torch.zeros(())", "zero"),
    ],
    "task7-noise_levels(first, last, L)": [
        ("return torch.linspace(first, last, L)", "not equal differences"),
        ("return torch.logspace(math.log10(last), math.log10(first), L)", "go down"),
        (
            "return torch.tensor([first * (last / first) ** (i / L) for i in range(L)])",
            "not reached",
        ),
        ("return torch.linspace(math.log(first), math.log(last), L)", "logarithms of the levels"),
        ("return torch.logspace(math.log10(first), math.log10(last), L + 1)", "should be shape"),
    ],
    "task7-langevin_move(x, score, sigma, last, c, z)": [
        ("{al}; return x + a / 2 * score + a * z", "√α, not α"),
        ("{al}; return x + a * score + a**0.5 * z", "factor α/2"),
        ("{al}; return x - a / 2 * score + a**0.5 * z", "add it"),
        ("a = c * sigma / last; return x + a / 2 * score + a**0.5 * z", "squared in the step"),
        ("{al}; return x + a / 2 * score", "noise is missing"),
        ("{al}; return x + a * score + (2 * a) ** 0.5 * z", "would be right for"),
        ("return x + c / 2 * score + c**0.5 * z", "scale it"),
        ("return x", "does not agree"),
    ],
    "task8-alpha_bars(beta)": [
        ("return torch.cat([torch.ones(1).to(beta), beta.cumprod(0)])", "product of β"),
        ("return (1 - beta).cumprod(0)", "should be shape"),
        ("return torch.cat([torch.ones(1).to(beta), 1 - beta])", "of each step"),
        ("return torch.cat([torch.ones(1).to(beta), 1 - beta.cumsum(0)])", "don't add"),
        ("return torch.cat([torch.ones(1).to(beta), (1 - beta).cumprod(0)]).sqrt()", "roots of"),
    ],
    "task8-noised(x0, t, abar, eps)": [
        ("a = abar[t][:, None]; return a * x0 + (1 - a) * eps", "roots are missing"),
        ("a = abar[t][:, None]; return a.sqrt() * x0 + (1 - a.sqrt()) * eps", "not 1 - √"),
        ("a = abar[t][:, None]; return (1 - a).sqrt() * x0 + a.sqrt() * eps", "swapped"),
        ("a = abar[t - 1][:, None]; return a.sqrt() * x0 + (1 - a).sqrt() * eps", "too early"),
        ("a = abar[t[0]]; return a.sqrt() * x0 + (1 - a).sqrt() * eps", "time of its own"),
        ("a = abar[t][:, None]; return a.sqrt() * x0 - (1 - a).sqrt() * eps", "subtracted"),
    ],
    "task9-posterior(x0, xt, t, beta, abar)": [
        ("m, v = right(xt, x0, t, beta, abar); return m, v", "ends"),
        ("m, v = right(x0, xt, t, beta, abar); return m, beta[t]", "variance forward"),
        ("m, v = right(x0, xt, t, beta, abar); return m, v**0.5", "standard deviation"),
        ("m, v = right(x0, xt, t, beta, abar); return m * (1 - abar[t]), v", "divided by 1 - "),
        ("m, v = right(x0, 0 * xt, t, beta, abar); return m, v", "Only the term of x₀"),
        ("m, v = right(0 * x0, xt, t, beta, abar); return m, v", "Only the term of x_t"),
        ("m, v = right(x0, xt, t, beta, abar); return m", "2 values"),
    ],
    "task9-loss_weight(t, beta, abar)": [
        ("return beta[t] / (1 - beta[t]) / (1 - abar[t])", "½ is missing"),
        ("return beta[t] / 2 / (1 - abar[t])", "1 - β_t below"),
        ("return beta[t] / 2 / (1 - beta[t])", "1 - ᾱ_t below"),
        ("return beta[t] / 2 / (1 - beta[t]) / abar[t]", "not ᾱ_t"),
        ("return beta[t] ** 2 / 2 / (1 - beta[t]) / (1 - abar[t])", "not squared"),
    ],
    "task10-ddpm_step(x, eps, t, beta, abar, z)": [
        ("{k}; return m + b.sqrt() * z", "not √β"),
        ("{k}; return m + v * z", "root of the variance"),
        ("{k}; return m", "fresh noise is missing"),
        (
            "{k}; return (x + b / (1 - a).sqrt() * eps) / (1 - b).sqrt() + v.sqrt() * z",
            "subtracted",
        ),
        ("{k}; return (x - b / (1 - a).sqrt() * eps) / a.sqrt() + v.sqrt() * z", "not of ᾱ_t"),
        ("{k}; return (x - b * eps) / (1 - b).sqrt() + v.sqrt() * z", "factor of the predicted"),
        ("{k}; return m * (1 - b).sqrt() + v.sqrt() * z", "is missing"),
    ],
    "task10-ddim_step(x, eps, t, u, abar)": [
        ("{c}; return x0", "estimate of x₀"),
        ("{c}; return abar[u].sqrt() * x0", "not mixed in"),
        ("{c}; return abar[t].sqrt() * x0 + (1 - abar[t]).sqrt() * eps", "not of t"),
        ("t, u = u, t; {c}; return abar[u].sqrt() * x0 + (1 - abar[u]).sqrt() * eps", "swapped"),
        ("{c}; return abar[u].sqrt() * x0 + (1 - abar[u]) * eps", "with √(1 - "),
    ],
}

_SHORT = {
    "sp": "torch.nn.functional.softplus",
    "start": (
        "y = x.detach().clone().requires_grad_(); d = D(y);"
        " (h,) = torch.autograd.grad(d.sum(), y); s = speed(d.detach())[:, None]"
    ),
    "a": "a = 1 + eta / v - eta / tau",
    "mix": (
        "away = means - x[:, None]; q = away.pow(2).sum(2); L = weights.log();"
        " soft = lambda l: torch.softmax(l, 1)[..., None]"
    ),
    "S": "S = sigma[:, None]",
    "al": "a = c * (sigma / last) ** 2",
    "k": (
        "a, b, v = abar[t], beta[t], beta[t] * (1 - abar[t - 1]) / (1 - abar[t]);"
        " m = (x - b / (1 - a).sqrt() * eps) / (1 - b).sqrt()"
    ),
    "c": "x0 = (x - (1 - abar[t]).sqrt() * eps) / abar[t].sqrt()",
}


right = partial(dedented, RIGHT)


def wrong(task: str) -> list[tuple[str, str]]:
    """Wrong answers as whole cells, with the part of the sentence each must get."""
    if task not in WRONG:  # a task of several functions
        return of_each_function(WRONG, task, wrong)
    name, _, signature = task.partition("-")
    cells = []
    for body, sentence in WRONG[task]:
        body = filled(body, _SHORT)
        keep = "right = posterior\n" if signature.startswith("posterior") else ""
        cells.append((f"{right(name)[0]}\n{keep}def {signature}:\n    {body}\n", sentence))
    return cells
