//! Limit of the process on open files, which is the first limit that a large farm of simulated
//! boards reaches.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::StartError;

/// Number of file descriptors that a board may need: its listener, the socket of its streams, a
/// connection for each module that a client uses, and some for another client.
const PER_BOARD: u64 = 12;

/// Number of file descriptors for the rest of the process: the runtime, logs, and a client in the
/// same process.
const RESERVE: u64 = 64;

/// Raises the soft limit to the number of descriptors that the boards need, but not above the hard
/// limit. If the system refuses, a warning is logged.
///
/// # Errors
/// [`StartError::Descriptors`] if the hard limit is below [`RESERVE`] and two descriptors for each
/// board.
pub(crate) fn raise_for(boards: usize) -> Result<(), StartError> {
    let limit = getrlimit(Resource::Nofile);
    let Some(grant) = grant(limit.current, limit.maximum, boards)? else {
        return Ok(());
    };
    let raised = Rlimit {
        current: Some(grant),
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, grant, "the limit of open files is not raised");
    }
    Ok(())
}

/// Returns the new soft limit, or `None` if the present one is enough. In the arguments, `None`
/// means that there is no limit. The error is that of [`raise_for`].
fn grant(soft: Option<u64>, hard: Option<u64>, boards: usize) -> Result<Option<u64>, StartError> {
    let wanted = RESERVE + PER_BOARD * boards as u64;
    let needed = RESERVE + 2 * boards as u64;
    if soft.is_none_or(|soft| soft >= wanted) {
        return Ok(None);
    }
    let grant = hard.map_or(wanted, |hard| hard.min(wanted));
    if grant < needed {
        return Err(StartError::Descriptors {
            needed,
            limit: grant,
        });
    }
    Ok(Some(grant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_it_is_allowed() {
        assert_eq!(grant(Some(1024), Some(524_288), 10).unwrap(), None);
        assert_eq!(grant(None, None, 60_000).unwrap(), None);
        assert_eq!(
            grant(Some(1024), Some(524_288), 256).unwrap(),
            Some(64 + 12 * 256)
        );
        assert_eq!(grant(Some(1024), None, 256).unwrap(), Some(64 + 12 * 256));
        assert_eq!(grant(Some(1024), Some(2000), 256).unwrap(), Some(2000));
    }

    #[test]
    fn a_farm_that_cannot_be_held_is_refused_with_the_remedy() {
        let error = grant(Some(256), Some(512), 256).unwrap_err();
        assert!(
            error.to_string().ends_with("raise it with `ulimit -n 576`"),
            "{error}"
        );
    }
}
