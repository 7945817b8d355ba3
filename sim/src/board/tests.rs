//! A second kind of boards, only for these tests: boards with numbered registers, which lines of
//! text over TCP read and write. This file stands for the folder that other kinds have. The list of
//! kinds has a line for this kind.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, split};
use twotone_physics::{Conditions, ModuleModel, TruthDetector};

use super::*;
use crate::fault::{ErrorOnCall, Refuse};
use crate::{Farm, StartError};

pub(super) static KIND: Kind = Kind {
    name: "registers",
    modules: 2,
    populated: 2,
    channels: 3,
    methods: &["read", "write"],
    streams: &[],
    destination: Destination {
        group: std::net::Ipv4Addr::new(239, 192, 0, 9),
        port: 1,
    },
    create: |board, origins| {
        Arc::new(Registers {
            board,
            origins,
            values: Mutex::default(),
        })
    },
    announced: |_| None,
};

#[derive(Debug)]
struct Registers {
    board: Board,
    origins: Vec<Origin>,
    values: Mutex<[u32; 8]>,
}

impl Registers {
    /// Answers `read INDEX` or `write INDEX VALUE`.
    fn answer(&self, line: &str) -> String {
        let words: Vec<_> = line.split(' ').collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<u32>().ok());
        let Some(slot) = KIND.methods.iter().position(|name| *name == words[0]) else {
            return String::from("unknown");
        };
        self.board.tally().call(slot);
        self.board.tally().request(line.len(), 0);
        let (_, fate) = self.board.on_call(words[0]);
        if let OnCall::Fail(message) = fate {
            return format!("failed: {message}");
        }
        let mut values = lock(&self.values);
        match number(1).and_then(|index| values.get_mut(index as usize)) {
            Some(value) => {
                *value = number(2).unwrap_or(*value);
                value.to_string()
            }
            None => String::from("no such register"),
        }
    }

    async fn serve(&self, connection: Connection) {
        let (read, mut write) = split(connection);
        let mut lines = BufReader::new(read).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let answer = format!("{}\n", self.answer(&line));
            if write.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

impl Simulated for Registers {
    fn board(&self) -> &Board {
        &self.board
    }

    fn serve(self: Arc<Self>, connection: Connection) -> Work {
        Box::pin(async move {
            let life = self.board.life();
            life.run_until_cancelled(Self::serve(&self, connection))
                .await;
        })
    }

    fn send(self: Arc<Self>, _: Sending) -> Work {
        // The kind has no streams.
        Box::pin(std::future::ready(()))
    }

    fn detectors(&self, module: u8) -> Vec<TruthDetector> {
        let origin = &self.origins[usize::from(module) - 1];
        let (seed, params) = (origin.seed, &origin.params);
        let (board, module, n) = (origin.board, origin.module, origin.detectors);
        ModuleModel::draw(seed, board, module, n, origin.band, n, params).truth()
    }

    fn power_cycle(&self, _: Duration) {}

    fn set_conditions(&self, _: u8, _: Conditions) {}
}

async fn ask(board: &crate::SimBoard, lines: &str) -> Vec<String> {
    let stream = tokio::net::TcpStream::connect(board.address())
        .await
        .unwrap();
    let (read, mut write) = stream.into_split();
    write.write_all(lines.as_bytes()).await.unwrap();
    drop(write);
    let mut answers = BufReader::new(read).lines();
    let mut all = Vec::new();
    while let Some(answer) = answers.next_line().await.unwrap() {
        all.push(answer);
    }
    all
}

#[tokio::test]
async fn a_second_kind_has_the_parts_of_every_board() {
    let farm = Farm::builder()
        .kind("registers")
        .boards(3)
        .detectors(4)
        .modules(2)
        .fault(
            1,
            crate::Fault::from(ErrorOnCall::of("write", "stuck")).during(1, 1),
        )
        .fault(2, Refuse {})
        .start()
        .await
        .unwrap();
    let boards = farm.boards();
    assert_eq!(
        (boards[1].kind(), boards[1].name()),
        ("registers", "registers0002")
    );
    assert_eq!(ask(&boards[0], "write 3 7\nread 3\n").await, ["7", "7"]);
    let lines = "write 3 7\nwrite 3 8\nwrite 3 9\n";
    assert_eq!(ask(&boards[1], lines).await, ["7", "failed: stuck", "9"]);
    let refused = tokio::net::TcpStream::connect(boards[2].address()).await;
    assert_eq!(
        refused.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionRefused
    );
    boards[2].clear_faults();
    let counters = boards[1].counters();
    assert_eq!((counters.calls, counters.by_method["write"]), (3, 3));
    let truth = farm.truth();
    let detectors = truth.boards[0]
        .modules
        .iter()
        .map(|module| module.detectors.len());
    assert_eq!(detectors.collect::<Vec<_>>(), [2, 2]);
    let map = farm.map_toml();
    assert_eq!(map.matches("kind = \"registers\"").count(), 3, "{map}");
    assert_eq!(map.matches("[[board.module]]").count(), 6, "{map}");
    farm.shut_down().await;
}

#[tokio::test]
async fn limits_are_those_of_the_kind() {
    let check = async |farm: crate::FarmBuilder, expected: &str| {
        let error = farm.kind("registers").start().await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    let farm = Farm::builder;
    check(
        farm().modules(3),
        "3 modules asked for: a board has 1 to 2 that can be populated",
    )
    .await;
    check(
        farm().detectors(7),
        "7 detectors do not fit on 1 module(s) of 3",
    )
    .await;
    let error = farm().kind("katcp").start().await.unwrap_err();
    assert!(matches!(error, StartError::UnknownKind { .. }));
    let text = "boards of the kind katcp cannot be simulated: the kinds are crs, registers";
    assert_eq!(error.to_string(), text);
}
