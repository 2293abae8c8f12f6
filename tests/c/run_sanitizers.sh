#!/bin/sh
# run_sanitizers.sh SECONDS PYTHON TEST... - csrc under AddressSanitizer and UndefinedBehaviorSanitizer: golden_bits.c and
# guard_pages.c, then the extension, built from the same objects, by the pytest files and by SECONDS of fuzzing. One
# instruction set, and without the checks of pointers that AddressSanitizer's come near to; with SOFTGRAD_FULL=1 all of both.
set -eu
cd "$(dirname "$0")/../.."

seconds=$1 python=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags="-O1 -g -fPIC -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
if [ "${SOFTGRAD_FULL:-}" = 1 ]; then
    step=7
else
    # Checks as calls halve the time to compile. Of the instruction sets the portable one has the most ordinary C.
    flags="$flags -fno-sanitize=alignment,null,object-size,pointer-overflow"
    calls=1
    case $(uname -m) in
    x86_64) ISA=portable_fma ;;
    *) ISA=portable ;;
    esac
    export ISA
    step=61
fi
if command -v clang-19 >/dev/null; then
    compiler="clang-19 $flags -shared-libasan ${calls:+-mllvm -asan-instrumentation-with-call-threshold=0}"
    runtime=$(clang-19 -print-file-name=libclang_rt.asan-"$(uname -m)".so)
    ! [ -e /usr/lib/llvm-19/lib/libomp.so ] || compiler="$compiler -fopenmp"
else
    compiler="gcc $flags -fopenmp ${calls:+--param asan-instrumentation-with-call-threshold=0}"
    runtime=$(gcc -print-file-name=libasan.so)
fi
# memory that there is not is an error to test, no reason to stop
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 LD_LIBRARY_PATH="${runtime%/*}"

includes=$("$python" -c "import sysconfig; print('-I' + sysconfig.get_path('include'))")
"$python" -c "from setuptools import build_meta; build_meta.prepare_metadata_for_build_wheel('$work')" >"$work/log" 2>&1 ||
    { cat "$work/log"; exit 1; }
sh tests/c/build.sh "$compiler" "$work/csrc"
for driver in golden_bits guard_pages; do
    $compiler -std=c11 -Icsrc tests/c/$driver.c "$work"/csrc/*.o -o "$work/$driver" -lm
done
"$work/golden_bits" | diff tests/c/golden_bits.txt -
"$work/guard_pages" $step

cp -r src/softgrad "$work/softgrad"
rm -f "$work"/softgrad/_core*.so
$compiler -std=c11 -ffp-contract=off -fno-math-errno -Icsrc "$includes" -shared build/cython/src/softgrad/_core.c "$work"/csrc/*.o \
    -o "$work/softgrad/_core$("$python" -c "import sysconfig; print(sysconfig.get_config_var('EXT_SUFFIX'))")" -lm
export LD_PRELOAD="$runtime" PYTHONPATH="$work:tests" PYTHONMALLOC=malloc
"$python" -c "import softgrad; assert softgrad.__file__.startswith('$work'), softgrad.__file__"
"$python" -m pytest -q -p no:cacheprovider "$@"
"$python" tests/fuzz.py "$seconds"
