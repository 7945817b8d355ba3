//! Sudden noise: particle hits that break Cooper pairs.

use crate::drift::Times;
use crate::hash::Key;

/// Hits on one detector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Hits {
    /// Hits per second. Values above 10,000 count as 10,000.
    pub(crate) rate_hz: f64,
    /// Mean height of the pulses, linewidths. Heights have an exponential distribution.
    pub(crate) height: f64,
    /// Decay time, s.
    pub(crate) decay_s: f64,
    /// Rise time, s. It stands for the filters of the readout, which smooth the step at the start
    /// of a pulse.
    pub(crate) rise_s: f64,
}

impl Hits {
    /// Adds the pulses of the hits to `out`. Time is divided into cells with at most one hit each.
    /// Hits are therefore fewer than `rate_hz` says, by up to 9.4 %.
    pub(crate) fn add(&self, key: Key, times: Times, out: &mut [f64]) {
        if !(self.rate_hz > 0.0 && self.decay_s > 0.0 && self.height != 0.0) || out.is_empty() {
            return;
        }
        let cell_s = (0.2 / self.rate_hz.min(1e4)).min(1.0);
        let chance = 1.0 - (-self.rate_hz.min(1e4) * cell_s).exp();
        let reach = 8.0 * self.decay_s;
        let first = ((times.at(0) - reach) / cell_s).floor() as i64;
        let last = (times.at(out.len() - 1) / cell_s).floor() as i64;
        for cell in first..=last {
            let key = key.child(cell as u64);
            if key.uniform(0) >= chance {
                continue;
            }
            let at = (cell as f64 + key.uniform(1)) * cell_s;
            let height = -self.height * (1.0 - key.uniform(2)).ln();
            for (k, value) in out.iter_mut().enumerate() {
                let since = times.at(k) - at;
                if since > 0.0 && since < reach {
                    *value += height
                        * (-since / self.decay_s).exp()
                        * (1.0 - (-since / self.rise_s.max(1e-9)).exp());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_come_at_their_rate() {
        let hits = Hits {
            rate_hz: 2.0,
            height: 1.0,
            decay_s: 1e-3,
            rise_s: 1e-5,
        };
        let mut x = vec![0.0; 400_000];
        let times = Times {
            first: 0,
            period_s: 1e-3,
            delay_s: 0.0,
        };
        hits.add(Key::new(1), times, &mut x);
        // Area of all pulses in 400 s: rate x height x decay time x duration.
        let area: f64 = x.iter().sum::<f64>() * 1e-3;
        assert!((area / 0.8 - 1.0).abs() < 0.25, "{area}");
        let mut part = vec![0.0; 100];
        hits.add(
            Key::new(1),
            Times {
                first: 5000,
                ..times
            },
            &mut part,
        );
        assert_eq!(part[..], x[5000..5100]);
    }
}
