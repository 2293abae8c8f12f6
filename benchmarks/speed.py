"""The whole benchmark of speed, whose tables and picture stand in docs/ and, in short, in README.md.

    python benchmarks/speed.py [--write [NAME]] [--read FILE] [options of `python -m softgrad bench`]

measures all cells unless --quick is given. --write measures with one thread and with two, and writes docs/benchmark.json,
.md, .png and the table in README.md; --write NAME, for another machine, docs/NAME.json, .md and .png. With --read FILE the
measurements are those of a file that --json or --write wrote.
What is measured, and how: src/softgrad/_bench. Peers: pip install '.[bench]'.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

from softgrad._bench import report, run
from softgrad._bench.summary import groups, summary

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
NAME = "benchmark"  # what README.md shows
PART = re.compile(r"(<!-- speed.py writes from here -->\n).*(<!-- to here -->)", re.DOTALL)
SHORT_HEAD = ["group", "cells", "mean", "worst", "worst cell", "best peer there"]

EXPLAINED = """\
Written by `python benchmarks/speed.py --write{name}`. "x" is the time of the best peer over softgrad's: above 1 softgrad is faster.
"copies" is softgrad's time over that of one `numpy.copyto` of the logits; for a Jacobian, of one of the result; for a linear layer, over that of
its three matrix products by `numpy.matmul`, in float32 for float16 and bfloat16. "misses" names the goals that a cell misses; the goals are in
[cells.py](../src/softgrad/_bench/cells.py). A goal in copies holds for logits of more than 4 MiB, with one thread.

All libraries run in one process, pinned to as many CPUs as they have threads, on the same arrays, in turn, round after round; the shortest
time counts. Results go into memory that is there already where a library can do that: `out=`, bound output (ONNX Runtime), donated results (JAX).
Before a cell is measured, every library's result is compared with softgrad's. "PyTorch kernels" are the bare kernels without autograd,
"formula" is the formula of the derivative written in that library's functions. float16 and bfloat16: "in float32" converts to it and
back within the compiled function; so do ONNX Runtime, whose kernels know float only, NumPy and SciPy. softgrad's losses are float32 there.
"""


def part(measured: dict[str, Any], threads: int) -> list[dict[str, Any]]:
    return [r for r in measured["cells"] if r["threads"] == threads]


def lines(measured: dict[str, Any]) -> str:
    """The summaries and the machine, one line each."""
    text = [f"* {report.summary_line(n, s)}." for n, s in measured["summary"].items()]
    speedups = [r["speedup"] for r in measured["cells"] if "speedup" in r]
    if speedups:
        text.append(
            f"* Two threads beside one: {min(speedups):.2f} to {max(speedups):.2f} times as fast."
        )
    return "\n".join([*text, "* Measured on: " + report.machine_line(measured["machine"]) + "."])


def page(name: str, measured: dict[str, Any]) -> str:
    """docs/NAME.md."""
    tables = []
    for n in map(int, measured["summary"]):
        tables.append(f"\n## Groups, {n} thread{'s' * (n > 1)}\n")
        tables.append(report.markdown(report.GROUP_HEAD, report.group_rows(part(measured, n))))
    for n in map(int, measured["summary"]):
        tables.append(f"\n## Cells, {n} thread{'s' * (n > 1)}")
        for group, records in groups(part(measured, n)).items():
            tables.append(f"\n### {group}\n")
            tables.append(report.markdown(report.CELL_HEAD, [report.cell_row(r) for r in records]))
    explained = EXPLAINED.replace("{name}", "" if name == NAME else f" {name}")
    title = f"Speed, measured: {measured['machine']['cpu']}, {measured['machine']['isa']}"
    head = f"# {title}\n\n{explained}\n{lines(measured)}\n\n"
    return head + f"![x of every cell]({name}.png)\n" + "\n".join(tables) + "\n"


def short(measured: dict[str, Any]) -> str:
    """What README.md shows: the groups with one thread."""
    rows = [row[: len(SHORT_HEAD)] for row in report.group_rows(part(measured, 1))]
    return f"{report.markdown(SHORT_HEAD, rows)}\n\n{lines(measured)}\n"


def plot(path: Path, measured: dict[str, Any]) -> None:
    """One row for each group, one dot for each cell, coloured by its best peer; one panel for each number of threads."""
    from matplotlib import pyplot as plt

    compared = [r for r in measured["cells"] if r["x"] is not None]
    names = list(groups(compared))
    libraries = sorted({library(r["best"]) for r in compared})
    colours = dict(zip(libraries, plt.rcParams["axes.prop_cycle"].by_key()["color"], strict=False))
    figure, panels = plt.subplots(
        1, len(measured["summary"]), sharey=True, sharex=True, squeeze=False,
        figsize=(6 + 4 * len(measured["summary"]), 7), layout="constrained",
    )  # fmt: skip
    for panel, n in zip(panels[0], map(int, measured["summary"]), strict=True):
        for row, name in enumerate(names):
            records = [r for r in compared if r["group"] == name and r["threads"] == n]
            for i, r in enumerate(sorted(records, key=lambda r: r["x"])):
                y = row + 0.6 * ((i + 0.5) / len(records) - 0.5)
                panel.plot(r["x"], y, "o", color=colours[library(r["best"])], markersize=5)
            if records:
                mean = summary(records)["geometric_mean"]
                panel.plot([mean, mean], [row - 0.4, row + 0.4], color="black", linewidth=2)
                goal = records[0]["goal"]["x"]
                panel.plot([goal, goal], [row - 0.4, row + 0.4], color="black", linestyle=":")
        panel.axvline(1, color="grey", linewidth=1)
        panel.set(
            title=f"{n} thread{'s' * (n > 1)}", yticks=range(len(names)),
            yticklabels=names, xlabel="time of the best peer / time of softgrad",
        )  # fmt: skip
        panel.set_xscale("log", base=2)
        panel.xaxis.set_major_formatter("{x:g}")
        panel.grid(axis="x", alpha=0.25)
    panels[0][0].invert_yaxis()
    handles = [plt.Line2D([], [], marker="o", linestyle="", color=colours[n]) for n in libraries]
    handles += [plt.Line2D([], [], color="black", linestyle=style) for style in ("-", ":")]
    figure.legend(
        handles, [*(f"best peer: {n}" for n in libraries), "geometric mean", "goal"],
        loc="outside lower center", ncols=4,
    )  # fmt: skip
    figure.savefig(path, dpi=110)


def library(name: str) -> str:
    """ "PyTorch kernels" -> "PyTorch"."""
    return name if name.startswith("ONNX") else name.split()[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--write", nargs="?", const=NAME, metavar="NAME",
        help="write docs/benchmark.* and README.md, or docs/NAME.* alone",
    )  # fmt: skip
    parser.add_argument("--read", metavar="FILE", help="measure nothing, take this JSON file")
    run.add_arguments(parser, quick=False)
    arguments = parser.parse_args()
    if arguments.write:
        arguments.threads = [1, 2]
        arguments.json = arguments.json or str(DOCS / f"{arguments.write}.json")
    if arguments.read:
        measured = json.loads(Path(arguments.read).read_text())
    else:
        measured = run.command(arguments)
    if arguments.write:
        (DOCS / f"{arguments.write}.md").write_text(page(arguments.write, measured))
        plot(DOCS / f"{arguments.write}.png", measured)
    if arguments.write == NAME:
        readme = ROOT / "README.md"
        table = short(measured).replace("\\", r"\\")
        readme.write_text(PART.sub(rf"\g<1>{table}\g<2>", readme.read_text()))


if __name__ == "__main__":
    main()
