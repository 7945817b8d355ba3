//! Conversion of samples to the shift of a resonance and the change of its loss.
//!
//! A *tune* is the run that has set a tone on each resonance. It has measured the resonance circle,
//! from which the calibration follows.

use twotone_algorithms::calibration::Calibration;
use twotone_hal::{ChannelId, Complex64};

use crate::record::{SampleColumns, SampleRows};

/// Returns the calibration for samples that have all changed by the complex factor `change` since
/// the tune.
pub(super) fn changed_by(change: Complex64, calibration: Calibration) -> Calibration {
    Calibration {
        d: calibration.d * change,
        z0: calibration.z0 * change,
        line: calibration.line * change,
        ..calibration
    }
}

/// Calibrator of the rows of one module. A row has one sample of each channel.
///
/// The calibrator inverts the resonance circle, so the result is also valid for shifts of a large
/// fraction of a linewidth. Shifts and losses are relative to the state at the tune.
#[derive(Debug)]
pub(super) struct Calibrator {
    channels: usize,
    steps_per_count: f64,
    tones: Vec<Tone>,
}

#[derive(Debug)]
struct Tone {
    /// Index of the tone among the channels of a row.
    at: usize,
    calibration: Calibration,
    shift0_hz: f64,
    loss0: f64,
}

impl Tone {
    fn new(at: usize, calibration: Calibration) -> Option<Self> {
        let mut tone = Self {
            at,
            calibration,
            shift0_hz: 0.0,
            loss0: 0.0,
        };
        (tone.shift0_hz, tone.loss0) = tone.of(calibration.z0)?;
        Some(tone)
    }

    /// Returns the shift in Hz and the change of the loss, both relative to the tune.
    fn of(&self, z: Complex64) -> Option<(f64, f64)> {
        let shift_hz = self.calibration.shift_hz(z)?;
        // Let Qr be the quality factor at the tune, Qr' the present one, x the fractional detuning,
        // and y the detuning that the calibration returns. Then 1 + 2 i y is Qr (1/Qr' + 2 i x), so
        // a change of the loss changes the imaginary part of y.
        let loss = -2.0 * self.calibration.detuning(z)?.im / self.calibration.qr;
        let shift_hz = shift_hz - self.shift0_hz;
        let loss = loss - self.loss0;
        (shift_hz.is_finite() && loss.is_finite()).then_some((shift_hz, loss))
    }
}

impl Calibrator {
    /// Makes the calibrator of the rows of a file that has these columns.
    pub(super) fn new(columns: &SampleColumns) -> Self {
        let tone = |(channel, calibration): &(ChannelId, Calibration)| {
            let at = columns.channels.binary_search(channel).ok()?;
            Tone::new(at, *calibration)
        };
        Self {
            channels: columns.channels.len(),
            steps_per_count: columns.steps_per_count,
            tones: columns.calibrated.iter().filter_map(tone).collect(),
        }
    }

    /// True if the channel of a calibration is among `channels` and the calibration can be used.
    pub(super) fn can_use(channels: &[ChannelId], one: &(ChannelId, Calibration)) -> bool {
        channels.binary_search(&one.0).is_ok() && Tone::new(0, one.1).is_some()
    }

    /// Fills in the calibrated columns, with NaN for samples that cannot be calibrated.
    pub(super) fn calibrate(&self, rows: &mut SampleRows) {
        if self.tones.is_empty() {
            return;
        }
        let values = rows.len() * self.tones.len();
        rows.df_hz.reserve(values);
        rows.dqi_inv.reserve(values);
        let i = rows.i.chunks_exact(self.channels.max(1));
        for (i, q) in i.zip(rows.q.chunks_exact(self.channels.max(1))) {
            for tone in &self.tones {
                let z = Complex64::new(f64::from(i[tone.at]), f64::from(q[tone.at]));
                let found = tone.of(z / self.steps_per_count);
                let (shift_hz, loss) = found.unwrap_or((f64::NAN, f64::NAN));
                rows.df_hz.push(shift_hz as f32);
                rows.dqi_inv.push(loss as f32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use twotone_algorithms::resonator::{Direction, Resonator};

    use super::*;

    /// A resonator in its textbook form, `1 - (Qr/Qc) e^(i phi)/cos(phi) / (1 + 2 i Qr x)`.
    fn sample(fr_hz: f64, qi: f64, tone_hz: f64) -> Complex64 {
        let (qc, phi) = (2e4, 0.3_f64);
        let qr = 1.0 / (1.0 / qc + 1.0 / qi);
        let x = (tone_hz - fr_hz) / fr_hz;
        let coupling = Complex64::from_polar(qr / qc / phi.cos(), phi);
        Complex64::from_polar(3e4, 0.7) * (1.0 - coupling / Complex64::new(1.0, 2.0 * qr * x))
    }

    #[test]
    fn shifts_and_losses_are_those_of_the_resonator() {
        let (fr_hz, qi, tone_hz) = (1.2e9, 1e5, 1.2e9 + 2e3);
        let qr = 1.0 / (1.0 / 2e4 + 1.0 / qi);
        let resonator = Resonator {
            f_ref_hz: fr_hz,
            gain: Complex64::from_polar(3e4, 0.7),
            slope_per_hz: 0.0,
            tau_s: 0.0,
            fr_hz,
            qr,
            coupling: Complex64::from_polar(qr / 2e4 / 0.3_f64.cos(), 0.3),
            off: 1.0.into(),
            geometry: twotone_algorithms::Geometry::Notch,
            a: 0.0,
        };
        let z0 = sample(fr_hz, qi, tone_hz);
        assert!((z0 - resonator.transmission(tone_hz, Direction::Up)).norm() < 1e-6);
        let calibration = Calibration::at(&resonator, tone_hz).unwrap();
        // The gain and the phase of the readout have changed since the calibration.
        let change = Complex64::from_polar(0.89, 0.1);
        let calibration = changed_by(change, calibration);
        let channels: Vec<_> = (1..=3).map(|n| ChannelId::new(n).unwrap()).collect();
        let columns = SampleColumns {
            calibrated: vec![(channels[1], calibration)],
            channels,
            reference: Some(change),
            ..SampleColumns::default()
        };
        let lw = fr_hz / qr;
        for (shift_hz, loss) in [(0.0, 0.0), (0.01 * lw, 0.0), (-0.3 * lw, 0.0), (0.0, 2e-7)] {
            let z = sample(fr_hz + shift_hz, 1.0 / (1.0 / qi + loss), tone_hz) * change * 256.0;
            let mut rows = SampleRows {
                sequence: vec![0],
                i: vec![0, z.re.round() as i32, 0],
                q: vec![0, z.im.round() as i32, 0],
                ..SampleRows::default()
            };
            Calibrator::new(&columns).calibrate(&mut rows);
            let (found, found_loss) = (f64::from(rows.df_hz[0]), f64::from(rows.dqi_inv[0]));
            assert!(
                (found - shift_hz).abs() < 1e-4 * lw,
                "{found} for {shift_hz}"
            );
            assert!((found_loss - loss).abs() < 1e-9, "{found_loss} for {loss}");
        }
    }
}
