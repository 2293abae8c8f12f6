"""The command line: `python -m softgrad`, its sub-commands, its picture and its errors."""

import re
import subprocess
import sys

import numpy as np
import pytest

import softgrad
from softgrad import _demo
from softgrad.__main__ import main


def test_module_runs_without_arguments():
    result = subprocess.run(
        [sys.executable, "-W", "error", "-m", "softgrad"],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert softgrad.__version__ in result.stdout
    assert "Two moons" in result.stdout
    assert result.stderr == ""


def test_without_a_command_it_is_info_then_demo(monkeypatch, capsys):
    monkeypatch.setattr(_demo, "run", lambda picture: print(f"demo, picture {picture}"))
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert main(["info"]) == 0
    assert printed == capsys.readouterr().out + "\ndemo, picture None\n"


def test_info_prints_the_configuration_only(capsys):
    assert main(["info"]) == 0
    printed = capsys.readouterr().out
    assert softgrad.__version__ in printed
    for name in softgrad._core.available_isas():
        assert name in printed
    assert str(softgrad.get_num_threads()) in printed
    assert "Two moons" not in printed


def test_demo_learns_and_compares(capsys):
    threads = softgrad.get_num_threads()
    assert main(["demo"]) == 0
    printed = capsys.readouterr().out

    progress = re.findall(r"^ +(\d+) +(\d\.\d+) +(\d+\.\d)%$", printed, re.MULTILINE)
    assert [int(step) for step, _, _ in progress] == [0, 100, 200, 300, 400, 500, 600]
    losses = [float(loss) for _, loss, _ in progress]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.1
    assert float(progress[-1][2]) > 95.0

    apart = re.search(r"at most (\S+) apart", printed)
    assert apart is not None
    assert float(apart[1]) < 1e-8

    table = re.findall(
        r"^(softmax|Jacobian|loss \+ gradient), .*? +([\d.]+) +([\d.]+) +(\S+) +(\S+)$",
        printed,
        re.MULTILINE,
    )
    assert [row[0] for row in table] == ["softmax", "Jacobian", "loss + gradient"]
    for name, _, _, error, numpy_error in table:
        assert float(error) <= (4.0 if name == "Jacobian" else 3.0)  # SPEC section 3
        assert float(error) < float(numpy_error)
    assert softgrad.get_num_threads() == threads


def test_demo_gradient_check_sees_a_wrong_gradient(monkeypatch):
    rng = np.random.default_rng(0)
    points, labels = _demo.two_moons(rng, 20)
    start = rng.normal(size=5 * _demo.HIDDEN + 2)
    right, _ = _demo.check_gradient(start, points, labels)
    value_and_grad = softgrad.cross_entropy_value_and_grad

    def wrong(logits, targets):
        loss, grad = value_and_grad(logits, targets)
        return loss, grad * 1.001

    monkeypatch.setattr(softgrad, "cross_entropy_value_and_grad", wrong)
    error, _ = _demo.check_gradient(start, points, labels)
    assert right < 1e-8 < error


@pytest.mark.parametrize("arguments", [[], ["demo"]], ids=["default", "demo"])
def test_plot_saves_a_picture(arguments, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "moons.png"
    assert main([*arguments, "--plot", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(picture) in capsys.readouterr().out


def test_plot_without_matplotlib_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SystemExit, match=r"pip install 'softgrad\[plot\]'"):
        main(["demo", "--plot", "moons.png"])
    assert capsys.readouterr().out == ""  # before the work, not after


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--plot", "moons.png", "info"], "--plot goes with demo"),
        (["--plot", "moons.png", "bench"], "--plot goes with demo"),
        (["nonsense"], "invalid choice"),
        (["info", "--plot", "moons.png"], "unrecognized arguments"),
    ],
)
def test_wrong_arguments_are_refused(arguments, text, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert text in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"softgrad {softgrad.__version__}\n"
