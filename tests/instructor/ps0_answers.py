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
    "task7": [
        """
        def batches(n, size, generator):
            order = torch.randperm(n, generator=generator)
            return [order[start : start + size] for start in range(0, n, size)]
        """,
        """
        def batches(n, size, generator):
            left = torch.rand(n, generator=generator).argsort().tolist()
            while left:
                yield torch.tensor(left[:size])
                left = left[size:]
        """,
        """
        import numpy as np
        def batches(n, size, generator):
            seed = int(torch.randint(2**31, (), generator=generator))
            order = np.random.default_rng(seed).permutation(n)
            return np.array_split(order, range(size, n, size))
        """,
        """
        def batches(n, size, generator):
            sampler = torch.utils.data.RandomSampler(range(n), generator=generator)
            return list(torch.utils.data.BatchSampler(sampler, size, drop_last=False))
        """,
    ],
    "task8": [
        """
        def in_pieces(f, x, size):
            return torch.cat([f(x[i : i + size]).detach() for i in range(0, len(x), size)])
        """,
        """
        @torch.no_grad()
        def in_pieces(f, x, size):
            out = None
            for start in range(0, len(x), size):
                values = f(x[start : start + size])
                if out is None:
                    out = values.new_empty((len(x), *values.shape[1:]))
                out[start : start + size] = values
            return out
        """,
        """
        def in_pieces(f, x, size):
            with torch.inference_mode():
                pieces = list(map(f, torch.split(x, size)))
            return torch.concatenate(pieces).clone()
        """,
    ],
    "task9": [
        """
        import copy
        def weights_of(network):
            return copy.deepcopy(network.state_dict())
        """,
        """
        import io
        def weights_of(network):
            file = io.BytesIO()
            torch.save(network.state_dict(), file)
            file.seek(0)
            return torch.load(file)
        """,
        """
        def weights_of(network):
            kept = {}
            with torch.no_grad():
                for name, value in (*network.named_parameters(), *network.named_buffers()):
                    kept[name] = torch.empty_like(value).copy_(value)
            return kept
        """,
        """
        import copy
        def weights_of(network):
            return copy.deepcopy(network).state_dict()
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
    "task7-batches(n, size, generator)": [
        ("{o}; return [order[i : i + size] for i in range(0, n - size + 1, size)]", "smaller"),
        ("{o}; return [order[i : i + size] for i in range(0, n + 1, size)]", "empty"),
        ("return torch.arange(n).split(size)", "order is not random"),
        ("return torch.randperm(n).split(size)", "same seed"),
        ("torch.manual_seed(0); return torch.randperm(n).split(size)", "another order"),
        (
            "torch.manual_seed(generator.initial_seed()); return torch.randperm(n).split(size)",
            "global state",
        ),
        ("return torch.randint(n, (n,), generator=generator).split(size)", "twice"),
        ("{o}; return order[:size]", "most indices are missing"),
        ("{o}; return [order]", "more than size"),
        ("{o}; return order.chunk(size)", "index"),
        ("{o}; return (order + 1).split(size)", "should be 0, 1"),
        (
            "p = torch.arange(n).split(size)"
            "; return [p[i] for i in torch.randperm(len(p), generator=generator)]",
            "one stretch",
        ),
        (
            "p = torch.arange(n).split(size)"
            "; return [b[torch.randperm(len(b), generator=generator)] for b in p]",
            "one stretch",
        ),
    ],
    "task8-in_pieces(f, x, size)": [
        ("return torch.cat([f(p) for p in x.split(size)])", "no_grad"),
        ("with torch.no_grad(): return f(x)", "more than size"),
        ("return f(x).detach()", "more than size"),
        (
            "with torch.no_grad():"
            " return torch.cat([f(x[i : i + size]) for i in range(0, len(x) - size + 1, size)])",
            "should be shape",
        ),
        ("with torch.no_grad(): return torch.cat([f(p[None]) for p in x])", "too often"),
        ("with torch.no_grad(): return [f(p) for p in x.split(size)]", "list"),
        ("with torch.no_grad(): return torch.stack([f(p) for p in x.split(size)])", "stack"),
        (
            "with torch.no_grad(): return torch.stack([f(p).mean(0) for p in x.split(size)])",
            "should be shape",
        ),
        ("with torch.no_grad(): return torch.cat([f(p) for p in x.chunk(size)])", "size points"),
        (
            "with torch.no_grad(): return torch.cat([f(p) for p in reversed(x.split(size))])",
            "another order",
        ),
        ("with torch.no_grad(): return sum(f(p) for p in x.split(size))", "size"),
    ],
    "task9-weights_of(network)": [
        ("return network.state_dict()", "clone each"),
        ("return dict(network.state_dict())", "clone each"),
        ("return network.state_dict().copy()", "clone each"),
        ("return {k: v.detach() for k, v in network.state_dict().items()}", "clone each"),
        ("return {k: v.detach().clone() for k, v in network.named_parameters()}", "running means"),
        ("return {k: v.clone() for k, v in network.state_dict(keep_vars=True).items()}", "graph"),
        ("import copy; return copy.deepcopy(network)", "dictionary"),
        ("return [v.clone() for v in network.state_dict().values()]", "dictionary"),
        ("return {k: torch.zeros_like(v) for k, v in network.state_dict().items()}", "equal"),
        ("return {k: v.tolist() for k, v in network.state_dict().items()}", "tensors"),
        ("return network.load_state_dict(network.state_dict())", "dictionary"),
        (
            "w = network.state_dict()"
            "; kept = {k: v.clone() for k, v in w.items()}"
            "; [v.zero_() for v in w.values()]; return kept",
            "itself was changed",
        ),
    ],
}

_SHORT = {
    "o": "order = torch.randperm(n, generator=generator)",
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
