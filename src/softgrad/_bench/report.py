"""What is shown of the measurements: progress and tables on the terminal, the same tables as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from softgrad._bench.summary import Record, groups, summary

CELL_HEAD = ["cell", "us", "best peer", "us", "x", "copies", "ns/element", "misses"]
FILE_WIDTH = 170  # columns, where the output is no terminal
GROUP_HEAD = ["group", "cells", "mean", "worst", "worst cell", "its best peer", "misses"]


@contextmanager
def progress(total: int, threads: int) -> Iterator[Callable[[str], None]]:
    """A bar of `total` steps on stderr; call what it gives with the name of each step as it begins."""
    # Refreshed by hand: a thread that does it would run in the midst of a measurement.
    with Progress(console=Console(stderr=True), auto_refresh=False) as bar:
        task = bar.add_task(f"{threads} thread(s)", total=total)
        begun = 0

        def step(name: str) -> None:
            nonlocal begun
            bar.update(task, completed=begun, description=name, refresh=True)
            begun += 1

        yield step
        bar.update(task, completed=total, description=f"{threads} thread(s)", refresh=True)


def _number(value: float | None) -> str:
    """Three digits."""
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 99.5 else f"{value:.3g}"


def _misses(record: Record) -> str:
    """What misses a goal: "x < 3, copies > 2.5"."""
    goal, sign = record["goal"], {"x": "<", "copies": ">"}
    return ", ".join(f"{m} {sign[m]} {goal[m]:g}" for m in record["misses"])


def cell_row(record: Record) -> list[str]:
    """One cell, under CELL_HEAD."""
    ours, best = record["seconds"]["softgrad"], record["best"]
    return [
        record["name"],
        _number(ours * 1e6),
        best or "",
        _number(record["seconds"][best] * 1e6) if best else "",
        _number(record["x"]),
        _number(record["copies"]),
        _number(ours * 1e9 / record["elements"]),
        _misses(record),
    ]


def group_rows(records: list[Record]) -> list[list[str]]:
    """One row for each group, under GROUP_HEAD."""
    rows = []
    for group, members in groups(records).items():
        s = summary(members)
        worst = s["worst"] or {"x": None, "name": "", "best": ""}
        rows.append(
            [
                group, str(s["cells"]), _number(s["geometric_mean"]), _number(worst["x"]),
                worst["name"], worst["best"], str(s["misses"] or ""),
            ]
        )  # fmt: skip
    return rows


def summary_line(threads: str, s: dict[str, Any]) -> str:
    """The end of the report, for one number of threads."""
    if s["worst"] is None:
        return f"{s['cells']} cells, {threads} thread(s): no peer that computes them is installed"
    worst = s["worst"]
    return (
        f"{s['cells']} cells, {threads} thread(s): {s['geometric_mean']:.2f} times as fast as the best "
        f"peer in the geometric mean; at worst {worst['x']:.2f} times, {worst['name']}, {worst['best']}. "
        f"{s['behind']} behind a peer, {s['misses']} miss a goal"
    )


def machine_line(machine: dict[str, Any]) -> str:
    """Where and with what it was measured."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return f"{machine['cpu']}, {machine['isa']}, Python {machine['python']}, {versions}"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def show(measured: dict[str, Any]) -> None:
    """Print the cells, the groups and the summary of what run() returned."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=FILE_WIDTH)
    for threads, s in measured["summary"].items():
        records = [r for r in measured["cells"] if str(r["threads"]) == threads]
        for title, head, rows in (
            (f"Cells, {threads} thread(s)", CELL_HEAD, [cell_row(r) for r in records]),
            (f"Groups, {threads} thread(s)", GROUP_HEAD, group_rows(records)),
        ):
            table = Table(title=title, box=SIMPLE, pad_edge=False)
            for i, name in enumerate(head):
                left = i == 0 or name in ("best peer", "misses", "worst cell", "its best peer")
                side: Literal["left", "right"] = "left" if left else "right"
                table.add_column(name, overflow="fold", justify=side, no_wrap=i == 0)
            for row in rows:
                table.add_row(*row)
            console.print(table)
        console.print(summary_line(threads, s), soft_wrap=True, highlight=False)
        speedups = [r["speedup"] for r in records if "speedup" in r]
        if speedups:
            console.print(
                f"Beside one thread: {min(speedups):.2f} to {max(speedups):.2f} times as fast"
            )
    console.print(machine_line(measured["machine"]), soft_wrap=True, highlight=False)
    if measured["missing"]:
        console.print("not installed:", ", ".join(measured["missing"]), highlight=False)
