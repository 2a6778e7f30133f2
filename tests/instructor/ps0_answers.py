"""Answers to problem set 0: right ones written differently, and wrong ones as students write them.

``RIGHT[task]`` holds code that must get full marks. ``WRONG[task]`` holds (code, part of a sentence
that must be printed by the hidden checks) pairs that must not.
"""

from __future__ import annotations

from functools import partial

from answer_cells import dedented, filled, of_each_function

#: Points of the whole set.
TOTAL = 20

RIGHT: dict[str, list[str]] = {
    "task1": [
        """
        def squared_distances(x, y):
            return (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
        """,
        """
        def squared_distances(x, y):
            return torch.stack([((x - p) ** 2).sum(1) for p in y], 1)
        """,
        """
        import numpy as np
        def squared_distances(x, y):
            difference = x.numpy()[:, None] - y.numpy()
            return np.einsum("ijk,ijk->ij", difference, difference)
        """,
    ],
    "task2": [
        """
        def standardised(x):
            centred = x - x.mean(0, keepdim=True)
            return centred / centred.pow(2).mean(0, keepdim=True).sqrt()
        """,
        """
        def standardised(x):
            return torch.stack([(c - c.mean()) / c.var(correction=0) ** 0.5 for c in x.T], 1)
        """,
        """
        def standardised(x):
            x = x.numpy()
            return (x - x.mean(0)) / x.std(0)
        """,
    ],
    "task3": [
        """
        def log_mean_exp(a):
            top = a.max(1, keepdim=True).values
            return top[:, 0] + (a - top).exp().mean(1).log()
        """,
        """
        def log_mean_exp(a):
            return torch.logsumexp(a - math.log(a.shape[1]), -1)
        """,
        """
        import numpy as np
        def log_mean_exp(a):
            return np.logaddexp.reduce(a.numpy(), axis=1) - np.log(a.shape[1])
        """,
    ],
    "task4": [
        """
        def noised(x, sigma, generator):
            return x + sigma * torch.empty_like(x).normal_(generator=generator)
        """,
        """
        def noised(x, sigma, generator):
            noise = torch.randn(x.shape, generator=generator, device=generator.device)
            return x + sigma * noise.to(x)
        """,
        """
        def noised(x, sigma, generator):
            return torch.normal(x, sigma, generator=generator)
        """,
    ],
    "task5": [
        """
        def gradient(f, x):
            y = x.clone().requires_grad_(True)
            f(y).sum().backward()
            return y.grad
        """,
        """
        def gradient(f, x):
            rows = []
            for p in x:
                y = p[None].clone().requires_grad_()
                rows.append(torch.autograd.grad(f(y)[0], y)[0][0])
            return torch.stack(rows)
        """,
        """
        def gradient(f, x):
            y = x.detach().clone().requires_grad_()
            values = f(y)
            (g,) = torch.autograd.grad(values, y, torch.ones_like(values), create_graph=True)
            return g.detach()
        """,
    ],
    "task6": [
        """
        def fit_line(x, y, eta, steps):
            w = b = 0.0
            for _ in range(steps):
                off = w * x + b - y
                w, b = w - eta * 2 * (off * x).mean(), b - eta * 2 * off.mean()
            return w, b
        """,
        """
        def fit_line(x, y, eta, steps):
            w, b = (torch.zeros((), dtype=x.dtype, requires_grad=True) for _ in range(2))
            for _ in range(steps):
                dw, db = torch.autograd.grad(torch.nn.functional.mse_loss(w * x + b, y), (w, b))
                with torch.no_grad():
                    w -= eta * dw
                    b -= eta * db
            return float(w), float(b)
        """,
        """
        import numpy as np
        def fit_line(x, y, eta, steps):
            A = np.stack([x.numpy(), np.ones(len(x))], 1)
            theta = np.zeros(2)
            for _ in range(steps):
                theta = theta - eta * 2 / len(x) * A.T @ (A @ theta - y.numpy())
            return theta[0], theta[1]
        """,
    ],
}

