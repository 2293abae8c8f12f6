"""The floating-point mode of this thread, set through the C library: rounding, flush to zero, exception flags."""

import contextlib
import ctypes
import ctypes.util
import gc
import os
import platform
import sys

import pytest

MACHINE = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())

MODES = ["nearest", "up", "down", "zero", "flush", "flush_up"]

# fesetround's numbers, from fenv.h.
ROUNDING = {
    "x86_64": {"nearest": 0, "down": 0x400, "up": 0x800, "zero": 0xC00},
    "aarch64": {"nearest": 0, "up": 0x400000, "down": 0x800000, "zero": 0xC00000},
}

# Where Linux's fenv_t, glibc's and musl's, holds MXCSR or FPCR; their bits that flush subnormal operands and results.
FLUSH = {"x86_64": (28, 0x8040), "aarch64": (0, 1 << 24)}

EXCEPTIONS = 0x1F if MACHINE == "aarch64" else 0x3D  # FE_ALL_EXCEPT


@contextlib.contextmanager
def float_mode(name):
    """That mode, with no exception flag up. Gives a function that tells (mode, flags) as they then stand."""
    library = ctypes.util.find_library("m") if os.name == "posix" else None
    if library is None or MACHINE not in ROUNDING:
        pytest.skip("fesetround is not known here for this platform")
    if "flush" in name and sys.platform != "linux":
        pytest.skip("where fenv_t holds flush-to-zero is known here for Linux only")
    libm = ctypes.CDLL(library)
    rounding = ROUNDING[MACHINE]["up" if name == "flush_up" else name.replace("flush", "nearest")]
    offset, bits = FLUSH[MACHINE]
    before, now = ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)
    word = ctypes.c_uint32.from_buffer(now, offset)

    def state():
        flags = libm.fetestexcept(EXCEPTIONS)
        libm.fegetenv(now)
        return (libm.fegetround(), word.value & bits), flags

    libm.fegetenv(before)
    collects = gc.isenabled()
    gc.disable()  # a collection calls hypothesis's callback, which computes in floats: flags go up
    try:
        assert libm.fesetround(rounding) == 0
        libm.fegetenv(now)
        if "flush" in name:
            word.value |= bits
            libm.fesetenv(now)
        libm.feclearexcept(EXCEPTIONS)
        yield state
    finally:
        libm.fesetenv(before)
        if collects:
            gc.enable()
