"""The largest errors, in ULP, of softgrad and of every peer that is installed, on the families of the tests.

    python benchmarks/accuracy.py [--write]

prints the summary; with --write it writes docs/accuracy.md and docs/accuracy.png as well. The exact values and the
inputs are those of tests/ (oracle.py, families.py). Peers: pip install '.[bench]'.
"""

import argparse
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import softgrad as sg

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import families  # noqa: E402
import oracle  # noqa: E402

Array = Any
FUNCTIONS = ["softmax", "log_softmax", "logsumexp", "loss", "gradient"]
PLOTTED = ["softmax", "loss"]


def softgrad(x: Array, labels: Array) -> list[Array]:
    loss, grad = sg.cross_entropy_value_and_grad(x, labels, reduction="none")
    return [sg.softmax(x), sg.log_softmax(x), sg.logsumexp(x), loss, grad]


def composed(x: Array, labels: Array, s: Array, ly: Array, lse: Array) -> list[Array]:
    """Loss and gradient as they are written by hand: -log s_t, s - y."""
    rows = np.arange(len(x))
    grad = s.copy()
    grad[rows, labels] -= 1
    return [s, ly, lse, -ly[rows, labels], grad]


def numpy(x: Array, labels: Array) -> list[Array]:
    m = x.max(-1, keepdims=True)
    e = np.exp(x - m)
    total = e.sum(-1, keepdims=True)
    lse = m + np.log(total)
    return composed(x, labels, e / total, x - lse, lse[:, 0])


def scipy() -> Callable[[Array, Array], list[Array]]:
    from scipy.special import log_softmax, logsumexp, softmax

    return lambda x, labels: composed(
        x, labels, softmax(x, -1), log_softmax(x, -1), logsumexp(x, -1)
    )


def torch() -> Callable[[Array, Array], list[Array]]:
    import torch as t
    from torch.nn.functional import cross_entropy

    def run(x: Array, labels: Array) -> list[Array]:
        a = t.from_numpy(x.copy()).requires_grad_()
        loss = cross_entropy(a, t.from_numpy(labels), reduction="none")
        loss.sum().backward()
        b = a.detach()
        results = [
            t.softmax(b, -1),
            t.log_softmax(b, -1),
            t.logsumexp(b, -1),
            loss.detach(),
            a.grad,
        ]
        return [r.numpy() for r in results]

    return run


def jax() -> Callable[[Array, Array], list[Array]]:
    import jax as j

    j.config.update("jax_enable_x64", True)

    def run(x: Array, labels: Array) -> list[Array]:
        rows = np.arange(len(x))

        def losses(a: Array) -> Array:
            return -j.nn.log_softmax(a)[rows, labels]

        grad = j.grad(lambda a: losses(a).sum())
        a = j.numpy.asarray(x)
        results = [j.nn.softmax(a), j.nn.log_softmax(a), j.nn.logsumexp(a, -1), losses(a), grad(a)]
        return [np.asarray(r) for r in results]

    return run


def libraries() -> dict[str, Callable[[Array, Array], list[Array]]]:
    found: dict[str, Callable[[Array, Array], list[Array]]] = {"softgrad": softgrad, "NumPy": numpy}
    for name, make in {"SciPy": scipy, "PyTorch": torch, "JAX": jax}.items():
        try:
            found[name] = make()
        except ImportError:
            print(f"{name} is not installed", file=sys.stderr)
    return found


def worst(actual: Array, exact: Any, terms: Any) -> float:
    """The largest error in ULP; inf for a result that is not finite where the exact one is."""
    error = oracle.ulp_error(np.asarray(actual), exact, terms)
    error = np.where(np.isnan(error), np.inf, error)
    return float(error.max())


def measure(libs: dict[str, Any], family: str, dtype: Any) -> dict[str, list[float]]:
    x, e = families.logits(family, dtype), families.exact(family, dtype)
    labels = x.argmax(-1)
    hot = oracle.one_hot(labels, x.shape[-1])
    loss = -e.log_softmax[np.arange(len(x)), labels]
    exact = [e.softmax, e.log_softmax, e.logsumexp, loss, e.grad(hot)]
    terms = [None, None, e.logsumexp_terms, None, None]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return {
            name: [worst(*a) for a in zip(run(x, labels), exact, terms, strict=True)]
            for name, run in libs.items()
        }


