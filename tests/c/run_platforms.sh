#!/bin/sh
# run_platforms.sh - csrc for the platforms of the wheels, by the clang that ziglang brings (PyPI; ZIG names its command):
# the files that know the platform are compiled. With SOFTGRAD_FULL=1 all are, and linked; the bits of what can be run here
# are compared (musl; Windows under wine), and those of gcc and clang at every level of optimisation.
set -eu
cd "$(dirname "$0")/../.."

zig="${ZIG:-python3 -m ziglang} cc"
flags="-std=c11 -ffp-contract=off -fno-math-errno -Wall -Wextra -Wconversion -Wshadow -Werror -Icsrc"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export WINEPREFIX="$work/wine" WINEDEBUG=-all

# compile COMPILER FILE...
compile() {
    command=$1
    echo "== $command"
    shift
    rm -f "$work"/*.o
    printf '%s\n' "$@" | xargs -P 2 -I {} sh -c "$command $flags -c {} -o $work/\$(basename {} .c).o"
}

# compare COMPILER [EMULATOR]: links, runs and compares; links only, where EMULATOR is "none".
compare() {
    # $1 is a command with its options, $2 a command or nothing.
    # shellcheck disable=SC2086
    $1 "$work"/*.o -o "$work/golden.exe" -lm -lpthread
    if [ "${2:-}" != none ]; then
        ${2:-} "$work/golden.exe" | tr -d '\r' >"$work/bits.txt"
        cmp tests/c/golden_bits.txt "$work/bits.txt"
        echo "$(wc -l <"$work/bits.txt") passed, 0 failed"
    fi
}

for target in x86_64-linux-musl x86_64-windows-gnu aarch64-windows-gnu x86_64-macos aarch64-macos; do
    if [ "${SOFTGRAD_FULL:-}" != 1 ]; then
        compile "$zig -target $target" csrc/cpu.c csrc/dispatch.c csrc/half.c csrc/run.c
        continue
    fi
    emulator=none
    case $(uname -m)-$target in
    x86_64-x86_64-linux-*) emulator= ;;
    x86_64-x86_64-windows-*) if command -v wine >/dev/null; then emulator=wine; fi ;;
    esac
    compile "$zig -target $target -O2" tests/c/golden_bits.c csrc/*.c
    compare "$zig -target $target" $emulator
done

if [ "${SOFTGRAD_FULL:-}" = 1 ]; then
    for compiler in gcc clang-19; do
        command -v $compiler >/dev/null || continue
        for level in 0 1 2 3; do
            compile "$compiler -O$level" tests/c/golden_bits.c csrc/*.c
            compare $compiler
        done
    done
fi
