//! Test that the tones of the boards are in a safe state at the end, with any one fault, at any one
//! request of any algorithm.
//!
//! Two simulated boards run an algorithm over links in memory, in virtual time, which jumps forward
//! whenever all tasks wait. One of the boards has a fault at one request. A run executes an
//! algorithm on the boards and cleans up after it. Each pair of a fault and a request is a case. In
//! each case
//!
//! - the run ends by its deadline;
//! - at the end, every channel has the tone that belongs to the run's result (after a failure, the
//!   tone of the safe state that the algorithm declares), or the run lists the channel;
//! - the other board's result is, to the byte, the same as without the fault;
//! - when the fault is over, `off` switches everything off, and a rerun gives the same result,
//!   except for noise, as a run without the fault.
//!
//! The table in `table.md` shows how each case ends. To write it anew, set
//! `TWOTONE_SAFETY=all TWOTONE_WRITE_TABLE=1`.

mod algorithms;
mod case;
mod fault;
mod message;
mod rig;
mod state;
mod table;
mod tap;

use std::time::Duration;

use algorithms::{ALGORITHMS, Algorithm};
use case::{At, Case, Quiet, Quiets};
use fault::{EACH, FAULTS, MOMENT_STRIDE, MOMENTS};
use rig::Format;

/// Runs the cases of one algorithm, and compares how they end with `table.md`.
async fn check(name: &str) {
    let algorithm = ALGORITHMS.iter().find(|one| one.name == name);
    let algorithm = algorithm.expect("it is registered");
    let quiets = Quiets::run(algorithm).await;
    let requests = quiets.cbor.requests;
    assert!(requests > 0, "{name} sends nothing");
    assert_eq!(requests, quiets.json.requests, "{name}: in each form");
    println!("{name}: {requests} requests");
    let mut rows = Vec::new();
    let stride = if table::is_whole() {
        1
    } else {
        algorithm.stride
    };
    for (number, &(named, fault)) in FAULTS.iter().enumerate() {
        let mut ends = table::Ends::default();
        for request in 0..requests {
            let at = At::Request(request);
            let case = Case {
                algorithm,
                named,
                fault,
                at,
            };
            let is_tried = (request + number).is_multiple_of(stride);
            ends.add(if is_tried {
                Some(case.run(&quiets).await)
            } else {
                None
            });
        }
        rows.push((named, ends));
    }
    rows.extend(check_moments(algorithm).await);
    table::compare(name, &rows);
}

/// Runs the cases in which something ends a run between its requests: while the run waits for
/// samples, for a new connection, for the end of a lost request, or to be polled.
async fn check_moments(algorithm: &'static Algorithm) -> Vec<(&'static str, table::Ends)> {
    let time = At::Moment(Duration::ZERO).time();
    let quiet = Quiet::run(algorithm, Format::Cbor, time).await;
    let (requests, took) = (quiet.requests, quiet.took);
    println!("{}: takes {took:?}", algorithm.name);
    let mut quiets = Quiets::run(algorithm).await;
    quiets.cbor = quiet;
    quiets.cbor.touched.clone_from(&quiets.json.touched);
    let mut rows = Vec::new();
    let stride = if table::is_whole() { 1 } else { MOMENT_STRIDE };
    for (number, &(named, fault, is_after_loss)) in (0..).zip(MOMENTS) {
        let mut ends = table::Ends::default();
        for moment in 0..EACH {
            if !(moment + number).is_multiple_of(stride) {
                ends.add(None);
                continue;
            }
            let share = f64::from(2 * moment + 1) / f64::from(2 * EACH);
            let at = if is_after_loss {
                // The lost request delays the run until the client gives the request up.
                let longer = took + Duration::from_secs(7);
                At::MomentAfterLoss(requests / 2, longer.mul_f64(share))
            } else {
                At::Moment(took.mul_f64(share))
            };
            let case = Case {
                algorithm,
                named,
                fault,
                at,
            };
            ends.add(Some(case.run(&quiets).await));
        }
        rows.push((named, ends));
    }
    rows
}

/// Tests that every public algorithm of the crate is in [`ALGORITHMS`].
#[test]
fn no_algorithm_is_forgotten() {
    let named = algorithms::of_the_crate();
    assert!(named.len() >= 5, "{named:?}");
    for name in named {
        let is_part = |one: &Algorithm| one.name == name || one.also.contains(&name.as_str());
        assert!(ALGORITHMS.iter().any(is_part), "{name} is not registered");
    }
}

macro_rules! each {
    ($($test:ident: $name:literal;)*) => {
        $(
            #[tworoutine::test(start_paused = true)]
            async fn $test() {
                check($name).await;
            }
        )*

        #[test]
        fn each_algorithm_has_its_cases() {
            let tested = [$($name),*];
            for algorithm in ALGORITHMS {
                assert!(tested.contains(&algorithm.name), "{}", algorithm.name);
            }
            table::compare_names(&tested);
        }
    };
}

each! {
    cable_delay: "cable_delay";
    network_analysis: "network_analysis";
    fine_sweep: "fine_sweep";
    place_tones: "place_tones";
    tune: "tune";
    tune_previous: "tune, previous";
    sweep: "sweep";
    off: "off";
}
