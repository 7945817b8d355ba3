//! Tests of the boot loader, with the half of the host.

use super::super::{Command, Transcript, XmodemSender, XmodemStep, example_image};
use super::*;

/// Runs a command of the host's half against the boot loader.
fn ask(uboot: &mut Uboot, command: Command) -> Result<String, super::super::ConsoleError> {
    let mut transcript = Transcript::default();
    while uboot.output().is_some() {}
    uboot.receive(command.line().as_bytes());
    loop {
        while let Some(output) = uboot.output() {
            transcript.receive(&output);
        }
        if let Some(answer) = transcript.answer(command) {
            return command.check(&answer);
        }
        assert!(uboot.next_step().is_some(), "no answer to {command:?}");
        uboot.work();
    }
}

/// Loads a file.
fn load(uboot: &mut Uboot, file: &[u8]) {
    let mut sender = XmodemSender::new(file);
    uboot.receive(Command::Load.line().as_bytes());
    loop {
        let output = uboot.output().expect("an answer to each block");
        match sender.receive(&output).unwrap() {
            XmodemStep::Send(bytes) => uboot.receive(&bytes),
            XmodemStep::Wait => {}
            XmodemStep::Done => return,
        }
    }
}

fn digest(bytes: &[u8]) -> String {
    Md5::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn an_image_is_loaded_written_and_read_back() {
    let old = example_image("r1.7.0", 200_000);
    let new = example_image("r1.8.0", 300_001);
    let size = new.len();
    let mut uboot = Uboot::new(Flash::with_image(&old));
    load(&mut uboot, &new);
    let sum = ask(&mut uboot, Command::Digest { offset: 0, size });
    assert_eq!(sum, Ok(digest(&new)));
    ask(&mut uboot, Command::Probe).unwrap();
    ask(&mut uboot, Command::Erase { size }).unwrap();
    ask(&mut uboot, Command::Write { size }).unwrap();
    let offset = size.next_multiple_of(0x1000);
    ask(&mut uboot, Command::Read { offset, size }).unwrap();
    let sum = ask(&mut uboot, Command::Digest { offset, size });
    assert_eq!(sum, Ok(digest(&new)));
    ask(&mut uboot, Command::Reset).unwrap();
    assert!(uboot.is_reset());
    assert_eq!(uboot.into_flash().read(0, size), new);
}

#[test]
fn a_write_without_an_erasure_does_not_read_back() {
    let new = example_image("r1.8.0", 5000);
    let size = new.len();
    let mut uboot = Uboot::new(Flash::with_image(&example_image("r1.7.0", 5000)));
    load(&mut uboot, &new);
    ask(&mut uboot, Command::Probe).unwrap();
    ask(&mut uboot, Command::Write { size }).unwrap();
    ask(
        &mut uboot,
        Command::Read {
            offset: 0x10_0000,
            size,
        },
    )
    .unwrap();
    let sum = ask(
        &mut uboot,
        Command::Digest {
            offset: 0x10_0000,
            size,
        },
    );
    assert_ne!(sum, Ok(digest(&new)));
}

#[test]
fn a_loss_of_power_leaves_what_was_done() {
    let old = example_image("r1.7.0", 300_000);
    let mut uboot = Uboot::new(Flash::with_image(&old));
    ask(&mut uboot, Command::Probe).unwrap();
    uboot.receive(Command::Erase { size: old.len() }.line().as_bytes());
    uboot.work();
    let flash = uboot.into_flash();
    assert_eq!(flash.read(0, 4), [0xff; 4]);
    assert_eq!(flash.read(ERASE_BLOCK, 64), old[ERASE_BLOCK..][..64]);
    assert_eq!(super::super::release_in(&flash.image()), None);
}

#[test]
fn an_empty_line_repeats_the_last_command() {
    let mut uboot = Uboot::new(Flash::with_image(&example_image("r1.7.0", 100)));
    ask(&mut uboot, Command::Wake).unwrap();
    ask(&mut uboot, Command::Probe).unwrap();
    ask(&mut uboot, Command::Erase { size: 100 }).unwrap();
    uboot.receive(b"\n");
    assert_eq!(uboot.next_step(), Some(FlashStep::Erase { at: 0 }));
    uboot.work();
    // The command with which the host waits for the prompt changes nothing.
    ask(&mut uboot, Command::Sync { number: 1 }).unwrap();
    assert_eq!(uboot.next_step(), None);
    load(&mut uboot, &[1; 100]);
    uboot.receive(b"\n");
    assert!(!uboot.waits_for_file());
}

#[test]
fn wrong_commands_are_refused_and_do_nothing() {
    let image = example_image("r1.7.0", 100);
    let mut uboot = Uboot::new(Flash::with_image(&image));
    for (line, refusal) in [
        ("sf erase 0x0 0x20000", "No SPI flash selected"),
        (
            "sf probe 0:0; sf erase 0x0 0x1000",
            "not multiple of erase size",
        ),
        ("sf erase 0x4000000 0x20000", "past flash size"),
        ("sf write 0x100 0x0 0x10", "no memory"),
        ("sf read $nothing 0x0 0x10", "is not a number"),
        ("sf read $loadaddr 0x0", "Usage"),
        ("mmc dev 0", "no card"),
        ("bootm", "Unknown command 'bootm'"),
    ] {
        while uboot.output().is_some() {}
        uboot.receive(format!("{line}\n").as_bytes());
        let mut said = String::new();
        while let Some(output) = uboot.output() {
            said.push_str(&String::from_utf8(output).unwrap());
        }
        assert!(said.contains(refusal), "{line}: {said}");
        assert!(said.ends_with("ZynqMP> "), "{line}: {said}");
    }
    assert_eq!(uboot.into_flash(), Flash::with_image(&image));
}

/// Link between the two halves that loses or repeats one datagram.
struct Link {
    uboot: Uboot,
    /// Numbers of datagrams until now: from the host, and from the board.
    counts: [usize; 2],
    /// Sender (0 for the host), number, and copies of the datagram that is not passed once.
    fault: (usize, usize, usize),
}

impl Link {
    fn copies(&mut self, sender: usize) -> usize {
        let number = self.counts[sender];
        self.counts[sender] += 1;
        match self.fault {
            (of, at, copies) if (of, at) == (sender, number) => copies,
            _ => 1,
        }
    }

    /// Gives a command, again if there is no complete answer.
    fn ask(&mut self, command: Command) -> String {
        for _ in 0..2 {
            let mut transcript = Transcript::default();
            for _ in 0..self.copies(0) {
                self.uboot.receive(command.line().as_bytes());
            }
            loop {
                while let Some(output) = self.uboot.output() {
                    for _ in 0..self.copies(1) {
                        transcript.receive(&output);
                    }
                }
                if self.uboot.next_step().is_none() {
                    break;
                }
                self.uboot.work();
            }
            // A part of an answer may be lost too.
            let answer = transcript.answer(command);
            if let Some(Ok(result)) = answer.map(|answer| command.check(&answer)) {
                return result;
            }
        }
        panic!("no answer to {command:?}");
    }
}

#[test]
fn one_datagram_that_is_lost_or_comes_twice_changes_nothing() {
    let image = example_image("r1.8.0", 140_000);
    let (size, offset) = (image.len(), image.len().next_multiple_of(ERASE_BLOCK));
    let mut counts = [usize::MAX; 2];
    for sender in [0, 1] {
        for copies in [0, 2] {
            let mut at = 0;
            while at < counts[sender] {
                let mut uboot = Uboot::new(Flash::with_image(&example_image("r1.7.0", 100)));
                load(&mut uboot, &image);
                while uboot.output().is_some() {}
                let mut link = Link {
                    uboot,
                    counts: [0; 2],
                    fault: (sender, at, copies),
                };
                link.ask(Command::Probe);
                link.ask(Command::Erase { size });
                link.ask(Command::Write { size });
                link.ask(Command::Read { offset, size });
                let found = link.ask(Command::Digest { offset, size });
                assert_eq!(found, digest(&image), "{:?}", link.fault);
                counts = link.counts;
                at += 1;
            }
        }
    }
    assert!(counts[0] >= 5 && counts[1] > 2 * counts[0], "{counts:?}");
}
