"""What fuzz.py calls: values, places in memory, and a case: a function with its arguments as drawn and in the plain form."""

import math

import numpy as np
import reference
from helpers import FUNCTIONS, JACOBIANS, LOSSES, PRODUCTS
from hypothesis import strategies as st

try:
    import ml_dtypes

    HALVES = [np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)]
except ImportError:
    HALVES = [np.dtype(np.float16)]

NAMES = [*FUNCTIONS, *JACOBIANS, *PRODUCTS, *LOSSES]
DTYPES = [
    *map(
        np.dtype, ["f4", "f4", "f8", "f8", ">f4", ">f8", ">f2", "?", "i1", "u1", "i4", "i8", "u8"]
    ),
    *HALVES,
]
CLASSES = [*range(21), 31, 33, 63, 64, 65, 100, 129, 255, 257, 300]
LARGE = [(700, 100), (1, 140_000), (30_000, 5), (5, 70, 400)]
STEPS = [1, 1, 1, 2, -1, -2, 3]
LABELS = ["i1", "i4", "i8", ">i8", "u1", "u8"]


# ---- Values --------------------------------------------------------------------------------------


def ordinary(rng, shape):
    return rng.normal(0, 3, shape)


def special(rng, shape):
    values = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-45, 5e-324, 3e38, -3e38, 1.0, -700.0])
    return np.where(rng.random(shape) < 0.2, rng.choice(values, shape), ordinary(rng, shape))


KINDS = {
    "ordinary": ordinary,
    "far": lambda rng, shape: rng.normal(0, 1, shape) * 10.0 ** rng.integers(-3, 8),
    "huge": lambda rng, shape: rng.normal(0, 1, shape) * 10.0 ** rng.integers(20, 38),
    "tiny": lambda rng, shape: rng.normal(0, 1, shape) * 1e-40,
    "ties": lambda rng, shape: rng.integers(-2, 2, shape).astype(float),
    "one far above": lambda rng, shape: (
        np.where(rng.random(shape) < 0.1, 60.0, 0.0) + rng.normal(0, 1, shape)
    ),
    "special": special,
}


def probabilities(rng, like):
    """Numbers in [0, 1], some of them its ends, or NaN where `like` is not finite."""
    values = np.where(
        rng.random(like.shape) < 0.1, np.rint(rng.random(like.shape)), rng.random(like.shape)
    )
    return np.where(np.isfinite(like), values, np.nan)


def as_type(values, dtype):
    """The values in `dtype`; integers as small ones."""
    with np.errstate(all="ignore"):
        if dtype.kind in "biu":
            return (np.nan_to_num(values, posinf=3, neginf=0) % 7).astype(dtype)
        return values.astype(dtype)


# ---- Places in memory ----------------------------------------------------------------------------


class Places:
    """Arrays with the memory about them: what of it changed that should not have?"""

    def __init__(self):
        self.kept = []

    def put(self, draw, values, *, repeat=False):
        """The values in memory of any strides; some repeated, by a stride of 0."""
        order = draw(st.permutations(range(values.ndim)))
        steps = [draw(st.sampled_from(STEPS)) for _ in order]
        if repeat and values.size and draw(st.integers(0, 5)) == 0:
            values = np.broadcast_to(values[:1], values.shape)
            return self.keep(np.broadcast_to(values[:1].copy(), values.shape))
        sizes = [values.shape[d] * abs(s) for d, s in zip(order, steps, strict=True)]
        offset = draw(st.sampled_from([0, 0, 1, 3, 8]))
        memory = np.full(int(np.prod(sizes)) * values.itemsize + offset, 0xA5, np.uint8)
        view = memory[offset:].view(values.dtype).reshape(sizes)
        view = view[(..., *(slice(None, None, s) for s in steps))].transpose(np.argsort(order))
        view[...] = values
        self.keep(memory)
        return view

    def keep(self, a):
        self.kept.append((a, a.tobytes()))
        return a

    def check(self, out=()):
        """Nothing changed but the `out` arrays."""
        for view, before in out:
            view[...] = before
        for a, before in self.kept:
            assert a.tobytes() == before, "memory changed that is no result"


