//! Search among mutated inputs for one that fails.

use std::collections::HashSet;

use crate::{Corpus, Failure, Mutator, Random, Target, attempt, minimise};

/// Largest number of inputs in the pool, from which inputs are taken for mutation. A corpus (the
/// stored inputs) that is larger is taken as a whole.
const POOL: usize = 4096;

/// An input that fails.
#[derive(Debug, Clone)]
pub struct Found {
    /// The input, after [`minimise`].
    pub input: Vec<u8>,
    /// Failure of the target on the input before it was shortened.
    pub failure: Failure,
}

/// A search for an input on which a target fails. An outline is a short text about the result of a
/// target ([`Target::run`]). Inputs whose outline is new are mutated further.
#[derive(Debug)]
pub struct Search<'t> {
    target: &'t Target,
    random: Random,
    /// Inputs that are mutated: those of the corpus, and those whose outline was new.
    pool: Vec<Vec<u8>>,
    /// Number of inputs at the beginning of the pool that are from the corpus.
    given: usize,
    outlines: HashSet<String>,
}

impl<'t> Search<'t> {
    /// Makes a search that begins with `corpus`. All inputs are determined by `corpus` and `seed`.
    pub fn new(target: &'t Target, corpus: &Corpus, seed: u64) -> Self {
        Self {
            target,
            random: Random::new(seed),
            given: corpus.inputs.len(),
            pool: corpus
                .inputs
                .iter()
                .map(|input| input.bytes.clone())
                .collect(),
            outlines: HashSet::new(),
        }
    }

    /// Returns the next input.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mutator = Mutator {
            tokens: self.target.tokens,
        };
        let random = &mut self.random;
        // Half of the inputs are mutations of the corpus, however large the pool has become.
        let from = [self.given, self.pool.len()][random.below(2)];
        let (one, other) = (random.below(from), random.below(self.pool.len()));
        let bytes = |index| self.pool.get(index).map_or(&[][..], Vec::as_slice);
        mutator.mutate(random, bytes(one), bytes(other))
    }

    /// Runs the target on an input. If the target fails, returns the input after it was shortened.
    pub fn try_input(&mut self, input: Vec<u8>) -> Option<Found> {
        match attempt(self.target, &input) {
            Err(failure) => Some(Found {
                input: minimise(self.target, &input),
                failure,
            }),
            Ok(outline) => {
                if self.pool.len() < POOL && self.outlines.insert(outlined(&outline)) {
                    self.pool.push(input);
                }
                None
            }
        }
    }

    /// Returns the number of different outlines so far.
    pub fn outlines(&self) -> usize {
        self.outlines.len()
    }
}

/// Replaces numbers and quoted names in a text by placeholders, because they differ from input to
/// input.
fn outlined(text: &str) -> String {
    let mut out = String::new();
    let mut quote = None;
    for c in text.chars().take(400) {
        match quote {
            Some(end) if c == end => quote = None,
            Some(_) => {}
            None if "`'\"".contains(c) => {
                quote = Some(c);
                out.push('~');
            }
            None if c.is_ascii_digit() => {
                if !out.ends_with('#') {
                    out.push('#');
                }
            }
            None => out.push(c),
        }
    }
    out
}
