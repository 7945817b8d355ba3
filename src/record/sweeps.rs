//! The sweeps of one board, point by point, as a run records them. A *network analysis* is a sweep
//! over the whole band of a module.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use twotone_algorithms::Geometry;
use twotone_hal::{ChannelId, Complex64, Hertz, ModuleId};

use super::RecordError;

/// Kind of a sweep of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SweepKind {
    /// Network analysis over the whole band of a module.
    NetworkAnalysis,
    /// Fine sweep over one detector, upward in frequency.
    FineUp,
    /// Fine sweep over one detector, downward in frequency.
    FineDown,
}

impl SweepKind {
    /// Every kind, in the order of their codes in files.
    pub const ALL: [Self; 3] = [Self::NetworkAnalysis, Self::FineUp, Self::FineDown];

    /// The name in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NetworkAnalysis => "network_analysis",
            Self::FineUp => "fine_up",
            Self::FineDown => "fine_down",
        }
    }
}

/// Properties that the points of one sweep have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SweepHead {
    /// The module.
    pub module: ModuleId,
    /// The channel whose tone was swept. `None` for a network analysis, because its points may
    /// have been measured with different channels.
    pub channel: Option<ChannelId>,
    /// Kind of the sweep.
    pub kind: SweepKind,
    /// Frequency of the NCO (the oscillator to which the tones of a module are relative) during
    /// the sweep, or NaN if it is not known.
    pub nco: Hertz,
}

/// One point of a sweep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SweepPoint {
    /// Sweep to which the point belongs.
    pub head: SweepHead,
    /// Absolute frequency to which the tone was actually set. The board may round the requested
    /// frequency.
    pub frequency: Hertz,
    /// Mean sample, in readout counts.
    pub mean: Complex64,
    /// Error of the mean sample, in readout counts: `sqrt(<|n|^2>)`, where `n` is the complex
    /// noise of the mean sample. `None` if it is not known.
    pub noise: Option<f64>,
}

/// Key of the metadata that states the form of the samples.
const SAMPLES: &str = "samples";
/// Form of the samples.
const AS_MEASURED: &str = "as measured: without the phase of each tone's carrier, with the delay of \
                           the line";
/// Key of the metadata with the delay of the line of each module.
const TAU_S: &str = "tau_s";
/// Key of the metadata with the geometry of each module.
const GEOMETRY: &str = "geometry";

/// Line of a module during its sweeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SweptLine {
    /// The module.
    pub module: ModuleId,
    /// Delay of the line, in seconds, if it is known. The samples contain it.
    pub tau_s: Option<f64>,
    /// Connection of the detectors to the line, if it is known.
    pub geometry: Option<Geometry>,
}

/// The sweeps of one board, as a table with one row for each point, in the order in which the
/// points were added.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SweepTable {
    /// Origin of the sweeps, as names and values. See
    /// [`Manifest::provenance`](super::Manifest::provenance).
    pub provenance: BTreeMap<String, String>,
    points: Vec<SweepPoint>,
}

impl SweepTable {
    /// Makes an empty table of sweeps with this origin.
    pub fn new(provenance: BTreeMap<String, String>) -> Self {
        Self {
            provenance,
            points: Vec::new(),
        }
    }

    /// Records the lines of modules in the metadata.
    pub fn set_lines(&mut self, lines: &[SweptLine]) {
        let mut add = |key: &str, value: fn(&SweptLine) -> Option<Value>| {
            let known = lines.iter();
            let known = known.filter_map(|line| Some((line.module.to_string(), value(line)?)));
            let known: Map<String, Value> = known.collect();
            if !known.is_empty() {
                let text = Value::Object(known).to_string();
                self.provenance.insert(key.to_owned(), text);
            }
        };
        add(TAU_S, |line| {
            line.tau_s
                .filter(|tau_s| tau_s.is_finite())
                .map(Value::from)
        });
        add(GEOMETRY, |line| Some(line.geometry?.as_str().into()));
        self.provenance
            .insert(SAMPLES.to_owned(), AS_MEASURED.to_owned());
    }

    /// Returns the line of a module, as far as the metadata has it.
    pub fn line(&self, module: ModuleId) -> SweptLine {
        let value = |key: &str| {
            let text = self.provenance.get(key)?;
            let all: Map<String, Value> = serde_json::from_str(text).ok()?;
            all.get(&module.to_string()).cloned()
        };
        SweptLine {
            module,
            tau_s: value(TAU_S).and_then(|tau_s| tau_s.as_f64()),
            geometry: value(GEOMETRY).and_then(|name| serde_json::from_value(name).ok()),
        }
    }

    /// Adds one point.
    pub fn push(&mut self, point: SweepPoint) {
        self.points.push(point);
    }

    /// Adds the points of a sweep. `frequency_hz` has the absolute frequency of each point, in
    /// hertz. `mean` has the mean sample at each point, in readout counts. `noise` is the error of
    /// every mean sample, in readout counts; see [`SweepPoint::noise`].
    ///
    /// # Errors
    /// [`RecordError::Format`] if `frequency_hz` and `mean` have different lengths. No point is
    /// added then.
    pub fn push_sweep(
        &mut self,
        head: SweepHead,
        frequency_hz: &[f64],
        mean: &[Complex64],
        noise: Option<f64>,
    ) -> Result<(), RecordError> {
        let points = frequency_hz.len();
        if mean.len() != points {
            let file = format!("the sweep of module {}", head.module);
            let what = format!(
                "{points} frequencies and {} samples do not match",
                mean.len(),
            );
            return Err(RecordError::format("record", &file)(what));
        }
        let rows = frequency_hz.iter().zip(mean);
        self.points.extend(rows.map(|(&f_hz, &mean)| SweepPoint {
            head,
            frequency: Hertz(f_hz),
            mean,
            noise,
        }));
        Ok(())
    }

    /// The points, in order.
    pub fn points(&self) -> &[SweepPoint] {
        &self.points
    }
}
