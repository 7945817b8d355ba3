//! Tests of batches and their replies, with a board that is defined in this file.

use std::time::Duration;

use futures::executor::block_on;
use twotone_hal::{
    Acquire, Batch, Board, BoardHandle, Certainty, ChannelId, Complex64, Error, ErrorKind, Hertz,
    ModuleId, NcoState, Op, PhaseEpoch, Replies, RepliesBuilder, Result, Safety, ToneFields,
    ToneState, ToneUpdate, async_trait,
};

/// A board that returns the number of each channel as its sample, and keeps no settings.
struct Echo;

#[async_trait]
impl Board for Echo {
    fn name(&self) -> &str {
        "echo"
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        batch.answer_each("echo", |op, replies| match op {
            Op::SetTones { .. } | Op::ClearTones { .. } => replies.done(),
            Op::SetNco { frequency, .. } => replies.nco(NcoState {
                frequency: *frequency,
                phase_epoch: PhaseEpoch(1),
            }),
            Op::ReadTones { first, count, .. } => {
                let channels = first.range(usize::from(*count));
                replies.tones(channels.map(|channel| ToneState {
                    channel,
                    offset: None,
                    amplitude: Some(0.0),
                    phase: None,
                    rotation: None,
                }))
            }
            Op::AcquireMean { acquire, .. } => {
                let channels = acquire.first.range(acquire.count.unwrap_or(4).into());
                let mean = channels.map(|channel| Complex64::new(channel.number().into(), 0.0));
                let scatter = mean.clone().map(|_| 0.5);
                replies.mean(mean, scatter, false, false)
            }
            // This operation gets no answer, as from a board that forgets it.
            Op::Wait { .. } => Ok(()),
            _ => {
                let message = "echo lacks the operation";
                Err(Error::new(ErrorKind::Unsupported, message))
            }
        })
    }
}

fn module() -> ModuleId {
    ModuleId::new(1).unwrap()
}

fn channel(number: u16) -> ChannelId {
    ChannelId::new(number).unwrap()
}

#[test]
fn one_batch_has_different_operations_and_each_ticket_finds_its_reply() {
    let board = BoardHandle::new(Echo);
    let mut batch = Batch::new();
    let nco = batch.set_nco(module(), Hertz(1.25e9));
    batch.set_tones(
        module(),
        (1..=3).map(|n| {
            ToneUpdate::new(channel(n))
                .offset(Hertz(1e6))
                .amplitude(0.01)
        }),
    );
    let first = batch.acquire_mean(module(), Acquire::new(10).first_channels(2));
    batch.set_tone(module(), ToneUpdate::new(channel(3)).amplitude(0.0));
    let second = batch.acquire_mean(module(), Acquire::new(10).channel(channel(3)));
    let tones = batch.read_tones(module(), channel(2), 2, ToneFields::AMPLITUDE);
    assert_eq!(batch.tone_updates().len(), 4);

    let replies = block_on(board.run(&batch)).unwrap();
    assert_eq!(replies.len(), batch.len());
    assert_eq!(replies.get(nco).frequency, Hertz(1.25e9));
    assert_eq!(
        replies.get(first).mean,
        [Complex64::new(1.0, 0.0), Complex64::new(2.0, 0.0)]
    );
    assert_eq!(replies.get(second).mean, [Complex64::new(3.0, 0.0)]);
    assert_eq!(replies.get(second).scatter, [0.5]);
    assert_eq!(replies.get(tones)[1].channel, channel(3));
    assert!(!replies.get(tones)[1].is_on());
}

#[test]
#[should_panic(expected = "belongs to another batch")]
fn a_ticket_of_another_batch_is_refused() {
    let mut one = Batch::new();
    one.set_nco(module(), Hertz(1e9));
    let mut other = Batch::new();
    other.clear_tones(module());
    let ticket = other.read_nco(module());
    let replies = block_on(Echo.run(&one)).unwrap();
    replies.get(ticket);
}

#[test]
fn answers_that_do_not_fit_are_protocol_errors() {
    let mut batch = Batch::new();
    batch.acquire_mean(module(), Acquire::new(10).first_channels(2));
    batch.acquire_samples(module(), Acquire::new(2).first_channels(1));
    let mut replies = RepliesBuilder::new(&batch);
    let zero = Complex64::new(0.0, 0.0);

    assert_eq!(replies.done().unwrap_err().kind(), ErrorKind::Protocol);
    let three = replies.mean([zero; 3], [0.0; 3], false, false).unwrap_err();
    assert_eq!(three.kind(), ErrorKind::Protocol);
    assert!(replies.mean([zero; 2], [0.0; 3], false, false).is_err());
    replies.mean([zero; 2], [0.0; 2], false, false).unwrap();
    assert!(replies.samples(1, [zero; 3], false, false).is_err());

    let unfinished = replies.finish().unwrap_err();
    assert_eq!(unfinished.executed(), Some(1));
    assert!(
        unfinished
            .to_string()
            .contains("acquire 2 samples on module 1"),
        "{unfinished}"
    );
}

#[test]
fn a_failed_batch_has_the_number_of_executed_operations() {
    let board = BoardHandle::new(Echo);
    let mut batch = Batch::new();
    batch.clear_tones(module());
    batch.read_clock();
    let error = block_on(board.run(&batch)).unwrap_err();
    assert_eq!(error.executed(), Some(1));
    assert_eq!(error.certainty(), Certainty::NotExecuted);
    assert_eq!(
        error.to_string(),
        "board echo: read the clock: not supported: echo lacks the operation"
    );
    batch.clear();
    batch.wait(module(), Duration::ZERO);
    let error = block_on(board.run(&batch)).unwrap_err();
    assert_eq!(
        (error.kind(), error.executed()),
        (ErrorKind::Protocol, Some(0))
    );
    assert_eq!(
        error.to_string(),
        "board echo: wait 0 s on module 1: protocol broken: the operation has no answer (the board \
         may or may not have done it)"
    );
}

#[test]
fn each_call_of_a_view_is_a_batch_of_one_operation() {
    let board = BoardHandle::new(Echo);
    block_on(async {
        board.tones().clear(module()).await.unwrap();
        let mean = board
            .samples()
            .mean(module(), Acquire::new(5))
            .await
            .unwrap();
        assert_eq!(mean.mean.len(), 4);
        let state = board.nco().set(module(), Hertz(1e9)).await.unwrap();
        assert_eq!(state.phase_epoch, PhaseEpoch(1));
        assert_eq!(
            board
                .tones()
                .read(module(), channel(1), 3)
                .await
                .unwrap()
                .len(),
            3
        );
    });
}

#[test]
fn only_settings_are_unsafe_to_repeat_out_of_order() {
    let mut batch = Batch::new();
    batch.set_nco(module(), Hertz(1e9));
    batch.set_tone(module(), ToneUpdate::new(channel(1)).amplitude(0.1));
    batch.clear_tones(module());
    batch.read_nco(module());
    batch.acquire_mean(module(), Acquire::new(1));
    let sets = batch
        .ops()
        .iter()
        .filter(|op| op.safety() == Safety::AbsoluteSet)
        .count();
    assert_eq!(sets, 3);
}

#[cfg(feature = "mock")]
#[test]
fn a_mock_fails_as_it_was_set_up() {
    let mut mock = twotone_hal::MockBoard::new();
    mock.expect_name().return_const("mock".to_owned());
    mock.expect_run()
        .returning(|_| Err(Error::new(ErrorKind::ConnectionLost, "cable pulled")));
    let board = BoardHandle::new(mock);
    let error = block_on(board.describe()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionLost);
}