# ---- A case --------------------------------------------------------------------------------------


def rows_of(a, axes):
    """The axes as one, the last."""
    rest = [d for d in range(a.ndim) if d not in axes]
    n = math.prod(a.shape[d] for d in axes)
    return a.transpose([*rest, *axes]).reshape([a.shape[d] for d in rest] + [n])


class Case:
    """What is called: the function, its arguments as drawn (`given`, `options`) and in the plain form."""

    def __init__(self, draw):
        self.draw = draw
        self.name = draw(st.sampled_from(NAMES))
        self.places = Places()
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.dtype = draw(st.sampled_from(DTYPES))
        self.computing = reference.computing_type(self.dtype)
        result = np.float64 if self.dtype.kind in "biu" else self.dtype.newbyteorder("=")
        self.result = np.dtype(result)
        self.kind = draw(st.sampled_from(sorted(KINDS)))
        self._draw_shape()
        self.options, self.plain_options = {}, {}
        self.rows_shape = tuple(k for d, k in enumerate(self.shape) if d not in self.axes)
        values = KINDS[self.kind](self.rng, self.shape)
        if self.name.startswith("log_loss"):
            values = probabilities(self.rng, values)
        elif self.name in PRODUCTS:
            values = -np.abs(values) if self.name.startswith("log") else np.abs(values)
        self.x = self.array(values, repeat=True)
        self.plain_x = self.plain(self.x)
        self.given, self.plain_given = [self.x], [self.plain_x]
        if self.name in LOSSES:
            self._draw_loss()
        elif self.name in PRODUCTS:
            self._add(self.array(KINDS[self.kind](self.rng, self.shape), repeat=True))
        elif self.name in FUNCTIONS:
            self._draw_function()
        if self.name not in [*PRODUCTS, "logsumexp", "log_loss", "log_loss_value_and_grad"]:
            self._option("temperature", [1.0, 1.0, 0.5, 3.7, np.float32(1e-3), 7])

    def _draw_shape(self):
        draw = self.draw
        if self.name not in JACOBIANS and draw(st.integers(0, 60)) == 0:
            self.shape, self.axes = draw(st.sampled_from(LARGE)), (-1,)
        else:
            ndim = draw(st.integers(1, 4))
            self.shape = tuple(
                draw(st.sampled_from([1, 2, 3, 4, 5, 20] if ndim < 3 else [0, 1, 2, 3, 4, 5]))
                for _ in range(ndim)
            )
            if draw(st.booleans()):
                self.shape = (*self.shape[:-1], draw(st.integers(1, 40)))
            self.axes = (draw(st.integers(0, ndim - 1)),)
            n = draw(st.sampled_from(CLASSES[:21] if self.name in JACOBIANS else CLASSES))
            self.shape = tuple(n if d in self.axes else k for d, k in enumerate(self.shape))
        ndim = len(self.shape)
        self.axes = tuple(d % ndim for d in self.axes)
        self.axis = draw(st.sampled_from([self.axes[0], self.axes[0] - ndim]))
        if self.name in FUNCTIONS and draw(st.integers(0, 5)) == 0:
            self.axes = tuple(range(ndim)) if draw(st.booleans()) else self.axes
            self.axis = None if len(self.axes) == ndim else self.axes

    def array(self, values, **how):
        return self.places.put(self.draw, as_type(values, self.dtype), **how)

    def plain(self, a):
        """Contiguous rows of the computing type."""
        with np.errstate(all="ignore"):
            return np.array(rows_of(a, self.axes), self.computing, order="C")

    def _add(self, a):
        self.given.append(a)
        self.plain_given.append(self.plain(a))

    def _option(self, name, values):
        value = self.draw(st.sampled_from(values))
        self.options[name] = self.plain_options[name] = value

    def _draw_function(self):
        if self.draw(st.booleans()):
            mask = self.rng.random(self.shape) < 0.7
            self.options["where"] = self.places.put(self.draw, mask)
            self.plain_options["where"] = rows_of(mask, self.axes)
        if self.name == "logsumexp" and self.draw(st.booleans()):
            b = self.array(np.abs(ordinary(self.rng, self.shape)))
            self.options["b"], self.plain_options["b"] = b, self.plain(b)

    def _draw_loss(self):
        draw, rng, n = self.draw, self.rng, self.x.shape[self.axes[0]]
        self.labels = n > 0 and draw(st.booleans())
        if self.labels:
            dtype = np.dtype(draw(st.sampled_from(LABELS)))
            labels = rng.integers(0, min(n, 120), self.rows_shape)
            ignore = draw(st.sampled_from([-100, -1, 0, min(n, 120) - 1]))
            if ignore != -100:
                self.options["ignore_index"] = self.plain_options["ignore_index"] = ignore
            if dtype.kind == "i":
                labels = np.where(rng.random(self.rows_shape) < 0.2, ignore, labels)
            labels = np.asarray(labels).astype(dtype)
            self.given.append(self.places.put(draw, labels))
            self.plain_given.append(np.array(labels, np.int64, order="C"))
        elif draw(st.booleans()):
            self._add(self.array(rng.random(self.shape)))
        else:
            hot = np.arange(n) == rng.integers(0, max(n, 1), (*self.rows_shape, 1))
            self._add(self.array(np.moveaxis(hot, -1, self.axes[0]).astype(float)))
        for name, shape in (("weight", (n,)), ("sample_weight", self.rows_shape)):
            if draw(st.integers(0, 2)) == 0:
                values = np.asarray(rng.random(shape) * (rng.random(shape) < 0.9))
                values = as_type(values, draw(st.sampled_from([self.dtype, np.dtype("f8")])))
                self.options[name] = self.places.put(draw, values)
                self.plain_options[name] = values.astype(self.computing)
        self._option("reduction", ["mean", "sum", "none"])
        if not self.name.startswith("log_loss"):
            self._option("label_smoothing", [0.0, 0.0, 0.1, 1.0])
            self._option("z_loss", [0.0, 0.0, 1e-3, 0.5])

    # What is written to.

    def draw_out(self, expected):
        """None or an array for out=, the results' own or one of the inputs."""
        takes = [*FUNCTIONS, *JACOBIANS, *PRODUCTS]
        how = self.draw(st.sampled_from(["none", "new", "in place", "overlapping"]))
        if self.name not in (*takes, *[k for k in LOSSES if "grad" in k]) or how == "none":
            return None
        pair = self.name == "cross_entropy_grad_hess"
        like = expected[-1] if isinstance(expected, tuple) else expected
        if np.ndim(like) == 0:
            return None
        alike = [
            i
            for i, a in enumerate(self.given)
            if a.shape == like.shape and a.dtype == like.dtype and a.size
        ]
        if how != "new" and not pair and alike:
            i = self.draw(st.sampled_from(alike))
            if how == "overlapping":
                return self._shifted(i)
            if self.given[i].flags.writeable:
                return self.given[i]
        made = [self.places.put(self.draw, np.full(like.shape, 77, like.dtype)) for _ in (0, 1)]
        return tuple(made) if pair else made[0]

    def _shifted(self, i):
        """An array that begins some elements before or after argument `i`, which moves to the same memory."""
        a = self.given[i]
        shift = self.draw(st.integers(1, a.size))
        memory = np.full(a.size + shift, 77, a.dtype)
        parts = [part.reshape(a.shape) for part in (memory[: a.size], memory[shift:])]
        where = self.draw(st.integers(0, 1))
        parts[where][...] = a
        self.given[i] = parts[where]
        self.places.keep(memory)
        return parts[1 - where]
