//! Tests of each wrapper of a board on its own. A wrapper is a board around another board, and
//! checks, limits or records the operations.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use twotone_hal::{
    Acquire, Batch, Board, BoardHandle, Certainty, ErrorKind, Hertz, ModuleId, Safety, ToneFields,
};

use super::board::{Fake, Fault, OPERATION, channel, description, module, tone};
use crate::run::lease::Leased;
use crate::run::{Deadline, DryRun, Journal, Limits, Trace};

fn write() -> Batch {
    let mut batch = Batch::new();
    batch.set_tone(module(), tone(1, 1.0, 0.1));
    batch.read_nco(module());
    batch
}

#[tworoutine::test(start_paused = true)]
async fn a_deadline_ends_a_batch_and_says_what_is_not_known() {
    let fake = Fake::new("b");
    let board = BoardHandle::new(Deadline::new(fake.handle(), 3 * OPERATION));
    board.run(&write()).await.unwrap();
    fake.fail(0, Fault::Dead(Duration::from_secs(1)));
    let began = Instant::now();
    let error = board.run(&write()).await.unwrap_err();
    assert_eq!(began.elapsed(), 3 * OPERATION);
    assert_eq!(
        (error.kind(), error.certainty()),
        (ErrorKind::Timeout, Certainty::Unknown)
    );
    assert_eq!(
        error.to_string(),
        "board b: set 1 tones on module 1 and 1 more operations: timed out: no answer within \
         0.03 s (the board may or may not have done it)"
    );
}

/// Wrappers that execute, record or check operations refuse operations that they do not know. A
/// leased board, which may change only one module, refuses operations that change more than this
/// module.
#[tworoutine::test(start_paused = true)]
async fn an_operation_that_is_not_known_is_refused_before_anything_is_sent() {
    let other = ModuleId::new(2).unwrap();
    let modules = [Some(module()), Some(other), None];
    for safety in [Safety::Read, Safety::AbsoluteSet, Safety::Once] {
        for about in modules {
            let fake = Fake::new("b");
            let journal = Journal::blank(fake.handle(), module()).await.unwrap();
            let limits = Limits::new(journal.clone(), twotone_hal::ModuleLimits::default());
            let foreign = safety.writes() && about != Some(module());
            let lease = Leased::new(fake.handle(), module()).0;
            let dry_run = DryRun::new("b", &description(), BTreeMap::new());
            let boards: [(_, &dyn Board, _); 4] = [
                ("journal", &*journal, ErrorKind::Unsupported),
                ("limits", &limits, ErrorKind::Unsupported),
                ("dry run", &dry_run, ErrorKind::Unsupported),
                ("lease", &lease, ErrorKind::InvalidArgument),
            ];
            let before = fake.operations();
            for (name, board, kind) in boards {
                if name == "lease" && !foreign {
                    continue;
                }
                let mut batch = write();
                batch.unknown(about, safety);
                let error = board.run(&batch).await.unwrap_err();
                let when = format!("{name}: {safety:?} about {about:?}: {error}");
                assert_eq!(error.kind(), kind, "{when}");
                assert_eq!(error.executed(), Some(0), "{when}");
                assert_eq!(error.certainty(), Certainty::NotExecuted, "{when}");
                assert_eq!(error.operation(), Some("do something unknown"), "{when}");
                assert_eq!(fake.operations(), before, "{when}");
            }
        }
    }
}

#[tworoutine::test(start_paused = true)]
async fn a_dry_run_keeps_settings_and_counts_requests() {
    let dry_run = Arc::new(DryRun::new("b", &description(), BTreeMap::new()));
    let board = BoardHandle::from(dry_run.clone() as Arc<dyn Board>);
    let mut batch = Batch::new();
    batch.set_tone(module(), tone(2, 3.0, 0.1));
    batch.set_nco(module(), Hertz(1.2e9));
    let tones = batch.read_tones(module(), channel(1), 8, ToneFields::ALL);
    let nco = batch.read_nco(module());
    let mean = batch.acquire_mean(module(), Acquire::new(10));
    let replies = board.run(&batch).await.unwrap();
    let tones = replies.get(tones).iter();
    let on: Vec<_> = tones.filter(|tone| tone.is_on()).collect();
    assert_eq!(on.len(), 1);
    assert_eq!(
        (on[0].channel, on[0].offset),
        (channel(2), Some(Hertz(3e6)))
    );
    assert_eq!(replies.get(nco).frequency, Hertz(1.2e9));
    // The noise of a sample is one count. The sample of a tone that is on is far larger.
    let mean = replies.get(mean).mean;
    assert!(mean[0].norm() < 5.0 && mean[1].norm() > 1e4, "{mean:?}");

    let read = board.nco().read(ModuleId::new(2).unwrap()).await;
    assert_eq!(read.unwrap_err().kind(), ErrorKind::InvalidArgument);
    let traffic = dry_run.traffic(module());
    let counted = (traffic.requests, traffic.operations, traffic.tones_set);
    assert_eq!((counted, traffic.ncos_set), ((1, 5, 1), 1));
    // Seven samples are acquired while the filters settle.
    assert_eq!(traffic.samples, 17);
    assert!((traffic.acquiring_s.unwrap() - 17.0 / 600.0).abs() < 1e-12);
}

#[tworoutine::test(start_paused = true)]
async fn a_lease_covers_its_module_until_it_ends() {
    let fake = Fake::new("b");
    let (leased, end) = Leased::new(fake.handle(), module());
    let board = BoardHandle::new(leased);
    board.run(&write()).await.unwrap();
    let mut foreign = Batch::new();
    foreign.clear_tones(ModuleId::new(2).unwrap());
    let error = board.run(&foreign).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);

    let under_way = tworoutine::spawn({
        let board = board.clone();
        async move { board.run(&write()).await.map(drop) }
    });
    tokio::time::sleep(OPERATION / 2).await;
    end.end().await;
    let error = under_way.await.unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), error.certainty()),
        (ErrorKind::Cancelled, Certainty::Unknown)
    );
    let sent = fake.operations();
    let error = board.run(&write()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.certainty()),
        (ErrorKind::Cancelled, Certainty::NotExecuted)
    );
    assert!(fake.operations() <= sent + 1, "the refused batch was sent");
}

#[tworoutine::test(start_paused = true)]
async fn a_trace_changes_nothing() {
    let fake = Fake::new("b").with(2, Fault::Refuse);
    let board = BoardHandle::new(Trace::new(fake.handle()));
    board.run(&write()).await.unwrap();
    let error = board.run(&write()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert_eq!(board.name(), "b");
}
