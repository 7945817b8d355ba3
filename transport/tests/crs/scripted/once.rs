//! Calls that the scripted board refuses or answers differently, once or sometimes.

use twotone_wire::tuber::{Fault, Value};

use super::State;

impl State {
    /// Refuses one call of `method`, after this many that it does not refuse.
    pub(crate) fn refuse_after(&mut self, method: &'static str, good: usize) {
        self.refused_after = Some((method, good));
    }

    /// Returns an error if the call is one of those to refuse.
    pub(super) fn refuse(&mut self, method: &str, module: u64) -> Result<(), Fault> {
        match &mut self.refused_after {
            Some((refused, 0)) if *refused == method => {
                self.refused_after = None;
                return Err(Fault::runtime("not now"));
            }
            Some((refused, good)) if *refused == method => *good -= 1,
            _ => {}
        }
        let found = self.refusals.iter_mut().find(|(refused, of, times)| {
            *refused == method && of.is_none_or(|of| of == module) && *times > 0
        });
        match found {
            Some((.., times)) => {
                *times -= 1;
                Err(Fault::runtime("not now"))
            }
            None => Ok(()),
        }
    }

    /// Returns the replacement for the answer to a request, or for the reading of a sensor.
    pub(super) fn said(&mut self, name: &str) -> Option<Value> {
        let first = self.first_answers.remove(name);
        first.or_else(|| self.answers.get(name).cloned())
    }
}
