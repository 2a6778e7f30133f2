"""Tables and plots of what was measured, from the JSON files in ``benchmarks/results/``.

A row with a ``ratio`` compares two sides, one with ``sizes`` tells how a cost grows, and one with
a ``system`` how fast that trains.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RESULTS", "load", "plot_growth", "plot_ratios", "table", "write"]

RESULTS = Path(__file__).resolve().parent / "results"
#: The order of the themes in tables and plots.
THEMES = (
    *("gan", "flows", "metrics", "transport", "particles", "grading", "book_build"),
    *("imports", "growth", "systems"),
)
VARIABLES = {"n": "points", "d": "dimension", "hand-ins": "hand-ins"}
COMPILED = {False: "steps a second", "cudagraphs": "with CUDA graphs", True: "compiled"}
MET, MISSED = "tab:blue", "tab:red"
SPACE = "\u00a0"  # where a cell of a table must not be broken

Results = dict[str, dict[str, Any]]


def load(device: str = "cpu", folder: Path = RESULTS) -> Results:
    """Return what was measured on a device: a dict of ``machine`` and ``rows`` for each theme."""
    paths = {theme: folder / f"{device}-{theme}.json" for theme in THEMES}
    return {
        theme: json.loads(path.read_text(encoding="utf-8"))
        for theme, path in paths.items()
        if path.is_file()
    }


def write(device: str = "cpu", folder: Path = RESULTS) -> str:
    """Write the table and the plots beside the JSON files; return the table."""
    import matplotlib.pyplot as plt

    results = load(device, folder)
    text = table(results)
    (folder / f"{device}.md").write_text(text, encoding="utf-8")
    plots = {"ratios": ("ratio", plot_ratios), "growth": ("sizes", plot_growth)}
    for name, (key, plot) in plots.items():
        if len(list(rows_with(key, results))) > 1:
            # The same numbers give the same file.
            with plt.rc_context({"svg.hashsalt": name}):
                figure = plot(results)
                path = folder / f"{device}-{name}.svg"
                figure.savefig(path, metadata={"Date": None})
            plt.close(figure)
    return text


def rows_with(key: str, results: Results) -> Iterator[dict[str, Any]]:
    """Yield the rows of one kind."""
    return (row for theme in results.values() for row in theme["rows"] if key in row)


# -------------------------------------------------------------------------- tables


def table(results: Results) -> str:
    """Return everything as Markdown, under the machine's description."""
    machines = [dict(theme["machine"]) for theme in results.values()]
    parts = ["# What was measured"]
    for machine in machines[:1]:
        packages = machine.pop("packages")
        parts.append(", ".join(f"{k} {v}" for k, v in machine.items() if k != "load") + ".")
        parts.append(", ".join(f"{k} {v}" for k, v in packages.items()) + ".")
    loads = ", ".join(f"{name} {theme['machine']['load']}" for name, theme in results.items())
    parts.append(f"Load of the machine when each theme began: {loads}.")
    if any(rows_with("ratio", results)):
        parts += ["## Beside others", compared(results)]
    for r in results.get("imports", {"rows": []})["rows"]:
        parts.append(f"{r['work']}: {r['seconds']:.3f} s of processor time (aim {r['aim']} s).")
    if any(rows_with("sizes", results)):
        parts += ["## How cost grows", grown(results)]
    if any(rows_with("system", results)):
        parts += ["## Training, all systems", trained(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def compared(results: Results) -> str:
    lines = [
        "| work | beside | theirs | ours | ratio | from lowest to highest | aim | differ by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in rows_with("ratio", results):
        aim = "" if r["aim"] is None else f"{r['aim']:g}"
        lines.append(
            f"| {r['work']} | {r['peer']} | {seconds(r['theirs'])} | {seconds(r['ours'])} "
            f"| {r['ratio']:.2f} | {r['lowest']:.2f}{SPACE}to{SPACE}{r['highest']:.2f} | {aim} "
            f"| {r['difference']:.1g} |"
        )
    return "\n".join(lines)


def grown(results: Results) -> str:
    lines = ["| cost of | grows in | time ∝ | memory ∝ | at the largest |", "|---|---|---|---|---|"]
    for r in rows_with("sizes", results):
        powers = [
            "" if e is None else f"{r['variable']}^{tidy(e)}"
            for e in (r["time exponent"], r["memory exponent"])
        ]
        sizes = " … ".join(map(str, dict.fromkeys((r["sizes"][0], r["sizes"][-1]))))
        lines.append(
            f"| {r['work']} | {r['variable']} = {sizes} | {powers[0]} | {powers[1]} "
            f"| {seconds(r['seconds'][-1])}, {r['megabytes'][-1]:.0f}{SPACE}MB |"
        )
    return "\n".join(lines)


def trained(results: Results) -> str:
    """One line for each system and kind of data, and a column for each way to compile."""
    found: dict[tuple[str, str], dict[bool | str, dict[str, Any]]] = {}
    for r in rows_with("system", results):
        found.setdefault((r["system"], r["data"]), {})[r["compiled"]] = r
    ways = [w for w in COMPILED if any(w in line for line in found.values())]
    heads = ["system", "data"] + [head for w in ways for head in (COMPILED[w], "peak MB")]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    errors = []
    for (system, data), line in found.items():
        cells = [f"`{system}`", data]
        for w in ways:
            r = line.get(w, {})
            rate = r.get("steps a second")
            fails = "fails" if "error" in r else "in one go" if r else ""
            cells.append(f"{rate:.0f}" if rate is not None else fails)
            cells.append(f"{r['megabytes']:.0f}" if "megabytes" in r else "")
            if "error" in r:
                errors.append(f"- `{system}`, {data}, {COMPILED[w]}: {r['error']}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *errors]).rstrip() if found else ""


def seconds(value: float) -> str:
    return f"{value:.2f}{SPACE}s" if value >= 1 else f"{1000 * value:.3g}{SPACE}ms"


def tidy(exponent: float) -> str:
    """An exponent with one digit, and no negative zero."""
    return f"{round(exponent, 1) + 0.0:.1f}"


# --------------------------------------------------------------------------- plots


def plot_ratios(results: Results) -> Figure:
    """Draw others' time over ours, with the range over the rounds and what was aimed at.

    The names stand above the lines, not beside them, so that it can be read on a phone.
    """
    import matplotlib.pyplot as plt

    rows = list(rows_with("ratio", results))[::-1]
    figure, ax = plt.subplots(figsize=(5.5, 0.42 * len(rows) + 0.9), layout="constrained")
    for y, r in enumerate(rows):
        met = r["aim"] is None or round(r["ratio"], 2) >= r["aim"]
        colour, mark = (MET, "o") if met else (MISSED, "D")
        ax.plot([r["lowest"], r["highest"]], [y, y], color=colour, linewidth=3, alpha=0.4)
        ax.plot(r["ratio"], y, mark, color=colour, markersize=6)
        if r["aim"] is not None:
            ax.plot(r["aim"], y, "|", color="black", markersize=13, markeredgewidth=1.6)
        name = f"{r['work']}: {r['peer']}"
        ax.text(0.01, y + 0.3, name, transform=ax.get_yaxis_transform(), fontsize=7.5)
    ax.axvline(1, color="grey", linewidth=0.8)
    ax.set(xscale="log", ylim=(-0.6, len(rows) - 0.1), yticks=[])
    ticks = [t for t in (0.5, 1, 2, 5, 10, 20, 50, 100) if _within(t, rows)]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()
    ax.set_xlabel("their time / ours")
    handles = [
        ax.plot([], [], "o", color=MET, label="aim met")[0],
        ax.plot([], [], "D", color=MISSED, label="missed")[0],
        ax.plot([], [], "|", color="black", markersize=11, label="aim")[0],
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, fontsize=9)
    return figure


def _within(value: float, rows: list[dict[str, Any]]) -> bool:
    ends = [r[k] for r in rows for k in ("lowest", "highest", "aim") if r[k] is not None]
    return min(*ends, 1) / 1.3 <= value <= max(*ends, 1) * 1.3


def plot_growth(results: Results) -> Figure:
    """Draw time and memory over what they grow in, on log axes, with the exponents beside."""
    import matplotlib.pyplot as plt

    rows = [r for r in rows_with("sizes", results) if len(r["sizes"]) > 1]
    variables = [v for v in VARIABLES if any(r["variable"] == v for r in rows)]
    names = list(dict.fromkeys(r["work"] for r in rows))
    figure, axes = plt.subplots(
        len(variables), 2, figsize=(7, 3.1 * len(variables) + 0.9), layout="constrained",
        squeeze=False, sharex="row",
    )  # fmt: skip
    for panels, variable in zip(axes, variables, strict=True):
        for r in (r for r in rows if r["variable"] == variable):
            i = names.index(r["work"])
            for ax, cost in zip(panels, ("seconds", "megabytes"), strict=True):
                _grow(ax, r, cost, color=f"C{i}", marker="os^vDPX*<>"[i % 10])
        for ax, label in zip(panels, ("seconds", "MB at most"), strict=True):
            ax.set(xlabel=VARIABLES[variable], ylabel=label)
            ax.margins(x=0.16)
            low, high = ax.get_ylim()
            if high < 10 * low:  # what hardly grows shall look like it
                ax.set_ylim(low / 4, high * 4)
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_minor_formatter("")
    handles = {h.get_label(): h for ax in axes.flat for h in ax.get_legend_handles_labels()[0]}
    figure.legend(handles=list(handles.values()), loc="outside upper center", ncols=2, fontsize=8)
    return figure


def _grow(ax: Axes, row: dict[str, Any], cost: str, **style: str) -> None:
    ax.loglog(row["sizes"], row[cost], label=row["work"], markersize=4, **style)
    exponent = row["time exponent" if cost == "seconds" else "memory exponent"]
    if exponent is not None:
        ax.annotate(
            tidy(exponent),
            (row["sizes"][-1], row[cost][-1]),
            (6, -3),
            textcoords="offset points",
            color=style["color"],
            fontsize=8,
        )