def every_function(dtype: str) -> str:
    """Families down, functions across: the table that tests/test_accuracy.py asserts, with what was found."""
    import test_accuracy as t

    found: dict[tuple[str, str], float] = {}
    for function, family in t.CASES:
        x, e = families.logits(family, np.dtype(dtype)), families.exact(family, np.dtype(dtype))
        if "jacobian" in function:
            x = x[:20]
            e = oracle.Softmax(x)
        found[function, family] = worst(*t.TABLE[function][1](x, e))
    names = list(t.TABLE)
    rows = [
        [family, *(show(found[f, family]) if (f, family) in found else "" for f in names)]
        for family in families.FAMILIES
    ]
    largest = ["largest", *(show(max(found[k] for k in found if k[0] == f)) for f in names)]
    bounds = ["bound", *(str(t.TABLE[f][0]) for f in names)]
    return table(["family", *names], [largest, bounds, *rows])


def show(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.3g}"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def plot(path: Path, libs: list[str], found: dict[Any, dict[str, list[float]]]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    scales = [s for s in families.SCALES if s <= 100]
    figure, panels = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
    for panel, function in zip(panels, PLOTTED, strict=True):
        at = FUNCTIONS.index(function)
        for name in libs:
            errors = [found[f"scale{s:g}", "float32"][name][at] for s in scales]
            panel.loglog(scales, errors, marker="o", label=name)
        panel.axhline(3, color="grey", linestyle=":")
        panel.set(title=f"{function}, float32", xlabel="standard deviation of the logits")
    panels[0].set_ylabel("largest error, ULP")
    panels[1].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="write docs/accuracy.md and .png")
    arguments = parser.parse_args()
    libs = libraries()
    found = {
        (family, dtype): measure(libs, family, np.dtype(dtype))
        for dtype in ("float32", "float64")
        for family in families.FAMILIES
    }
    names = list(libs)
    ordinary = [f"scale{s:g}" for s in families.SCALES if 0.1 <= s <= 20]
    summary = [
        [f, dtype]
        + [show(max(found[k][n][i] for k in found if k[1] == dtype)) for n in names[:1]]
        + [show(max(found[k, dtype][n][i] for k in ordinary)) for n in names]
        for i, f in enumerate(FUNCTIONS)
        for dtype in ("float32", "float64")
    ]
    short = table(
        ["function", "dtype", "softgrad, all families", *(f"{n}, N(0, 0.1..20)" for n in names)],
        summary,
    )
    print(short)
    if not arguments.write:
        return
    rows = [
        [f, dtype, family, *(show(found[family, dtype][n][i]) for n in names)]
        for i, f in enumerate(FUNCTIONS)
        for dtype in ("float32", "float64")
        for family in families.FAMILIES
    ]
    whole = table(["function", "dtype", "family", *names], rows)
    (ROOT / "docs" / "accuracy.md").write_text(
        "# Accuracy, measured\n\n"
        "Largest errors in ULP, written by `python benchmarks/accuracy.py --write`. Loss and gradient are those "
        "of the row's largest entry as\nthe label. Families: tests/families.py; why the bounds hold: [numerics.md](numerics.md). "
        "logsumexp is measured against the sum of the\nmagnitudes of its terms. A loss or gradient that a library "
        "rounds to 0 is off by as many ULP as the exact one has.\n\n"
        f"{short}\n\n![error against the scale of the logits](accuracy.png)\n\n"
        f"## Every function of softgrad, float32\n\n{every_function('float32')}\n\n"
        f"## Every function of softgrad, float64\n\n{every_function('float64')}\n\n"
        f"## All families, all libraries\n\n{whole}\n"
    )
    plot(ROOT / "docs" / "accuracy.png", names, found)


if __name__ == "__main__":
    main()
