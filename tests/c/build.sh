#!/bin/sh
# build.sh COMMAND FOLDER FILE... - compiles csrc and FILE... by COMMAND, a compiler with its options, to FOLDER/*.o, without a
# warning. ISA=name: of the instruction sets that one alone, as a sanitizer takes a minute for each.
set -eu
cd "$(dirname "$0")/../.."

command=$1 folder=$2
warnings="-Wall -Wextra -Wconversion -Wshadow -Werror"
shift 2
if [ -n "${ISA:-}" ]; then
    set -- "csrc/isa_$ISA.c" csrc/cpu.c csrc/half.c csrc/run.c tests/c/one_isa.c "$@"
    command="$command -DISA=$ISA"
else
    # the slowest first
    set -- csrc/isa_portable_fma.c csrc/isa_portable.c csrc/isa_a*.c csrc/isa_neon.c csrc/[!i]*.c "$@"
fi
mkdir -p "$folder"
rm -f "$folder"/*.o
printf '%s\n' "$@" | xargs -P 2 -I {} sh -c \
    "$command -std=c11 -ffp-contract=off -fno-math-errno $warnings -Icsrc -c {} -o '$folder'/\$(basename {} .c).o"
