#!/usr/bin/env python3
"""Use a simulated board through the public Tuber client, unmodified.

Usage: tuber_client.py ADDRESS

Makes the same calls with the sync and the async form of the client, with
answers in JSON and in CBOR. Prints one JSON object:
  {"failures": [text], "checks": number, "read": {client: {name: value}}}
Exits with 0 if there are no failures.
"""

import asyncio
import json
import sys
import traceback

import tuber
from tuber.client import resolve, resolve_simple

JSON = "application/json"
CBOR = "application/cbor"


class Checks:
    """Number of checks, and those that failed."""

    def __init__(self):
        self.failures = []
        self.done = 0
        self.read = {}
        self.client = ""

    def equal(self, what, got, expected):
        self.done += 1
        if got != expected:
            self.failures.append(f"{self.client}: {what} is {got!r}, not {expected!r}")

    def holds(self, what, condition):
        self.done += 1
        if not condition:
            self.failures.append(f"{self.client}: {what}")

    def note(self, name, value):
        self.read.setdefault(self.client, {})[name] = value


def check_description(checks, board):
    """Check what the client has read from the board's description of itself."""
    checks.holds("it is described", board._tuber_resolved)
    checks.equal("tuber_is_container", board.tuber_is_container, False)
    checks.equal("UNITS.HZ", board.UNITS.HZ, "hz")
    checks.equal("TARGET.DAC", board.TARGET.DAC, "dac")
    for method in ("set_frequency", "get_samples", "clear_channels"):
        checks.holds(f"{method} is a method", callable(getattr(board, method, None)))
        checks.holds(f"{method} is documented", bool(getattr(board, method).__doc__))
    try:
        board.no_such_method
    except AttributeError:
        checks.done += 1
    else:
        checks.failures.append(f"{checks.client}: an attribute that is not there is given")


def check_results(checks, results):
    """Check the answers to the calls of `batch`."""
    nothing, frequency, amplitude, phase, samples, stamp, off = results
    checks.equal("set_frequency", nothing, None)
    checks.equal("get_frequency", frequency, 1220703.125)
    checks.equal("get_amplitude", amplitude, 0.125)
    checks.equal("get_phase", phase, 30.0)
    checks.equal("samples", (len(samples.i), len(samples.q), len(samples.ts)), (5, 5, 5))
    checks.holds("samples are numbers", all(float(i) == float(i) for i in samples.i))
    checks.holds("flags", samples.flags.overrange in (True, False))
    checks.holds("stamp is recent", stamp.recent)
    checks.equal("get_frequency of a silent channel", off, None)


def batch(board, ctx):
    degrees = (board.UNITS.DEGREES, board.TARGET.ADC)
    ctx.set_phase(30.0, *degrees, channel=3, module=2)
    ctx.set_amplitude(0.125, board.UNITS.NORMALIZED, channel=3, module=2)
    return [
        ctx.set_frequency(1220703.125, channel=3, module=2),
        ctx.get_frequency(channel=3, module=2),
        ctx.get_amplitude(channel=3, module=2),
        ctx.get_phase(*degrees, channel=3, module=2),
        ctx.get_samples(5, channel=3, module=2),
        ctx.get_timestamp(),
        ctx.get_frequency(channel=4, module=2),
    ]


def mistakes(ctx):
    """Make calls of which the second and the fourth fail."""
    ctx.set_amplitude(0.25, channel=5, module=1)
    ctx.set_amplitude(0.25, channel=5, module=99)
    ctx.set_amplitude(0.5, channel=5, module=1)
    ctx.no_such_method()
    ctx.get_amplitude(channel=5, module=1)


def check_mistakes(checks, results):
    kinds = [isinstance(result, tuber.TuberRemoteError) for result in results]
    checks.equal("errors go on", kinds, [False, True, False, True, False])
    checks.equal("the call after errors", results[-1], 0.5)
    checks.holds("a message", "module" in str(results[1]).lower())
    checks.holds("a name", "no_such_method" in str(results[3]))
    checks.note("messages", [str(results[1]), str(results[3])])


