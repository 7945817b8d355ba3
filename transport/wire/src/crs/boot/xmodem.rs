//! XMODEM with blocks of 1 KiB and CRC-16: sender and receiver.
//!
//! The receiver begins with the letter `C`. A block is the byte STX, its number, the complement of
//! the number, 1024 bytes, and their CRC. The receiver answers each block with ACK or NAK. The
//! sender ends with EOT, which the receiver answers with ACK. Either side ends a transfer early
//! with two CAN bytes. The last block is filled up, so that the receiver gets a multiple of 1024
//! bytes.
//!
//! Source: C. Forsberg, XMODEM/YMODEM Protocol Reference (1988), chapters 7 and 8.

use std::mem;

/// Number of bytes of a file in a block.
const BLOCK: usize = 1024;

/// Length of a block with its header and its CRC, in bytes.
const FRAME: usize = 3 + BLOCK + 2;

const STX: u8 = 0x02;
const EOT: u8 = 0x04;
const ACK: u8 = 0x06;
const NAK: u8 = 0x15;
const CAN: u8 = 0x18;

/// First byte that the receiver sends. It asks for blocks with a CRC.
const START: u8 = b'C';

/// Byte that fills up the last block.
const FILL: u8 = 0x1a;

/// Number of repetitions of one block after which a transfer fails.
const MOST_REPEATS: u32 = 16;

/// Returns the CRC of XMODEM: polynomial 0x1021, initial value 0.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| match crc >> 15 {
            1 => (crc << 1) ^ 0x1021,
            _ => crc << 1,
        })
    })
}

/// Reason why a transfer ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum XmodemError {
    /// The receiver ended the transfer.
    #[error("the board ended the transfer after {sent} bytes")]
    Cancelled {
        /// Number of bytes that the receiver had acknowledged.
        sent: usize,
    },
    /// The receiver did not acknowledge a block after all its repetitions, or did not begin.
    #[error("the board did not acknowledge the block after {sent} bytes")]
    NotAcknowledged {
        /// Number of bytes that the receiver had acknowledged.
        sent: usize,
    },
}

/// Next action of the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum XmodemStep {
    /// Send these bytes, then wait for an answer.
    Send(Vec<u8>),
    /// Wait for the receiver: it has not begun, or its last bytes were no answer.
    Wait,
    /// The transfer is complete.
    Done,
}

/// Sending half of a transfer.
#[derive(Debug)]
pub struct XmodemSender<'a> {
    data: &'a [u8],
    /// Index of the block that was sent last and is not acknowledged, or the number of blocks if
    /// this is the EOT; `None` before the start.
    block: Option<usize>,
    repeats: u32,
    cancelling: bool,
}

impl<'a> XmodemSender<'a> {
    /// Bytes by which a sender ends a transfer early. U-Boot waits for three CAN bytes.
    pub const CANCEL: &'static [u8] = &[CAN; 8];

