#!/bin/sh
# run_threads.sh [STEP] - threads.c under ThreadSanitizer. The threads are those of clang's OpenMP runtime, whose tool Archer
# tells the sanitizer what waits for what; GNU's says nothing, and every parallel loop would be a race.
set -eu
cd "$(dirname "$0")/../.."

archer=/usr/lib/llvm-19/lib/libarcher.so # of libomp-19-dev
if ! command -v clang-19 >/dev/null || ! [ -e $archer ]; then
    echo "run_threads.sh: not run, as clang-19 or libomp-19-dev is missing"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags="-O1 -g -fsanitize=thread -fopenmp"
case $(uname -m) in
x86_64) isa=portable_fma ;;
*) isa=portable ;;
esac

ISA=$isa sh tests/c/build.sh "clang-19 $flags" "$work" tests/c/threads.c
# shellcheck disable=SC2086
clang-19 $flags "$work"/*.o -o "$work/threads" -lm
# The runtime itself is not instrumented. It offers as many threads as there are CPUs: at least four here.
OMP_NUM_THREADS=4 OMP_TOOL_LIBRARIES=$archer ARCHER_OPTIONS=verbose=1 \
    TSAN_OPTIONS="ignore_noninstrumented_modules=1 halt_on_error=1" "$work/threads" "${1:-1}" 2>&1 | tee "$work/log"
grep -q "Archer detected" "$work/log"
grep -q ", 0 failures" "$work/log"
