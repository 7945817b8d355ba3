#!/usr/bin/env python3
"""Read the sample streams of simulated boards with the unmodified rfmux client.

Usage: rfmux_streams.py SERIAL=ADDRESS... --detector HZ --modulation HZ

Module 1 of every board gets three tones: channel 1 on a detector of the first
board, whose resonance is modulated, and channels 2 and 3 away from all
detectors. The amplitudes differ from board to board. Then samples of all boards
are read at the same time. Spectra and PFB samples (fast samples, before the
decimation) are read from the first board.

Prints one JSON object:
  {"failures": [text], "measured": {name: value}, "seconds": {step: number}}
Exits with 0 if there are no failures. What rfmux prints goes to stderr.
"""

import argparse
import asyncio
import contextlib
import sys
import warnings

from shared import Findings

SAMPLES = 400
ATTEMPTS = 5
SPECTRUM_SAMPLES = 1192  # two seconds
NCO_HZ = 1.25e9
# The decimation takes six moving averages. This share of the variance of white
# noise is left after them: the middle value of the B-spline of order 12.
CIC_NOISE = 655177 / 1663200
# Offsets of the three tones from the detector, which has no neighbour within 1 MHz.
OFFSETS_HZ = [0.0, 0.4e6, -0.4e6]


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("boards", nargs="+", metavar="SERIAL=ADDRESS")
    parser.add_argument("--detector", type=float, required=True, help="Hz")
    parser.add_argument("--modulation", type=float, required=True, help="Hz")
    return parser.parse_args(argv)


def complex_of(result):
    import numpy as np

    return np.asarray(result.i) + 1j * np.asarray(result.q)


async def connect(arguments):
    import rfmux
    from rfmux.core.crs import CRS

    boards = [board.partition("=") for board in arguments.boards]
    entries = [f'!CRS {{ serial: "{serial}", hostname: "{at}" }}' for serial, _, at in boards]
    session = rfmux.load_session(f"!HardwareMap [ {', '.join(entries)} ]")
    every = session.query(CRS).all()
    for index, crs in enumerate(every):
        await crs.resolve()
        await crs.set_timestamp_port(crs.TIMESTAMP_PORT.TEST)
        async with crs.tuber_context() as ctx:
            ctx.set_nco_frequency(NCO_HZ, module=1)
            for channel, offset in enumerate(OFFSETS_HZ, 1):
                frequency = arguments.detector + offset - NCO_HZ
                ctx.set_frequency(frequency, channel=channel, module=1)
                amplitude = 1e-3 * (1 + index + 0.25 * channel)
                ctx.set_amplitude(amplitude, channel=channel, module=1)
    return every


async def slow(every, findings):
    """Read samples of all boards at the same time, and check that each gets its own."""
    import numpy as np

    # rfmux binds a socket before it joins a group, and until it joins the kernel
    # gives it the packets of every board that anybody on the machine listens to.
    # rfmux takes those as samples, with a warning. After a warning this begins anew.
    for attempt in range(1, ATTEMPTS + 1):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            results = await asyncio.gather(
                *[crs.py_get_samples(SAMPLES, module=1, _extra_metadata=True) for crs in every]
            )
        texts = sorted({str(one.message) for one in said if "SO_RCVBUF" not in str(one.message)})
        if not texts:
            break
    findings.measured["attempts"] = attempt
    findings.expect(not texts, f"warnings each time: {texts}")
    for crs, result in zip(every, results):
        seq = np.asarray(result.seq)
        findings.expect(len(seq) == SAMPLES, f"{crs.serial}: {len(seq)} samples")
        findings.expect(bool(np.all(np.diff(seq) == 1)), f"{crs.serial}: not contiguous")
        seconds = [ts.sbs + ts.ss / 156_250_000 for ts in result.ts]
        steps = np.diff(seconds) * 625e6 / 256 / 64 / 64
        findings.expect(bool(np.all(np.abs(steps - 1) < 1e-3)), f"{crs.serial}: stamps jump")
        samples = complex_of(result)
        findings.expect(samples.shape == (1024, SAMPLES), f"{crs.serial}: {samples.shape}")
        # An acquisition call must agree, on the tones away from the modulated detector.
        for channel in (2, 3):
            direct = complex_of(await crs.get_samples(SAMPLES, channel=channel, module=1))
            streamed = samples[channel - 1]
            error = np.sqrt(np.var(direct) / SAMPLES + np.var(streamed) / SAMPLES)
            sigmas = abs(np.mean(direct) - np.mean(streamed)) / error
            findings.measured[f"{crs.serial}/{channel} sigmas apart"] = float(sigmas)
            findings.expect(sigmas < 6, f"{crs.serial}/{channel}: {sigmas} sigmas off get_samples")
            spread = np.std(streamed) / np.std(direct)
            findings.expect(0.7 < spread < 1.4, f"{crs.serial}/{channel}: noise x {spread}")
    means = [abs(np.mean(complex_of(result)[1])) for result in results]
    findings.measured["channel 2 of each"] = means


async def serials(every, findings):
    """Check that a socket that rfmux opens for a board gets the packets of that board alone."""
    from rfmux import streamer

    loop = asyncio.get_running_loop()

    async def read(crs):
        with streamer.get_multicast_socket(crs.tuber_hostname) as sock:
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:  # what came before it joined
                    sock.recv(9000)
            packets = []
            while len(packets) < 200:
                data = await asyncio.wait_for(loop.sock_recv(sock, 9000), 10)
                packets.append(streamer.ReadoutPacket(data))
        return [packet.serial for packet in packets]

    for crs, heard in zip(every, await asyncio.gather(*[read(crs) for crs in every])):
        findings.measured[f"packets of {crs.serial}"] = len(heard)
        strange = {serial for serial in heard if serial != int(crs.serial)}
        findings.expect(not strange, f"{crs.serial} was sent packets of {strange}")


