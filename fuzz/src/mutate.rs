//! Changes of inputs that often reveal errors in readers.

use crate::random::Random;

/// Largest size of a mutated input in bytes. With an input of this size, a reader whose use of
/// memory is quadratic exceeds the memory that [`crate::Memory`] allows.
pub const LONGEST: usize = 16 << 10;

/// Largest number of changes to one input.
const CHANGES: usize = 6;

/// Integers at the limits of integer types, where readers overflow.
const EDGES: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
];

/// Numbers as text at and beyond the limits of integer and floating-point types.
const NUMBERS: [&str; 21] = [
    "0",
    "-0",
    "-1",
    "1.5",
    "255",
    "256",
    "65536",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "4294967295",
    "65535",
    "1e308",
    "1e999",
    "5e-324",
    "nan",
    "inf",
    "NaN",
];

/// Makes new inputs from known ones.
#[derive(Debug)]
pub struct Mutator<'a> {
    /// Words of the input format, which random bytes almost never form.
    pub tokens: &'a [&'a str],
}

impl Mutator<'_> {
    /// Returns a changed copy of `input`, up to [`LONGEST`] bytes. Parts of `other` may be
    /// inserted.
    pub fn mutate(&self, random: &mut Random, input: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = input[..input.len().min(LONGEST)].to_vec();
        for _ in 0..=random.below(CHANGES) {
            self.change(random, &mut bytes, other);
            bytes.truncate(LONGEST);
        }
        bytes
    }

    fn change(&self, random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = random.below(bytes.len() + 1);
        let end = at + random.below((bytes.len() - at).min(64) + 1);
        match random.below(13) {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.draw() as u8;
                }
            }
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let some: Vec<u8> = (0..random.below(8)).map(|_| random.draw() as u8).collect();
                bytes.splice(at..at, some);
            }
            5 => {
                let copy = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            // Repeats a part many times. This makes deep nesting, long lists and long names.
            6 => {
                let copy = bytes[at..end].repeat(1 << random.below(11));
                bytes.splice(at..at, copy);
            }
            7 => edge(random, &mut bytes[at..]),
            8 | 9 => {
                if let Some(token) = random.one_of(self.tokens) {
                    let end = if random.below(2) == 0 { at } else { end };
                    bytes.splice(at..end, token.bytes());
                }
            }
            10 => number(random, bytes, at),
            11 => {
                let from = random.below(other.len() + 1);
                let to = from + random.below(other.len() - from + 1);
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            _ => {
                let from = random.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
}

/// Overwrites the beginning of `bytes` with one of [`EDGES`], or with a neighbouring integer. The
/// width (1 to 8 bytes) and the byte order are random. Does nothing if `bytes` is shorter than the
/// width.
fn edge(random: &mut Random, bytes: &mut [u8]) {
    let value = random.one_of(&EDGES).copied().unwrap_or(0);
    let value = value.wrapping_add(random.draw() % 3).wrapping_sub(1);
    let width = 1 << random.below(4);
    let Some(bytes) = bytes.get_mut(..width) else {
        return;
    };
    if random.below(2) == 0 {
        bytes.copy_from_slice(&value.to_le_bytes()[..width]);
    } else {
        bytes.copy_from_slice(&value.to_be_bytes()[8 - width..]);
    }
}

/// Replaces the first decimal number after `at` by one of [`NUMBERS`].
fn number(random: &mut Random, bytes: &mut Vec<u8>, at: usize) {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b".-".contains(byte);
    let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit) else {
        return;
    };
    let start = at + start;
    let rest = &bytes[start..];
    let end = start
        + rest
            .iter()
            .position(|byte| !is_part(byte))
            .unwrap_or(rest.len());
    if let Some(text) = random.one_of(&NUMBERS) {
        bytes.splice(start..end, text.bytes());
    }
}
