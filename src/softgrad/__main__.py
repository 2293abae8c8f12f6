"""The command line, `python -m softgrad`: arguments only; _demo.py and _bench do the work."""

import argparse
from collections.abc import Sequence

import softgrad
from softgrad import _demo
from softgrad._bench import run as _bench


def _parser() -> argparse.ArgumentParser:
    plot = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    plot.add_argument(
        "--plot", metavar="FILE", help="save the decision boundary and the loss curve as a picture"
    )
    parser = argparse.ArgumentParser(
        prog="python -m softgrad",
        description="Softmax, its derivatives and the fused cross-entropy gradient. "
        "Without a command: info, then demo.",
        parents=[plot],
    )
    parser.add_argument("--version", action="version", version=f"softgrad {softgrad.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="{info,demo,bench}")
    commands.add_parser("info", help="print version, instruction sets and threads")
    commands.add_parser(
        "demo",
        help="train a small network, check its gradient, compare with plain NumPy",
        parents=[plot],
    )
    bench = commands.add_parser(
        "bench", help="time it beside NumPy and whatever else is installed of its peers"
    )
    _bench.add_arguments(bench, quick=True)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line with the arguments `argv` (default: sys.argv) and return the exit status.

    An argument that makes no sense, and `--plot` without matplotlib, raise SystemExit.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    picture: str | None = getattr(arguments, "plot", None)
    if arguments.command in ("info", "bench") and picture is not None:
        parser.error(f"--plot goes with demo, not with {arguments.command}")
    if arguments.command == "bench":
        _bench.command(arguments)
        return 0
    if arguments.command != "demo":
        softgrad.show_config()
    if arguments.command is None:
        print()
    if arguments.command != "info":
        _demo.run(picture)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
