//! The property that keeps hardware safe, exhaustively: any one fault, at any one request, of any
//! algorithm.
//!
//! Two simulated boards run an algorithm in virtual time, over links in memory. One of them has a
//! fault at one request; each fault at each request is a case. In each case
//!
//! - the run ends by its deadline;
//! - the tones are as declared, or their channels are listed;
//! - the other board's result is to the byte what it is without the fault;
//! - `off` switches everything off when the fault is over, and a rerun gives what a run without the
//!   fault gives.
//!
//! `table.md` counts how the cases ended, for people to read. It is written anew with
//! `TWOTONE_WRITE_TABLE=1`.

mod algorithms;
mod case;
mod fault;
mod rig;
mod table;
mod tap;

use algorithms::{ALGORITHMS, Algorithm};
use case::{Case, Quiet};
use fault::FAULTS;

/// Runs the cases of one algorithm, and compares their ends with those of the table.
async fn check(name: &str) {
    let algorithm = ALGORITHMS.iter().find(|one| one.name == name);
    let algorithm = algorithm.expect("it is registered");
    let quiet = Quiet::run(algorithm).await;
    assert!(quiet.requests > 0, "{name} sends nothing");
    println!("{name}: {} requests", quiet.requests);
    let mut rows = Vec::new();
    for (number, (named, fault)) in FAULTS.into_iter().enumerate() {
        let mut ends = table::Ends::default();
        // A little further than the run without a fault: into what the fault adds to it.
        for at in (0..quiet.requests + 1).filter(|at| (at + number) % algorithm.stride == 0) {
            let case = Case {
                algorithm,
                named,
                fault,
                at,
            };
            ends.count(case.run(&quiet).await);
        }
        rows.push((named, ends));
    }
    table::compare(name, &rows);
}

/// Every algorithm that sets something is registered.
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
