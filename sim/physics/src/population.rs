//! How an array of detectors is drawn.

use serde::{Deserialize, Serialize};

use crate::detector::Detector;
use crate::hash::Key;
use crate::profile::ProfileParams;
use crate::truth::TruthDetector;
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
    /// A band from its ends, in either order.
    pub fn new(f_min_hz: f64, f_max_hz: f64) -> Self {
        Band {
            f_min_hz: f_min_hz.min(f_max_hz),
            f_max_hz: f_max_hz.max(f_min_hz),
        }
    }

    /// Its middle, Hz.
    pub fn centre_hz(&self) -> f64 {
        0.5 * (self.f_min_hz + self.f_max_hz)
    }

    /// Its width, Hz.
    pub fn span_hz(&self) -> f64 {
        self.f_max_hz - self.f_min_hz
    }
}

/// The detectors of one feedline, by rising frequency.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Population {
    detectors: Vec<Detector>,
}

impl Population {
    /// Draws `n` detectors over a band: a pure function of its arguments.
    ///
    /// They lie on an even schedule with half a spacing left at each end, scattered as the profile
    /// says, in frequency and in their numbers. A band that is empty or not finite gives none.
    pub fn draw(
        seed: u64,
        board: u32,
        module: u32,
        n: usize,
        band: Band,
        params: &ProfileParams,
    ) -> Self {
        let _ = (seed, board, module, n, band, params);
        Population::default()
    }

    /// A population of just these detectors, for tests and for adding to a drawn one. What is not
    /// physical ([`Detector::is_physical`]) is left out.
    pub fn from_detectors(detectors: impl IntoIterator<Item = Detector>) -> Self {
        let mut detectors: Vec<_> = detectors
            .into_iter()
            .filter(Detector::is_physical)
            .collect();
        detectors.sort_by(|a, b| a.fr_hz.total_cmp(&b.fr_hz).then(a.id.cmp(&b.id)));
        Population { detectors }
    }

    /// The detectors, by rising frequency, dead ones among them.
    pub fn detectors(&self) -> &[Detector] {
        &self.detectors
    }

    /// What a truth file says of each, in the same order.
    pub fn truth(&self) -> Vec<TruthDetector> {
        crate::truth::of(&self.detectors)
    }
}

#[allow(dead_code)]
fn skeleton(_: Key) -> f64 {
    units::TICK_RATE_HZ
}
