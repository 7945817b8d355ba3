"""Parts that several scripts share."""

import asyncio
import contextlib
import json
import socket
import sys
import time
import traceback


def free_port(kind=socket.SOCK_STREAM):
    """A port that no socket of this kind uses at the moment."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


class Findings:
    """The measurements, and the failures among them."""

    def __init__(self):
        self.failures = []
        self.measured = {}
        self.seconds = {}

    def expect(self, holds, what):
        if not holds:
            self.failures.append(what)

    @contextlib.contextmanager
    def step(self, name):
        start = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - start, 2)

    def of(self, work):
        """Awaits `work`, or calls it if it is a function. Prints the findings as one JSON object,
        and returns the exit status. What `work` prints goes to stderr."""
        try:
            with contextlib.redirect_stdout(sys.stderr):
                if callable(work):
                    work()
                else:
                    asyncio.run(work)
        except Exception as error:  # the report says what went wrong, whatever it was
            traceback.print_exc()
            self.failures.append(f"{type(error).__name__}: {error}")
        print(json.dumps(vars(self), default=float))
        return 0 if not self.failures else 1