WRONG: dict[str, list[tuple[str, str]]] = {
    "task1-squared_distances(x, y)": [
        ("return torch.cdist(x, y)", "take no root"),
        ("return ((x[:, None] - y) ** 2).mean(2)", "don't average"),
        ("return (x[:, None] - y).abs().sum(2)", "absolute values"),
        ("return (x[:, None] - y).sum(2) ** 2", "before you sum"),
        ("return x @ y.T", "inner product"),
        ("return ((x[:, None] - y) ** 2).sum(1)", "should be shape"),
        ("return ((y[:, None] - x) ** 2).sum(2)", "another order"),
        ("return ((x[:, None] - x) ** 2).sum(2)", "should be shape"),
    ],
    "task2-standardised(x)": [
        ("return (x - x.mean(0)) / x.std(0)", "not n - 1"),
        ("return (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True)", "first axis"),
        ("return (x - x.mean()) / x.std()", "of its own"),
        ("return x - x.mean(0)", "division by"),
        ("return x / x.std(0, correction=0)", "not removed"),
        ("return (x - x.mean(0)) / x.var(0, correction=0)", "not the variance"),
        ("return x", "does not agree"),
    ],
    "task3-log_mean_exp(a)": [
        ("return torch.logsumexp(a, 1)", "of the sum"),
        ("return a.mean(1)", "mean of the logarithms"),
        ("return a.exp().mean(1).log()", "infinity"),
        ("return torch.logsumexp(a, 0) - math.log(a.shape[0])", "should be shape"),
        ("return a.max(1).values", "maximum alone"),
        ("return (a - a.amax(1, keepdim=True)).exp().mean(1).log()", "not added back"),
        ("return torch.logsumexp(a, 1) - math.log(len(a))", "not of rows"),
    ],
    "task4-noised(x, sigma, generator)": [
        ("return x + sigma * torch.randn_like(x)", "same seed"),
        ("torch.manual_seed(0); return x + sigma * torch.randn_like(x)", "other numbers"),
        (
            "torch.manual_seed(generator.initial_seed()); return x + sigma * torch.randn_like(x)",
            "other numbers",
        ),
        ("{n}; return x.float() + sigma * n.float()", "dtype of x"),
        ("{n}; return x + sigma**2 * n", "too wide"),
        ("{n}; return x + sigma**0.5 * n", "too narrow"),
        ("{n}; return sigma * n", "is the noise centred"),
        (
            "u = torch.rand(x.shape, generator=generator, dtype=x.dtype)"
            "; return x + sigma * 12**0.5 * (u - 0.5)",
            "not rand",
        ),
        ("return x", "other numbers"),
    ],
    "task5-gradient(f, x)": [
        ("{y}; return torch.autograd.grad(f(y).mean(), y)[0]", "not the mean"),
        ("{y}; return x - torch.autograd.grad(f(y).sum(), y)[0]", "a step along"),
        ("{y}; return -torch.autograd.grad(f(y).sum(), y)[0]", "opposite sign"),
        ("{y}; return torch.autograd.grad(f(y).sum(), y, create_graph=True)[0]", "graph hangs"),
        ("x.requires_grad_(); return torch.autograd.grad(f(x).sum(), x)[0]", "work on a copy"),
        ("return f(x)", "should be shape"),
        ("{y}; return torch.autograd.grad(f(y).sum(), y)[0].sum(0)", "should be shape"),
    ],
    "task6-fit_line(x, y, eta, steps)": [
        (
            "eta *= len(x); w = b = 0.0\n    for _ in range(steps): {s}\n    return w, b",
            "not a sum",
        ),
        ("eta /= 2; w = b = 0.0\n    for _ in range(steps): {s}\n    return w, b", "2 of the"),
        ("w = b = 0.0\n    for _ in range(steps - 1): {s}\n    return w, b", "too few"),
        ("w = b = 0.0\n    for _ in range(steps + 1): {s}\n    return w, b", "too many"),
        ("w = b = 0.0\n    for _ in range(steps): {s}\n    return b, w", "swapped"),
        ("eta = -eta; w = b = 0.0\n    for _ in range(steps): {s}\n    return w, b", "against"),
        (
            "w = b = P = Q = 0.0\n    for _ in range(steps):"
            " r = w * x + b - y; P += 2 * (r * x).mean(); Q += 2 * r.mean()"
            "; w, b = w - eta * P, b - eta * Q\n    return w, b",
            "add up",
        ),
        (
            "c = torch.cov(torch.stack([x, y])); w = c[0, 1] / c[0, 0]"
            "; return w, y.mean() - w * x.mean()",
            "best line",
        ),
        ("w = b = 0.0\n    for _ in range(steps): {s}\n    return w", "2 values"),
    ],
}

_SHORT = {
    "n": "n = torch.randn(x.shape, generator=generator, dtype=x.dtype)",
    "y": "y = x.clone().requires_grad_()",
    "s": "r = w * x + b - y; w, b = w - eta * 2 * (r * x).mean(), b - eta * 2 * r.mean()",
}

right = partial(dedented, RIGHT)


def wrong(task: str) -> list[tuple[str, str]]:
    """Wrong answers as whole cells, with the part of the sentence each must get."""
    if task not in WRONG:
        return of_each_function(WRONG, task, wrong)
    _, _, signature = task.partition("-")
    return [
        (f"\ndef {signature}:\n    {filled(body, _SHORT)}\n", sentence)
        for body, sentence in WRONG[task]
    ]
