#!/usr/bin/env python3
"""Serve the board that rfmux simulates until standard input ends.

Usage: rfmux_mock.py [--resonators N] [--f-min HZ] [--f-max HZ] [--seed N]

The board's detectors are on module 1. Its samples go from 127.0.0.1 to the
usual multicast group, but to a port of their own, because other simulated boards
on this machine send from the same address.

Prints one JSON object when the board is ready:
  {"address": "host:port", "stream_port": number}
What rfmux prints goes to stderr.
"""

import argparse
import asyncio
import contextlib
import json
import socket
import sys

from shared import free_port


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resonators", type=int, default=8)
    parser.add_argument("--f-min", type=float, default=1.0e9, help="Hz")
    parser.add_argument("--f-max", type=float, default=1.1e9, help="Hz")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(argv)


async def serve(arguments):
    from rfmux.mock.helpers import create_mock_crs

    port = free_port(socket.SOCK_DGRAM)
    config = {
        "num_resonances": arguments.resonators,
        "freq_start": arguments.f_min,
        "freq_end": arguments.f_max,
        "resonator_random_seed": arguments.seed,
    }
    crs = await create_mock_crs(udp_port=port, config=config, verbose=False)
    # The simulator compiles its physics at the first use, for one tone and again for
    # many tones. This takes longer than a client waits for an answer, so it is done here.
    await crs.set_nco_frequency(0.5 * (arguments.f_min + arguments.f_max), module=1)
    for channels in (1, 1024):
        async with crs.tuber_context() as batch:
            for channel in range(1, channels + 1):
                offset = (channel - 0.5 * channels) * 50e3
                batch.set_frequency(offset, channel=channel, module=1)
                batch.set_amplitude(1e-4, channel=channel, module=1)
        for average in (True, False):
            await crs.get_samples(2, average=average, module=1)
    await crs.clear_channels(module=1)
    ready = {"address": crs.tuber_hostname, "stream_port": port}
    print(json.dumps(ready), file=OUT, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    OUT = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        asyncio.run(serve(parse(sys.argv[1:])))
