//! Tests of the handle of a board. It is used from any thread, under any runtime, and in a context
//! (a future in which a wait suspends the future instead of blocking the thread).

use std::cell::Cell;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;

use tworoutine::Wait;
use twotone::Array;
use twotone::hal::{Acquire, BoardHandle, Error, ErrorKind, ModuleId, Result};
use twotone::map::HardwareMap;
use twotone::run::{Runner, Target};
use twotone::sim::Farm;

use super::connect;

/// Measures the level of a channel.
async fn level(board: BoardHandle) -> Result<f64> {
    let acquire = Acquire::new(4).first_channels(1);
    let mean = board.samples().mean(ModuleId::FIRST, acquire).await?;
    Ok(mean.mean[0].norm())
}

fn handles(farm: &Farm) -> Vec<BoardHandle> {
    let targets = connect(farm).targets();
    targets.into_iter().map(|target| target.board).collect()
}

#[test]
fn one_handle_serves_every_thread_and_every_runtime() {
    let farm = Farm::builder().detectors(2).start_blocking().unwrap();
    let board = handles(&farm).remove(0);
    let fine = |what: &str, level: Result<f64>| {
        assert!(level.is_ok_and(f64::is_finite), "{what}");
    };

    fine("a plain thread", level(board.clone()).wait());
    let other = board.clone();
    let thread = std::thread::spawn(move || level(other).wait());
    fine("another thread", thread.join().unwrap());

    let many = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    fine(
        "a runtime of many threads",
        many.block_on(level(board.clone())),
    );
    let other = board.clone();
    let worker = many.spawn(async move { level(other).wait() });
    fine(
        "a wait on one of its workers",
        many.block_on(worker).unwrap(),
    );
    drop(many);

    // This runtime has no timers and no sockets.
    let single = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    fine(
        "a runtime of one thread",
        single.block_on(level(board.clone())),
    );
    drop(single);

    fine(
        "a context",
        tworoutine::block_on(async { level(board.clone()).wait() }),
    );
    fine("after all these runtimes are gone", level(board).wait());
}

/// Number of boards in addition to the one for which the test waits.
const OTHERS: usize = 200;

#[test]
fn a_wait_for_one_board_leaves_hundreds_of_others_going() {
    let farm = Farm::builder()
        .boards(1 + OTHERS)
        .detectors(1)
        .start_blocking()
        .unwrap();
    let mut boards = handles(&farm);
    assert_eq!(boards.len(), 1 + OTHERS);
    let waiting = boards.remove(0);
    // All futures run on one thread. If a wait blocked this thread, no other future would end.
    tworoutine::block_on(async {
        let done = Rc::new(Cell::new(0));
        let others: Vec<_> = boards
            .into_iter()
            .map(|board| {
                let done = Rc::clone(&done);
                tworoutine::spawn_local(async move {
                    for _ in 0..3 {
                        level(board.clone()).wait().unwrap();
                    }
                    done.set(done.get() + 1);
                })
            })
            .collect();
        let mut waits = 0;
        while done.get() < OTHERS {
            level(waiting.clone()).wait().unwrap();
            waits += 1;
            assert!(
                waits < 100_000,
                "{} of {OTHERS} came to their end",
                done.get()
            );
        }
        assert!(waits >= 3, "{waits}");
        for other in others {
            other.await.unwrap();
        }
    });
}

/// Tests that no two runs use a module at the same time. The second run fails, even over another
/// connection or by another name of the board's host.
#[test]
fn two_connections_cannot_run_one_module() {
    let farm = Farm::builder().detectors(2).start_blocking().unwrap();
    let address = farm.boards()[0].address();
    let port = relay(address);
    for names in [
        ["127.0.0.1", "127.0.0.1"],
        ["127.0.0.1", "localhost"],
        ["localhost", "127.0.0.1"],
        ["localhost", "LocalHost"],
    ] {
        let targets = names.map(|name| {
            let there = format!("{name}:{port}");
            let map = farm.map_toml().replace(&address.to_string(), &there);
            let map = HardwareMap::parse(&map, name).unwrap();
            let array = Array::connect(&map).wait();
            assert!(array.failed().is_empty(), "{names:?}: {:?}", array.failed());
            array.targets().remove(0)
        });
        check_excluded(targets, &names);
    }
}

/// Returns a port of 127.0.0.1 that leads to the board at `address`, so that `localhost` with this
/// port names the board too.
fn relay(address: SocketAddr) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(board)) = (client, TcpStream::connect(address)) else {
                continue;
            };
            let back = (board.try_clone().unwrap(), client.try_clone().unwrap());
            for (mut from, mut to) in [(client, board), back] {
                std::thread::spawn(move || {
                    let _ended = std::io::copy(&mut from, &mut to);
                    let _closed = to.shutdown(Shutdown::Write);
                });
            }
        }
    });
    port
}

/// Checks that a run over one of the targets cannot begin during a run over the other one.
fn check_excluded([one, other]: [Target; 2], names: &[&str]) {
    let run = |target: Target| {
        Runner::new().run(vec![target], |board, module| async move {
            board.nco().read(module).await
        })
    };
    let inner = other.clone();
    let outcomes = Runner::new()
        .run(vec![one], move |_, _| {
            let inner = run(inner.clone());
            async move {
                let result = inner.await.remove(0).result;
                Ok::<_, Error>(result.map_err(|error| error.kind()))
            }
        })
        .wait();
    let refused = outcomes[0].result.as_ref().unwrap();
    assert_eq!(refused.as_ref().err(), Some(&ErrorKind::Busy), "{names:?}");
    // The module is free again after the run.
    assert!(run(other).wait()[0].result.is_ok(), "{names:?}");
}
