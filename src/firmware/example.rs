//! Images for simulated boards.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::image::hex_sha256;
use crate::sim::example_image;

/// Writes an image for simulated boards into `file`, and its description into a file of the same
/// name with the extension `.toml`. Returns the path of the description. Boards that are not
/// simulated refuse the image.
///
/// # Errors
/// If a file is there already or cannot be written, or if `file` ends with `.toml`.
pub fn write_example(file: &Path, release: &str, size: usize) -> io::Result<PathBuf> {
    let description = file.with_extension("toml");
    if description == file {
        let why = "the image needs another name than its description, which ends with .toml";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let image = example_image(release, size);
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let text = format!(
        "kind = \"crs\"\nrelease = {release:?}\nfile = {name:?}\nsize = {}\nsha256 = \"{}\"\n",
        image.len(),
        hex_sha256(&image)
    );
    create(file, &image)?;
    create(&description, text.as_bytes())?;
    Ok(description)
}

/// Writes a new file. A file that exists is not replaced, because it may be an image for real
/// boards.
fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    let created = File::create_new(path).and_then(|mut file| file.write_all(content));
    created.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}
