"""The scripts of examples/: they run, and agree with the libraries that they are set beside."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_every_example_has_a_test():
    names = [path.name for path in sorted(EXAMPLES.glob("*.py"))]
    assert names == ["boosting.py", "digits.py", "logistic_regression.py"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    pytest.importorskip("matplotlib")
    pytest.importorskip("sklearn")
    main = runpy.run_path(str(EXAMPLES / "digits.py"))["main"]
    picture = tmp_path_factory.mktemp("digits") / "digits.png"
    results = main(["--plot", str(picture)])
    assert picture.read_bytes().startswith(b"\x89PNG")
    return results


def test_logistic_regression_reaches_the_optimum_of_scikit_learn(digits):
    ours, theirs = digits["logistic regression"].values()
    assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
    assert ours["loss"] <= theirs["loss"] * (1 + 1e-8)
    assert ours["accuracy"] == pytest.approx(theirs["accuracy"], abs=0.01)
    assert ours["accuracy"] > 0.95


def test_network_learns_as_well_as_that_of_scikit_learn(digits):
    ours, theirs = digits["network"].values()
    # Other first weights, another order of the images.
    assert ours["loss"] == pytest.approx(theirs["loss"], rel=0.2)
    assert ours["accuracy"] == pytest.approx(theirs["accuracy"], abs=0.02)
    assert ours["accuracy"] > 0.95
    assert ours["losses"][-1] < 0.02 * ours["losses"][0]


def test_logistic_regression_has_the_coefficients_of_scikit_learn(capsys):
    pytest.importorskip("matplotlib")
    pytest.importorskip("sklearn")
    fits = runpy.run_path(str(EXAMPLES / "logistic_regression.py"))["main"]()
    assert "178 wines" in capsys.readouterr().out
    for ours, theirs in zip(*fits.values(), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-6)


def test_boosting_with_softgrad_is_as_with_the_built_in_objectives():
    for library in ("matplotlib", "sklearn", "xgboost", "lightgbm"):
        pytest.importorskip(library)
    losses = runpy.run_path(str(EXAMPLES / "boosting.py"))["main"]()
    for library in ("xgboost", "lightgbm"):
        built_in, ours, smoothed = (
            losses[library, k] for k in ("built-in", "softgrad", "smoothed")
        )
        assert ours == pytest.approx(built_in, rel=1e-4)
        assert ours < 0.3  # log 10 = 2.3 before the first round
        assert smoothed > 1.05 * ours
