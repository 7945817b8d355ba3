//! Test of every target on every input of its corpus, and on some hundred mutated ones.

use std::collections::BTreeSet;

use twotone_fuzz::{Corpus, Search, TARGETS, attempt};

/// Number of mutated inputs of each target.
const CHANGED: usize = 300;

/// Largest size of all inputs of the repository together, in bytes.
const LARGEST: usize = 300_000;

#[test]
fn every_input_is_read_as_its_target_says() {
    let mut failures = Vec::new();
    for target in &TARGETS {
        let corpus = Corpus::read(target).unwrap();
        assert!(!corpus.inputs.is_empty(), "{} has no inputs", target.name);
        for input in &corpus.inputs {
            if let Err(failure) = attempt(target, &input.bytes) {
                failures.push(format!("{}: {failure}", input.path.display()));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn changed_inputs_are_read_too() {
    let seed = 20_261_129;
    let mut failures = Vec::new();
    for target in &TARGETS {
        let corpus = Corpus::read(target).unwrap();
        let mut search = Search::new(target, &corpus, seed);
        for count in 0..CHANGED {
            let input = search.next_input();
            if let Some(found) = search.try_input(input) {
                failures.push(format!(
                    "{}, seed {seed}, input {count}: {} on {:?}",
                    target.name,
                    found.failure,
                    String::from_utf8_lossy(&found.input)
                ));
                break;
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_corpora_are_small_and_each_has_a_target() {
    let folder = Corpus::folder(&TARGETS[0]);
    let folders = std::fs::read_dir(folder.parent().unwrap()).unwrap();
    let found: BTreeSet<_> = folders
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let known: BTreeSet<_> = TARGETS
        .iter()
        .map(|target| target.name.to_owned())
        .collect();
    assert_eq!(found, known);
    let own = TARGETS.iter().map(|target| {
        let inputs = Corpus::read(target).unwrap().inputs.into_iter();
        let own = inputs.filter(|input| input.path.starts_with(Corpus::folder(target)));
        own.map(|input| input.bytes.len()).sum::<usize>()
    });
    let total: usize = own.sum();
    assert!(total <= LARGEST, "{total} bytes of corpora");
}
