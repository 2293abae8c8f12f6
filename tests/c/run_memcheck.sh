#!/bin/sh
# run_memcheck.sh - golden_bits.c under valgrind's memcheck: no access and no branch depends on memory that nobody wrote. AVX2
# alone where there is such a thing, rows of up to 17 classes and of 65; with SOFTGRAD_FULL=1 the portable build too, rows of up
# to 1000. Valgrind 3.19 knows no AVX-512; its fused multiply-add is not exact, so the bits are not compared.
set -eu
cd "$(dirname "$0")/../.."

if ! command -v valgrind >/dev/null; then
    echo "run_memcheck.sh: not run, as valgrind is missing"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
longest=65
isa=portable
[ "$(uname -m)" != x86_64 ] || isa=avx2
if [ "${SOFTGRAD_FULL:-}" = 1 ]; then
    longest=1000
    isa=
fi

ISA=$isa sh tests/c/build.sh "${CC:-gcc} -O1 -g" "$work" tests/c/golden_bits.c
gcc "$work"/*.o -o "$work/golden" -lm
status=0
valgrind -q --error-exitcode=99 --log-file="$work/log" "$work/golden" $longest >"$work/bits.txt" 2>"$work/differ" || status=$?
cat "$work/log"
[ $status -le 1 ] # 1: other bits
echo "$(wc -l <"$work/bits.txt") passed, 0 failed"
