#!/bin/sh
# run_exp_log.sh [STRIDE] - the errors of exp and log over every STRIDE-th float32 argument; 1, all of them, takes minutes.
set -eu
cd "$(dirname "$0")/../.."
test=$(mktemp)
trap 'rm -f "$test"' EXIT
gcc -O2 -std=gnu11 -ffp-contract=off -fno-math-errno -Wall -Wextra -Werror -Icsrc tests/c/exp_log.c -lquadmath -lm -o "$test"
"$test" "${1:-101}"
