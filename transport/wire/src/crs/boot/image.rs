//! Form of a `boot.bin`, the boot image of a Zynq UltraScale+ device.
//!
//! The header has two fixed words and the offset of an image header table. The table has the offset
//! of the first of a chain of partition headers. All fields are little-endian words of 32 bit.
//! Source: AMD, Zynq UltraScale+ Device Technical Reference Manual (UG1085), chapter 11, and
//! Bootgen User Guide (UG1283), chapter 4.

#[cfg(feature = "server")]
use md5::{Digest as _, Md5};

use super::FLASH_SIZE;

/// Word at [`WIDTH_DETECTION_AT`].
const WIDTH_DETECTION: u32 = 0xaa99_5566;
const WIDTH_DETECTION_AT: usize = 0x20;

/// Word at [`IDENTIFICATION_AT`]: the letters `XLNX`.
const IDENTIFICATION: u32 = 0x584c_4e58;
const IDENTIFICATION_AT: usize = 0x24;

/// Offset of the field that holds the offset of the image header table. Both are in bytes.
const TABLE_AT: usize = 0x98;

/// Field of the image header table: offset of the first partition header, in words.
const FIRST_PARTITION: usize = 0x08;

/// Fields of a partition header: length and offset of the partition, and offset of the next header,
/// all in words. The last header has the next offset 0.
const LENGTH: usize = 0x08;
const NEXT: usize = 0x0c;
const OFFSET: usize = 0x20;

/// Largest number of partitions. An image has a few tens at most; the limit ends a chain that is
/// a loop.
const MOST_PARTITIONS: usize = 256;

/// Reason why bytes are not a complete `boot.bin`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A fixed word differs.
    #[error("not a boot image: the word at {at:#x} is {found:#010x}, not {expected:#010x}")]
    Word {
        /// Offset of the word, in bytes.
        at: usize,
        /// Expected value.
        expected: u32,
        /// Value found.
        found: u32,
    },
    /// A header or a partition ends after the end of the bytes.
    #[error("truncated: {part} ends at {end:#x}, but the image has {size:#x} bytes")]
    Truncated {
        /// The part that is not complete.
        part: &'static str,
        /// End of the part, in bytes.
        end: u64,
        /// Size of the image, bytes.
        size: usize,
    },
    /// The image has no partition, or the chain of partition headers does not end.
    #[error("the image has no partitions, or its list of partitions does not end")]
    Partitions,
    /// The image is larger than the flash.
    #[error("{size} bytes do not fit into the flash of {FLASH_SIZE} bytes")]
    Size {
        /// Size of the image, bytes.
        size: usize,
    },
}

fn word(image: &[u8], at: usize) -> Result<u32, ImageError> {
    let bytes = at.checked_add(4).and_then(|end| image.get(at..end));
    let Some(bytes) = bytes.and_then(|bytes| bytes.try_into().ok()) else {
        return Err(ImageError::Truncated {
            part: "a header",
            end: at as u64 + 4,
            size: image.len(),
        });
    };
    Ok(u32::from_le_bytes(bytes))
}

fn expect(image: &[u8], at: usize, expected: u32) -> Result<(), ImageError> {
    match word(image, at)? {
        found if found == expected => Ok(()),
        found => Err(ImageError::Word {
            at,
            expected,
            found,
        }),
    }
}

/// Checks that the bytes are a complete `boot.bin` that fits into the flash. The function checks
/// the fixed words, and that all partitions lie within the bytes. It does not check the contents of
/// the partitions.
///
/// # Errors
/// The first fault that was found.
pub fn check_image(image: &[u8]) -> Result<(), ImageError> {
    expect(image, WIDTH_DETECTION_AT, WIDTH_DETECTION)?;
    expect(image, IDENTIFICATION_AT, IDENTIFICATION)?;
    if image.len() > FLASH_SIZE {
        return Err(ImageError::Size { size: image.len() });
    }
    let table = word(image, TABLE_AT)? as usize;
    let mut header = 4 * word(image, table + FIRST_PARTITION)? as usize;
    for number in 0..MOST_PARTITIONS {
        if header == 0 {
            return match number {
                0 => Err(ImageError::Partitions),
                _ => Ok(()),
            };
        }
        let offset = word(image, header + OFFSET)?;
        let length = word(image, header + LENGTH)?;
        let end = 4 * (u64::from(offset) + u64::from(length));
        if end > image.len() as u64 {
            return Err(ImageError::Truncated {
                part: "a partition",
                end,
                size: image.len(),
            });
        }
        header = 4 * word(image, header + NEXT)? as usize;
    }
    Err(ImageError::Partitions)
}

/// Text before the name of the firmware release in an image for simulated boards.
const RELEASE: &[u8] = b"simulated-release=";

/// Field of the partition header: offset of the digest of the partition, in words.
#[cfg(feature = "server")]
const CHECKSUM: usize = 0x2c;

/// True if the image is for simulated boards only. A real board would not start with it.
pub fn is_for_simulated_boards(image: &[u8]) -> bool {
    image.windows(RELEASE.len()).any(|window| window == RELEASE)
}

