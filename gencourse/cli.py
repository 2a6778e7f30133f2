"""``gencourse systems · train · evaluate · compare · apply · table · doctor · check · grade``."""

from __future__ import annotations

import inspect
import io
import json
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gencourse.grading.course.command import grade
from gencourse.grading.handin.command import check
from gencourse.grading.reports.command import export, leaderboard, similarity

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Generator, Tensor

    from gencourse.data.base import Dataset

__all__ = ["app"]

app = typer.Typer(
    help="Deep generative models of the course, from the command line.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()

Data = Annotated[str, typer.Option("--data", "-d", help="Data set; see `gencourse doctor`.")]
Seed = Annotated[int, typer.Option(help="Seed of the weights, the batches and the samples.")]
DeviceName = Annotated[
    str | None, typer.Option("--device", help="cuda, mps or cpu; by default the best there is.")
]
Samples = Annotated[int, typer.Option("--n", min=2, help="Samples on each side of a distance.")]
Steps = Annotated[
    int | None, typer.Option(min=1, help="Training steps; by default the model's own.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A hyperparameter, such as width=256."),
]


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Print an expected error as one sentence, and leave with status 2, instead of a traceback."""
    try:
        yield
    except (ValueError, KeyError, OSError, FloatingPointError) as error:
        # An OSError prints as "[Errno 28] …" unless asked for its sentence alone.
        message = getattr(error, "strerror", None) or str(error)
        stderr = Console(stderr=True)
        stderr.print(f"[bold red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted")
        raise typer.Exit(130) from None


def _can_be_written(path: Path | None) -> None:
    """Raise ``ValueError`` for a file that could not be saved: before training, not after."""
    if path is None:
        return
    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a folder; give the name of a file")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"there is no folder {str(path.absolute().parent)!r} to save in")


def _hyperparameters(assignments: list[str] | None) -> dict[str, Any]:
    """Parse ``name=value`` pairs; a value is read as JSON where it is JSON, else as a string."""
    result: dict[str, Any] = {}
    for text in assignments or []:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ValueError(f"--set takes NAME=VALUE, not {text!r}")
        if name in ("slug", "data", "seed", "device"):
            raise ValueError(
                f"{name!r} is not a hyperparameter; `gencourse train --help` says more"
            )
        try:
            result[name] = json.loads(value)
        except json.JSONDecodeError:
            result[name] = value
    return result


# How the quantities of `gencourse.evaluate` are headed in a table, and their formats.
_HEADINGS = {
    "w1": ("W1", ".3f"),
    "w2": ("W2", ".3f"),
    "modes": ("modes", ".0f"),
    "quality": ("quality", ".1%"),
    "largest_share": ("largest share", ".2f"),
    "nll": ("NLL", ".3f"),
    "bits_per_dim": ("bits/dim", ".2f"),
    "recognised": ("recognised", ".1%"),
    "classes": ("classes", ".0f"),
    "fid": ("FID", ".2f"),
    "kid": ("KID", ".3f"),
    "inception_score": ("IS", ".2f"),
    "precision": ("precision", ".2f"),
    "recall": ("recall", ".2f"),
    "density": ("density", ".2f"),
    "coverage": ("coverage", ".2f"),
    "memorised": ("memorised", ".1%"),
    "parzen": ("Parzen", ".1f"),
    "seconds": ("seconds", ".1f"),
}


def _show(title: str, results: dict[str, dict[str, float]], *, as_json: bool) -> None:
    """Print what was measured of each system, with what real samples would score below it."""
    if as_json:
        typer.echo(json.dumps(results, indent=2))
        return
    columns = {
        heading: [format(r[name], form) if name in r else "–" for r in results.values()]
        for name, (heading, form) in _HEADINGS.items()
        if any(name in r for r in results.values())
    }
    for i, group in enumerate(_side_by_side(columns, results)):
        table = Table(title=None if i else title, title_justify="left", caption_justify="left")
        table.add_column("system", no_wrap=True)
        for heading in group:
            table.add_column(heading, justify="right", no_wrap=True)
        for row in zip(results, *(columns[heading] for heading in group), strict=True):
            table.add_row(*row)
        console.print(table)
    first = next(iter(results.values()))
    floors = [f"W{p} {first[f'w{p}_floor']:.3f}" for p in (1, 2) if f"w{p}_floor" in first]
    if "fid_floor" in first:
        floors.append(f"FID {first['fid_floor']:.2f}")
    caption = f"real samples against real samples: {', '.join(floors)}"
    entropy = next((r["entropy"] for r in results.values() if "entropy" in r), None)
    if entropy is not None:
        caption += f"; least possible NLL {entropy:.3f}"
    console.print(caption, highlight=False)


def _side_by_side(columns: dict[str, list[str]], rows: Iterable[str]) -> list[list[str]]:
    """Group columns so that each group, beside the rows' names, is as wide as the terminal."""

    def width(texts: Iterable[str]) -> int:
        return max(map(len, texts)) + 3  # a space on either side, and a rule

    names = width(["system", *rows]) + 1
    groups: list[list[str]] = [[]]
    left = console.width - names
    for heading, cells in columns.items():
        needed = width([heading, *cells])
        if groups[-1] and needed > left:
            groups.append([])
            left = console.width - names
        groups[-1].append(heading)
        left -= needed
    return groups


@app.command()
def systems(as_json: AsJson = False) -> None:
    """List every system of the course with its family, decks, chapter and paper."""
    import gencourse

    listed = gencourse.systems()
    if as_json:
        names = ("slug", "title", "family", "decks", "paper", "chapter", "has_log_prob", "kinds")
        rows = [{name: getattr(s, name) for name in names} for s in listed]
        typer.echo(json.dumps(rows, indent=2))
        return
    for family in dict.fromkeys(s.family for s in listed):
        table = Table(title=family, title_justify="left")
        for heading in ("slug", "title", "decks", "density", "learns", "chapter", "paper"):
            whole = heading in ("slug", "decks")
            table.add_column(heading, no_wrap=whole, overflow="fold")
        for s in listed:
            if s.family == family:
                density = "yes" if s.has_log_prob else "no"
                learns = s.kinds[0] if len(s.kinds) == 1 else "both"  # points, images
                rest = (learns, (s.chapter or "–").removeprefix("book/"), s.paper)
                table.add_row(s.slug, s.title, s.decks, density, *rest)
        console.print(table)


@app.command()
def train(
    system: Annotated[str, typer.Argument(help="Slug of the system; see `gencourse systems`.")],
    data: Data = "ring8",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Save the trained model to this file.")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Save the run here as it goes; if the file exists, go on from it."),
    ] = None,
    steps: Steps = None,
    seed: Seed = 0,
    device: DeviceName = None,
    precision: Annotated[
        str | None,
        typer.Option(help="bf16 or fp16: let networks compute in 16 bits, for recent GPUs."),
    ] = None,
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile networks first, for long trainings.")
    ] = False,
    settings: Settings = None,
) -> None:
    """Train a system on a data set, and measure it; several GPUs do so under torchrun."""
    import gencourse
    from gencourse.training.processes import leads

    with _clear_errors():
        _can_be_written(out)
        _can_be_written(checkpoint)
        dataset = gencourse.data.load(data)
        model = gencourse.build(
            system, dataset, seed=seed, device=device, **_hyperparameters(settings)
        )
        history = model.fit(
            dataset,
            steps=steps,
            seed=seed,
            checkpoint=checkpoint,
            precision=precision,
            compile=compile,
        )
        if not leads():
            return
        if out is not None:
            model.save(out)
            console.print(f"saved {out}", markup=False, soft_wrap=True)
        result = gencourse.evaluate(model, dataset, seed=seed)
        _show(data, {system: {**result, "seconds": history.seconds}}, as_json=False)


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="A model file that `gencourse train -o` saved.")],
    data: Data = "ring8",
    n: Samples = 2048,
    seed: Seed = 0,
    device: DeviceName = None,
    as_json: AsJson = False,
) -> None:
    """Measure a saved model against a data set."""
    import gencourse

    with _clear_errors():
        loaded = gencourse.load(model, device=device)
        result = gencourse.evaluate(loaded, gencourse.data.load(data), n=n, seed=seed)
        _show(data, {loaded.system.slug: result}, as_json=as_json)


