"""The libraries: one module each, with WORKS (function -> name -> Case -> Work, or None),
and set_threads where the number is a setting of the library as a whole.

A new library is one such module and one line here.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType

from softgrad._bench.case import Case, Work

# The module here, and the packages that it needs, the one whose version is told first.
LIBRARIES = {
    "_softgrad": ("softgrad",),
    "_numpy": ("numpy",),
    "_scipy": ("scipy",),
    "_sklearn": ("scikit-learn",),
    "_onnxruntime": ("onnxruntime", "onnx"),
    "_torch": ("torch",),
    "_jax": ("jax", "jaxlib"),
}


class Libraries:
    """softgrad and those peers that are installed and whose name contains one of `wanted`, if any is given."""

    def __init__(self, wanted: Iterable[str] = ()) -> None:
        self.versions: dict[str, str] = {}
        self.missing: list[str] = []
        self.modules: list[ModuleType] = []
        words = [word.lower() for word in wanted]
        for module, packages in LIBRARIES.items():
            if module != "_softgrad" and words and not any(w in packages[0] for w in words):
                continue
            try:
                versions = {package: importlib.metadata.version(package) for package in packages}
            except importlib.metadata.PackageNotFoundError as error:
                self.missing.append(str(error.name))
                continue
            self.modules.append(importlib.import_module(f"{__name__}.{module}"))
            self.versions |= versions

    def set_threads(self, n: int) -> None:
        """Let each of them use `n` threads."""
        for module in self.modules:
            if hasattr(module, "set_threads"):
                module.set_threads(n)

    def works(self, case: Case) -> Iterator[tuple[str, Work]]:
        """What each makes of the cell, softgrad first; what a library cannot do is left out."""
        for module in self.modules:
            makers: dict[str, Callable[[Case], Work | None]]
            makers = module.WORKS.get(case.cell.function, {})
            for name, make in makers.items():
                work = make(case)
                if work is not None:
                    yield name, work
