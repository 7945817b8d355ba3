#!/usr/bin/env python3
"""Calibrate the detectors of a bias dictionary with the functions of rfmux.

Usage: rfmux_bias.py FILE BOARD MODULE

FILE has bias dictionaries in JSON, as twotone writes them. Fits the sweep of each
detector, and calculates its df calibration from the fit. Prints one JSON object:
  {CHANNEL: {"ours": [re, im], "theirs": [re, im] or null}}
What rfmux prints goes to stderr.
"""

import cmath
import contextlib
import json
import math
import sys
import warnings


def main(path, board, module):
    import numpy
    from rfmux.algorithms.measurement.df_calibration import df_calibration_for_entry
    from rfmux.algorithms.measurement.fitting_nonlinear import fit_nonlinear_iq_multisweep

    with open(path) as file:
        detectors = json.load(file)["boards"][board]["modules"][module]["detectors"]
    sweeps = {}
    for channel, entry in detectors.items():
        sweeps[int(channel)] = {
            "frequencies": numpy.array(entry["frequencies"]),
            "iq_complex": numpy.array([complex(*pair) for pair in entry["iq_complex"]]),
            "original_center_frequency": entry["original_center_frequency"],
            "bias_frequency": entry["bias_frequency"],
        }
    fitted = fit_nonlinear_iq_multisweep(sweeps)
    report = {}
    for channel, entry in detectors.items():
        theirs = df_calibration_for_entry(fitted[int(channel)])
        if theirs is not None:
            # The board turns the samples back by this phase, so the calibration turns forward.
            theirs *= cmath.exp(1j * math.radians(entry["optimal_phase_degrees"]))
            theirs = [theirs.real, theirs.imag]
        report[channel] = {"ours": entry["df_calibration"], "theirs": theirs}
    return report


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        report = main(*sys.argv[1:])
    print(json.dumps(report))
