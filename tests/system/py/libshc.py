# SPDX-License-Identifier: MIT
"""libshcount, called from here: what a driver does thousands of times, without a process each."""
import ctypes
import os

OK, MISSING, REFUSED, UNREACHABLE, IN_DOUBT, DENIED, USAGE = range(7)
I64 = ctypes.c_int64
I64_MIN, I64_MAX = -(1 << 63), (1 << 63) - 1


class Refused(Exception):
    """SHC_REFUSED, with its sentence."""


class Bounds(ctypes.Structure):
    _fields_ = [("min", I64), ("max", I64), ("ttl_ms", I64)]


class Hits(ctypes.Structure):
    _fields_ = [("hits", I64), ("resolution_ms", I64)]


class Limit(ctypes.Structure):
    _fields_ = [("count", I64), ("window_ms", I64)]


class Allowance(ctypes.Structure):
    _fields_ = [("is_allowed", ctypes.c_bool), ("remaining", I64), ("retry_after_ms", I64)]


def _load():
    lib = ctypes.CDLL(os.path.join(os.environ["BUILD"], "libshcount.so.0"))
    name = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
    value = ctypes.POINTER(I64)
    for function, arguments in {
            "shc_open": (ctypes.POINTER(ctypes.c_void_p), ctypes.c_char_p, ctypes.c_int),
            "shc_close": (ctypes.c_void_p,),
            "shc_incr": name + (I64, value),
            "shc_incr_within": name + (I64, ctypes.POINTER(Bounds), value),
            "shc_get": name + (value,),
            "shc_set": name + (I64,),
            "shc_set_ttl": name + (I64, I64),
            "shc_del": name,
            "shc_hit": name + (I64, value),
            "shc_hits": name + (I64, ctypes.POINTER(Hits)),
            "shc_allow": name + (ctypes.POINTER(Limit), I64, ctypes.POINTER(Allowance)),
    }.items():
        getattr(lib, function).argtypes = arguments
    lib.shc_error.argtypes = (ctypes.c_void_p,)
    lib.shc_error.restype = ctypes.c_char_p
    return lib


class Shc:
    """A handle. Calls return what they are asked for; SHC_REFUSED is Refused, other failures are AssertionError."""

    def __init__(self, url, timeout_ms=10000):
        self.lib = _load()
        self.handle = ctypes.c_void_p()
        self._check(self.lib.shc_open(ctypes.byref(self.handle), url.encode(), timeout_ms))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lib.shc_close(self.handle)

    def _check(self, status, *passing):
        if status == OK or status in passing:
            return status
        said = self.lib.shc_error(self.handle).decode("utf-8", "replace")
        if status == REFUSED:
            raise Refused(said)
        raise AssertionError(f"status {status}: {said}")

    def _value(self, function, name, *arguments):
        value = I64()
        name = name.encode()
        self._check(function(self.handle, name, len(name), *arguments, ctypes.byref(value)), MISSING)
        return value.value

    def incr(self, name, delta=1):
        return self._value(self.lib.shc_incr, name, delta)

    def incr_within(self, name, delta=1, least=I64_MIN, most=I64_MAX, ttl_ms=0):
        return self._value(self.lib.shc_incr_within, name, delta, ctypes.byref(Bounds(least, most, ttl_ms)))

    def get(self, name):
        return self._value(self.lib.shc_get, name)

    def set(self, name, value, ttl_ms=0):
        name = name.encode()
        if ttl_ms:
            self._check(self.lib.shc_set_ttl(self.handle, name, len(name), value, ttl_ms))
        else:
            self._check(self.lib.shc_set(self.handle, name, len(name), value))

    def delete(self, name):
        name = name.encode()
        return self._check(self.lib.shc_del(self.handle, name, len(name)), MISSING) == OK

    def hit(self, name, n=1):
        return self._value(self.lib.shc_hit, name, n)

    def hits(self, name, window_ms):
        """(hits, resolution in ms)"""
        hits, name = Hits(), name.encode()
        self._check(self.lib.shc_hits(self.handle, name, len(name), window_ms, ctypes.byref(hits)))
        return hits.hits, hits.resolution_ms

    def allow(self, name, count, window_ms, n=1):
        """(is allowed, remaining, retry after ms)"""
        a, name = Allowance(), name.encode()
        limit = Limit(count, window_ms)
        self._check(self.lib.shc_allow(self.handle, name, len(name), ctypes.byref(limit), n, ctypes.byref(a)))
        return a.is_allowed, a.remaining, a.retry_after_ms
