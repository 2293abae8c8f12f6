"""Checks wheels before they are published: what is inside, how large, what they link and need; and that a release is whole.

python tools/check_wheel.py dist/*.whl              each wheel by itself
python tools/check_wheel.py --release dist/*.whl    and that no Python and no platform is missing
python tools/check_wheel.py --installed             that `import softgrad` here loads NumPy and nothing else
python tools/check_wheel.py --configured            that cibuildwheel is configured to build a release

Needs pyelftools for what Linux wheels link, cibuildwheel for the last.
"""

import argparse
import io
import itertools
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path, PurePosixPath

PYTHONS = ["cp311", "cp312", "cp313", "cp314", "cp314t", "cp315", "cp315t"]
PLATFORMS = [
    "manylinux_x86_64", "manylinux_aarch64", "musllinux_x86_64", "musllinux_aarch64",
    "macosx_x86_64", "macosx_arm64", "win_amd64", "win_arm64",
]  # fmt: skip
RELEASE = {f"{python}-{platform}" for python, platform in itertools.product(PYTHONS, PLATFORMS)}

# Bytes. Four instruction sets and GNU's OpenMP take 1.96 MiB by gcc 12, stripped.
LARGEST = 2 * 2**20
SUFFIXES = {
    ".py",
    ".pyi",
    ".pxd",
    ".typed",
}  # of the package; sources and generated C stay in the sdist
GLIBC = (2, 28)  # of manylinux_2_28
# The C library, the threads' runtime that auditwheel puts beside the package, and the loader.
LINKED = re.compile(r"lib(c|m|pthread|gomp)\b.*|ld-linux.*|libc\.musl-.*")


def identifier(wheel: Path) -> str:
    """The wheel's identifier as cibuildwheel writes it, without the platform's version: cp312-manylinux_x86_64."""
    python, abi, platform = wheel.stem.split("-")[-3:]
    system, machine = re.match(r"([a-z]+).*?_(x86_64|aarch64|arm64|amd64)\b", platform).groups()  # type: ignore[union-attr]
    return f"{python}{'t' * abi.endswith('t')}-{system}_{machine}"


def configured() -> set[str]:
    """What cibuildwheel would build, all runners together, by pyproject.toml."""
    machines = {"linux": "x86_64 aarch64", "macos": "x86_64 arm64", "windows": "AMD64 ARM64"}
    built: set[str] = set()
    for system, names in machines.items():
        command = [
            "cibuildwheel",
            "--platform",
            system,
            "--print-build-identifiers",
            "--archs",
            names.replace(" ", ","),
        ]
        built |= set(
            subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        )
    return built


def contents(archive: zipfile.ZipFile) -> Iterator[str]:
    """What is wrong with the files and the metadata."""
    names = [PurePosixPath(name) for name in archive.namelist() if not name.endswith("/")]
    (info,) = {path.parts[0] for path in names if path.parts[0].endswith(".dist-info")}
    extensions = [
        path for path in names if path.parts[0] == "softgrad" and path.suffix in (".so", ".pyd")
    ]
    if [path.stem.partition(".")[0] for path in extensions] != ["_core"]:
        yield f"expected softgrad/_core and no other extension, got {[*map(str, extensions)]}"
    for path in names:
        if path.parts[0] == "softgrad":
            header = path.parts[1] == "include" and path.suffix == ".h"
            if (
                path.suffix not in SUFFIXES
                and not header
                and path not in extensions
                and path.name != "py.typed"
            ):
                yield f"{path} is not for users"
        elif path.parts[0] not in (info, "softgrad.libs", "softgrad.dylibs"):
            yield f"{path} lies outside the package"
    for wanted in (
        "softgrad/py.typed",
        "softgrad/_core.pyi",
        "softgrad/include/softgrad.h",
        f"{info}/licenses/LICENSE",
    ):
        if PurePosixPath(wanted) not in names:
            yield f"{wanted} is missing"
    metadata = message_from_bytes(archive.read(f"{info}/METADATA"))
    needed = [r for r in metadata.get_all("Requires-Dist", []) if "extra ==" not in r]
    if [re.match(r"[\w-]+", r)[0] for r in needed] != ["numpy"]:  # type: ignore[index]
        yield f"expected numpy as the only dependency, got {needed}"


