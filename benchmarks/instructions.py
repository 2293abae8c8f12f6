"""Instructions per element of fixed kernels, counted one by one: the same in every run, on a busy machine too.

    python benchmarks/instructions.py [--isa avx2]

needs gcc and Linux. It compiles csrc and instructions.c with the flags of setup.py. valgrind counts; AVX-512, which it (3.19) does
not know, is counted by single steps (ptrace). An instruction is not a time, but a change of a few per cent is a change of the code.
"""

import argparse
import re
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ELEMENTS = 20_000  # of the logits, at most; at least one row
STEPPED = 2_000  # the same where they are counted by single steps, 100,000 of which take a second
KERNELS = [
    ("softmax", "float32", (10, 100, 1000, 10000)),
    ("gradient", "float32", (10, 100, 1000, 10000)),
    ("logsumexp", "float32", (10, 100, 1000, 10000)),
    ("vjp", "float32", (10, 100, 1000)),
    ("jacobian", "float32", (10, 100)),
    ("hessian", "float32", (7, 100)),
    ("softmax", "float64", (10, 100, 1000, 10000)),
    ("gradient", "float64", (10, 1000)),
    ("jacobian", "float64", (10, 100)),
    ("hessian", "float64", (7, 100)),
]


def build(folder: Path) -> Path:
    """The program that runs one kernel."""
    flags = re.findall(r'"(-[^-"][^"]+)"', (ROOT / "setup.py").read_text())  # none of clang-cl's
    program = folder / "instructions"
    sources = sorted(map(str, (ROOT / "csrc").glob("*.c")))
    here = str(Path(__file__).with_suffix(".c"))
    command = ["gcc", *flags, f"-I{ROOT / 'csrc'}", here, *sources, "-lm", "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def count(program: Path, isa: str, kernel: str, dtype: str, rows: int, n: int) -> int:
    """Instructions of one call."""
    stepped = isa == "avx512"
    tool = [
        "valgrind", "--tool=callgrind", "--toggle-collect=counted", "--callgrind-out-file=/dev/null",
    ]  # fmt: skip
    command = [str(program), isa, dtype, kernel, str(rows), str(n)]
    run = subprocess.run(
        [*command, "steps"] if stepped else [*tool, *command],
        capture_output=True,
        text=True,
        check=False,
    )
    found = (
        re.search(r"(\d+)", run.stdout) if stepped else re.search(r"Collected : (\d+)", run.stderr)
    )
    if run.returncode or found is None:
        raise SystemExit(run.stderr)
    return int(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--isa", default="avx2", help="instruction set (default: avx2)")
    arguments = parser.parse_args()
    print("kernel    dtype         n  instructions per element of the result")
    most = STEPPED if arguments.isa == "avx512" else ELEMENTS
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        for kernel, dtype, lengths in KERNELS:
            for n in lengths:
                rows = max(1, most // n)
                elements = rows * n * (n if kernel == "jacobian" else 1)
                total = count(program, arguments.isa, kernel, dtype, rows, n)
                print(f"{kernel:<9} {dtype:<8} {n:>6}  {total / elements:8.3f}", flush=True)


if __name__ == "__main__":
    main()
