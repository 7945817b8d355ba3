"""The Python form, with nest_asyncio: prints one number for the row that is asked for."""

import asyncio
import sys
import time

import nest_asyncio


class tworoutine:
    """A plain call runs to the end; (~f)(...) is the coroutine."""

    def __init__(self, function):
        self.function = function

    def __call__(self, *args):
        return asyncio.get_event_loop().run_until_complete(self.function(*args))

    def __invert__(self):
        return self.function


@tworoutine
async def ready(x):
    return x


@tworoutine
async def pause(seconds):
    await asyncio.sleep(seconds)


def nanoseconds(passes):
    best = float("inf")
    for _ in range(7):
        start = time.perf_counter()
        for _ in range(passes):
            ready(2.0)
        best = min(best, time.perf_counter() - start)
    return best / passes * 1e9


async def ready_nested():
    return nanoseconds(2000)


async def awaited():
    best = float("inf")
    for _ in range(7):
        start = time.perf_counter()
        for _ in range(2000):
            await (~ready)(2.0)
        best = min(best, time.perf_counter() - start)
    return best / 2000 * 1e9


def background(loop):
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    task = loop.create_task(tick())
    ready(2.0)
    before = ticks
    time.sleep(0.1)
    stopped = ticks == before
    task.cancel()
    return float(stopped)


async def nested(count):
    async def one():
        pause(0.001)

    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(count // 50):
            await asyncio.gather(*(one() for _ in range(50)))
        best = min(best, time.perf_counter() - start)
    return best * 1e3


async def convoy():
    taken = 0.0

    async def short():
        nonlocal taken
        start = time.perf_counter()
        pause(0.01)
        taken = time.perf_counter() - start

    async def long():
        pause(1.0)

    await asyncio.gather(short(), long())
    return taken * 1e3


loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
which = sys.argv[1]
if which == "ready_plain":
    print(nanoseconds(2000))
elif which == "background":
    nest_asyncio.apply(loop)
    print(background(loop))
else:
    nest_asyncio.apply(loop)
    jobs = {
        "await": lambda: awaited(),
        "ready_nested": lambda: ready_nested(),
        "nested_1000": lambda: nested(1000),
        "convoy": lambda: convoy(),
    }
    print(loop.run_until_complete(jobs[which]()))
