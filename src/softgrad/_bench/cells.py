"""What is measured: every cell (function, dtype, shape), in groups that carry what softgrad must reach."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

Shape = tuple[int, ...]

# The functions, by the names that every peer's table uses.
MAPS = ("softmax", "log_softmax")
REDUCTIONS = ("logsumexp", "cross_entropy")
LABELS = "value_and_grad"
PROBS = "value_and_grad_probs"
VJP = "softmax_vjp"  # softmax_jvp is the same: the Jacobian is symmetric
JACOBIAN = "softmax_jacobian"
GRAD_HESS = "grad_hess"
LINEAR = "linear_cross_entropy"

BINDING_BYTES = (
    4 * 2**20
)  # one thread's limit in copies is for logits (Jacobian: result) larger than this


@dataclass(frozen=True)
class Goal:
    """At least `x` times as fast as the best peer, in at most `copies` times the unit; None: no limit.

    `everywhere`: the limit in copies holds for small arrays too.
    """

    x: float
    copies: float | None = None
    everywhere: bool = False


@dataclass(frozen=True)
class Cell:
    """One measurement. `order` "F" is Fortran order; `depth` is D of the linear layer, else 0."""

    group: str
    goal: Goal
    function: str
    dtype: str
    shape: Shape
    axis: int = -1
    order: str = "C"
    depth: int = 0

    @property
    def layout(self) -> str:
        """What is not plain: "axis 1", "Fortran", "D = 256", or ""."""
        if self.depth:
            return f"D = {self.depth}"
        if self.order == "F":
            return "Fortran"
        return "" if self.axis == -1 else f"axis {self.axis}"

    @property
    def name(self) -> str:
        """One line that names it; what --cell looks into."""
        where = f" {self.layout}" if self.layout else ""
        return f"{self.function} {self.dtype} {self.shape}{where}".replace(",)", ")")

    @property
    def needs(self) -> str | None:
        """The package without which NumPy has no such arrays."""
        return "ml_dtypes" if self.dtype == "bfloat16" else None

    @property
    def size(self) -> int:
        """How many elements the logits have; the Jacobian: the result."""
        factor = self.shape[self.axis] if self.function == JACOBIAN else 1
        return math.prod(self.shape) * factor


@dataclass(frozen=True)
class Group:
    """Cells with one goal: every function at every shape in every dtype."""

    name: str
    goal: Goal
    functions: tuple[str, ...]
    shapes: tuple[Shape, ...]
    dtypes: tuple[str, ...] = ("float32",)
    axis: int = -1
    order: str = "C"
    depth: int = 0

    def cells(self) -> Iterator[Cell]:
        """All of them."""
        for dtype in self.dtypes:
            for function in self.functions:
                for shape in self.shapes:
                    yield Cell(
                        self.name, self.goal, function, dtype, shape,
                        self.axis, self.order, self.depth,
                    )  # fmt: skip


BOTH = ("float32", "float64")
HALVES = ("float16", "bfloat16")
FEW_CLASSES = ((64, 10), (7777, 10), (100000, 3), (20000, 64))
MANY_CLASSES = (
    (300, 1000), (10000, 1000), (300, 4096), (100, 32000),
    (1, 151936), (48, 151936), (4, 262144), (1, 1000000),
)  # fmt: skip
EVERY_FUNCTION = (*MAPS, *REDUCTIONS, LABELS, PROBS, VJP)

# Groups of one name are one group of the report. A new dtype is one more group here (and what the
# peers need to read it). The half precisions share the shapes between them, which saves a minute:
# they differ in the conversion only. Very many classes or rows are bfloat16's: most of the probabilities
# and gradients are below the normal range of float16, where NumPy takes seconds to convert them.
GROUPS = (
    Group("tiny call", Goal(2, 1.5, everywhere=True), (*MAPS, "logsumexp", VJP), ((1, 10),)),
    Group("softmax, few classes", Goal(4, 6), MAPS, FEW_CLASSES),
    Group("softmax, C >= 1000", Goal(1.25, 2.2), MAPS, MANY_CLASSES),
    Group("logsumexp, loss only", Goal(3, 1.5), REDUCTIONS, FEW_CLASSES + MANY_CLASSES),
    Group("loss and gradient, few classes", Goal(3, 8), (LABELS,), ((1, 10), *FEW_CLASSES)),
    Group("loss and gradient, C >= 1000", Goal(3, 2.5), (LABELS,), MANY_CLASSES),
    Group(
        "probabilities as targets", Goal(4, 4), (PROBS,),
        ((64, 10), (7777, 10), (20000, 64), (300, 1000), (100, 32000), (48, 151936)),
    ),
    Group(
        "product with the Jacobian", Goal(1.25, 2), (VJP,),
        ((64, 10), (7777, 10), (20000, 64), (300, 1000), (10000, 1000), (48, 151936), (1, 1000000)),
    ),
    Group(
        "float64", Goal(2, 3.5), EVERY_FUNCTION,
        ((64, 10), (7777, 10), (300, 1000), (100, 32000), (1, 1000000)), ("float64",),
    ),
    Group(
        "float16, bfloat16", Goal(3, 6), EVERY_FUNCTION,
        ((64, 10), (7777, 10), (300, 1000)), ("float16",),
    ),
    Group(
        "float16, bfloat16", Goal(3, 6), EVERY_FUNCTION,
        ((300, 1000), (100, 32000), (1, 1000000)), ("bfloat16",),
    ),
    Group(
        "float16, bfloat16", Goal(3, 6), ("softmax", LABELS),
        ((8, 21, 160, 160),), ("bfloat16",), axis=1,
    ),
    Group(
        "strided classes", Goal(2, 2.5), (*MAPS, *REDUCTIONS, LABELS, VJP),
        ((8, 21, 160, 160),), axis=1,
    ),
    Group("strided classes", Goal(2, 2.5), ("softmax", LABELS), ((16, 1000, 14, 14),), axis=1),
    Group("strided classes", Goal(2, 2.5), ("softmax", LABELS), ((5000, 100),), order="F"),
    Group("Jacobian", Goal(3, 1.5), (JACOBIAN,), ((2000, 10), (16, 1000), (500, 100)), BOTH),
    Group(
        "gradient and Hessian", Goal(6, 6), (GRAD_HESS,),
        ((50000, 7), (1000, 100), (300, 1000)), BOTH,
    ),
    # C x D x 4 bytes are below 64 MiB in all, so that one limit holds.
    Group(
        "linear layer and loss", Goal(1, 1.15), (LINEAR,),
        ((512, 4096),), ("float32", *HALVES), depth=128,
    ),
    Group("linear layer and loss", Goal(1, 1.15), (LINEAR,), ((512, 32000),), depth=256),
)  # fmt: skip

QUICK_SHAPES = {(1, 10), (64, 10), (300, 1000), (10000, 1000), (5000, 100), (2000, 10), (1000, 100)}
THREADED_SIZE = 10**6  # with several threads only cells of at least this many elements are measured


def select(
    *,
    quick: bool = False,
    threads: int = 1,
    groups: Iterable[str] = (),
    dtypes: Iterable[str] = (),
    names: Iterable[str] = (),
) -> list[Cell]:
    """The cells to measure. `groups`, `dtypes` and `names` are substrings of which one must occur, if any are given.

    The whole name of a dtype means that one alone: float16 is a part of bfloat16.
    """
    known = {dtype for group in GROUPS for dtype in group.dtypes}

    def passes(text: str, wanted: Iterable[str], whole: Container[str] = ()) -> bool:
        words = [word.lower() for word in wanted]
        return not words or any(
            word == text if word in whole else word in text.lower() for word in words
        )

    return [
        cell
        for group in GROUPS
        for cell in group.cells()
        if (not quick or cell.shape in QUICK_SHAPES)
        and (threads == 1 or cell.size >= THREADED_SIZE)
        and passes(cell.group, groups)
        and passes(cell.dtype, dtypes, known)
        and passes(cell.name, names)
    ]
