//! A folder to build in: runs the program there and holds its answer against what was expected.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A temporary folder with an empty folder `out` in it, the place of the images.
pub struct Desk {
    folder: tempfile::TempDir,
}

/// What a run of the program came to.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Desk {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("out")).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// The program, to be run in this folder so that messages show relative paths.
    pub fn command(&self, args: &[&str]) -> Command {
        self.prefixed(&[], args)
    }

    /// The same, started by another program: strace, a shell, setpriv.
    pub fn prefixed(&self, prefix: &[&str], args: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_diskwright");
        let line: Vec<&str> = prefix.iter().copied().chain([program]).collect();
        let mut command = Command::new(line[0]);
        command
            .args(&line[1..])
            .args(args)
            .current_dir(self.folder())
            .env_remove("SOURCE_DATE_EPOCH")
            .env("COLUMNS", "100")
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        ran(&self.command(args).output().unwrap())
    }

    /// `build`, an archive on standard input.
    pub fn run_with_stdin(&self, name: &str, args: &[&str]) -> Ran {
        let input = File::open(self.path(name)).unwrap();
        ran(&self.command(args).stdin(input).output().unwrap())
    }

    /// Names in `out`, hidden ones too.
    pub fn out(&self) -> Vec<String> {
        names(&self.path("out"))
    }

    /// Runs the program, which must fail with `code`, that text on stderr, nothing on stdout, and nothing
    /// left in `out`.
    #[track_caller]
    pub fn refused(&self, args: &[&str], code: i32, expected: expect_test::Expect) {
        self.told(&self.run(args), code, expected);
    }

    /// The same of a run that is over.
    #[track_caller]
    pub fn told(&self, ran: &Ran, code: i32, expected: expect_test::Expect) {
        // How far a run came depends on the machine.
        let progress = |l: &&str| l.starts_with("archive: ") && l.contains("iB of ");
        let told = ran.stderr.split_inclusive('\n');
        let told: String = told.filter(|l| !progress(l)).collect();
        expected.assert_eq(&told);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{ran:?}");
        assert_eq!(self.out(), Vec::<String>::new());
    }

    /// Builds `archive` with `flags`; it must succeed, and e2fsck must have nothing to say.
    #[track_caller]
    pub fn builds(&self, archive: &str, flags: &[&str]) -> Ran {
        let args = [&["build", archive, "-o", "out/disk.img", "--force"], flags].concat();
        let ran = self.run(&args);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(self.out(), ["disk.img"]);
        ran
    }

    /// What e2fsck says about the root filesystem of `out/disk.img`, which must be nothing.
    #[track_caller]
    pub fn fsck(&self) {
        if !crate::tools::have("e2fsck") {
            return;
        }
        let image = self.device();
        crate::tools::stdout("e2fsck", &["-fn", &image]);
    }

    fn device(&self) -> String {
        let image = self.path("out/disk.img");
        super::image::device(&image, super::image::offset_of(&image))
    }

    /// What debugfs answers about the root filesystem of `out/disk.img`; `None` without debugfs.
    pub fn debugfs(&self, request: &str) -> Option<String> {
        if !crate::tools::have("debugfs") {
            return None;
        }
        let image = self.device();
        Some(crate::tools::stdout("debugfs", &["-R", request, &image]))
    }
}

pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

pub fn ran(output: &Output) -> Ran {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Ran {
        code: output.status.code(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

/// A process that is killed when the test ends early.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