    /// A transfer of `data` that has not begun.
    pub fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            block: None,
            repeats: 0,
            cancelling: false,
        }
    }

    /// Number of bytes that the receiver has acknowledged.
    pub fn sent(&self) -> usize {
        self.data.len().min(self.block.unwrap_or(0) * BLOCK)
    }

    /// True once the receiver has asked for the first block.
    pub fn has_begun(&self) -> bool {
        self.block.is_some()
    }

    /// True once all blocks are acknowledged, and only the end of the transfer is not.
    pub fn is_at_end(&self) -> bool {
        self.block
            .is_some_and(|block| block * BLOCK >= self.data.len())
    }

    /// Takes a datagram of the receiver. Text around the transfer, such as an echo, is skipped.
    ///
    /// # Errors
    /// If the receiver ended the transfer, or refused one block too often.
    pub fn receive(&mut self, datagram: &[u8]) -> Result<XmodemStep, XmodemError> {
        let mut step = XmodemStep::Wait;
        for byte in datagram {
            // Two CAN bytes in a row end the transfer. A single one may be another answer with a
            // wrong bit.
            if *byte == CAN && mem::replace(&mut self.cancelling, true) {
                return Err(XmodemError::Cancelled { sent: self.sent() });
            }
            self.cancelling = *byte == CAN;
            step = match (*byte, self.block) {
                (START, None) => {
                    self.block = Some(0);
                    XmodemStep::Send(self.frame())
                }
                (ACK, Some(block)) if block * BLOCK >= self.data.len() => {
                    return Ok(XmodemStep::Done);
                }
                (ACK, Some(block)) => {
                    self.block = Some(block + 1);
                    self.repeats = 0;
                    // The next answer is for this block. A further ACK in the same datagram is a
                    // repetition of the one before.
                    return Ok(XmodemStep::Send(self.frame()));
                }
                // The receiver repeats its first byte until it has the first block.
                (NAK, Some(_)) | (START, Some(0)) => self.repeat()?,
                _ => continue,
            };
        }
        Ok(step)
    }

    /// Repeats the last block, because no answer came in time. Before the start it only waits,
    /// since the receiver begins.
    ///
    /// # Errors
    /// If the block was repeated too often, or if the receiver has not begun after as many waits.
    pub fn repeat(&mut self) -> Result<XmodemStep, XmodemError> {
        self.repeats += 1;
        if self.repeats > MOST_REPEATS {
            return Err(XmodemError::NotAcknowledged { sent: self.sent() });
        }
        Ok(match self.block {
            None => XmodemStep::Wait,
            Some(_) => XmodemStep::Send(self.frame()),
        })
    }

    /// The present block with its header and its CRC, or the end of the transfer.
    fn frame(&self) -> Vec<u8> {
        let block = self.block.unwrap_or(0);
        let Some(rest) = self
            .data
            .get(block * BLOCK..)
            .filter(|rest| !rest.is_empty())
        else {
            return vec![EOT];
        };
        // Blocks are counted from 1, modulo 256.
        let number = (block + 1) as u8;
        let mut frame = Vec::with_capacity(FRAME);
        frame.extend_from_slice(&[STX, number, !number]);
        frame.extend_from_slice(&rest[..rest.len().min(BLOCK)]);
        frame.resize(3 + BLOCK, FILL);
        let crc = crc16(&frame[3..]);
        frame.extend_from_slice(&crc.to_be_bytes());
        frame
    }
}

/// Receiving half of a transfer.
#[cfg(feature = "server")]
#[derive(Debug, Default)]
pub struct XmodemReceiver {
    data: Vec<u8>,
    partial: Vec<u8>,
    complete: bool,
    cancelled: bool,
}

#[cfg(feature = "server")]
impl XmodemReceiver {
    /// Byte that asks the sender to begin. A receiver repeats it every few seconds until the first
    /// block comes.
    pub const START: &'static [u8] = &[START];

    /// Largest number of bytes that a transfer may have.
    const MOST_BYTES: usize = 0x1000_0000;

    /// True if the sender ended the transfer early.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// True once the first block has arrived.
    pub fn has_begun(&self) -> bool {
        !self.data.is_empty()
    }

    /// Takes a datagram of the sender, and returns the answers to it: one for each block that is
    /// complete now, and one for the end of the transfer.
    pub fn receive(&mut self, datagram: &[u8]) -> Vec<&'static [u8]> {
        self.partial.extend_from_slice(datagram);
        let mut answers = Vec::new();
        while let Some(first) = self.partial.first() {
            match *first {
                // Three CAN bytes in a row end the transfer, as in U-Boot.
                CAN if self.partial.starts_with(&[CAN; 3]) => {
                    self.cancelled = true;
                    self.partial.clear();
                }
                CAN if self.partial.len() < 3 && self.partial.iter().all(|byte| *byte == CAN) => {
                    break;
                }
                STX if self.partial.len() < FRAME => break,
                STX => {
                    let rest = self.partial.split_off(FRAME);
                    let frame = mem::replace(&mut self.partial, rest);
                    answers.push(self.block(&frame));
                }
                EOT => {
                    self.complete = true;
                    self.partial.clear();
                    answers.push(&[ACK]);
                }
                _ => {
                    self.partial.remove(0);
                }
            }
        }
        answers
    }

    /// Takes a block, and returns the answer to it.
    fn block(&mut self, frame: &[u8]) -> &'static [u8] {
        let (body, crc) = frame[3..].split_at(BLOCK);
        if frame[1] != !frame[2] || crc != crc16(body).to_be_bytes() {
            return &[NAK];
        }
        let last = (self.data.len() / BLOCK) as u8;
        if frame[1] == last && !self.data.is_empty() {
            // The answer to the last block was lost, so the sender has repeated the block.
            return &[ACK];
        }
        if frame[1] != last.wrapping_add(1) || self.data.len() + BLOCK > Self::MOST_BYTES {
            return &[CAN, CAN];
        }
        self.data.extend_from_slice(body);
        &[ACK]
    }

    /// Returns the bytes with the filling, or `None` while the transfer is not complete.
    pub fn finish(&mut self) -> Option<Vec<u8>> {
        self.complete.then(|| mem::take(&mut self.data))
    }
}

#[cfg(all(test, feature = "server"))]
mod tests {
    use super::*;

