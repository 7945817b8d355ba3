//! Commands of the console of a board's boot loader, as a host sends them, and the check of the
//! answers. With these commands the host replaces the firmware of the board.

use super::{ERASE_BLOCK, PROMPT};

/// A command of the console.
///
/// The commands work on images in the memory of the board. An image begins at the address in
/// `$loadaddr`, a variable of the boot loader. `offset` is a distance from this address, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Print the first prompt. The boot loader repeats its last command if it gets an empty line,
    /// so this command is for a console on which no command was given yet. Later, use
    /// [`Command::Sync`].
    Wake,
    /// Print a number, and change nothing. The answer shows that the boot loader has executed, or
    /// never received, every command before.
    Sync {
        /// The number. It distinguishes this answer from those to earlier commands.
        number: u32,
    },
    /// Receive a file by XMODEM. The answer comes after the transfer.
    Load,
    /// Compute the MD5 digest of bytes in memory.
    Digest {
        /// Distance of the bytes from `$loadaddr`.
        offset: usize,
        /// Number of bytes.
        size: usize,
    },
    /// Find the flash. The board needs this command before the other commands of the flash.
    Probe,
    /// Erase the blocks of the flash that hold the first `size` bytes. After this command the board
    /// does not start until the flash is written.
    Erase {
        /// Number of bytes; it is rounded up to whole blocks.
        size: usize,
    },
    /// Write bytes from memory to the start of the flash.
    Write {
        /// Number of bytes.
        size: usize,
    },
    /// Read bytes from the start of the flash into memory.
    Read {
        /// Distance of the target in memory from `$loadaddr`.
        offset: usize,
        /// Number of bytes.
        size: usize,
    },
    /// Restart the board. No prompt follows.
    Reset,
}

/// Reason why the answer to a command is not the expected one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the board answered `{command}` with {answer:?}")]
pub struct ConsoleError {
    /// The command, as it was sent.
    pub command: String,
    /// The answer, without the echo and the prompt; at most 200 characters of it.
    pub answer: String,
}

impl Command {
    /// The line to send, with its end.
    pub fn line(self) -> String {
        match self {
            Self::Wake => String::from("\n"),
            Self::Sync { number } => format!("echo sync-{number:08x}\n"),
            Self::Load => String::from("loadx\n"),
            Self::Digest { offset: 0, size } => format!("md5sum $loadaddr {size:#x}\n"),
            Self::Digest { offset, size } => {
                format!("setexpr at $loadaddr + {offset:#x}; md5sum $at {size:#x}\n")
            }
            Self::Probe => String::from("sf probe 0:0\n"),
            Self::Erase { size } => {
                format!("sf erase 0x0 {:#x}\n", size.next_multiple_of(ERASE_BLOCK))
            }
            Self::Write { size } => format!("sf write $loadaddr 0x0 {size:#x}\n"),
            Self::Read { offset, size } => {
                format!("setexpr at $loadaddr + {offset:#x}; sf read $at 0x0 {size:#x}\n")
            }
            Self::Reset => String::from("reset\n"),
        }
    }

    /// True if a repetition of the command does no harm and has the same result. The host repeats
    /// such a command if its answer is lost.
    pub fn can_be_repeated(self) -> bool {
        !matches!(self, Self::Load | Self::Reset)
    }

    /// Text in the answer of a command that succeeded. Empty if every answer is a success.
    fn success(self) -> &'static str {
        match self {
            Self::Wake | Self::Sync { .. } => "",
            Self::Load => "## Total Size",
            Self::Digest { .. } => "md5 for",
            Self::Probe => "erase size 128 KiB",
            Self::Erase { .. } => "Erased: OK",
            Self::Write { .. } => "Written: OK",
            Self::Read { .. } => "Read: OK",
            Self::Reset => "resetting",
        }
    }

    /// Checks the answer of the board. For [`Command::Digest`] it returns the digest, 32
    /// hexadecimal digits in lower case; for other commands an empty string.
    ///
    /// # Errors
    /// If the answer does not show that the command succeeded.
    pub fn check(self, answer: &str) -> Result<String, ConsoleError> {
        let failed = || ConsoleError {
            command: self.line().trim_end().to_owned(),
            answer: answer.trim().chars().take(200).collect(),
        };
        if !answer.contains(self.success()) {
            return Err(failed());
        }
        if !matches!(self, Self::Digest { .. }) {
            return Ok(String::new());
        }
        let digest = answer
            .split_whitespace()
            .find(|word| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit()));
        digest.map(str::to_ascii_lowercase).ok_or_else(failed)
    }
}

/// Output of the console, in which answers to commands are found.
#[derive(Debug, Default)]
pub struct Transcript {
    text: String,
}

impl Transcript {
    /// Length of the text, in bytes, at which no more is added, so that a board that prints without
    /// end costs no more memory.
    const MOST_TEXT: usize = 0x1_0000;

