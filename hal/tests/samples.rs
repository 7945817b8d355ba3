//! Tests of samples that are moved out of replies.

use futures::executor::block_on;
use twotone_hal::{
    Acquire, Batch, Board, BoardHandle, Complex64, ModuleId, Op, Replies, RepliesBuilder, Result,
    async_trait,
};

/// A board whose samples are 0, 1, 2 and so on in each batch.
struct Counting;

#[async_trait]
impl Board for Counting {
    fn name(&self) -> &str {
        "counting"
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        let mut replies = RepliesBuilder::new(batch);
        let mut next = 0;
        let mut count = |samples: usize| {
            let counted = (next..next + samples).map(|at| Complex64::new(at as f64, 0.0));
            next += samples;
            counted.collect::<Vec<_>>()
        };
        while let Some(op) = replies.next_op() {
            match op {
                Op::AcquireSamples { acquire, .. } => {
                    let channels = usize::from(acquire.count.unwrap_or(2));
                    let samples = count(channels * acquire.samples as usize);
                    replies.samples(channels, samples, true, false)?;
                }
                Op::AcquireMean { .. } => replies.mean(count(3), [0.0; 3], false, false)?,
                _ => replies.done()?,
            }
        }
        replies.finish()
    }
}

#[test]
fn samples_come_as_one_flat_buffer_by_value() {
    // With and without other samples before and after the ones that are taken.
    for (before, after) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut batch = Batch::new();
        if before {
            batch.acquire_mean(ModuleId::FIRST, Acquire::new(1));
        }
        let ticket = batch.acquire_samples(ModuleId::FIRST, Acquire::new(4).first_channels(2));
        if after {
            batch.acquire_samples(ModuleId::FIRST, Acquire::new(5).first_channels(1));
        }
        let replies = block_on(Counting.run(&batch)).unwrap();
        let expected: Vec<_> = [0, 1]
            .map(|index| replies.get(ticket).channel(index).to_vec())
            .into();
        let at = replies.get(ticket).channel(0).as_ptr();
        let streams = replies.into_samples(ticket);
        assert_eq!((streams.channels(), streams.samples()), (2, 4));
        assert_eq!(streams.iter().collect::<Vec<_>>(), expected);
        assert_eq!(streams.flat(), expected.concat());
        assert!(streams.overrange && !streams.overvoltage);
        let flat = streams.into_flat();
        assert_eq!(flat[0].re, if before { 3.0 } else { 0.0 });
        // Without samples before them, they are not copied.
        assert!(before || flat.as_ptr() == at, "they were copied");
    }
}

#[test]
fn the_view_takes_samples_by_value() {
    let board = BoardHandle::new(Counting);
    let samples = board.samples();
    let streams = block_on(samples.take(ModuleId::FIRST, Acquire::new(3))).unwrap();
    assert_eq!(streams.channel(1)[2].re, 5.0);
}

#[test]
#[should_panic(expected = "belongs to another batch")]
fn samples_of_another_batch_are_refused() {
    let (mut one, mut other) = (Batch::new(), Batch::new());
    one.acquire_mean(ModuleId::FIRST, Acquire::new(1));
    let ticket = other.acquire_samples(ModuleId::FIRST, Acquire::new(1).first_channels(1));
    block_on(Counting.run(&one)).unwrap().into_samples(ticket);
}