def linking(name: str, data: bytes) -> Iterator[str]:
    """What is wrong with an extension for Linux: of the C library, what every Linux since glibc 2.28 has; nothing exported."""
    from elftools.elf.elffile import ELFFile

    elf = ELFFile(io.BytesIO(data))
    dynamic = elf.get_section_by_name(".dynamic")
    for tag in dynamic.iter_tags("DT_NEEDED"):
        if not LINKED.fullmatch(tag.needed):
            yield f"{name} links {tag.needed}"
    versions = elf.get_section_by_name(".gnu.version_r")
    for _, wanted in versions.iter_versions() if versions else ():
        for version in (v.name for v in wanted):
            match = re.fullmatch(r"GLIBC_([0-9]+)\.([0-9]+)(?:\.[0-9]+)?", version)
            if match and (int(match[1]), int(match[2])) > GLIBC:
                yield f"{name} needs {version}, newer than glibc {GLIBC[0]}.{GLIBC[1]}"
    exported = {
        symbol.name
        for symbol in elf.get_section_by_name(".dynsym").iter_symbols()
        if symbol["st_shndx"] != "SHN_UNDEF" and symbol["st_info"]["bind"] != "STB_LOCAL"
    }
    if exported - {"_init", "_fini"} != {"PyInit__core"}:
        yield f"{name}: expected PyInit__core exported and no other symbol, got {sorted(exported)}"
    for segment in elf.iter_segments("PT_GNU_STACK"):
        if segment["p_flags"] & 1:
            yield f"{name} asks for an executable stack"


def problems(wheel: Path) -> Iterator[str]:
    size = wheel.stat().st_size
    if size > LARGEST:
        yield f"{size} bytes, more than {LARGEST}"
    with zipfile.ZipFile(wheel) as archive:
        yield from contents(archive)
        for name in archive.namelist():
            if re.fullmatch(r"softgrad/_core\..*\.so", name) and "macosx" not in wheel.name:
                yield from linking(name, archive.read(name))


def imported() -> Iterator[str]:
    """What `import softgrad` loads beyond the standard library and NumPy; from a wheel, not from a checkout."""
    before = set(sys.modules)
    import softgrad

    roots = {name.partition(".")[0] for name in set(sys.modules) - before}
    own = {name for name in roots if name == "cython_runtime" or name.startswith("_cython_")}
    if strange := roots - set(sys.stdlib_module_names) - own - {"numpy", "softgrad"}:
        yield f"import softgrad loads {sorted(strange)}"
    if "site-packages" not in str(softgrad.__file__):
        yield f"{softgrad.__file__} is not installed"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheels", nargs="*", type=Path)
    parser.add_argument(
        "--release", action="store_true", help="no Python and no platform may be missing"
    )
    parser.add_argument(
        "--installed", action="store_true", help="look at the softgrad that is installed"
    )
    parser.add_argument(
        "--configured", action="store_true", help="look at the configuration of cibuildwheel"
    )
    options = parser.parse_args()
    if not (options.wheels or options.installed or options.configured):
        parser.error("expected wheels, --installed or --configured")
    wrong = [f"{wheel.name}: {text}" for wheel in options.wheels for text in problems(wheel)]
    if options.installed:
        wrong += imported()
    if options.configured:
        wrong += [
            f"missing from or too much in the configuration: {name}"
            for name in sorted(configured() ^ RELEASE)
        ]
    if options.release:
        found = [identifier(wheel) for wheel in options.wheels]
        wrong += [f"missing: {name}" for name in sorted(RELEASE - set(found))]
        wrong += [
            f"not expected: {name}"
            for name in sorted(found)
            if name not in RELEASE or found.count(name) > 1
        ]
    for text in wrong:
        print(text, file=sys.stderr)
    for wheel in options.wheels:
        print(f"{wheel.stat().st_size / 1e6:6.2f} MB  {wheel.name}")
    print(f"{len(options.wheels)} wheels, {len(wrong)} problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
