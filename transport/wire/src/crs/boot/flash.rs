//! Flash memory of a simulated board.

use std::collections::BTreeMap;

use super::{ERASE_BLOCK, FLASH_SIZE};

/// Value of an erased byte.
const ERASED: u8 = 0xff;

/// Largest number of bytes that are written in one step.
const PAGE: usize = 0x1000;

/// NOR flash: an erasure sets all bits of a block, and a write can only clear bits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flash {
    /// Blocks that are not erased, by their number.
    blocks: BTreeMap<usize, Vec<u8>>,
}

/// Next step of an erasure or of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlashStep {
    /// A block is erased.
    Erase {
        /// Offset of the block, in bytes.
        at: usize,
    },
    /// Bytes are written.
    Write {
        /// Offset of the bytes in the flash.
        at: usize,
        /// Number of bytes.
        size: usize,
    },
}

impl FlashStep {
    /// Returns the step that erases the block at `at`.
    pub(super) fn erase(at: usize) -> Self {
        Self::Erase { at }
    }

    pub(super) fn write(at: usize, end: usize) -> Self {
        let size = PAGE.min(end - at);
        Self::Write { at, size }
    }
}

impl Flash {
    /// Flash that holds `image` from its start on.
    ///
    /// # Panics
    /// If the image is larger than the flash.
    pub fn with_image(image: &[u8]) -> Self {
        assert!(
            image.len() <= FLASH_SIZE,
            "the image is larger than the flash"
        );
        let mut flash = Self::default();
        flash.write(0, image);
        flash
    }

    /// Erases the block that holds the byte at `at`.
    pub(super) fn erase(&mut self, at: usize) {
        self.blocks.remove(&(at / ERASE_BLOCK));
    }

    /// Writes bytes. A write can only clear bits: a bit is set afterwards only if it was set before
    /// and is set in the new byte.
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        for (index, byte) in bytes.iter().enumerate() {
            let at = at + index;
            let block = self.blocks.entry(at / ERASE_BLOCK);
            block.or_insert_with(|| vec![ERASED; ERASE_BLOCK])[at % ERASE_BLOCK] &= byte;
        }
    }

    /// Clears the lowest set bit of the byte at `at`, as a worn cell does.
    pub fn spoil(&mut self, at: usize) {
        let byte = self.read(at, 1)[0];
        self.write(at, &[byte & byte.wrapping_sub(1)]);
    }

    /// Returns a copy of `size` bytes from `at` on. Bytes after the end of the flash are read as
    /// erased.
    pub fn read(&self, at: usize, size: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(size);
        while bytes.len() < size {
            let at = at + bytes.len();
            let length = (ERASE_BLOCK - at % ERASE_BLOCK).min(size - bytes.len());
            match self.blocks.get(&(at / ERASE_BLOCK)) {
                Some(block) => bytes.extend_from_slice(&block[at % ERASE_BLOCK..][..length]),
                None => bytes.resize(bytes.len() + length, ERASED),
            }
        }
        bytes
    }

    /// Returns the bytes up to the end of the last block that is not erased.
    pub fn image(&self) -> Vec<u8> {
        let end = self
            .blocks
            .keys()
            .next_back()
            .map_or(0, |block| (block + 1) * ERASE_BLOCK);
        self.read(0, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_over_other_bytes_only_clears_bits() {
        let mut flash = Flash::with_image(&[0b1100; 3]);
        flash.write(1, &[0b0110]);
        assert_eq!(flash.read(0, 4), [0b1100, 0b0100, 0b1100, ERASED]);
        flash.erase(5);
        assert_eq!(flash, Flash::default());
    }

    #[test]
    fn reads_cross_the_blocks() {
        let image: Vec<u8> = (0..ERASE_BLOCK + 9).map(|byte| byte as u8).collect();
        let flash = Flash::with_image(&image);
        assert_eq!(flash.read(0, image.len()), image);
        assert_eq!(
            flash.read(ERASE_BLOCK - 2, 4),
            image[ERASE_BLOCK - 2..][..4]
        );
        assert_eq!(flash.image().len(), 2 * ERASE_BLOCK);
    }

    #[test]
    fn a_worn_cell_changes_one_bit() {
        let mut flash = Flash::with_image(&[0b1100]);
        flash.spoil(0);
        assert_eq!(flash.read(0, 1), [0b1000]);
    }
}