async def spectra(crs, quiet, findings, modulation):
    """Check spectra that rfmux computes from the stream."""
    import numpy as np

    result = await crs.py_get_samples(
        SPECTRUM_SAMPLES, channel=1, module=1, return_spectrum=True, reference="absolute"
    )
    spectrum = result.spectrum
    frequency = np.asarray(spectrum.freq_dsb)
    density = np.asarray(spectrum.psd_dual_sideband)
    floor = float(np.median(density))
    away = np.abs(frequency) > modulation / 2
    peak = frequency[away][np.argmax(density[away])]
    height = float(np.max(density[away]) - floor)
    findings.measured["modulation found at"] = float(peak)
    findings.measured["modulation above the floor, dB"] = height
    findings.expect(abs(abs(peak) - modulation) < 1, f"the largest peak is at {peak} Hz")
    findings.expect(height > 20, f"the peak is {height} dB above the floor")

    # Away from detectors the noise is white. rfmux corrects the spectrum for the
    # filters of the decimation, so the density times the rate is the variance that
    # the samples would have without these filters.
    density, volts = await noise(crs)
    quiet_density, quiet_volts = await noise(quiet)
    unfiltered = quiet_density * 625e6 / 256 / 64 / 64
    ratio = np.var(quiet_volts) / 2 / 50 / unfiltered
    findings.measured["slow noise, dBm/Hz"] = float(10 * np.log10(density / 1e-3))
    findings.measured["noise through the filters"] = float(ratio)
    findings.expect(abs(ratio / CIC_NOISE - 1) < 0.15, f"noise x {ratio}")

    relative = await crs.py_get_samples(100, channel=2, module=1, return_spectrum=True)
    carrier = max(relative.spectrum.psd_dual_sideband)
    findings.expect(abs(carrier) < 1e-6, f"the carrier is at {carrier} dBc")
    return float(10 * np.log10(density / 1e-3)), np.mean(volts)


async def noise(crs):
    """Return the noise density of channel 2 in W/Hz, and its samples in V."""
    import numpy as np

    result = await crs.py_get_samples(
        SPECTRUM_SAMPLES, channel=2, module=1, return_spectrum=True, nsegments=8, reference="absolute"
    )
    density = 1e-3 * 10 ** (np.asarray(result.spectrum.psd_dual_sideband) / 10)
    return np.median(density), complex_of(result)


async def pfb(crs, findings, noise_dbm, volts):
    """Check PFB samples from the acquisition call and from their stream."""
    import numpy as np

    def same(what, mean, expected):
        off = abs(mean - expected) / abs(expected)
        findings.measured[f"{what}: relative error of the mean"] = float(off)
        findings.expect(off < 0.02, f"{what}: the mean is {mean}, not {expected}")

    result = await crs.py_get_pfb_samples(50_000, channel=2, module=1, reference="absolute")
    samples = complex_of(result)
    findings.expect(len(samples) == 50_000, f"{len(samples)} PFB samples")
    same("get_pfb_samples", np.mean(samples), volts)
    density = float(np.median(result.spectrum.psd_dual_sideband))
    findings.measured["PFB noise, dBm/Hz"] = density
    findings.expect(abs(density - noise_dbm) < 3, f"PFB noise {density}, slow {noise_dbm} dBm/Hz")

    for channels in ([2], [2, 3]):
        result = await pfb_stream(crs, channels, findings)
        streamed = complex_of(result)
        findings.expect(streamed.shape[0] == len(channels), f"{streamed.shape} of {channels}")
        findings.expect(streamed.shape[1] > 0.019 * 625e6 / 256, f"{streamed.shape}")
        same(f"PFB stream of {channels}", np.mean(streamed[0]), volts)
        density = float(np.median(result.spectrum.psd_dual_sideband[0]))
        findings.measured[f"PFB stream of {channels}, dBm/Hz"] = density
        findings.expect(abs(density - noise_dbm) < 3, f"PFB stream's noise {density} dBm/Hz")
    other = await crs.py_get_samples(SAMPLES, channel=3, module=1, reference="absolute")
    same("slot 2 of the PFB stream", np.mean(streamed[1]), np.mean(complex_of(other)))
    off = await crs.get_pfb_streamer(module=1)
    findings.expect(off is None, f"the PFB streamer is left on: {off}")


async def pfb_stream(crs, channels, findings):
    """Read 20 ms of the PFB stream.

    A busy machine loses packets, and rfmux then tries again. It checks the packets
    of its first try again too, so it never succeeds. This starts it anew instead.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            result = await crs.py_run_pfb_streamer(
                channel=channels, module=1, time_run=0.02, reference="absolute"
            )
        except RuntimeError as error:
            if attempt == ATTEMPTS or "contiguous" not in str(error):
                raise
            continue
        findings.measured[f"PFB attempts for {channels}"] = attempt
        return result


async def run(arguments, findings):
    with findings.step("connect"):
        every = await connect(arguments)
    with findings.step("samples"):
        await slow(every, findings)
    with findings.step("serials"):
        await serials(every, findings)
    with findings.step("spectra"):
        noise_dbm, volts = await spectra(*every[:2], findings, arguments.modulation)
    with findings.step("PFB"):
        await pfb(every[0], findings, noise_dbm, volts)


def main(argv):
    arguments = parse(argv)
    findings = Findings()
    return findings.of(run(arguments, findings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
