#!/usr/bin/env python3
"""Run the real Tuber server with objects for the tests.

Usage: tuberd_registry.py

Serves `registry` on a port that the system chose, until standard input ends.
Prints one JSON object when it listens: {"port": number, "version": text}
"""

import json
import os
import sys
import threading
import warnings

import numpy as np
from tuber.server import Server, TuberArray, TuberContainer

DTYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]


class Values:
    """Values of every kind."""

    INTEGER = -1234
    FLOAT = 0.1234
    TEXT = "µ, a \"quote\" and \U0001f52d"
    NOTHING = None
    FLAG = True
    LIST = [1, 2.5, "three", None, [True]]
    NESTED = {"a": {"b": [{"c": 1}]}, "empty": {}}
    BYTES = bytes(range(256))

    def echo(self, value=None, *rest, scale=1, **named):
        """Give back what was given."""
        return {"value": value, "rest": list(rest), "scale": scale, "named": named}

    def not_finite(self):
        return [float("nan"), float("inf"), float("-inf")]

    def largest(self):
        return [2**63 - 1, -(2**63), 2**64 - 1, 1.7976931348623157e308, 5e-324]


class Arrays:
    """Arrays of numbers, which only CBOR can represent as arrays."""

    def of(self, dtype, order="C", endian="<"):
        """Two rows of three: 0, 1, the largest; the smallest, 2, 3."""
        kind = np.dtype(endian + dtype)
        ends = np.finfo(kind) if kind.kind == "f" else np.iinfo(kind)
        return np.array([[0, 1, ends.max], [ends.min, 2, 3]], dtype=kind, order=order)

    def shaped(self, *shape, order="C"):
        """0, 1, 2, ... in row-major order, of any shape."""
        count = int(np.prod(shape))
        return np.asarray(np.arange(count, dtype="<f8").reshape(shape), order=order)

    def quadruple(self):
        """Of a type that no program here has."""
        return np.zeros(2, dtype=np.longdouble)

    def complex(self):
        """Of a type that has no tag."""
        return np.zeros(2, dtype=complex)

    def inside(self):
        """In the middle of other things."""
        return {"i": np.arange(3, dtype="<f4"), "q": [np.arange(2, dtype=">i2"), 7]}


class Trouble:
    """Calls that fail, and a count of calls."""

    def __init__(self):
        self.calls = 0

    def count(self):
        """Number of earlier calls."""
        self.calls += 1
        return self.calls - 1

    def warn(self, *messages, fail=False):
        """Warn, and maybe fail after."""
        warnings.simplefilter("always")
        for message in messages:
            warnings.warn(message)
        if fail:
            raise RuntimeError("failed after warning")
        return len(messages)

    def fail(self, message):
        """Fail."""
        raise ValueError(message)

    def unserializable(self):
        return object()


class Signatures:
    """Parameters of every kind."""

    def every(self, a, /, b, c=3, *rest, d, e="five", **named):
        """Take everything."""

    def bare(self):
        pass


class Leaf:
    """Something inside something."""

    def __init__(self, name):
        self.NAME = name

    def shout(self):
        """The name in capitals."""
        return self.NAME.upper()


registry = {
    "Values": Values(),
    "Arrays": Arrays(),
    "Trouble": Trouble(),
    "Signatures": Signatures(),
    "Row": TuberArray([Leaf("zero"), Leaf("one")]),
    "Named": TuberContainer({"left": Leaf("l"), "inner": TuberArray([Leaf("i0"), Leaf("i1")])}),
}


def main():
    import tuber

    server = Server(registry, port=0)
    print(json.dumps({"port": server.port, "version": tuber.__version__}), flush=True)

    def end():
        sys.stdin.read()
        # The threads of the server need not end in order, so the process exits at once.
        os._exit(0)

    threading.Thread(target=end, daemon=True).start()
    server.serve()


if __name__ == "__main__":
    main()