    /// Adds a datagram of the board, unless there are 64 KiB of text already. Bytes that are not
    /// UTF-8 are replaced.
    pub fn receive(&mut self, datagram: &[u8]) {
        if self.text.len() < Self::MOST_TEXT {
            self.text.push_str(&String::from_utf8_lossy(datagram));
        }
    }

    /// Returns the answer to a command, without the echo, if it is complete: it ends with the
    /// prompt. The answer to [`Command::Reset`] has no prompt, and is complete with the text that
    /// shows success. The answer, and all text before it, is removed from the transcript.
    ///
    /// Answers are recognised by the echo of the command, or by the text that shows its success, so
    /// that a late or repeated answer to another command is not taken for this one. The answer to
    /// [`Command::Wake`] ends with any prompt.
    pub fn answer(&mut self, command: Command) -> Option<String> {
        let (success, line) = (command.success(), command.line());
        if command == Command::Reset {
            let end = self.text.find(success)? + success.len();
            return Some(self.text.drain(..end).collect());
        }
        let echo = line.trim_end();
        let mut begin = 0;
        while let Some(length) = self.text[begin..].find(PROMPT) {
            let end = begin + length;
            let part = self.text[begin..end].replace('\r', "");
            let answer = match part.find(echo) {
                Some(at) => Some(part[at + echo.len()..].to_owned()),
                // The echo may be lost. The answers to two commands for a digest look the same.
                None if matches!(command, Command::Digest { .. }) || success.is_empty() => None,
                None => part.contains(success).then_some(part),
            };
            if let Some(answer) = answer {
                self.text.drain(..end + PROMPT.len());
                return Some(answer);
            }
            begin = end + PROMPT.len();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_with_its_prompt_and_has_no_echo() {
        let mut transcript = Transcript::default();
        transcript.receive(b"sf probe 0:0\r\nSF: Detected mt25qu512a with page size 512 Bytes, ");
        assert_eq!(transcript.answer(Command::Probe), None);
        transcript.receive(b"erase size 128 KiB, total 64 MiB\r\nZynq");
        transcript.receive(b"MP> ");
        let answer = transcript.answer(Command::Probe).unwrap();
        assert!(answer.trim_start().starts_with("SF:"), "{answer:?}");
        assert_eq!(Command::Probe.check(&answer), Ok(String::new()));
        assert_eq!(transcript.answer(Command::Probe), None);
    }

    #[test]
    fn answers_to_other_commands_are_skipped() {
        let (size, sync) = (16, Command::Sync { number: 7 });
        let read = Command::Digest { offset: 64, size };
        let mut transcript = Transcript::default();
        // Late prompts, and a repeated answer with the same success.
        transcript.receive(b"ZynqMP> \r\nZynqMP> md5sum $loadaddr 0x10\r\nmd5 for ...\r\nZynqMP> ");
        assert_eq!(transcript.answer(read), None);
        assert_eq!(transcript.answer(sync), None);
        transcript.receive(read.line().as_bytes());
        transcript.receive(b"\r\nmd5 for 08000040 ... 0800004f ==> 1\r\nZynqMP> ");
        transcript.receive(b"echo sync-00000007\r\nsync-00000007\r\nZynqMP> ");
        assert!(transcript.answer(read).unwrap().contains("==> 1"));
        assert!(transcript.answer(sync).is_some());
        assert_eq!(transcript.answer(Command::Wake), None);
    }

    #[test]
    fn an_answer_without_its_echo_is_known_by_its_success() {
        let mut transcript = Transcript::default();
        transcript.receive(b"SF: 131072 bytes @ 0x0 Erased: OK\r\nZynqMP> ");
        let (erase, digest) = (
            Command::Erase { size: 9 },
            Command::Digest { offset: 0, size: 9 },
        );
        assert!(transcript.answer(erase).is_some());
        // This may be the digest of other bytes.
        transcript.receive(b"md5 for 08000000 ... 08000009 ==> 1\r\nZynqMP> ");
        assert_eq!(transcript.answer(digest), None);
    }

    #[test]
    fn a_digest_is_read_from_its_answer() {
        let command = Command::Digest { offset: 0, size: 5 };
        let answer = "md5 for 08000000 ... 08000004 ==> 5D41402ABC4B2A76B9719D911017C592";
        assert_eq!(
            command.check(answer).as_deref(),
            Ok("5d41402abc4b2a76b9719d911017c592")
        );
        assert!(command.check("md5 for 08000000 ... 08000004 ==>").is_err());
    }

    #[test]
    fn an_erasure_covers_whole_blocks() {
        assert_eq!(Command::Erase { size: 1 }.line(), "sf erase 0x0 0x20000\n");
        assert_eq!(
            Command::Erase { size: 0x2_0001 }.line(),
            "sf erase 0x0 0x40000\n"
        );
    }

    #[test]
    fn answers_that_do_not_succeed_are_refused_with_their_text() {
        let refused = Command::Erase { size: 1 }.check("\nERROR: flash erase failed\n");
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("flash erase failed"), "{refused}");
        assert!(refused.contains("sf erase 0x0 0x20000"), "{refused}");
    }
}
