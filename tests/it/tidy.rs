//! The rules of the house that a compiler does not know.

use std::fs;
use std::path::{Path, PathBuf};

/// Ranks of the modules: each uses only lower ones, and siblings of one rank leave one another alone.
const RANKS: &[(&str, u32)] = &[
    ("units", 0),
    ("display", 0),
    ("hex", 0),
    ("entry", 0),
    ("seed", 0),
    ("acl", 0),
    ("checksum", 0),
    ("extent", 0),
    ("read_at", 0),
    ("observe", 0),
    ("in_order", 0),
    ("pool", 0),
    ("archive", 1),
    ("tree", 2),
    ("ext4", 3),
    ("fat", 3),
    ("partition", 3),
    ("grub", 3),
    ("packages", 3),
    ("vdisk", 3),
    ("image", 4),
    ("bundle", 4),
    ("strategy", 4),
    ("sink", 5),
    ("inspect", 5),
    ("provenance", 5),
    ("boot", 5),
    ("aws", 6),
    ("cli", 7),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut list = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            list.push(path);
        }
    }
    list.sort();
    list
}

fn module(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// Modules of the crate that a line names: `crate::x`, or `diskwright::x` in the program.
fn named(line: &str) -> Vec<&str> {
    let code = line.split("//").next().unwrap_or_default();
    let mut list = Vec::new();
    for prefix in ["crate::", "diskwright::"] {
        for rest in code.split(prefix).skip(1) {
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            list.push(&rest[..end]);
        }
    }
    list
}

#[test]
fn a_module_uses_only_modules_of_lower_rank() {
    let rank = |name: &str| RANKS.iter().find(|(n, _)| *n == name).map(|(_, r)| *r);
    let mut broken = Vec::new();
    for path in sources(&root().join("src")) {
        let own = module(&path);
        if own == "lib" || own == "main" {
            continue;
        }
        let mine = rank(&own).unwrap_or_else(|| panic!("{own} has no rank: add it to the table"));
        for (nr, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            for used in named(line) {
                let Some(theirs) = rank(used) else { continue };
                // The ground floor is one room.
                let fine = used == own || theirs < mine || (theirs == 0 && mine == 0);
                if !fine {
                    broken.push(format!("{}:{}: {own} uses {used}", path.display(), nr + 1));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The modules that could be lifted out as a crate of their own: `ext4` and all that it uses.
#[test]
fn ext4_needs_the_tree_and_the_ground_floor_alone() {
    let mut needed = vec!["ext4".to_owned()];
    let mut at = 0;
    while let Some(module_) = needed.get(at).cloned() {
        at += 1;
        let files = sources(&root().join("src"));
        for path in files.iter().filter(|p| module(p) == module_) {
            let text = fs::read_to_string(path).unwrap();
            for used in text.lines().flat_map(named) {
                let known = RANKS.iter().any(|(name, _)| *name == used);
                if known && !needed.iter().any(|n| n == used) {
                    needed.push(used.to_owned());
                }
            }
        }
    }
    for name in needed
        .iter()
        .filter(|n| !["ext4", "tree"].contains(&n.as_str()))
    {
        let ground = RANKS.iter().any(|(n, rank)| n == name && *rank == 0);
        assert!(ground, "ext4 needs {name}; all: {needed:?}");
    }
}

#[test]
fn the_checker_never_sees_the_planner() {
    for path in sources(&root().join("src/ext4/check")) {
        let text = fs::read_to_string(&path).unwrap();
        // Its tests may make damage; its code may read only structs and sums.
        for line in text.lines() {
            for planner in [
                "ext4::plan",
                "ext4::emit",
                "ext4::formatter",
                "ext4::alloc",
                "ext4::geometry",
            ] {
                assert!(!line.contains(planner), "{}: {line}", path.display());
            }
        }
    }
}

#[test]
fn on_disk_structs_know_nothing_of_layout() {
    for path in sources(&root().join("src/ext4/disk")) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            !text.contains("crate::tree") && !text.contains("plan::"),
            "{}",
            path.display()
        );
    }
}

#[test]
fn files_are_short_enough_to_read() {
    for folder in ["src", "tests", "benches"] {
        for path in sources(&root().join(folder)) {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(
                lines <= 800,
                "{} has {lines} lines: give its parts files of their own",
                path.display()
            );
        }
    }
}

#[test]
fn every_module_folder_opens_with_an_introduction() {
    for path in sources(&root().join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        let first = text.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("//!"),
            "{} does not say what it is",
            path.display()
        );
    }
}

#[test]
fn no_lint_is_silenced_for_unsafe_or_casts() {
    for path in sources(&root().join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("unsafe "), "{}", path.display());
        for lint in ["as_conversions", "unwrap_used"] {
            assert!(
                !text.contains(&format!("allow(clippy::{lint}")),
                "{}",
                path.display()
            );
        }
    }
}

/// No request without its permission in the policies of `iam-policy`, and no permission for nothing.
#[test]
fn every_action_of_aws_is_in_the_table_of_policies_and_none_besides() {
    use std::collections::BTreeSet;
    let action = regex::Regex::new(r#""((?:ebs|ec2|iam|kms|s3|ssm|sts):[A-Z][A-Za-z]+)""#).unwrap();
    let mut used = BTreeSet::new();
    for path in sources(&root().join("src/aws")) {
        if path.ends_with("policy.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        used.extend(action.captures_iter(&text).map(|c| c[1].to_owned()));
    }
    let table: Vec<_> = diskwright::aws::policy::actions().collect();
    let granted: BTreeSet<_> = table
        .iter()
        .map(|(action, _)| (*action).to_owned())
        .collect();
    let missing: Vec<_> = used.difference(&granted).collect();
    assert!(
        missing.is_empty(),
        "add to GRANTS in src/aws/policy.rs: {missing:?}"
    );
    let idle = table.iter().filter(|(action, within)| {
        let request: &str = within.unwrap_or(action);
        !used.contains(request) || (within.is_some() && used.contains(*action))
    });
    let idle: Vec<_> = idle.collect();
    assert!(idle.is_empty(), "no request in src/aws needs: {idle:?}");
}

#[test]
fn text_files_end_with_a_newline_and_carry_no_carriage_returns() {
    let mut files = sources(&root().join("src"));
    files.extend(sources(&root().join("tests")));
    files.extend(["README.md", "CHANGELOG.md", "Makefile", "Cargo.toml"].map(|f| root().join(f)));
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.ends_with('\n') && !text.contains('\r'),
            "{}",
            path.display()
        );
    }
}

/// `aws_sdk_ec2` alone is a million lines: whoever wants none of it must be able to leave it out.
#[test]
fn the_aws_module_alone_uses_the_sdks() {
    for path in sources(&root().join("src")) {
        if module(&path) == "aws" {
            continue;
        }
        for line in fs::read_to_string(&path).unwrap().lines() {
            let code = line.split("//").next().unwrap_or_default();
            assert!(!code.contains("aws_"), "{}: {line}", path.display());
        }
    }
}
