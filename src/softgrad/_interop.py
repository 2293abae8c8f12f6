"""Arrays of other libraries as NumPy arrays in the same memory. No library is imported for it but
ml_dtypes, for a bfloat16 tensor; what else is needed the caller's object has brought along.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from softgrad._arrays import Array

# DLPack's numbers of the devices whose memory the CPU reads: the CPU, pinned memory of CUDA and of
# ROCm, managed memory of CUDA (dlpack.h, DLDeviceType).
ON_CPU = (1, 3, 11, 13)
PROTOCOLS = ("__array__", "__array_interface__", "__array_struct__", "__dlpack__")


def is_ndarray(value: Any) -> bool:
    """Whether that is one of NumPy's, or of a subclass, and does not merely say so."""
    return issubclass(type(value), np.ndarray)


def read(function: str, name: str, value: Any) -> Any:
    """`value` with no code in it left to run: an array, or None.

    All arguments are read before any is looked at: reading may run code of the caller's, which may reshape or resize the
    others. NumPy's own arrays stay as they are; as_array() then takes their memory.
    """
    return value if value is None or is_ndarray(value) else as_array(function, name, value)


def read_out(function: str, name: str, value: Any) -> Any:
    """As read(), of what is written to."""
    return value if value is None or is_ndarray(value) else as_memory(function, name, value)


def as_array(function: str, name: str, value: Any) -> Array:
    """`value` as a plain array: its own memory wherever its library shares that, else a copy. Of an ndarray it is a view, whose
    shape nobody else can change."""
    if type(value) is np.ndarray:
        return value[...]
    if is_ndarray(value):
        return np.asarray(value)
    has_array = hasattr(value, "__array__")
    if not has_array and not hasattr(value, "__dlpack__"):
        return np.asarray(value)
    kind = type(value).__name__
    if not _on_cpu(value):
        device = getattr(value, "device", "another device")
        raise TypeError(f"{function}: expected {name} on the CPU, got {kind} on {device}")
    if getattr(value, "requires_grad", None) is True:
        raise TypeError(
            f"{function}: expected {name} that requires no gradient, got {kind} that does; "
            f"give its detach(), or use softgrad.torch, which takes part in autograd"
        )
    try:
        dtype, torch = getattr(value, "dtype", None), sys.modules.get("torch")
        if dtype is not None and dtype is getattr(torch, "bfloat16", None):
            return _from_bfloat16(function, name, value, torch)
        return np.asarray(value) if has_array else np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise TypeError(
            f"{function}: expected {name} that NumPy can read, got {kind}: {error}"
        ) from error


def as_memory(function: str, name: str, value: Any) -> Array:
    """`value` as a plain array in its own memory; raise where its library gives none to write to."""
    a = as_array(function, name, value)
    if is_ndarray(value):
        return a
    kind = type(value).__name__
    if not _offers_memory(value):
        raise TypeError(f"{function}: expected {name} to be an array, got {kind}")
    reason = None
    if not a.flags.writeable:
        reason = "is immutable or read-only"
    # What is converted twice lies in the same place, unless it was copied.
    elif a.size > 0 and not np.may_share_memory(a, as_array(function, name, value)):
        reason = "gives NumPy a copy"
    if reason is not None:
        raise ValueError(
            f"{function}: expected {name} that NumPy can write to, got {kind}, which {reason}"
        )
    return a


def _on_cpu(value: Any) -> bool:
    try:
        return value.__dlpack_device__()[0] in ON_CPU
    except ValueError:  # PyTorch's word for a device that DLPack has no number for
        return False
    except Exception:  # no DLPack; in JAX, several devices: the conversion will tell
        return True


def _offers_memory(value: Any) -> bool:
    if any(hasattr(value, protocol) for protocol in PROTOCOLS):
        return True
    try:
        memoryview(value)
    except TypeError:
        return False
    return True


def _from_bfloat16(function: str, name: str, tensor: Any, torch: Any) -> Array:
    """PyTorch has no NumPy array of a bfloat16 tensor, but it has one of the same bits as int16."""
    try:
        from ml_dtypes import bfloat16
    except ImportError:
        raise ImportError(
            f"{function}: expected ml_dtypes to be installed, as {name} is a bfloat16 tensor"
        ) from None
    return np.asarray(tensor.view(torch.int16)).view(bfloat16)