def simple(checks, address, accept):
    board = resolve_simple(address, "Dfmux", accept_types=accept, convert_json=True)
    with board:
        check_description(checks, board)
        board.set_frequency(2441406.25, channel=1, module=1)
        checks.equal("one call", board.get_frequency(channel=1, module=1), 2441406.25)
        with board.tuber_context() as ctx:
            futures = batch(board, ctx)
            ctx()
            check_results(checks, [future.result() for future in futures])
        with board.tuber_context(module=1) as ctx:
            # The arguments of the context are added to each call.
            ctx.set_amplitude(0.0625, channel=9)
            ctx.get_amplitude(channel=9)
            checks.equal("with the context's arguments", ctx()[1], 0.0625)
        ctx = board.tuber_context(return_exceptions=True)
        mistakes(ctx)
        check_mistakes(checks, ctx())
        board.set_amplitude(0.0, channel=5, module=1)
        ctx = board.tuber_context()
        mistakes(ctx)
        try:
            ctx()
        except tuber.TuberRemoteError as error:
            checks.holds("the first error is raised", "module" in str(error).lower())
        else:
            checks.failures.append(f"{checks.client}: an error is not raised")
        checks.equal("what was not run", board.get_amplitude(channel=5, module=1), 0.25)
        whole = board.get_samples(2, module=1)
        checks.equal("all channels", (len(whole.i), len(whole.i[0])), (1024, 2))
        # Only CBOR has arrays of numbers. By default the client prefers JSON.
        kind = "ndarray" if accept == [CBOR] else "list"
        checks.equal("type of samples", type(whole.i).__name__, kind)
        plain = board.tuber_context(convert_json=False)
        plain.get_timestamp()
        checks.holds("a plain dict", plain()[0]["recent"])
    with resolve_simple(address, accept_types=accept) as root:
        checks.holds("the registry has the board", callable(root.Dfmux.get_timestamp))
        with root.tuber_context() as ctx:
            future = ctx.Dfmux.get_frequency(channel=3, module=2)
        checks.equal("through the registry", future.result(), 1220703.125)


async def asynchronous(checks, address, accept):
    board = await resolve(address, "Dfmux", accept_types=accept, convert_json=True)
    check_description(checks, board)
    await board.set_frequency(2441406.25, channel=1, module=1)
    checks.equal("one call", await board.get_frequency(channel=1, module=1), 2441406.25)
    async with board.tuber_context() as ctx:
        futures = batch(board, ctx)
        # The first future that is awaited sends the whole batch.
        check_results(checks, [await future for future in futures])
    async with board.tuber_context(module=1) as ctx:
        ctx.set_amplitude(0.0625, channel=9)
        checks.equal("with the context's arguments", await ctx.get_amplitude(channel=9), 0.0625)
    ctx = board.tuber_context(return_exceptions=True)
    mistakes(ctx)
    check_mistakes(checks, await ctx())
    await board.set_amplitude(0.0, channel=5, module=1)
    ctx = board.tuber_context()
    mistakes(ctx)
    try:
        await ctx()
    except tuber.TuberRemoteError as error:
        checks.holds("the first error is raised", "module" in str(error).lower())
    else:
        checks.failures.append(f"{checks.client}: an error is not raised")
    checks.equal("what was not run", await board.get_amplitude(channel=5, module=1), 0.25)
    stamps = await asyncio.gather(*[board.get_timestamp() for _ in range(8)])
    checks.equal("at the same time", [stamp.recent for stamp in stamps], [True] * 8)
    root = await resolve(address, accept_types=accept)
    checks.equal("through the registry", await root.Dfmux.get_frequency(channel=3, module=2), 1220703.125)


def main(address):
    checks = Checks()
    ways = {"JSON": [JSON], "CBOR": [CBOR], "either": None}
    for name, accept in ways.items():
        for style, run in (("sync", simple), ("async", lambda *a: asyncio.run(asynchronous(*a)))):
            checks.client = f"{style} {name}"
            try:
                run(checks, address, accept)
            except Exception as error:  # the report says what went wrong, whatever it was
                traceback.print_exc()
                checks.failures.append(f"{checks.client}: {type(error).__name__}: {error}")
    report = {"failures": checks.failures, "checks": checks.done, "read": checks.read}
    print(json.dumps(report))
    return 0 if not checks.failures else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