@app.command()
def compare(
    slugs: Annotated[
        list[str] | None,
        typer.Argument(help="Systems to compare; by default all that learn such data."),
    ] = None,
    family: Annotated[
        list[str] | None,
        typer.Option(
            "--family", "-f", help="Only systems of this family, such as adversarial; repeatable."
        ),
    ] = None,
    data: Data = "ring8",
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each; medians are shown.")] = 1,
    steps: Steps = None,
    n: Samples = 2048,
    device: DeviceName = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw the samples of every system into this image file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train systems on the same data, and print one table of what came out."""
    import gencourse
    from gencourse.models import get

    with _clear_errors():
        _can_be_drawn(figure)
        dataset = gencourse.data.load(data)
        kind = "images" if len(dataset.event_shape) == 3 else "points"
        if slugs:
            chosen = [get(slug) for slug in slugs]
        else:
            chosen = [system for system in gencourse.systems() if kind in system.kinds]
        if family:
            families = {_family(name) for name in family}
            chosen = [system for system in chosen if system.family in families]
            if not chosen:
                raise ValueError(
                    f"no system of {' or '.join(sorted(families))} learns {kind}"
                    + (" among those named" if slugs else "")
                )
        for system in chosen:
            # A system that does not suit the data is told now, not after the others' training.
            gencourse.build(system.slug, dataset, device=device)
        results: dict[str, dict[str, float]] = {}
        pictures: dict[str, Tensor] = {}
        failures: dict[str, str] = {}
        stderr = Console(stderr=True)
        for system in chosen:
            runs = []
            try:
                for seed in range(seeds):
                    model = gencourse.build(system.slug, dataset, seed=seed, device=device)
                    history = model.fit(
                        dataset, steps=steps, seed=seed, progress=sys.stderr.isatty()
                    )
                    result = gencourse.evaluate(model, dataset, n=n, seed=seed)
                    runs.append({**result, "seconds": history.seconds})
                    stderr.print(
                        f"{system.slug}, seed {seed}: {history.seconds:.1f} s", highlight=False
                    )
                pictures[system.slug] = model.sample(n, generator=_seeded()).cpu()
            except (ValueError, FloatingPointError, RuntimeError) as error:
                # One system that fails must not lose what the others have cost to train.
                failures[system.slug] = str(error)
                stderr.print(f"{system.slug} failed: {escape(str(error))}", highlight=False)
                continue
            results[system.slug] = {
                name: statistics.median(run[name] for run in runs) for name in runs[0]
            }
        if results:
            title = f"{data}, median of {seeds} seeds" if seeds > 1 else data
            _show(title, results, as_json=as_json)
            if figure is not None:
                _draw(pictures, dataset, figure)
                if not as_json:
                    console.print(f"drew {figure}", markup=False, soft_wrap=True)
        if failures:
            raise ValueError(
                f"{len(failures)} of {len(chosen)} systems failed: {', '.join(failures)}"
            )


def _family(name: str) -> str:
    """Return the family whose name begins so, in any case, or raise ``KeyError``."""
    import gencourse
    from gencourse._validate import unknown_name

    families = list(dict.fromkeys(system.family for system in gencourse.systems()))
    found = [family for family in families if family.lower().startswith(name.lower())]
    if len(found) != 1:
        raise unknown_name("family", name, families)
    return found[0]


def _seeded() -> Generator:
    """Return the generator that pictures are drawn with, always the same."""
    import torch

    return torch.Generator().manual_seed(0)


def _can_be_drawn(path: Path | None) -> None:
    """Raise ``ValueError`` for a file that no figure could be saved to."""
    if path is None:
        return
    from matplotlib.figure import Figure

    _can_be_written(path)
    known = Figure().canvas.get_supported_filetypes()
    if path.suffix and path.suffix.lstrip(".").lower() not in known:
        raise ValueError(f"no figure can be drawn in format {path.suffix!r}; use .png or .svg")


def _draw(pictures: dict[str, Tensor], dataset: Dataset, path: Path) -> None:
    from matplotlib.figure import Figure

    from gencourse import plots

    columns = min(4, len(pictures))
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(3 * columns, 3.2 * rows + 0.4), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax, (slug, samples) in zip(axes, pictures.items(), strict=False):
        if len(dataset.event_shape) == 1:
            real = dataset.sample(len(samples), generator=_seeded())
            plots.scatter(samples, real, ax=ax, legend=False)  # it would hide a corner of each
            ax.set(xlabel="", ylabel="")
        else:
            plots.image_grid(samples[:25], ax=ax)
        ax.set_title(slug)
    for ax in axes[len(pictures) :]:
        ax.set_axis_off()
    handles, labels = axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper right", ncols=len(labels))
    _save_figure(figure, path)


def _save_figure(figure: Figure, path: Path) -> None:
    from gencourse._files import write_atomically

    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix.lstrip(".") or "png", dpi=150)
    write_atomically(path, buffer.getvalue())


@app.command()
def apply(
    name: Annotated[
        str,
        typer.Argument(
            help="interpolate, inpaint, colorize, super_resolve, translate or class_conditional."
        ),
    ],
    data: Annotated[
        str | None, typer.Option("--data", "-d", help="Images; by default some that ship.")
    ] = None,
    system: Annotated[
        str | None,
        typer.Option(
            "--system", "-s", help="Model to interpolate or inpaint with; by default ddpm."
        ),
    ] = None,
    steps: Steps = None,
    seed: Seed = 0,
    device: DeviceName = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw the images of every method into this file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train an application on images, and print its numbers beside the baseline's."""
    from gencourse.applications import demonstrate

    with _clear_errors():
        _can_be_drawn(figure)
        options: dict[str, Any] = {"steps": steps, "seed": seed, "device": device}
        if system is not None:
            if name not in ("interpolate", "inpaint"):
                raise ValueError(f"{name!r} has no system to choose; leave out --system")
            options["system"] = system
        result = demonstrate(name, data, progress=sys.stderr.isatty(), **options)
        if as_json:
            typer.echo(json.dumps(result.rows, indent=2))
        else:
            shown = Table(title=result.title, caption=result.caption, title_justify="left")
            shown.caption_justify = "left"
            shown.add_column("method", no_wrap=True)
            for column in result.numbers.columns:
                shown.add_column(str(column).replace("_", " "), justify="right")
            for label, row in result.numbers.iterrows():
                shown.add_row(str(label), *("–" if x != x else f"{x:.3f}" for x in row))
            console.print(shown)
        if figure is not None:
            _save_figure(result.figure(), figure)
            if not as_json:
                console.print(f"drew {figure}", markup=False, soft_wrap=True)


@app.command()
def table(
    name: Annotated[str, typer.Argument(help="Which table: vae-split, parzen, fid or fid-cifar.")],
    data: Annotated[
        str, typer.Option("--data", "-d", help="Images to measure on; mnist is the papers' own.")
    ] = "digits",
    systems: Annotated[
        list[str] | None,
        typer.Option("--system", "-s", help="A row of the table; may be repeated."),
    ] = None,
    steps: Steps = None,
    seed: Seed = 0,
    device: DeviceName = None,
    as_json: AsJson = False,
) -> None:
    """Measure a table of the lectures, and print ours beside the published numbers."""
    from gencourse._validate import unknown_name
    from gencourse.tables import TABLES

    with _clear_errors():
        if name not in TABLES:
            raise unknown_name("table", name, TABLES)
        options: dict[str, Any] = {"steps": steps, "seed": seed, "device": device}
        if systems:
            if "systems" not in inspect.signature(TABLES[name]).parameters:
                raise ValueError(f"table {name!r} has no systems to choose; leave out --system")
            options["systems"] = systems
        frame = TABLES[name](data, progress=sys.stderr.isatty(), **options)
        if as_json:
            typer.echo(frame.reset_index().to_json(orient="records", indent=2))
            return
        shown = Table(
            title=frame.attrs["title"],
            caption=frame.attrs["caption"],
            title_justify="left",
            caption_justify="left",
        )
        shown.add_column(str(frame.index.name), no_wrap=True)
        for column in frame.columns:
            shown.add_column(str(column).replace("_", " "), justify="right")
        for label, row in frame.iterrows():
            cells = ("–" if value != value else f"{value:.2f}" for value in row)
            shown.add_row(str(label), *cells)
        console.print(shown)


@app.command()
def doctor(
    grading: Annotated[
        bool,
        typer.Option("--grading", help="Check the sandbox of students' code instead, from inside."),
    ] = False,
) -> None:
    """Check this machine: versions, device, speed, data that ship, and what is missing.

    With --grading: try to get out of the sandbox that hand-ins are graded in. Ends with 0 if
    nothing was reached, with 1 if something was, or if there is no sandbox.
    """
    if grading:
        from gencourse.grading.sandbox.report import report

        with _clear_errors():
            if not report(console):
                raise typer.Exit(1)
        return
    import importlib.metadata
    import platform

    import torch

    import gencourse

    with _clear_errors():
        chosen = gencourse.device()
        console.print(gencourse.describe(chosen), highlight=False)
        console.print(f"Python {platform.python_version()} on {platform.platform()}")
        for extra, package in {"book": "jupyter-book", "grading": "nbgrader"}.items():
            try:
                found = f"{package} {importlib.metadata.version(package)}"
            except importlib.metadata.PackageNotFoundError:
                found = f'not installed; pip install "gencourse\\[{extra}]" adds it'
            console.print(f"\\[{extra}] {found}", highlight=False)
        x = torch.randn(1024, 1024, device=chosen)
        float((x @ x).sum())  # the first product pays for start-up
        begun = time.perf_counter()
        for _ in range(10):
            y = x @ x
        float(y.sum())
        rate = 10 * 2 * 1024**3 / (time.perf_counter() - begun) / 1e9
        console.print(f"matrix products: {rate:.0f} GFLOP/s on {chosen}", highlight=False)
        console.print("data sets: " + ", ".join(gencourse.data.names()), highlight=False)
        samples = gencourse.data.load("ring8").sample(8, device=chosen)
        console.print(f"ring8 draws {tuple(samples.shape)} on {samples.device}: all is well")


app.command()(check)
app.command()(grade)
app.command()(export)
app.command()(similarity)
app.command()(leaderboard)


if __name__ == "__main__":
    app()
