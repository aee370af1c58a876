//! Other people's tools: a missing one is a loud SKIP on a desk and a failure in CI.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Whether `program` can be run; if not, says so, and fails where `CI` is set.
pub(crate) fn have(program: &str) -> bool {
    let places = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let found = places
        .split(':')
        .any(|place| std::path::Path::new(place).join(program).exists());
    found || skip(&format!("{program} is not installed"))
}

/// Reports that a test proves nothing here; fails where `CI` is set.
pub(crate) fn skip(why: &str) -> bool {
    assert!(
        std::env::var_os("CI").is_none(),
        "in CI this must not be missing: {why}"
    );
    // Past libtest's capture, which would hide it.
    let _ = writeln!(std::io::stderr(), "\n*** SKIP: {why} ***");
    false
}

/// Runs `program` in a fixed locale, with the administrator's folders in its PATH.
pub(crate) fn run(program: &str, args: &[&str]) -> Output {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    Command::new("env")
        .args([&format!("PATH={path}"), "LC_ALL=C", program])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|err| panic!("{program}: {err}"))
}

/// The standard output of a run that must succeed.
pub(crate) fn stdout(program: &str, args: &[&str]) -> String {
    let out = run(program, args);
    assert!(
        out.status.success(),
        "{program} {args:?}: {}\n{}",
        out.status,
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).into_owned()
}
