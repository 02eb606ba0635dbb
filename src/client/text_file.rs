//! A file of text that a person named: rule files and their unit tests.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// The largest such file. The largest rule files in use have one or two MiB.
const MAX_BYTES: u64 = 16 << 20;

/// Reads a file of text. Only regular ones: a pipe would be waited for, and a device may have no end.
///
/// # Errors
/// In words, with its path.
pub fn read_text(path: &Path) -> Result<String, String> {
    try_read(path).map_err(|error| format!("{}: could not read it: {error}", path.display()))
}

fn try_read(path: &Path) -> io::Result<String> {
    // Before it is opened, since opening a pipe waits for who writes into it.
    regular(&std::fs::metadata(path)?)?;
    let file = File::open(path)?;
    regular(&file.metadata()?)?;
    let mut text = String::new();
    file.take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => io::Error::other("it is no text in UTF-8"),
            _ => error,
        })?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!(
            "it has more than {} MiB",
            MAX_BYTES >> 20
        )));
    }
    Ok(text)
}

fn regular(file: &Metadata) -> io::Result<()> {
    let kind = file.file_type();
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else {
        "a socket"
    };
    Err(io::Error::other(format!("it is {what} and no file")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_end_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.yaml");
        std::fs::write(&file, "é").unwrap();
        assert_eq!(read_text(&file), Ok("é".to_owned()));
        let large = dir.path().join("b.yaml");
        File::create(&large).unwrap().set_len(MAX_BYTES + 1).unwrap();
        let pipe = dir.path().join("c.yaml");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let none = dir.path().join("none.yaml");
        let bytes = dir.path().join("bytes.yaml");
        std::fs::write(&bytes, b"\xff").unwrap();
        for (path, why) in [
            (&*large, "it has more than 16 MiB"),
            (&*bytes, "it is no text in UTF-8"),
            (&*pipe, "it is a pipe and no file"),
            (Path::new("/dev/zero"), "it is a device and no file"),
            (dir.path(), "it is a directory and no file"),
            (&*none, "No such file"),
        ] {
            let error = read_text(path).unwrap_err();
            let begins = format!("{}: could not read it: {why}", path.display());
            assert!(error.starts_with(&begins), "{error}");
        }
    }
}
