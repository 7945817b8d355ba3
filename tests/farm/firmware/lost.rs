//! Datagrams of the console that are lost, or that come twice.

use twotone::sim::fault::{ConsoleDuplicate, ConsoleLoss, ConsoleSender, Scheduled};

use super::*;

/// Number of datagrams of the host and of the board, from the first one on, of which one is lost or
/// comes twice. A replacement with a small image has fewer.
const DATAGRAMS: [(ConsoleSender, u64); 2] =
    [(ConsoleSender::Host, 22), (ConsoleSender::Board, 50)];

/// One fault for each board.
fn faults() -> Vec<Scheduled> {
    let each = DATAGRAMS.into_iter().flat_map(|(sender, count)| {
        (0..count).flat_map(move |at| -> [Scheduled; 2] {
            [
                ConsoleLoss { sender, at }.into(),
                ConsoleDuplicate { sender, at }.into(),
            ]
        })
    });
    each.collect()
}

/// Runs work for all boards at the same time. Returns the results in the order of the boards.
async fn all<T: Send + 'static>(
    each: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let running: Vec<_> = each.map(tworoutine::spawn).collect();
    let mut results = Vec::new();
    for one in running {
        results.push(one.await.unwrap());
    }
    results
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_datagram_that_is_lost_or_comes_twice_does_not_end_a_replacement() {
    let faults = faults();
    let bench = Bench::with(faults.len(), Duration::from_secs(10)).await;
    let image = FirmwareImage {
        bytes: example_image("1.8.0", 2000).into(),
        ..image("1.8.0")
    };
    for (board, fault) in bench.farm.boards().iter().zip(&faults) {
        board.inject(fault.clone());
    }
    let flashes = bench.firmware.iter().cloned().map(|one| {
        let image = image.clone();
        async move { flash(&*one, &image).await }
    });
    let flashed = all(flashes).await;
    for (fault, flashed) in faults.iter().zip(flashed) {
        match flashed {
            Ok(()) => {}
            // The board has restarted, and only its confirmation was lost.
            Err(failed) => {
                let error = &failed.error;
                assert_eq!(error.operation(), Some("boot"), "{fault:?}: {failed}");
                assert_eq!(error.certainty(), Certainty::Unknown, "{fault:?}: {failed}");
                assert_eq!(failed.power_loss, PowerLoss::Harmless, "{fault:?}");
            }
        }
    }
    let boards = bench.farm.boards().iter().cloned();
    let releases = all(boards.map(|board| async move { release(&board).await })).await;
    for (fault, release) in faults.iter().zip(releases) {
        assert_eq!(release, "1.8.0", "{fault:?}");
    }
}
