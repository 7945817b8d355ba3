//! Measurement of the delay of a module's line: its feedline, cables and amplifiers.
//!
//! A *comb* is a set of tones that are on at the same time. The *NCO* is the oscillator of the
//! module to which all its tones are relative; tones can only be some distance away from it.

use num_complex::Complex64;
use serde::{Deserialize, Serialize};
use twotone_hal::{BoardHandle, ErrorKind, Hertz, ModuleId, Result};

use crate::band::Band;
use crate::delay::{Delay, DelayStatus, UNCERTAIN_RAD, estimate_delay};
use crate::geometry::Geometry;
use crate::progress::Stage;
use crate::session::{InputFlags, Session, Tone, bad_points_warning, carrier_phase};

/// Name of the operation in errors.
const OPERATION: &str = "cable delay";

/// Part of the frequencies within reach of the NCO that the combs cover, as a fraction. It is less
/// than 1, because boards round the frequency of the NCO.
const COVERED: f64 = 0.99;

/// Span, in hertz, below which a single resonance noticeably changes the measured delay. With a
/// resonance of 70 kHz linewidth in the middle, delays from spans of 6, 3 and 1 MHz were wrong by
/// some 2, 6 and 40 ns.
const NARROW_HZ: f64 = 5e6;

/// Parameters of a measurement of the delay of a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CableDelayParams {
    /// Number of tones of each comb.
    pub tones: usize,
    /// Amplitude of each tone, as a fraction of full scale.
    pub amplitude: f64,
    /// Number of samples averaged for each point.
    pub samples: u32,
    /// Largest absolute value of the delays that are searched, in seconds.
    pub max_delay_s: f64,
}

impl Default for CableDelayParams {
    fn default() -> Self {
        Self {
            tones: 256,
            amplitude: 0.001,
            samples: 4,
            max_delay_s: 20e-6,
        }
    }
}

impl CableDelayParams {
    /// Returns the reason that these parameters cannot be used, or `None` if they can.
    pub fn problem(&self) -> Option<String> {
        crate::params::out_of_range(&[
            ("tones", self.tones as f64, 16.0, 65_535.0),
            ("amplitude", self.amplitude, 1e-9, 1.0),
            ("samples", f64::from(self.samples), 1.0, 1e6),
            ("max_delay_s", self.max_delay_s, 1e-9, 1e-3),
        ])
    }
}

/// A measured delay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CableDelayOutcome {
    /// The module whose line was measured.
    pub module: ModuleId,
    /// Frequency of the NCO during the measurement.
    pub nco: Hertz,
    /// Span of the frequencies of the measurement, in hertz.
    pub span_hz: f64,
    /// The delay, with its status.
    pub delay: Delay,
    /// The delay as a length of cable (velocity 0.66 c), in metres. Add it to the length that a
    /// board already corrects for.
    pub cable_length_m: f64,
    /// True if a converter was over its range.
    pub overrange: bool,
    /// True if an input was over its voltage limit.
    pub overvoltage: bool,
    /// Number of points whose samples are not finite numbers. These points are left out.
    pub bad_points: usize,
}

impl CableDelayOutcome {
    /// Returns the warnings about this result, a sentence each; empty if there are none.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let status = self.delay.status;
        if !status.is_success() {
            warnings.push(format!("cable delay: {}", status.as_str()));
        } else if self.span_hz < NARROW_HZ {
            let span = self.span_hz / 1e6;
            warnings.push(format!(
                "cable delay: it was measured over only {span:.3} MHz, where a resonance can change \
                 the phase like a delay; the delay and the fits that use it may be wrong"
            ));
        }
        let flags = InputFlags {
            overrange: self.overrange,
            overvoltage: self.overvoltage,
        };
        warnings.extend(flags.warnings("while the cable delay was measured"));
        warnings.extend(bad_points_warning(self.bad_points, "the cable delay"));
        warnings
    }
}

/// Measures the delay of a line with notches, or in reflection, over the part of `band` that one
/// NCO setting reaches.
///
/// A comb is measured four times: once unshifted, and shifted by a small, a medium and a large
/// step. Together these measurements determine delays up to `max_delay_s` without ambiguity. The
/// module's earlier tones are cleared before the first comb is set; the tones of the last comb are
/// left on.
///
/// # Errors
/// If parameters are out of range, if the band is outside the module's limits or the reach of its
/// NCO, or if a comb exceeds full scale or a limit of the module. In these cases nothing is set on
/// the board. Also the errors of the board.
#[tworoutine::tworoutine(Send)]
pub async fn cable_delay(
    board: &BoardHandle,
    module: ModuleId,
    band: Band,
    params: &CableDelayParams,
) -> Result<CableDelayOutcome> {
    cable_delay_of(board, module, band, Geometry::Notch, params).await
}

