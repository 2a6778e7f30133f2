"""Tables and plots of what was measured, from the JSON files in ``benchmarks/results/``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["RESULTS", "load", "plot_growth", "plot_ratios", "table"]

RESULTS = Path(__file__).resolve().parent / "results"
COMPARED = ("gan", "flows", "metrics", "transport", "particles")


def load(device: str = "cpu", folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Return what was measured on a device: a dict of ``machine`` and ``rows`` for each theme."""
    paths = sorted(folder.glob(f"{device}-*.json"))
    return {
        path.stem.removeprefix(f"{device}-"): json.loads(path.read_text(encoding="utf-8"))
        for path in paths
    }


def compared(results: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for theme in COMPARED if theme in results for row in results[theme]["rows"]]


def table(results: dict[str, dict[str, Any]]) -> str:
    """Return everything as Markdown, under the machine's description."""
    parts = []
    for theme in results.values():
        machine = dict(theme["machine"])
        packages = machine.pop("packages")
        if not parts:
            parts.append(", ".join(f"{k} {v}" for k, v in machine.items() if k != "load") + ".")
            parts.append(", ".join(f"{k} {v}" for k, v in packages.items()) + ".")
    loads = ", ".join(f"{name} {theme['machine']['load']}" for name, theme in results.items())
    parts.append(f"Load of the machine when each theme began: {loads}.")
    if rows := compared(results):
        lines = [
            "| work | beside | theirs | ours | ratio | lowest – highest | aim | differ by |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for r in rows:
            aim = "" if r["aim"] is None else f"{r['aim']:g}"
            lines.append(
                f"| {r['work']} | {r['peer']} | {seconds(r['theirs'])} | {seconds(r['ours'])} "
                f"| {r['ratio']:.2f} | {r['lowest']:.2f} – {r['highest']:.2f} | {aim} "
                f"| {r['difference']:.1g} |"
            )
        parts.append("\n".join(lines))
    for r in results.get("imports", {"rows": []})["rows"]:
        parts.append(f"{r['work']}: {r['seconds']:.3f} s of processor time (aim {r['aim']} s).")
    if "growth" in results:
        lines = [
            "| cost of | grows in | time ∝ | memory ∝ | at the largest |",
            "|---|---|---|---|---|",
        ]
        for r in results["growth"]["rows"]:
            powers = [
                "" if e is None else f"{r['variable']}^{e:.1f}"
                for e in (r["time exponent"], r["memory exponent"])
            ]
            lines.append(
                f"| {r['work']} | {r['variable']} = {r['sizes'][0]} … {r['sizes'][-1]} "
                f"| {powers[0]} | {powers[1]} "
                f"| {seconds(r['seconds'][-1])}, {r['megabytes'][-1]:.0f} MB |"
            )
        parts.append("\n".join(lines))
    if "systems" in results:
        lines = ["| system | data | compiled | steps a second | peak MB |", "|---|---|---|---|---|"]
        for r in results["systems"]["rows"]:
            rate = (
                f"{r['steps a second']:.0f}"
                if "steps a second" in r
                else r.get("error", "in one go")
            )
            compiled = {True: "yes", False: "no"}.get(r["compiled"], r["compiled"])
            memory = f"{r['megabytes']:.0f}" if "megabytes" in r else ""
            lines.append(f"| `{r['system']}` | {r['data']} | {compiled} | {rate} | {memory} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.3g} ms"


def plot_ratios(results: dict[str, dict[str, Any]]) -> Figure:
    """Draw others' time over ours, with the range over the rounds and what was aimed at."""
    import matplotlib.pyplot as plt

    rows = compared(results)[::-1]
    figure, axes = plt.subplots(figsize=(8, 0.34 * len(rows) + 1), layout="constrained")
    for y, r in enumerate(rows):
        axes.plot([r["lowest"], r["highest"]], [y, y], color="tab:blue", linewidth=3, alpha=0.4)
        axes.plot(r["ratio"], y, "o", color="tab:blue")
        if r["aim"] is not None:
            axes.plot(r["aim"], y, "|", color="black", markersize=12)
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [f"{r['work']}: {r['peer']}" for r in rows], fontsize=8)
    axes.set_xlabel("their time / ours (bar: aim)")
    return figure


def plot_growth(results: dict[str, dict[str, Any]]) -> Figure:
    """Draw time and memory over the number of points and their dimension, on log axes."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(9, 7), layout="constrained", sharex="col")
    for column, variable in enumerate("nd"):
        for r in results["growth"]["rows"]:
            if r["variable"] == variable and len(r["sizes"]) > 1:
                axes[0, column].loglog(r["sizes"], r["seconds"], ".-", label=r["work"])
                axes[1, column].loglog(r["sizes"], r["megabytes"], ".-")
        axes[1, column].set_xlabel({"n": "points", "d": "dimension"}[variable])
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("MB at most")
    axes[0, 0].legend(fontsize=7)
    return figure
