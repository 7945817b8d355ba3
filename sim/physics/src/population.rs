//! Random draw of the detectors of a feedline.

use serde::{Deserialize, Serialize};

use crate::detector::Detector;
use crate::hash::Key;
use crate::profile::ProfileParams;
use crate::units;

/// A band of frequencies, Hz.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// Lower end.
    pub f_min_hz: f64,
    /// Upper end.
    pub f_max_hz: f64,
}

impl Band {
    /// Band with these ends, in either order.
    pub fn new(f_min_hz: f64, f_max_hz: f64) -> Self {
        Self {
            f_min_hz: f_min_hz.min(f_max_hz),
            f_max_hz: f_max_hz.max(f_min_hz),
        }
    }

    /// Middle of the band, Hz.
    pub fn centre_hz(&self) -> f64 {
        0.5 * (self.f_min_hz + self.f_max_hz)
    }

    /// Width of the band, Hz.
    pub fn span_hz(&self) -> f64 {
        self.f_max_hz - self.f_min_hz
    }
}

/// Detectors of one feedline, by ascending frequency.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Population {
    detectors: Vec<Detector>,
}

impl Population {
    /// Draws `n` detectors over a band. The result depends only on the arguments.
    ///
    /// The design frequencies are evenly spaced, with half a spacing at each end. The profile
    /// defines the scatter of the frequencies and of all other parameters. A band that is empty, is
    /// not finite or does not begin above 0 Hz has no detectors.
    pub fn draw(
        seed: u64,
        board: u32,
        module: u32,
        n: usize,
        band: Band,
        params: &ProfileParams,
    ) -> Self {
        let span = band.span_hz();
        if !(span.is_finite() && span > 0.0 && band.f_min_hz > 0.0) {
            return Self::default();
        }
        let root = Key::new(seed)
            .child(u64::from(board))
            .child(u64::from(module))
            .child(POPULATION);
        let spacing = span / n as f64;
        let mut detectors: Vec<Detector> = (0..n)
            .map(|k| {
                let even = band.f_min_hz + (k as f64 + 0.5) * spacing;
                draw_one(k as u32, even, spacing, root.child(k as u64), params)
            })
            .collect();
        detectors.sort_by(|a, b| a.fr_hz.total_cmp(&b.fr_hz));
        couple(&mut detectors, root.child(COUPLING), params);
        Self::from_detectors(detectors)
    }

    /// Creates a population from given detectors, for tests and for additions to a drawn
    /// population. Detectors that are not physical ([`Detector::is_physical`]) are left out.
    pub fn from_detectors(detectors: impl IntoIterator<Item = Detector>) -> Self {
        let mut detectors: Vec<_> = detectors
            .into_iter()
            .filter(Detector::is_physical)
            .collect();
        detectors.sort_by(|a, b| a.fr_hz.total_cmp(&b.fr_hz).then(a.id.cmp(&b.id)));
        Self { detectors }
    }

    /// Returns the population with only the first `most` detectors by frequency.
    pub(crate) fn truncated(mut self, most: usize) -> Self {
        self.detectors.truncate(most);
        self
    }

    /// Detectors by ascending frequency, including dead ones.
    pub fn detectors(&self) -> &[Detector] {
        &self.detectors
    }
}

// Numbers of the child keys (`Key::child`) of the seed.
const POPULATION: u64 = 1;
const COUPLING: u64 = u64::MAX;

fn draw_one(id: u32, even_hz: f64, spacing: f64, key: Key, params: &ProfileParams) -> Detector {
    let cut = params.scatter_cut.abs() * spacing;
    let lognormal = |counter, spread: f64| (spread * key.normal(counter)).exp();
    let reference_mw = units::dbm_to_mw(params.kerr_reference_dbm);
    let tls = if params.tls_max > 0.0 {
        let low = params.tls_min.max(1e-30).ln();
        (low + (params.tls_max.ln() - low) * key.uniform(6)).exp()
    } else {
        0.0
    };
    let sign = if key.uniform(9) < 0.5 { -1.0 } else { 1.0 };
    Detector {
        id,
        fr_hz: even_hz + (params.scatter * even_hz * key.normal(0)).clamp(-cut, cut),
        qc: params.qc_median * lognormal(1, params.qc_spread),
        qi: params.qi_median * lognormal(2, params.qi_spread),
        phi_rad: params.phi_max_rad * (2.0 * key.uniform(3) - 1.0),
        a_per_mw: params.kerr_a / reference_mw
            * units::dbm_to_mw(params.kerr_spread_db * key.normal(4)),
        tls,
        line_amplitude: params.line_amplitude * sign * (0.5 + 1.5 * key.uniform(7)),
        responsivity: 1.0 + 0.1 * key.normal(8).clamp(-3.0, 3.0),
        dead: key.uniform(5) < params.dead_fraction,
        partner: None,
        mixing: 0.0,
    }
}

