#!/usr/bin/env python3
"""Compare a capture of a fast stream with what the unmodified rfmux client reads of it.

Usage: rfmux_fast.py SERIAL=ADDRESS --twotone PROGRAM --map MAP --out DIR

Three tones of module 1 are near each other, so that each shows in the bins of
the others. While a capture of the program runs, rfmux reads the same packets and
computes spectra. The samples of rfmux must be samples of the capture, and a
spectrum of the captured samples must be that of rfmux.

Prints one JSON object:
  {"failures": [text], "measured": {name: value}, "seconds": {}}
Exits with 0 if there are no failures. What rfmux prints goes to stderr.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from shared import Findings

ATTEMPTS = 5
RATE_HZ = 625e6 / 256
NCO_HZ = 1.25e9
# Offsets of channels 1 to 3 from the NCO: near the middle of a bin.
OFFSETS_HZ = [625e6 / 512, 625e6 / 512 + 150e3, 625e6 / 512 - 310e3]
SEGMENTS = 20
LIMIT_HZ = 1e6


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("board", metavar="SERIAL=ADDRESS")
    for name in ("--twotone", "--map", "--out"):
        parser.add_argument(name, required=True)
    return parser.parse_args(argv)


async def connect(arguments):
    import rfmux
    from rfmux.core.crs import CRS

    serial, _, address = arguments.board.partition("=")
    session = rfmux.load_session(
        f'!HardwareMap [ !CRS {{ serial: "{serial}", hostname: "{address}" }} ]'
    )
    crs = session.query(CRS).one()
    await crs.resolve()
    await crs.set_timestamp_port(crs.TIMESTAMP_PORT.TEST)
    async with crs.tuber_context() as ctx:
        ctx.set_nco_frequency(NCO_HZ, module=1)
        for channel, offset in enumerate(OFFSETS_HZ, 1):
            ctx.set_frequency(offset, channel=channel, module=1)
            ctx.set_amplitude(1e-3 * channel, channel=channel, module=1)
    return crs


async def both(crs, channels, arguments, out):
    """Captures the stream, and reads it with rfmux in the meantime."""
    await crs.set_pfb_streamer(channel=channels, module=1)
    capture = await asyncio.create_subprocess_exec(
        *[arguments.twotone, "capture", arguments.map, "--fast"],
        *["--seconds", "20", "--out", str(out), "--json"],
        stdout=asyncio.subprocess.PIPE,
    )
    hidden = f".{out.name}.*/samples/*/module-1.arrow"
    while not list(out.parent.glob(hidden)):
        if capture.returncode is not None:
            raise RuntimeError("the capture ended by itself")
        await asyncio.sleep(0.05)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            read = await crs.py_run_pfb_streamer(
                channel=channels,
                module=1,
                time_run=0.05,
                binlim=LIMIT_HZ,
                nsegments=SEGMENTS,
                reference="absolute",
            )
            break
        except RuntimeError as error:
            # On a machine with other work, rfmux may lose packets.
            if attempt == ATTEMPTS or "contiguous" not in str(error):
                raise
    capture.terminate()
    printed, _ = await capture.communicate()
    return read, json.loads(printed)


def captured(out, module, findings):
    """The samples of each channel, in readout counts, with their sequence numbers."""
    import numpy as np
    import pyarrow

    with pyarrow.ipc.open_file(out / module["file"]) as file:
        table = file.read_all()
    channels = json.loads(table.schema.field("i").metadata[b"channels"])
    findings.expect(float(table.schema.metadata[b"rate_hz"]) == RATE_HZ, "another rate")
    parts = [table[name].combine_chunks().flatten().to_numpy() for name in ("i", "q")]
    rows = [np.asarray(part, dtype=float).reshape(-1, len(channels)) / 256 for part in parts]
    samples = rows[0] + 1j * rows[1]
    return channels, samples, table["sequence"].to_numpy().astype(np.int64)


def place(samples, wanted):
    """Where a row of samples is within others, or None."""
    import numpy as np

    ends = len(samples) - len(wanted) + 1
    for at in np.flatnonzero(samples[: max(ends, 0)] == wanted[0]):
        if np.array_equal(samples[at : at + len(wanted)], wanted):
            return int(at)
    return None


def spectrum(samples, volts_per_count):
    """Density in dBm/Hz over all frequencies, without a correction for the bin: the
    mean periodogram of segments behind a Hann window."""
    import numpy as np

    length = len(samples) // SEGMENTS
    window = np.hanning(length)
    parts = samples[: length * SEGMENTS].reshape(SEGMENTS, length) * volts_per_count
    power = np.abs(np.fft.fft(parts * window)) ** 2
    density = np.mean(power, axis=0) / (np.sum(window**2) * RATE_HZ) / 2 / 50
    frequency = np.fft.fftfreq(length, 1 / RATE_HZ)
    order = np.argsort(frequency)
    return frequency[order], 10 * np.log10(density[order] / 1e-3)


async def compare(crs, channels, arguments, findings):
    import numpy as np
    from rfmux.algorithms.measurement.py_get_pfb_samples import apply_pfb_correction
    from rfmux.core.transferfunctions import VOLTS_PER_ROC

    out = Path(arguments.out) / "-".join(map(str, channels))
    read, report = await both(crs, channels, arguments, out)
    module = report["boards"][0]["modules"][0]
    own, samples, sequence = captured(out, module, findings)
    findings.expect(own == sorted(channels), f"channels {own} of {channels}")
    findings.expect(len(samples) == module["received"], f"{len(samples)} rows: {module}")
    lost = int(np.sum(np.diff(sequence) - 1))
    findings.expect(lost == module["lost"], f"{lost} numbers are left out: {module}")
    findings.measured[f"lost of {channels}"] = lost
    for slot, channel in enumerate(channels):
        what = f"channel {channel} of {channels}"
        volts = np.asarray(read.i[slot]) + 1j * np.asarray(read.q[slot])
        row = samples[:, own.index(channel)]
        wanted = np.round(volts / VOLTS_PER_ROC * 256) / 256
        at = place(row, wanted)
        findings.measured[f"{what}: samples of rfmux"] = len(wanted)
        findings.expect(at is not None, f"{what}: rfmux reads other samples")
        if at is None:
            continue
        row = row[at : at + len(wanted)]
        nco, offset = NCO_HZ, OFFSETS_HZ[channel - 1]
        # The frequencies in the result of rfmux are those of its last channel alone.
        theirs_hz = apply_pfb_correction(
            row, nco, nco + offset, binlim=LIMIT_HZ, nsegments=SEGMENTS, reference="absolute"
        )[-2]
        theirs = np.asarray(read.spectrum.psd_dual_sideband[slot])
        # The other tones of the module, by a spectrum that is not of rfmux. The bin
        # lets them through with a slope, which rfmux takes off.
        ours_hz, ours = spectrum(row, VOLTS_PER_ROC)
        for other in OFFSETS_HZ:
            beat = other - offset
            peak = float(ours[np.argmin(np.abs(ours_hz - beat))])
            same = float(theirs[np.argmin(np.abs(np.asarray(theirs_hz) - beat))])
            findings.measured[f"{what}: {beat:.0f} Hz, dBm/Hz"] = [peak, same]
            findings.expect(peak > np.median(ours) + 20, f"{what}: no tone at {beat} Hz")
            limit = 0.3 if beat == 0 else 6
            findings.expect(abs(peak - same) < limit, f"{what}: {peak}, {same} at {beat} Hz")


async def run(arguments, findings):
    crs = await connect(arguments)
    for channels in ([2], [3, 1]):
        await compare(crs, channels, arguments, findings)


def main(argv):
    arguments = parse(argv)
    findings = Findings()
    return findings.of(run(arguments, findings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