/// As [`cable_delay()`], of a line with resonators of any geometry.
///
/// Between peaks, the samples are a leak and the wings of the peaks, whose signs change from one
/// side of a peak to the other. The delay then follows from the squares of the samples, which are
/// measured at shifts half as large.
#[tworoutine::tworoutine(Send)]
pub async fn cable_delay_of(
    board: &BoardHandle,
    module: ModuleId,
    band: Band,
    geometry: Geometry,
    params: &CableDelayParams,
) -> Result<CableDelayOutcome> {
    let mut session = Session::open(board, module, &()).await?;
    let nco_hz = session.nearest_nco(band.centre_hz());
    measure(&mut session, band, nco_hz, geometry, params).await
}

/// Estimates the delay from the squares of samples, whose delay is twice as long.
pub(crate) fn estimate_from_squares(f: &[f64], z: &[Complex64], max_delay_s: f64) -> Delay {
    let squares: Vec<Complex64> = z.iter().map(|z| z * z).collect();
    let twice = estimate_delay(f, &squares, 2.0 * max_delay_s);
    let span = f.iter().fold(f64::NEG_INFINITY, |most, f| most.max(*f))
        - f.iter().fold(f64::INFINITY, |least, f| least.min(*f));
    let error_rad = 0.5 * twice.sigma_s * std::f64::consts::TAU * span;
    let is_certain = error_rad > 0.0 && error_rad < UNCERTAIN_RAD;
    Delay {
        status: match twice.status {
            DelayStatus::Uncertain if is_certain => DelayStatus::Success,
            status => status,
        },
        tau_s: 0.5 * twice.tau_s,
        sigma_s: 0.5 * twice.sigma_s,
        phase_rad: 0.5 * twice.phase_rad,
        residual_rad: 0.5 * twice.residual_rad,
        residual_slope_rad: 0.5 * twice.residual_slope_rad,
        ..twice
    }
}

pub(crate) async fn measure(
    session: &mut Session<'_>,
    band: Band,
    nco_hz: f64,
    geometry: Geometry,
    params: &CableDelayParams,
) -> Result<CableDelayOutcome> {
    if let Some(why) = band.problem().or_else(|| params.problem()) {
        return Err(session.refuse(ErrorKind::InvalidArgument, OPERATION, why));
    }
    session.check_band(OPERATION, band)?;
    session.check_nco(OPERATION, nco_hz)?;
    let reach = session.reach(nco_hz).part(band.f_min_hz, band.f_max_hz);
    let span = COVERED * reach.span_hz();
    if span <= 0.0 {
        let why = format!("no frequency of the band is within reach of an NCO at {nco_hz} Hz");
        return Err(session.refuse(ErrorKind::InvalidArgument, OPERATION, why));
    }
    // Offset of the lowest tone from the NCO. Half of the part that is not covered is below the
    // tones, and half is above them.
    let from_hz = 0.5 * (reach.low_hz + reach.high_hz - span) - nco_hz;
    let tones = params.tones.min(session.channels());
    let spacing = span / tones as f64;
    // Distances by which the comb is shifted. The smallest one is so small that the phase changes
    // by less than pi over it, even with the largest delay. The phase of squares changes twice as
    // much.
    let turns = match geometry {
        Geometry::Peak => 0.2,
        Geometry::Notch | Geometry::Reflection => 0.4,
    };
    let least = (turns / params.max_delay_s).min(0.1 * spacing);
    let middle = (least * 0.25 * spacing).sqrt();
    let shifts = [0.0, least, middle.max(2.0 * least), 0.3 * spacing];
    let combs: Vec<Vec<Tone>> = shifts
        .iter()
        .map(|shift| {
            (0..tones)
                .map(|k| Tone {
                    offset_hz: session
                        .nearest_settable(from_hz + spacing * (k as f64 + 0.3) + shift),
                    amplitude: params.amplitude,
                    phase_rad: carrier_phase(k),
                    rotation_rad: 0.0,
                })
                .collect()
        })
        .collect();
    for comb in &combs {
        session.check(OPERATION, nco_hz, comb)?;
    }
    session.set_nco(nco_hz).await?;
    let nco_hz = session.nco.frequency.0;
    let (mut f, mut z) = (Vec::new(), Vec::new());
    let (mut flags, mut bad_points) = (InputFlags::default(), 0);
    for (done, comb) in combs.iter().enumerate() {
        let means = session
            .run(std::slice::from_ref(comb), params.samples)
            .await?;
        for step in means {
            flags.add(step.flags);
            bad_points += step.bad_points();
            for (tone, sample) in comb.iter().zip(step.z).filter(|(_, z)| z.is_finite()) {
                f.push(nco_hz + tone.offset_hz);
                z.push(sample);
            }
        }
        session.report(Stage::CableDelay, done + 1, combs.len());
    }
    let max_delay_s = params.max_delay_s;
    let delay = tworoutine::offload(move || match geometry {
        Geometry::Peak => estimate_from_squares(&f, &z, max_delay_s),
        Geometry::Notch | Geometry::Reflection => estimate_delay(&f, &z, max_delay_s),
    })
    .await;
    Ok(CableDelayOutcome {
        module: session.module,
        nco: session.nco.frequency,
        span_hz: span,
        delay,
        cable_length_m: delay.cable_length_m(),
        overrange: flags.overrange,
        overvoltage: flags.overvoltage,
        bad_points,
    })
}
