#!/bin/sh
# run_vocabulary.sh - builds and runs test_vocabulary.c, and exact_sum.c that stands on it, for every instruction set and
# compiler of this machine.
set -eu
cd "$(dirname "$0")/../.."

flags="-O3 -std=c11 -ffp-contract=off -fno-math-errno -Wall -Wextra -Wconversion -Wshadow -Werror -Icsrc"
test=$(mktemp)
trap 'rm -f "$test"' EXIT
failures=0

# run HEADER FUSED TARGET COMPILER [EMULATOR]; no target region where TARGET is empty.
run() {
    echo "== $1${3:+ ($3)}, $4${5:+, $5}"
    for source in test_vocabulary exact_sum; do
        # $4 is a command with its options, $5 a command or nothing.
        # shellcheck disable=SC2086
        if ! $4 $flags "-DSG_TEST_ISA_HEADER=\"simd/$1.h\"" "-DSG_FUSED=$2" ${3:+"-DSG_TEST_TARGET=\"$3\""} \
            tests/c/$source.c -o "$test" -lm || ! ${5:-} "$test"; then
            failures=$((failures + 1))
        fi
    done
}

has() { command -v "$1" >/dev/null 2>&1; }
cpu_has() {
    for feature in "$@"; do
        grep -qw "$feature" /proc/cpuinfo || return 1
    done
}

for compiler in gcc clang-19; do
    has $compiler || continue
    case $(uname -m) in
    x86_64)
        run portable 0 "" $compiler
        if cpu_has avx2 fma; then run portable 1 avx2,fma $compiler; fi
        if cpu_has avx2 fma f16c; then run avx2 1 avx2,fma,f16c $compiler; fi
        if cpu_has avx512f avx512dq avx512bw avx512vl; then
            run avx512 1 avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,f16c $compiler
        fi
        ;;
    aarch64 | arm64)
        run portable 1 "" $compiler
        run neon 1 "" $compiler
        ;;
    esac
done

if [ "$(uname -m)" = x86_64 ] && has qemu-aarch64 && has aarch64-linux-gnu-gcc; then
    run portable 1 "" "aarch64-linux-gnu-gcc -static" qemu-aarch64
    run neon 1 "" "aarch64-linux-gnu-gcc -static" qemu-aarch64
    if has clang-19; then
        run neon 1 "" "clang-19 --target=aarch64-linux-gnu -static" qemu-aarch64
    fi
fi

if [ $failures -ne 0 ]; then
    echo "$failures of the builds failed" >&2
    exit 1
fi
