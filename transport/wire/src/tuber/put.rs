//! Writing of single values into a buffer, in JSON and CBOR. A head is the first bytes of a value
//! in CBOR: its type, and its length or value.

use bytes::BytesMut;

use super::cbor::ROW_MAJOR;
use super::format::Format;

// Major types of CBOR, in the three high bits of the first byte of a head.
pub(super) const UNSIGNED: u8 = 0x00;
pub(super) const NEGATIVE: u8 = 0x20;
pub(super) const BYTES: u8 = 0x40;
pub(super) const TEXT: u8 = 0x60;
pub(super) const ARRAY: u8 = 0x80;
pub(super) const MAP: u8 = 0xa0;
pub(super) const TAG: u8 = 0xc0;

/// Head of a CBOR array with a length of 32 bits. The length is written later, over the bytes 1 to
/// 4.
pub(super) const OPEN_ARRAY: [u8; 5] = [ARRAY | 26, 0, 0, 0, 0];

pub(super) fn put_null(format: Format, buffer: &mut BytesMut) {
    match format {
        Format::Json => buffer.extend_from_slice(b"null"),
        Format::Cbor => buffer.extend_from_slice(&[0xf6]),
    }
}

pub(super) fn put_text(buffer: &mut BytesMut, text: &str) {
    buffer.extend_from_slice(text.as_bytes());
}

pub(super) fn put_f64(format: Format, buffer: &mut BytesMut, value: f64) {
    match format {
        Format::Json if value.is_finite() => {
            put_text(buffer, zmij::Buffer::new().format_finite(value));
        }
        Format::Json => buffer.extend_from_slice(b"null"),
        Format::Cbor => {
            let mut bytes = [0xfb; 9];
            bytes[1..].copy_from_slice(&value.to_be_bytes());
            buffer.extend_from_slice(&bytes);
        }
    }
}

pub(super) fn put_str(format: Format, buffer: &mut BytesMut, text: &str) {
    match format {
        Format::Json => put_json_str(buffer, text),
        Format::Cbor => {
            put_head(buffer, TEXT, text.len() as u64);
            put_text(buffer, text);
        }
    }
}

/// Writes a key of a map, in JSON with the colon after it.
pub(super) fn put_key(format: Format, buffer: &mut BytesMut, key: &str) {
    put_str(format, buffer, key);
    if format == Format::Json {
        buffer.extend_from_slice(b":");
    }
}

/// Writes a text in quotes. Parts without a character to escape are copied as a whole.
fn put_json_str(buffer: &mut BytesMut, text: &str) {
    buffer.extend_from_slice(b"\"");
    let mut rest = text.as_bytes();
    while let Some(i) = rest
        .iter()
        .position(|c| *c < 0x20 || *c == b'"' || *c == b'\\')
    {
        buffer.extend_from_slice(&rest[..i]);
        match rest[i] {
            b'"' => buffer.extend_from_slice(b"\\\""),
            b'\\' => buffer.extend_from_slice(b"\\\\"),
            b'\n' => buffer.extend_from_slice(b"\\n"),
            b'\r' => buffer.extend_from_slice(b"\\r"),
            b'\t' => buffer.extend_from_slice(b"\\t"),
            other => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let (high, low) = (HEX[usize::from(other >> 4)], HEX[usize::from(other & 15)]);
                buffer.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
        rest = &rest[i + 1..];
    }
    buffer.extend_from_slice(rest);
    buffer.extend_from_slice(b"\"");
}

/// Bytes of a CBOR head, and their number: the major type and its argument in the fewest bytes.
fn head_bytes(major: u8, argument: u64) -> ([u8; 9], usize) {
    let mut bytes = [0; 9];
    let (info, width) = match argument {
        0..24 => (argument as u8, 0),
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    bytes[0] = major | info;
    bytes[1..=width].copy_from_slice(&argument.to_be_bytes()[8 - width..]);
    (bytes, 1 + width)
}

pub(super) fn put_head(buffer: &mut BytesMut, major: u8, argument: u64) {
    let (bytes, length) = head_bytes(major, argument);
    buffer.extend_from_slice(&bytes[..length]);
}

/// Replaces the byte at `at` by a head, and moves the following bytes if the head is longer.
pub(super) fn set_head(buffer: &mut BytesMut, at: usize, major: u8, count: u64) {
    let (bytes, length) = head_bytes(major, count);
    let end = buffer.len();
    if length > 1 {
        buffer.extend_from_slice(&bytes[1..length]);
        buffer.copy_within(at + 1..end, at + length);
    }
    buffer[at..at + length].copy_from_slice(&bytes[..length]);
}

/// Writes a row-major array without its data: the tag of the array, its shape, the tag of its
/// element type and the head of its byte string.
pub(super) fn put_array_heads(buffer: &mut BytesMut, shape: &[usize], tag: u64, bytes: usize) {
    put_head(buffer, TAG, ROW_MAJOR);
    put_head(buffer, ARRAY, 2);
    put_head(buffer, ARRAY, shape.len() as u64);
    for extent in shape {
        put_head(buffer, UNSIGNED, *extent as u64);
    }
    put_head(buffer, TAG, tag);
    put_head(buffer, BYTES, bytes as u64);
}
