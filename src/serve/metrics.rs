//! Metrics of the daemon about its boards and its jobs, in the text format of Prometheus.

use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::prometheus_text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::api::State;
use super::boards::BoardReport;
use super::jobs::Jobs;
use crate::release::{COMMIT, VERSION};

/// Content type of the text.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfBoard {
    board: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfModule {
    board: String,
    module: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCommand {
    command: String,
    status: u8,
}

type Seconds = Gauge<f64, AtomicU64>;

/// Returns the current metrics.
///
/// # Errors
/// If the metrics cannot be encoded.
pub(crate) fn text(
    boards: &[BoardReport],
    jobs: &Jobs,
    requests: u64,
) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("twotone");
    let commit = COMMIT.unwrap_or("unknown").to_owned();
    let build = Info::new([
        ("version".to_owned(), VERSION.to_owned()),
        ("commit".to_owned(), commit),
    ]);
    registry.register("build", "Version of the program", build);
    add_boards(&mut registry, boards);
    let in_state = Family::<InState, Gauge>::default();
    for state in [State::Queued, State::Running] {
        let count = i64::try_from(jobs.count(state)).unwrap_or(i64::MAX);
        let state = state.as_str();
        in_state.get_or_create(&InState { state }).set(count);
    }
    registry.register("jobs", "Jobs that are not over", in_state);
    let ended = Family::<OfCommand, Counter>::default();
    for ((command, status), count) in jobs.ended() {
        ended
            .get_or_create(&OfCommand { command, status })
            .inc_by(count);
    }
    registry.register("jobs_ended", "Jobs that ended since the start", ended);
    let counter = Counter::<u64>::default();
    counter.inc_by(requests);
    registry.register("requests", "Requests since the start", counter);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

fn add_boards(registry: &mut Registry, boards: &[BoardReport]) {
    let connected = Family::<OfBoard, Gauge>::default();
    let locked = Family::<OfBoard, Gauge>::default();
    let connects = Family::<OfBoard, Counter>::default();
    let round_trips = Family::<OfBoard, Seconds>::default();
    let tones_on = Family::<OfModule, Gauge>::default();
    for report in boards {
        let board = OfBoard {
            board: report.name.clone(),
        };
        connected
            .get_or_create(&board)
            .set(i64::from(report.connected));
        locked.get_or_create(&board).set(i64::from(report.locked));
        connects.get_or_create(&board).inc_by(report.connects);
        if let Some(seconds) = report.round_trip_s {
            round_trips.get_or_create(&board).set(seconds);
        }
        for module in &report.modules {
            let labels = OfModule {
                board: report.name.clone(),
                module: module.module.number(),
            };
            if let Some(on) = module.tones_on {
                let on = i64::try_from(on).unwrap_or(i64::MAX);
                tones_on.get_or_create(&labels).set(on);
            }
        }
    }
    registry.register(
        "board_connected",
        "1 if the board has answered its last question",
        connected,
    );
    registry.register(
        "board_locked",
        "1 if the daemon has the lock of the board",
        locked,
    );
    registry.register(
        "board_connects",
        "Times that the board was connected",
        connects,
    );
    registry.register_with_unit(
        "board_round_trip",
        "Time of the last answer of the board",
        Unit::Seconds,
        round_trips,
    );
    registry.register(
        "module_tones_on",
        "Tones that were on when the module was read back last: when it was connected, or after a \
         job",
        tones_on,
    );
}