/// Returns an image for simulated boards, with one partition of `payload` bytes that names the
/// release, and the MD5 digest of the partition. Real boards cannot run it.
#[cfg(feature = "server")]
pub fn example_image(release: &str, payload: usize) -> Vec<u8> {
    const TABLE: usize = 0x100;
    const HEADER: usize = 0x140;
    const DIGEST: usize = 0x180;
    const PARTITION: usize = 0x190;
    let mut name = RELEASE.to_vec();
    name.extend_from_slice(release.as_bytes());
    name.push(0);
    let length = payload.max(name.len()).next_multiple_of(4);
    let mut image = vec![0; PARTITION + length];
    let mut put = |at: usize, word: u32| image[at..at + 4].copy_from_slice(&word.to_le_bytes());
    put(WIDTH_DETECTION_AT, WIDTH_DETECTION);
    put(IDENTIFICATION_AT, IDENTIFICATION);
    put(TABLE_AT, TABLE as u32);
    put(TABLE + FIRST_PARTITION, HEADER as u32 / 4);
    put(HEADER + LENGTH, length as u32 / 4);
    put(HEADER + OFFSET, PARTITION as u32 / 4);
    put(HEADER + CHECKSUM, DIGEST as u32 / 4);
    // Bytes without a pattern, so that a block in the wrong place changes the digest.
    let mut state = 0x9e37_79b9_u32;
    for byte in &mut image[PARTITION..] {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (state >> 24) as u8;
    }
    image[PARTITION..PARTITION + name.len()].copy_from_slice(&name);
    let digest = Md5::digest(&image[PARTITION..]);
    image[DIGEST..PARTITION].copy_from_slice(&digest);
    image
}

/// True if the first partition of an image has the digest that its header names.
#[cfg(feature = "server")]
fn first_partition_is_whole(image: &[u8]) -> Option<bool> {
    let field = |at| word(image, at).ok().map(|word| 4 * word as usize);
    let table = word(image, TABLE_AT).ok()? as usize;
    let header = field(table + FIRST_PARTITION)?;
    let (offset, length) = (field(header + OFFSET)?, field(header + LENGTH)?);
    let checksum = field(header + CHECKSUM)?;
    let partition = image.get(offset..offset.checked_add(length)?)?;
    let digest = image.get(checksum..checksum.checked_add(16)?)?;
    Some(Md5::digest(partition).as_slice() == digest)
}

/// Returns the release that an image for simulated boards names. `None` if the bytes are no
/// complete image, if the digest of its partition differs, or if it names no release. Bytes after
/// the partition are ignored.
#[cfg(feature = "server")]
pub fn release_in(image: &[u8]) -> Option<&str> {
    check_image(image).ok()?;
    if !first_partition_is_whole(image)? {
        return None;
    }
    let at = image
        .windows(RELEASE.len())
        .position(|window| window == RELEASE)?;
    let name = &image[at + RELEASE.len()..];
    let end = name.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(&name[..end]).ok()
}

#[cfg(all(test, feature = "server"))]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_complete_and_names_its_release() {
        let image = example_image("r1.8.0", 3000);
        assert_eq!(check_image(&image), Ok(()));
        assert_eq!(release_in(&image), Some("r1.8.0"));
    }

    #[test]
    fn each_shorter_file_is_refused() {
        let image = example_image("r1.8.0", 300);
        for size in 0..image.len() {
            assert!(check_image(&image[..size]).is_err(), "{size}");
        }
    }

    #[test]
    fn an_example_with_one_wrong_byte_names_no_release() {
        let image = example_image("r1.8.0", 3000);
        let longer = [&image[..], &[0xff; 5000]].concat();
        assert_eq!(release_in(&longer), Some("r1.8.0"));
        // The digest, the first byte of the partition, one of its middle, and its last one.
        for at in [0x180, 0x190, 0x900, image.len() - 1] {
            let mut wrong = longer.clone();
            wrong[at] ^= 1;
            assert_eq!(check_image(&wrong), Ok(()));
            assert_eq!(release_in(&wrong), None, "{at:#x}");
        }
    }

    #[test]
    fn wrong_words_and_endless_chains_are_refused() {
        let image = example_image("r1.8.0", 300);
        let changed = |at: usize, word: u32| {
            let mut image = image.clone();
            image[at..at + 4].copy_from_slice(&word.to_le_bytes());
            check_image(&image)
        };
        assert!(matches!(
            changed(0x20, 0),
            Err(ImageError::Word { at: 0x20, .. })
        ));
        assert!(matches!(
            changed(0x24, 0),
            Err(ImageError::Word { at: 0x24, .. })
        ));
        // A header whose next header is itself, no header at all, and offsets far outside the
        // image.
        assert_eq!(changed(0x14c, 0x50), Err(ImageError::Partitions));
        assert_eq!(changed(0x108, 0), Err(ImageError::Partitions));
        for at in [0x98, 0x108, 0x148, 0x14c, 0x160] {
            assert!(changed(at, u32::MAX).is_err(), "{at:#x}");
        }
    }
}
