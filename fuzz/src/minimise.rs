//! Search for a shorter input that fails for the same reason as a given one.

use crate::{Target, attempt};

/// Largest number of attempts to shorten one input.
const TRIES: usize = 2000;

/// Returns a shorter input on which `target` fails in the same way as on `input`: with the same
/// `at` of its [`Failure`](crate::Failure). Returns `input` itself if no shorter one is found or if
/// `target` does not fail.
pub fn minimise(target: &Target, input: &[u8]) -> Vec<u8> {
    let Err(failure) = attempt(target, input) else {
        return input.to_vec();
    };
    let mut tries = 0;
    let mut fails = |candidate: &[u8]| {
        tries += 1;
        tries <= TRIES && attempt(target, candidate).is_err_and(|other| other.at == failure.at)
    };
    let mut best = input.to_vec();
    let mut piece = best.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        let mut shorter = false;
        while at < best.len() {
            let mut candidate = best.clone();
            candidate.drain(at..(at + piece).min(best.len()));
            if fails(&candidate) {
                best = candidate;
                shorter = true;
            } else {
                at += piece;
            }
        }
        if piece == 1 && !shorter {
            break;
        }
        if !shorter || piece > best.len() {
            piece = (piece / 2).max(1);
        }
    }
    best
}
