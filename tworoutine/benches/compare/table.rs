//! Rows of the report of the benchmark, and the two forms in which it is printed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// One measurement of this crate, and the same measurement of a *peer*, which is another way to
/// wait.
#[derive(Default)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) value: Option<f64>,
    pub(crate) unit: &'static str,
    pub(crate) peer: Option<&'static str>,
    pub(crate) peer_value: Option<f64>,
    /// Largest allowed ratio of the measured value to that of the peer. Without a peer, the
    /// largest allowed value.
    pub(crate) limit: Option<f64>,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, unit: &'static str, value: Option<f64>) -> Self {
        Self {
            name: name.into(),
            unit,
            value,
            ..Self::default()
        }
    }

    pub(crate) fn peer(mut self, peer: &'static str, value: Option<f64>) -> Self {
        self.peer = Some(peer);
        self.peer_value = value;
        self
    }

    pub(crate) fn limit(mut self, limit: f64) -> Self {
        self.limit = Some(limit);
        self
    }

    fn ratio(&self) -> Option<f64> {
        match (self.value?, self.peer_value?) {
            (value, peer) if peer != 0.0 => Some(value / peer),
            (value, _) => (value == 0.0).then_some(1.0),
        }
    }

    fn pass(&self) -> Option<bool> {
        let limit = self.limit?;
        let measured = if self.peer.is_some() {
            self.ratio()
        } else {
            self.value
        };
        // A row that could not be measured counts as failed.
        Some(measured.is_some_and(|measured| measured <= limit))
    }
}

pub(crate) fn print_json(conditions: &Value, rows: &[Row]) {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "name": row.name,
                "value": row.value,
                "unit": row.unit,
                "peer": row.peer,
                "peer_value": row.peer_value,
                "ratio": row.ratio(),
                "limit": row.limit,
                "pass": row.pass(),
            })
        })
        .collect();
    println!(
        "{}",
        json!({ "bench": "tworoutine", "conditions": conditions, "rows": rows })
    );
}

pub(crate) fn print_table(conditions: &Value, rows: &[Row]) {
    if let Some(conditions) = conditions.as_object() {
        for (name, value) in conditions {
            println!("{name}: {value}");
        }
    }
    println!(
        "\n{:<52} {:>10} {:<6} {:<24} {:>10} {:>8} {:>7}",
        "what", "here", "unit", "peer", "there", "ratio", "limit"
    );
    let number = |value: Option<f64>| match value {
        None => "-".to_owned(),
        Some(value) if value.abs() >= 100.0 || value == 0.0 => format!("{value:.0}"),
        Some(value) => format!("{value:.3}"),
    };
    for row in rows {
        let verdict = match row.pass() {
            None => "",
            Some(true) => "pass",
            Some(false) => "MISS",
        };
        println!(
            "{:<52} {:>10} {:<6} {:<24} {:>10} {:>8} {:>7} {verdict}",
            row.name,
            number(row.value),
            row.unit,
            row.peer.unwrap_or_default(),
            number(row.peer_value),
            number(row.ratio()),
            number(row.limit),
        );
    }
}

/// Median of the times of several runs, in seconds.
pub(crate) fn median(runs: usize, mut run: impl FnMut() -> Duration) -> f64 {
    middle((0..runs).map(|_| run()).collect())
}

/// Median of `times`, in seconds.
pub(crate) fn middle(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

/// Time that some code takes.
pub(crate) fn timed<R>(code: impl FnOnce() -> R) -> Duration {
    let start = Instant::now();
    std::hint::black_box(code());
    start.elapsed()
}

/// Returns the mean time of one pass through a loop, in nanoseconds: the median of some runs of the
/// loop.
pub(crate) fn nanoseconds(mut body: impl FnMut(u32)) -> f64 {
    const PASSES: u32 = 100_000;
    body(PASSES);
    median(9, || timed(|| body(PASSES))) / f64::from(PASSES) * 1e9
}
