//! A picture of the guest's screen, through QMP, qemu's control socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// How long qemu may take to answer: a picture of 1280x800 takes 0.1 s.
const LIMIT: Duration = Duration::from_secs(5);

/// Where qemu listens and draws, in a folder that goes away with this value.
#[derive(Debug)]
pub(super) struct Screen {
    folder: tempfile::TempDir,
}

impl Screen {
    pub(super) fn new() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("diskwright-").tempdir()?;
        Ok(Self { folder })
    }

    /// The socket, for `-qmp unix:`.
    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("qmp")
    }

    /// The screen as a PNG. qemu draws it since version 7.1, where it was built with libpng.
    pub(super) fn take(&self) -> io::Result<Vec<u8>> {
        let socket = UnixStream::connect(self.socket())?;
        socket.set_read_timeout(Some(LIMIT))?;
        socket.set_write_timeout(Some(LIMIT))?;
        let mut answers = BufReader::new(socket.try_clone()?).lines();
        let mut commands = socket;
        let picture = self.folder.path().join("screen.png");
        let file = picture.to_string_lossy();
        for command in [
            serde_json::json!({"execute": "qmp_capabilities"}),
            serde_json::json!({"execute": "screendump",
                "arguments": {"filename": file, "format": "png"}}),
        ] {
            commands.write_all(format!("{command}\n").as_bytes())?;
            loop {
                // The greeting and events come in between.
                let line = answers.next().ok_or(io::ErrorKind::UnexpectedEof)??;
                let answer: serde_json::Value = serde_json::from_str(&line)?;
                if let Some(error) = answer.get("error") {
                    let text = error.get("desc").and_then(|d| d.as_str());
                    return Err(io::Error::other(text.unwrap_or("qemu refused").to_owned()));
                }
                if answer.get("return").is_some() {
                    break;
                }
            }
        }
        std::fs::read(picture)
    }
}
