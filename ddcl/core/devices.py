"""The name of a device, and whether it supports bfloat16 natively."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path

import torch

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # x86 AVX-512, x86 AMX, Arm


def _cpuinfo(key: str) -> str:
    """Return the first value of `key` in /proc/cpuinfo, or an empty string."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "")


def device_name(device: str) -> str:
    """Return the name of the hardware behind ``cpu`` or ``cuda``."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    return _cpuinfo("model name") or platform.processor() or "cpu"


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory for the next step instead of returning it and faulting it in again page by page.

    Activations exceed what glibc keeps by default (32 MB). Does nothing with other C libraries.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def native_bf16(device: str) -> bool:
    """Return whether a device computes in bfloat16 natively, so that it is faster than float32, not emulated."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    flags = _cpuinfo("flags") or _cpuinfo("Features")
    return bool(BF16_FLAGS & set(flags.split()))
