//! True state of a tone, for reports that score a measurement.

use num_complex::Complex64;

use super::ModuleModel;
use crate::array::MAX_DRIVES;
use crate::kerr::{self, Drive};
use crate::truth::OperatingPoint;
use crate::units;
use crate::world;

impl ModuleModel {
    pub(super) fn operating_point(&self, channel: usize, sample: u64) -> Option<OperatingPoint> {
        let slot = self
            .slots
            .get(channel)
            .filter(|slot| slot.tone.amplitude != 0.0)?;
        let frequency_hz = self.absolute_hz(slot.tone.frequency_hz);
        let k = self.array.nearest(frequency_hz)?;
        let r = &self.array.resonators[k];
        let detector = &self.population.detectors()[r.detector as usize];
        let time_s = sample as f64 / units::sample_rate_hz(self.stage);
        let shift = r.steady_shift + self.moved_by_faults(k, time_s);

        let mut row = [Drive { u: 0.0, a: 0.0 }; MAX_DRIVES];
        let drives = self
            .array
            .drives(r, detector.a_per_mw, &self.sorted, &mut row);
        let detuning = r.detuning(frequency_hz);
        let here = kerr::settle(&drives, &r.width, shift, r.pull);
        // Transmission factor on the present branch, for small changes of the frequency and of the
        // loss.
        let factor = |moved: f64, lossier: f64| {
            let width = kerr::Width {
                internal: r.width.internal + lossier,
                ..r.width
            };
            let pull = kerr::settle(&drives, &width, shift + moved, here);
            r.factor(detuning, width.at(pull), pull - shift - moved)
        };
        let (near, far) = self.array.near(frequency_hz);
        let others: Complex64 = near
            .filter(|other| *other != k)
            .map(|other| self.array.resonators[other].fixed_factor(frequency_hz))
            .product();
        let amplitude = self.chain.counts_per_amplitude * slot.tone.amplitude;
        let phase = slot.tone.dac_phase_rad - slot.tone.adc_phase_rad;
        let line = self.line_transmission(frequency_hz) * Complex64::from_polar(amplitude, phase);
        // Detectors between two lines take their transmission away from that of the open line.
        let sign = if self.open.is_some() { -1.0 } else { 1.0 };
        let outside = sign * line * far * others;

        let step = 1e-4;
        let d_shift = (factor(step, 0.0) - factor(-step, 0.0)) / (2.0 * step);
        let d_width = (factor(0.0, step) - factor(0.0, -step)) / (2.0 * step);
        let width = r.width.at(here);
        let driving = slot.tone.amplitude * self.dac_response(frequency_hz);
        let own_mw = self.chain.full_scale_mw * driving * driving;
        Some(OperatingPoint {
            detector: detector.id,
            fr_hz: r.f0_hz + shift * r.linewidth_hz(),
            qr: r.q / width,
            qi: r.q / r.width.internal_at(here),
            a: detector.a_per_mw * own_mw / width.powi(3),
            y0: (detuning - shift) / width,
            y: (detuning - shift + here) / width,
            sample: line * self.open.unwrap_or_default() + outside * factor(0.0, 0.0),
            d_per_hz: outside * d_shift / r.linewidth_hz(),
            d_per_inv_qi: outside * d_width * r.q,
        })
    }

    /// Shift of resonator `k` by the jumps and drifts of the resonator and of its partner,
    /// linewidths.
    pub(super) fn moved_by_faults(&self, k: usize, time_s: f64) -> f64 {
        let detector =
            |k: usize| &self.population.detectors()[self.array.resonators[k].detector as usize];
        let moved = |k: usize| world::moved_by_faults(&self.conditions, detector(k).id, time_s);
        let mixing = detector(k).mixing;
        match self.array.resonators[k].partner.filter(|_| mixing > 0.0) {
            None => moved(k),
            Some((partner, scale)) => {
                (1.0 - mixing) * moved(k) + mixing * scale * moved(partner as usize)
            }
        }
    }
}