/// Moves some neighbours close together and couples them. Two resonators with an uncoupled distance
/// `d` and a coupling `g` repel each other to a distance of `sqrt(d^2 + 4 g^2)`, and a shift of one
/// also shifts the other.
fn couple(detectors: &mut [Detector], key: Key, params: &ProfileParams) {
    let mut k = 0;
    while k + 1 < detectors.len() {
        let (lower, upper) = (&detectors[k], &detectors[k + 1]);
        let random = key.child(u64::from(lower.id));
        // The probability is halved, because a pair has two detectors.
        if random.uniform(0) >= 0.5 * params.coupled_fraction || lower.dead || upper.dead {
            k += 1;
            continue;
        }
        let linewidth = lower.linewidth_hz().max(upper.linewidth_hz());
        let bare = (2.0 + 6.0 * random.uniform(1)) * linewidth;
        let coupling = (0.5 + 1.5 * random.uniform(2)) * linewidth;
        let split = (bare * bare + 4.0 * coupling * coupling).sqrt();
        let mixing = 0.5 * (1.0 - bare / split);
        let middle = lower.fr_hz + 0.5 * bare;
        let ids = (lower.id, upper.id);
        for (d, fr_hz, partner) in [
            (k, middle - 0.5 * split, ids.1),
            (k + 1, middle + 0.5 * split, ids.0),
        ] {
            detectors[d].fr_hz = fr_hz;
            detectors[d].partner = Some(partner);
            detectors[d].mixing = mixing;
        }
        k += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::truth;

    const BAND: Band = Band {
        f_min_hz: 750e6,
        f_max_hz: 1250e6,
    };

    fn draw(seed: u64, n: usize, params: &ProfileParams) -> Vec<Detector> {
        Population::draw(seed, 0, 1, n, BAND, params).detectors
    }

    #[test]
    fn numbers_follow_the_profile() {
        let lab = ProfileParams {
            coupled_fraction: 0.0,
            ..ProfileParams::lab()
        };
        let all: Vec<Detector> = (0..10).flat_map(|seed| draw(seed, 1024, &lab)).collect();
        let n = all.len() as f64;
        let stats = |f: &dyn Fn(&Detector) -> f64| {
            let mean = all.iter().map(f).sum::<f64>() / n;
            let var = all.iter().map(|d| (f(d) - mean).powi(2)).sum::<f64>() / n;
            (mean, var.sqrt())
        };
        let (mean, sigma) = stats(&|d| d.qc.ln());
        assert!((mean - lab.qc_median.ln()).abs() < 0.015 && (sigma - 0.3).abs() < 0.01);
        let (mean, sigma) = stats(&|d| d.qi.ln());
        assert!((mean - lab.qi_median.ln()).abs() < 0.015 && (sigma - 0.3).abs() < 0.01);
        let (mean, sigma) = stats(&|d| d.phi_rad);
        assert!(mean.abs() < 0.015 && (sigma - 0.5 / 3f64.sqrt()).abs() < 0.01);
        let (_, sigma) = stats(&|d| units::mw_to_dbm(d.a_per_mw));
        assert!((sigma - 2.0).abs() < 0.1, "{sigma}");
        let (dead, _) = stats(&|d| f64::from(u8::from(d.dead)));
        assert!((dead - 0.03).abs() < 0.006, "{dead}");
        let spacing = BAND.span_hz() / 1024.0;
        let (_, sigma) =
            stats(&|d| (d.fr_hz - BAND.f_min_hz - (f64::from(d.id) + 0.5) * spacing) / d.fr_hz);
        assert!((sigma / lab.scatter - 1.0).abs() < 0.03, "{sigma}");
        assert!(all.iter().all(|d| (1e-18..=1e-17).contains(&d.tls)));
    }

    #[test]
    fn same_seed_same_bytes_and_no_other() {
        let lab = ProfileParams::lab();
        let one = draw(3, 256, &lab);
        assert_eq!(one, draw(3, 256, &lab));
        assert_ne!(one, draw(4, 256, &lab));
        assert_ne!(one, Population::draw(3, 1, 1, 256, BAND, &lab).detectors);
        assert_ne!(one, Population::draw(3, 0, 2, 256, BAND, &lab).detectors);
    }

    #[test]
    fn clean_detectors_stand_apart_and_lab_ones_collide() {
        let truth = |drawn: &[Detector]| truth::of(drawn, &ProfileParams::clean(), 0.0);
        let clean = truth(&draw(1, 256, &ProfileParams::clean()));
        let crowded = clean.iter().filter(|t| t.crowded || t.dead).count();
        assert_eq!(crowded, 0);
        let isolated = clean.iter().filter(|t| t.isolated).count();
        assert!(isolated > 230, "{isolated} of 256 isolated");
        let lab = truth(&draw(1, 1024, &ProfileParams::lab()));
        let collided = lab.iter().filter(|t| t.collided).count();
        assert!((20..300).contains(&collided), "{collided} of 1024 collided");
    }

    #[test]
    fn pairs_are_mutual_and_repel() {
        let params = ProfileParams {
            coupled_fraction: 0.2,
            ..ProfileParams::clean()
        };
        let all = draw(2, 1024, &params);
        let coupled: Vec<_> = all.iter().filter(|d| d.partner.is_some()).collect();
        assert!((140..270).contains(&coupled.len()), "{}", coupled.len());
        for d in coupled {
            let other = all
                .iter()
                .find(|o| Some(o.id) == d.partner)
                .expect("partner exists");
            assert_eq!(other.partner, Some(d.id));
            let apart = (other.fr_hz - d.fr_hz).abs() / d.linewidth_hz().max(other.linewidth_hz());
            assert!((2.0..10.0).contains(&apart), "{apart}");
            assert!(d.mixing > 0.0 && d.mixing < 0.5);
        }
    }

    #[test]
    fn bad_bands_and_detectors_give_none() {
        let clean = ProfileParams::clean();
        for band in [
            Band::new(1e9, 1e9),
            Band::new(f64::NAN, 1e9),
            Band::new(-1e9, 1e9),
        ] {
            assert!(
                Population::draw(0, 0, 1, 10, band, &clean)
                    .detectors
                    .is_empty()
            );
        }
        let bad = Detector::new(1, 1e9, -1.0, 1e5);
        assert!(Population::from_detectors([bad]).detectors.is_empty());
    }
}