    /// Sends `data` to a receiver, and returns the bytes that arrive. `spoil` gets the number of
    /// each frame and may change the frame on its way.
    fn transfer(data: &[u8], spoil: impl Fn(usize, &mut Vec<u8>)) -> Result<Vec<u8>, XmodemError> {
        answered(data, spoil, |_| 1)
    }

    /// As [`transfer`]. Of the answer to the `n`th frame, `copies` arrive.
    fn answered(
        data: &[u8],
        spoil: impl Fn(usize, &mut Vec<u8>),
        copies: impl Fn(usize) -> usize,
    ) -> Result<Vec<u8>, XmodemError> {
        let (mut sender, mut receiver) = (XmodemSender::new(data), XmodemReceiver::default());
        let mut step = sender.receive(b"loadx\r\n## Ready\r\nC")?;
        for n in 0..10_000 {
            step = match step {
                XmodemStep::Send(mut frame) => {
                    spoil(n, &mut frame);
                    match receiver.receive(&frame).as_slice() {
                        [] => sender.repeat()?,
                        answers => {
                            let mut next = XmodemStep::Wait;
                            for _ in 0..copies(n) {
                                next = sender.receive(&answers.concat())?;
                            }
                            next
                        }
                    }
                }
                XmodemStep::Wait => sender.repeat()?,
                XmodemStep::Done => return Ok(receiver.finish().unwrap()),
            };
        }
        panic!("the transfer does not end");
    }

    #[test]
    fn the_check_value_of_the_crc_is_right() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
    }

    #[test]
    fn files_of_all_sizes_arrive() {
        for size in [1_usize, 1023, 1024, 1025, 2048, 300 * 1024 + 7] {
            let data: Vec<u8> = (0..size).map(|byte| (byte % 251) as u8).collect();
            let arrived = transfer(&data, |_, _| ()).unwrap();
            assert_eq!(arrived.len(), size.next_multiple_of(BLOCK));
            assert_eq!(arrived[..size], data);
        }
    }

    #[test]
    fn damaged_and_lost_blocks_are_repeated() {
        let data = vec![7; 5000];
        let arrived = transfer(&data, |n, frame| match n {
            1 => frame[500] ^= 1,
            3 => frame[1] ^= 1,
            5 => frame.clear(),
            _ => (),
        });
        assert_eq!(arrived.unwrap()[..5000], data);
    }

    #[test]
    fn an_answer_that_is_lost_has_its_block_repeated() {
        let data = vec![7; 5000];
        for lost in 0..6 {
            let arrived = answered(&data, |_, _| (), |n| usize::from(n != lost));
            assert_eq!(arrived.unwrap()[..5000], data, "{lost}");
        }
    }

    #[test]
    fn a_line_without_answers_ends_the_transfer() {
        let lost = transfer(&[1; 3000], |n, frame| {
            if n >= 2 {
                frame.clear();
            }
        });
        assert_eq!(lost, Err(XmodemError::NotAcknowledged { sent: 2048 }));
    }

    #[test]
    fn a_sender_ends_a_transfer_early() {
        let mut receiver = XmodemReceiver::default();
        let mut sender = XmodemSender::new(&[1; 2000]);
        let XmodemStep::Send(first) = sender.receive(b"C").unwrap() else {
            panic!("no block");
        };
        assert_eq!(receiver.receive(&first), [[ACK]]);
        assert!(!receiver.is_cancelled());
        assert!(receiver.receive(XmodemSender::CANCEL).is_empty());
        assert!(receiver.is_cancelled());
        assert_eq!(receiver.finish(), None);
    }

    #[test]
    fn an_answer_that_comes_twice_skips_no_block() {
        let data = [1; 5000];
        let mut sender = XmodemSender::new(&data);
        let _ = sender.receive(b"C").unwrap();
        let XmodemStep::Send(second) = sender.receive(&[ACK, ACK]).unwrap() else {
            panic!("no block");
        };
        assert_eq!((second[1], sender.sent()), (2, 1024));
    }

    #[test]
    fn a_missing_block_ends_the_transfer() {
        let mut receiver = XmodemReceiver::default();
        let data = [0; 4096];
        let mut sender = XmodemSender::new(&data);
        let _ = sender.receive(b"C").unwrap();
        let XmodemStep::Send(second) = sender.receive(&[ACK]).unwrap() else {
            panic!("no block");
        };
        let answers = receiver.receive(&second).concat();
        let cancelled = sender.receive(&answers);
        assert_eq!(cancelled, Err(XmodemError::Cancelled { sent: 1024 }));
    }
}
