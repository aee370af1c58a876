//! `diskwright extract`: files out of an image.

use super::exit::{self, Code, Usage, complain};
use super::look::{Opened, TARGETS};
use super::progress::Progress;
use anyhow::Context;
use diskwright::display::display_path;
use diskwright::inspect::{ExtractError, Extracted, to_folder, to_tar};
use diskwright::observe::Observer;
use diskwright::sink::beside::Beside;
use diskwright::sink::raw::RawOptions;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  diskwright extract disk.img -o rootfs.tar
  diskwright extract disk.img:/etc -o - | tar -tv
  diskwright extract disk.img:/var/log -o logs/";

const LONG: &str = "\
A tar has everything: owners, times, attributes, ACLs, holes, links and devices.
Its members come in the order of their data, so that `build` with the flags that
made the image makes the same image again; room that replaced files left free is
kept by a member of zeros that the next member replaces.

Into a folder goes what an ordinary user may write: owners and set-id bits are
left as they may be, and devices left out, which is told. Nothing in an image
leads out of the folder.";

/// Take files out of an image: into a tar, or into a folder
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{LONG}\n\n{TARGETS}\n\n{EXAMPLES}"))]
pub(super) struct Args {
    /// What to take out: IMG, IMG:/PATH or IMG:pN:/PATH
    #[arg(value_name = "TARGET", value_hint = clap::ValueHint::FilePath)]
    target: OsString,

    /// Tar that is written, `-` for standard output, or with a slash at the end a new folder
    #[arg(short, long, value_name = "FILE|-|DIR/", value_hint = clap::ValueHint::AnyPath)]
    output: PathBuf,

    /// Replace the tar if it exists
    #[arg(long)]
    force: bool,

    /// Errors and warnings only
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Code> {
    let opened = Opened::new(&args.target)?;
    let node = opened.node(true)?;
    let path = opened.path();
    let name = path.rsplit(|b| *b == b'/').find(|part| !part.is_empty());
    let name = name.unwrap_or(b"root");
    let progress = Progress::new(args.quiet);
    let files = opened.files()?;
    let what = || format!("cannot take {} out", display_path(path));
    let out = &args.output;
    let into = into(out)?;
    let done = match into {
        Into::Folder => to_folder(files, &node, name, out, &progress),
        Into::Stdout => match to_tar(files, &node, name, io::stdout().lock(), &progress) {
            // Who reads it has seen enough, as with any filter.
            Err(ExtractError::Tar(e)) => {
                progress.finish();
                exit::stdout(Err(e))?;
                return Ok(Code::Done);
            }
            done => done,
        },
        Into::Tar => {
            let options = RawOptions {
                force: args.force,
                sync: false,
            };
            let mut file = Beside::create(out, options)?;
            let mut done = Ok(Extracted::default());
            file.write(|out| {
                done = to_tar(files, &node, name, out, &progress);
                Ok(())
            })?;
            if done.is_ok() {
                file.place()?.keep();
            }
            done
        }
    };
    progress.finish();
    opened.tell_warnings();
    let done = done.with_context(what)?;
    tell(&done, &progress);
    if into == Into::Tar && out.extension() != Some(OsStr::new("tar")) {
        let name = out.display();
        progress.note(&format!("{name}: a tar; for a folder say -o {name}/"));
    }
    if into != Into::Stdout {
        exit::print(&format!("{}\n", out.display()))?;
    }
    Ok(if done.left_out > 0 {
        Code::Findings
    } else {
        Code::Done
    })
}

/// Where the files go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Into {
    Stdout,
    Folder,
    Tar,
}

fn into(out: &Path) -> Result<Into, Usage> {
    use std::os::unix::ffi::OsStrExt;
    if out == Path::new("-") {
        return Ok(Into::Stdout);
    }
    if out.as_os_str().as_bytes().ends_with(b"/") || out.is_dir() {
        return Ok(Into::Folder);
    }
    let name = out.to_string_lossy();
    let packed = [".gz", ".tgz", ".zst", ".xz", ".bz2"];
    if let Some(end) = packed.iter().find(|end| name.ends_with(*end)) {
        return Err(Usage::with_help(
            format!("{name}: a tar is written as it is, not packed as {end}"),
            format!("pack it on the way: `-o - | zstd > {name}`"),
        ));
    }
    Ok(Into::Tar)
}

/// What a folder could not take.
fn tell(done: &Extracted, observer: &dyn Observer) {
    if done.owners > 0 {
        observer.note(&format!(
            "{} files belong to you, not to their owners in the image: only root may give files away",
            done.owners
        ));
    }
    if done.xattrs > 0 {
        observer.note(&format!(
            "{} extended attributes could not be set: only root may set capabilities and labels",
            done.xattrs
        ));
    }
    if done.left_out > 0 {
        complain(&format!("warning: {} files were left out\n", done.left_out));
    }
}
