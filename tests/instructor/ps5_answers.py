"""Answers to problem set 5: right ones written differently, and wrong ones as students write them.

``RIGHT[task]`` holds code that must get full marks. ``WRONG[task]`` holds (code, part of a sentence
that must be printed by the hidden checks) pairs that must not.
"""

from __future__ import annotations

from functools import partial

from answer_cells import dedented, filled

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
}


right = partial(dedented, RIGHT)


_FRAMES = {
    "task1": "def value_function(real_logits, fake_logits):\n    {}\n",
    "task2": "def optimal_discriminator(log_p, log_q):\n    {}\n",
    "task4": "def discriminator_step(D, G, optimiser, real, z):\n    {}\n",
    "task6": "def generator_step(D, G, optimiser, z):\n    {}\n",
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


def wrong(task: str) -> list[tuple[str, str]]:
    """Wrong answers as whole cells, with the part of the sentence each must get."""
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
