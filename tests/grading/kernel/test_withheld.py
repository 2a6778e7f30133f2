"""What a set asks for is missing while grading, under whatever name it is called."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
NAMES = [
    "gencourse.metrics.parzen.parzen_log_density",
    "gencourse.data.toys.Gaussian",
    "torch.distributions.MultivariateNormal",
    "numpy.histogramdd",
    "scipy.stats.gaussian_kde",
    "scipy.stats.multivariate_normal",
    "scipy.special.logsumexp",
    "gencourse.divergences.F_DIVERGENCES",
]
CALLS = [
    (0, "from gencourse.metrics import parzen_log_density as f; f(x, x, 1.0)"),
    (0, "import gencourse; gencourse.metrics.parzen.parzen_log_density(x, x, 1.0)"),
    (1, "gencourse.data.Gaussian(x[0], torch.eye(2))"),
    (1, "class Mine(gencourse.data.Gaussian): pass\nMine(x[0], torch.eye(2))"),
    (2, "torch.distributions.MultivariateNormal(x, torch.eye(2))"),
    (3, "np.histogramdd(x)"),
    (3, "from numpy.lib._histograms_impl import histogramdd; histogramdd(x)"),
    (4, "from scipy.stats._kde import gaussian_kde; gaussian_kde(x.T)"),
    (4, "from scipy.stats import gaussian_kde as k; k(x.T)"),
    (4, "import scipy; scipy.stats.gaussian_kde(x.T)"),
    (5, "from scipy.stats import multivariate_normal as m; m.logpdf(x)"),
    (5, "from scipy.stats import multivariate_normal as m; m([0.0, 0.0])"),
    (6, "import scipy.special; scipy.special.logsumexp([0.0])"),
    (7, "from gencourse.divergences import F_DIVERGENCES as table; table['kl']"),
    (7, "from gencourse.divergences import F_DIVERGENCES as table; list(table)"),
    # What the kernel calls on behalf of a check may be the withheld name itself.
    (
        0,
        "from gencourse.metrics import parzen_log_density as f\n"
        "kernel = {'__name__': 'gencourse.grading.kernel.student', 'f': f, 'x': x}\n"
        "exec('f(x, x, 1.0)', kernel)",
    ),
]
USES = [
    ("np.histogram2d([0.0, 1.0], [0.0, 1.0], 2)[0].sum()", "2.0"),
    ("scipy.stats.norm.logpdf(0.0) < 0", "True"),
    ("scipy.special.softmax([0.0, 0.0]).sum()", "1.0"),
    ("gencourse.data.load('gaussian').log_prob(x).shape", "torch.Size([3])"),
    # The library itself goes on using its table, also in modules that are imported later.
    (
        "type(__import__('gencourse').build('fgan-kl', gencourse.data.load('ring8'))).__name__",
        "AdversarialModel",
    ),
]
NOTHING = ["gencourse.metrics.nothing", "torch.nothing", "gencourse.no.f"]
SESSION = """
import json, sys
import gencourse.data, numpy as np, torch
from gencourse.grading.kernel.withheld import withhold
withhold(NAMES)
early = [name for name in ("scipy.stats", "scipy.special") if name in sys.modules]
x = torch.zeros(3, 2)
said = []
for call in CALLS:
    try:
        exec(call, globals())
        said.append("")
    except Exception as error:
        said.append(f"{type(error).__name__}: {error}")
for use in USES:
    said.append(str(eval(use)))
for name in NOTHING:
    try:
        withhold([name])
    except LookupError as error:
        said.append(str(error))
print(json.dumps([early, said]))
"""


def test_a_withheld_name_says_so_and_packages_go_on_using_their_own() -> None:
    # In a process of its own: what is withheld stays so.
    code = (
        f"NAMES, CALLS, USES = {NAMES}, {[c for _, c in CALLS]}, {[u for u, _ in USES]}\n"
        f"NOTHING = {NOTHING}\n" + SESSION
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    early, said = json.loads(done.stdout)
    assert early == []  # nothing is imported in order to be withheld
    for (number, call), words in zip(CALLS, said, strict=False):
        wanted = f"NotImplementedError: {NAMES[number]} is what this set asks you to write"
        assert words.startswith(wanted), (call, words)
    rest = said[len(CALLS) :]
    assert rest[: len(USES)] == [expected for _, expected in USES]
    assert rest[len(USES) :] == [
        f"nothing is called {name}, so it can't be withheld" for name in NOTHING
    ]


def test_the_sets_withhold_what_there_is() -> None:
    for path in ROOT.glob("solutions/*/*.ipynb"):
        metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
        for name in metadata.get("gencourse", {}).get("withheld", []):
            module, _, attribute = name.rpartition(".")
            assert hasattr(import_module(module), attribute), (path.name, name)
