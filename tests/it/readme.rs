//! The README keeps its word: its spec file is accepted, its exit codes and verbs are the command's.

use std::path::Path;
use std::process::{Command, Output};

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let text = readme();
    let opening = format!("```{language}\n");
    let fenced = text.split(&opening).skip(1);
    fenced
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

fn diskwright(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_diskwright"))
        .args(args)
        .output()
        .unwrap()
}

#[test]
fn the_spec_file_has_known_keys_and_values() {
    let folder = tempfile::tempdir().unwrap();
    for text in blocks("toml") {
        let spec = folder.path().join("image.toml");
        std::fs::write(&spec, text).unwrap();
        let output = diskwright(&["build", "--spec", spec.to_str().unwrap()]);
        let message = String::from_utf8(output.stderr).unwrap();
        // Every key was understood: what is missing is the archive, beside the spec file.
        assert_eq!(output.status.code(), Some(3), "{message}");
        assert!(message.contains("demo/debian12.tar"), "{message}");
    }
    assert_eq!(blocks("toml").len(), 1);
}

#[test]
fn every_command_names_a_verb_and_flags_that_exist() {
    let mut seen = 0;
    let lines: Vec<String> = blocks("sh").concat().lines().map(str::to_owned).collect();
    for line in lines
        .iter()
        .filter_map(|line| line.strip_prefix("target/release/diskwright "))
    {
        let words: Vec<_> = line.split('#').next().unwrap().split_whitespace().collect();
        let help = diskwright(&[words[0], "--help"]);
        assert!(help.status.success(), "{line}");
        let help = String::from_utf8(help.stdout).unwrap();
        for flag in words.iter().filter(|word| word.starts_with('-')) {
            assert!(help.contains(flag), "{line}: {flag}");
        }
        seen += 1;
    }
    assert_eq!(seen, 3);
}

#[test]
fn make_targets_of_the_readme_exist() {
    let makefile = Path::new(env!("CARGO_MANIFEST_DIR")).join("Makefile");
    let makefile = std::fs::read_to_string(makefile).unwrap();
    for line in blocks("sh")
        .concat()
        .lines()
        .filter_map(|line| line.strip_prefix("make "))
    {
        let target = line.split_whitespace().next().unwrap();
        assert!(makefile.contains(&format!("\n{target}: ")), "{target}");
    }
}
