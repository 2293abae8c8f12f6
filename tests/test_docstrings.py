"""The examples in docstrings and in README.md are run and print what they say."""

import doctest
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import softgrad

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
FUNCTIONS = [name for name in softgrad.__all__ if callable(getattr(softgrad, name))]
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def check(text: str, name: str, file: str, first_line: int = 0) -> int:
    """Run the examples in `text` and return how many there are; fail with what differed."""
    examples = doctest.DocTestParser().get_doctest(
        text, {"sg": softgrad, "softgrad": softgrad, "np": np}, name, file, first_line
    )
    report: list[str] = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(examples, out=report.append)
    assert not report, "".join(report)
    return len(examples.examples)


def test_there_are_public_functions():
    assert len(FUNCTIONS) >= 21


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring_examples(name):
    threads = softgrad.get_num_threads()
    try:
        count = check(inspect.getdoc(getattr(softgrad, name)) or "", name, f"softgrad.{name}")
    finally:
        softgrad.set_num_threads(threads)
    assert count >= 1, f"the docstring of softgrad.{name} has no example"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring_sections(name):
    text = inspect.getdoc(getattr(softgrad, name)) or ""
    assert "\nReturns\n-------\n" in text or name in ("set_num_threads", "show_config")
    assert "\nExamples\n--------\n" in text


def test_package_docstring_examples():
    check(softgrad.__doc__ or "", "softgrad", "softgrad/__init__.py")


def test_readme_examples():
    text = README.read_text(encoding="utf-8")
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    assert blocks
    # One session: the text between the blocks becomes empty lines, so that line numbers hold.
    session, end = "", 0
    for block in blocks:
        session += "\n" * text.count("\n", end, block.start(1)) + block[1]
        end = block.end(1)
    assert check(session, "README.md", str(README)) >= 10


def test_readme_names_every_public_function():
    text = README.read_text(encoding="utf-8")
    assert [name for name in FUNCTIONS if f"`{name}" not in text] == []


def test_api_page_lists_every_public_function():
    """What it lists must be documented on a page of docs/api/, or `nox -s docs` fails."""
    lines = (ROOT / "docs" / "api" / "index.rst").read_text(encoding="utf-8").split()
    assert [name for name in FUNCTIONS if name not in lines] == []
