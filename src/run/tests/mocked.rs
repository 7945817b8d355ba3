//! Tests of the wrappers around a board, such as the one that enforces limits, when the board
//! returns an error. A mock of a board can return any error, even errors that no other board of the
//! tests returns. A *batch* is a list of operations, sent to a board as one request.

use std::time::Duration;

use twotone_hal::{
    Batch, Board, BoardHandle, Certainty, Error, ErrorKind, Means, MemoryBoard, MockBoard,
    ToneFields,
};

use super::board::{description, module, tone};
use crate::run::{CatchPanic, Deadline, Journal, Limits, ModuleLimits, Trace};

/// Returns a board that answers batches that only read. All other batches fail with the error that
/// `fail` returns.
fn failing(fail: impl Fn() -> Error + Send + Sync + 'static) -> BoardHandle {
    let memory = MemoryBoard::new("b1", description(), |_, _| Ok(Means::default()));
    let mut mock = MockBoard::new();
    mock.expect_name().return_const("b1".to_owned());
    mock.expect_run().returning(move |batch| {
        if batch.ops().iter().any(|op| op.safety().writes()) {
            return Err(fail());
        }
        memory.execute(batch)
    });
    BoardHandle::new(mock)
}

fn write() -> Batch {
    let mut batch = Batch::new();
    batch.set_tone(module(), tone(1, 1.0, 0.1));
    batch
}

#[tworoutine::test(start_paused = true)]
async fn an_error_comes_through_every_wrapper_as_it_was() {
    let errors = [
        (ErrorKind::Rejected, Certainty::NotExecuted, Some(0)),
        (ErrorKind::Rejected, Certainty::Executed, Some(0)),
        (ErrorKind::ConnectionLost, Certainty::Unknown, None),
        (ErrorKind::Protocol, Certainty::Executed, None),
        (ErrorKind::EpochChanged, Certainty::NotExecuted, Some(0)),
    ];
    for (kind, certainty, executed) in errors {
        let fail = move || {
            let error = Error::new(kind, "no such luck").certainty_is(certainty);
            let error = error.repeated(2).during("set it").on("b1");
            executed.into_iter().fold(error, Error::after)
        };
        let wrapped: [fn(BoardHandle) -> BoardHandle; 3] = [
            |board| BoardHandle::new(Deadline::new(board, Duration::from_secs(1))),
            |board| BoardHandle::new(Trace::new(board)),
            |board| BoardHandle::new(CatchPanic::new(board)),
        ];
        let mut boards: Vec<_> = wrapped.map(|wrap| wrap(failing(fail))).into();
        let journal = Journal::start(failing(fail), module(), ToneFields::ALL).await;
        let journal = journal.unwrap();
        boards.push(BoardHandle::new(Limits::new(
            journal,
            ModuleLimits::default(),
        )));
        for board in boards {
            let error = board.run(&write()).await.unwrap_err();
            assert_eq!(error.to_string(), fail().to_string());
            let parts = (
                error.kind(),
                error.certainty(),
                error.executed(),
                error.repeats(),
            );
            assert_eq!(parts, (kind, certainty, executed, 2));
        }
    }
}

/// The journal is the record of a module's settings. After an error, it records a setting as made,
/// as not made, or as unknown, depending on the error.
#[tworoutine::test(start_paused = true)]
async fn the_journal_believes_an_error_no_more_than_it_says() {
    use Certainty as C;
    use ErrorKind as K;
    // Kind and certainty of the error, number of operations that were executed, number of channels
    // that are on, and number of unknown channels.
    let cases: [(K, C, Option<usize>, usize, usize); 8] = [
        (K::Rejected, C::NotExecuted, Some(0), 0, 0),
        (K::Rejected, C::NotExecuted, None, 1, 1),
        (K::Limit, C::NotExecuted, None, 0, 0),
        (K::Unreachable, C::NotExecuted, None, 0, 0),
        (K::Rejected, C::Executed, Some(0), 1, 0),
        (K::Protocol, C::Executed, None, 1, 1),
        (K::ConnectionLost, C::Unknown, Some(0), 1, 1),
        (K::Timeout, C::Unknown, None, 1, 1),
    ];
    for (kind, certainty, executed, on, unknown) in cases {
        let fail = move || {
            let error = Error::new(kind, "no").certainty_is(certainty);
            executed.into_iter().fold(error, Error::after)
        };
        let journal = Journal::start(failing(fail), module(), ToneFields::ALL).await;
        let journal = journal.unwrap();
        journal.run(&write()).await.unwrap_err();
        let known = journal.snapshot();
        let found = (known.tones.len(), known.unknown.len());
        assert_eq!(found, (on, unknown), "{kind:?} {certainty:?} {executed:?}");
    }
}

/// If a board panics during a batch, the error says so, and that it is unknown if the batch was
/// executed.
#[tworoutine::test(start_paused = true)]
async fn a_panic_is_an_error_and_the_setting_unknown() {
    let board = failing(|| panic!("the client has a fault"));
    let board = BoardHandle::new(CatchPanic::new(board));
    let journal = Journal::start(board, module(), ToneFields::ALL)
        .await
        .unwrap();
    let error = journal.run(&write()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.certainty()),
        (ErrorKind::Panicked, Certainty::Unknown)
    );
    assert_eq!(journal.snapshot().unknown.len(), 1);
}
