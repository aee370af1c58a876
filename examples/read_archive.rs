//! Reads an archive to its end and says what it held, and how fast that went:
//! `cargo run --release --example read_archive rootfs.tar.zst` (`-` is stdin).

use std::path::PathBuf;
use std::time::Instant;

use diskwright::archive::{ArchiveError, ArchiveReader};
use diskwright::units::count;

fn main() -> std::process::ExitCode {
    let path = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| "-".into()));
    match read(&path) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            let source = std::error::Error::source(&e).map(|s| format!(": {s}"));
            eprintln!("error: {e}{}", source.unwrap_or_default());
            std::process::ExitCode::from(3)
        }
    }
}

fn read(path: &std::path::Path) -> Result<(), ArchiveError> {
    let start = Instant::now();
    let mut archive = ArchiveReader::open(path)?;
    let (mut entries, mut bytes) = (0_u64, 0_u64);
    while archive.next_entry()?.is_some() {
        entries += 1;
        while let Some(data) = archive.next_data()? {
            bytes += count(data.len());
        }
    }
    for warning in archive.take_warnings() {
        eprintln!("warning: {warning}");
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{entries} entries, {bytes} bytes of data, {} in {seconds:.3} s",
        archive.compression()
    );
    Ok(())
}
