#!/usr/bin/env python3
"""Measure the unmodified rfmux client on one simulated board, on request.

Usage: rfmux_bench.py ADDRESS SERIAL AMPLITUDE SPAN_HZ CENTRE_HZ...

Imports rfmux, connects to the board and prints {"ready": true}. Then, for each
line on standard input, does the work once: a network analysis of 50,000 points
over 1.0 to 1.5 GHz, three sweeps of 101 points around each centre, and a
nonlinear fit of each sweep. After each work, prints one JSON object: the
seconds of each step, and the number of fits that succeeded.
"""

import asyncio
import contextlib
import json
import sys
import time
import warnings

POINTS = 50_000
SWEEPS = 3


async def work(crs, amplitude, span_hz, centres):
    from rfmux.algorithms.measurement.fitting_nonlinear import fit_nonlinear_iq_multisweep

    seconds = {}
    begin = time.perf_counter()

    def step(name):
        nonlocal begin
        now = time.perf_counter()
        seconds[name] = seconds.get(name, 0.0) + now - begin
        begin = now

    await crs.take_netanal(
        amp=amplitude / 2, fmin=1.0e9, fmax=1.5e9, npoints=POINTS, nsamps=10, module=1
    )
    step("network analysis")
    fitted = 0
    for _ in range(SWEEPS):
        swept = await crs.multisweep(
            center_frequencies=centres,
            span_hz=span_hz,
            npoints_per_sweep=101,
            amp=amplitude,
            nsamps=10,
            bias_frequency_method=None,
            module=1,
        )
        step("sweeps")
        fits = fit_nonlinear_iq_multisweep(swept)
        fitted += sum(bool(one.get("nonlinear_fit_success")) for one in fits.values())
        step("fits")
    return {"seconds": seconds, "fitted": fitted}


async def main(address, serial, amplitude, span_hz, *centres):
    import rfmux
    from rfmux.core.crs import CRS

    session = rfmux.load_session(
        f'!HardwareMap [ !CRS {{ serial: "{serial}", hostname: "{address}" }} ]'
    )
    crs = session.query(CRS).one()
    await crs.resolve()
    await crs.set_timestamp_port(crs.TIMESTAMP_PORT.TEST)
    say({"ready": True})
    centres = [float(centre) for centre in centres]
    for _ in sys.stdin:
        say(await work(crs, float(amplitude), float(span_hz), centres))


def say(value):
    print(json.dumps(value), file=OUT, flush=True)


if __name__ == "__main__":
    OUT = sys.stdout
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(sys.stderr):
        asyncio.run(main(*sys.argv[1:]))
