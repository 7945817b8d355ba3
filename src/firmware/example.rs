//! Images for simulated boards.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::image::hex_sha256;
use crate::sim::example_image;

/// Writes an image for simulated boards into `file`, and its description into a file of the same
/// name with the extension `.toml`. Returns the path of the description. Boards that are not
/// simulated refuse the image.
///
/// # Errors
/// If a file cannot be written.
pub fn write_example(file: &Path, release: &str, size: usize) -> io::Result<PathBuf> {
    let image = example_image(release, size);
    let description = file.with_extension("toml");
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let text = format!(
        "kind = \"crs\"\nrelease = {release:?}\nfile = {name:?}\nsize = {}\nsha256 = \"{}\"\n",
        image.len(),
        hex_sha256(&image)
    );
    fs::write(file, image)?;
    fs::write(&description, text)?;
    Ok(description)
}
