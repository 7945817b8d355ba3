#!/usr/bin/env python3
"""Fit the fine sweeps of a run directory with the functions of rfmux.

Usage: rfmux_fit.py SWEEPS

SWEEPS is the Arrow file of one board in that directory. Prints one JSON object,
with the fits of each channel under its number:
  {"1": {"points", "skewed": {"fr_hz", "qr"}, "nonlinear": {"fr_hz", "qr", "a"}}}
A fit that rfmux calls failed is null. What rfmux prints goes to stderr.
"""

import contextlib
import json
import sys
import warnings


def main(path):
    import pandas
    from rfmux.algorithms.measurement.fitting import fit_skewed_multisweep
    from rfmux.algorithms.measurement.fitting_nonlinear import fit_nonlinear_iq_multisweep

    table = pandas.read_feather(path)
    sweeps = {}
    for channel, rows in table[table["sweep"] == "fine_up"].groupby("channel"):
        rows = rows.sort_values("frequency_hz")
        frequencies = rows["frequency_hz"].to_numpy()
        sweeps[int(channel)] = {
            "frequencies": frequencies,
            "iq_complex": rows["i"].to_numpy() + 1j * rows["q"].to_numpy(),
            "original_center_frequency": float(frequencies.mean()),
        }
    skewed = fit_skewed_multisweep({n: dict(sweep) for n, sweep in sweeps.items()})
    nonlinear = fit_nonlinear_iq_multisweep({n: dict(sweep) for n, sweep in sweeps.items()})
    report = {}
    for channel, sweep in sweeps.items():
        report[channel] = {
            "points": len(sweep["frequencies"]),
            "skewed": named(skewed[channel]["fit_params"], "fr", "Qr"),
            "nonlinear": named(nonlinear[channel].get("nonlinear_fit_params"), "fr", "Qr", "a")
            if nonlinear[channel].get("nonlinear_fit_success")
            else None,
        }
    return report


def named(params, *names):
    """Return some parameters of a fit, under the names that the report uses."""
    if params is None or params[names[0]] == "nan":
        return None
    ours = {"fr": "fr_hz", "Qr": "qr"}
    return {ours.get(name, name): float(params[name]) for name in names}


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        report = main(sys.argv[1])
    print(json.dumps(report))
