#!/bin/sh
# run_golden_bits.sh - the results' bits on this machine and, under qemu, on AArch64, against golden_bits.txt; totals.c; and the same
# kernels between guard pages: guard_pages.c takes 16 numbers of classes with all remainders of 16, with SOFTGRAD_FULL=1 all 300;
# under qemu, which takes twenty times as long, 4 or those 16.
# With --update, write that file instead: a deliberate change of bits, to be named in CHANGELOG.md.
set -eu
cd "$(dirname "$0")/../.."

flags="-O2 -std=c11 -ffp-contract=off -fno-math-errno -Icsrc"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# check COMPILER [EMULATOR]
check() {
    echo "== $1${2:+, $2}"
    sh tests/c/build.sh "$1 -O2" "$work/csrc"
    for test in golden_bits guard_pages totals; do
        # $1 is a command with its options, $2 a command or nothing.
        # shellcheck disable=SC2086
        $1 $flags "$work"/csrc/*.o tests/c/$test.c -o "$work/$test" -lm -lpthread
    done
    ${2:-} "$work/golden_bits" >"$work/bits.txt"
    if [ "$update" = 1 ]; then
        cp "$work/bits.txt" tests/c/golden_bits.txt
        update=0
    fi
    diff tests/c/golden_bits.txt "$work/bits.txt"
    echo "$(wc -l <"$work/bits.txt") passed, 0 failed"
    ${2:-} "$work/totals"
    if [ -n "${2:-}" ]; then
        $2 "$work/guard_pages" "$emulated"
    else
        "$work/guard_pages" "$step"
    fi
}

update=0
step=19 emulated=95
[ "${SOFTGRAD_FULL:-}" != 1 ] || step=1 emulated=19
[ "${1:-}" = --update ] && update=1
check "gcc -fopenmp"
if [ "$(uname -m)" = x86_64 ] && command -v qemu-aarch64 >/dev/null && command -v aarch64-linux-gnu-gcc >/dev/null; then
    check "aarch64-linux-gnu-gcc -static" qemu-aarch64
fi
if [ "${SOFTGRAD_FULL:-}" = 1 ] && command -v clang-19 >/dev/null; then
    check clang-19
fi
