//! What is around the program: manual pages, completions, the schema of spec files, the action, workflows and
//! container file of GitHub.

use crate::common::desk::{Desk, names};
use crate::common::tarball::{archive, file};
use crate::tools::{have, run, skip, stdout};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The verbs that `--help` lists.
fn verbs(desk: &Desk) -> Vec<String> {
    let help = desk.run(&["--help"]).stdout;
    let list = help
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let lines = list
        .lines()
        .filter(|l| l.starts_with("  ") && !l.starts_with("   "));
    let verbs = lines.map(|l| l.split_whitespace().next().unwrap().to_owned());
    verbs.filter(|v| v != "help").collect()
}

#[test]
fn every_verb_has_a_manual_page_that_man_understands() {
    let desk = Desk::new();
    let ran = desk.run(&["man", "pages"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut expected: Vec<_> = verbs(&desk)
        .iter()
        .map(|v| format!("diskwright-{v}.1"))
        .collect();
    expected.push("diskwright.1".into());
    expected.sort();
    assert_eq!(names(&desk.path("pages")), expected);
    for name in &expected {
        let page = desk.path("pages").join(name);
        if have("mandoc") {
            let said = run("mandoc", &["-Tlint", "-Werror", page.to_str().unwrap()]);
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            let worse = said
                .lines()
                .find(|l| l.contains("ERROR:") || l.contains("UNSUPP:"));
            assert_eq!(worse, None, "{name}: {said}");
        }
    }
    let again = desk.run(&["man", "again"]);
    assert_eq!(again.code, Some(0));
    for name in expected {
        let read = |folder: &str| std::fs::read(desk.path(folder).join(&name)).unwrap();
        assert_eq!(read("pages"), read("again"));
    }
}

#[test]
fn every_shell_takes_its_completions() {
    let desk = Desk::new();
    for (shell, check) in [
        ("bash", Some(&["bash", "-n"][..])),
        ("zsh", Some(&["zsh", "-n"])),
        ("fish", Some(&["fish", "--no-execute"])),
        ("elvish", None),
        ("powershell", None),
    ] {
        let ran = desk.run(&["completions", shell]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        for word in ["verify-bundle", "reserved-percent"] {
            assert!(ran.stdout.contains(word), "{shell}: {word}");
        }
        let name = format!("completions.{shell}");
        desk.write(&name, ran.stdout.as_bytes());
        if let Some([program, flag]) = check
            && have(program)
        {
            stdout(program, &[flag, desk.path(&name).to_str().unwrap()]);
        }
    }
}

#[test]
fn the_schema_takes_the_spec_files_that_build_takes_and_no_others() {
    let desk = Desk::new();
    let ran = desk.run(&["schema"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    desk.write("schema.json", ran.stdout.as_bytes());
    if !run("python3", &["-c", "import jsonschema, tomllib"])
        .status
        .success()
    {
        skip("jsonschema of PyPI, or a Python of 3.11 or later, is not there");
        return;
    }
    let script = "import json, sys, tomllib\n\
        from jsonschema import Draft202012Validator as V\n\
        schema = json.load(open(sys.argv[1]))\n\
        V.check_schema(schema)\n\
        print(V(schema).is_valid(tomllib.load(open(sys.argv[2], 'rb'))))\n";
    let valid = |text: &str| {
        desk.write("image.toml", text.as_bytes());
        let (schema, spec) = (desk.path("schema.json"), desk.path("image.toml"));
        let said = stdout(
            "python3",
            &[
                "-c",
                script,
                schema.to_str().unwrap(),
                spec.to_str().unwrap(),
            ],
        );
        said.trim() == "True"
    };
    // To `build` a good one lacks but its archive.
    let accepted = || {
        let ran = desk.run(&[
            "build",
            "--spec",
            "image.toml",
            "-o",
            "out/disk.img",
            "nothing.tar",
        ]);
        assert!(matches!(ran.code, Some(2 | 3)), "{ran:?}");
        ran.code == Some(3)
    };
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let of_readme = readme
        .split("```toml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    for (text, good) in [
        (of_readme, true),
        ("rootfs = ['a.tar', 'b.tar']\nlabel = 'x'", true),
        (
            "inodes = 70000\nlarge-dir = true\nscheme = 'mbr'\nboot = 'bios'",
            true,
        ),
        ("sise = '4G'", false),
        ("spec = 'other.toml'", false),
        ("scheme = 'apm'", false),
        ("force = 1", false),
        ("size = true", false),
        ("label = ['a']", false),
    ] {
        assert_eq!((valid(text), accepted()), (good, good), "{text}");
    }
    for spec in specs(&root().join("examples")) {
        assert!(
            valid(&std::fs::read_to_string(&spec).unwrap()),
            "{}",
            spec.display()
        );
    }
}

/// Spec files below a folder.
fn specs(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|e| e.unwrap().path());
    let found = paths.flat_map(|path| match path.extension() {
        _ if path.is_dir() => specs(&path),
        Some(extension) if extension == "toml" => vec![path],
        _ => Vec::new(),
    });
    found.collect()
}

#[test]
fn workflows_and_action_are_what_github_takes() {
    if !have("check-jsonschema") {
        return;
    }
    let path = |name: &str| root().join(name).to_str().unwrap().to_owned();
    for (schema, name) in [
        ("vendor.github-workflows", ".github/workflows/ci.yml"),
        ("vendor.github-workflows", ".github/workflows/release.yml"),
        ("vendor.github-actions", "action.yml"),
    ] {
        stdout(
            "check-jsonschema",
            &["--builtin-schema", schema, &path(name)],
        );
    }
}

/// Runs the action's script against releases in a folder, with a cargo that writes down its arguments.
fn install(desk: &Desk, more: &[&str]) -> Output {
    let path = format!(
        "{}:{}",
        desk.path("bin").display(),
        std::env::var("PATH").unwrap()
    );
    Command::new(root().join(".github/install"))
        .args([desk.path("installed").to_str().unwrap(), "9.9.9"])
        .args(more)
        .env(
            "DISKWRIGHT_RELEASES",
            format!("file://{}", desk.path("releases").display()),
        )
        .env("PATH", path)
        .output()
        .unwrap()
}

#[test]
fn the_action_takes_a_release_by_its_digest_and_only_otherwise_compiles() {
    if !have("curl") {
        return;
    }
    let desk = Desk::new();
    let program = "#!/bin/sh\necho diskwright 9.9.9\n";
    let cargo = format!(
        "#!/bin/sh\necho \"$@\" >{0}/cargo.log\nmkdir -p \"$6/bin\"\nprintf '{1}' >\"$6/bin/diskwright\"\n\
         chmod +x \"$6/bin/diskwright\"\n",
        desk.folder().display(),
        program.replace('\n', "\\n")
    );
    for (name, text) in [("bin/cargo", cargo.as_str()), ("diskwright", program)] {
        std::fs::create_dir_all(desk.path(name).parent().unwrap()).unwrap();
        desk.write(name, text.as_bytes());
        stdout("chmod", &["+x", desk.path(name).to_str().unwrap()]);
    }
    // No release: it is compiled, from the action's own sources.
    let out = install(&desk, &[]);
    assert!(out.status.success(), "{out:?}");
    let said = std::fs::read_to_string(desk.path("cargo.log")).unwrap();
    assert!(
        said.starts_with(&format!("install --locked --path {}", root().display())),
        "{said}"
    );
    // But not where a digest was asked for.
    assert!(!install(&desk, &["00"]).status.success());

    std::fs::remove_file(desk.path("cargo.log")).unwrap();
    let folder = desk.path("releases/v9.9.9");
    std::fs::create_dir_all(&folder).unwrap();
    let machine = std::env::consts::ARCH;
    let name = format!("diskwright-9.9.9-{machine}-unknown-linux-musl.tar.gz");
    let pack = format!(
        "cd {} && tar -czf {2}/{1} ./diskwright && cd {2} && sha256sum {1} >SHA256SUMS",
        desk.folder().display(),
        name,
        folder.display()
    );
    stdout("sh", &["-c", &pack]);
    std::fs::remove_dir_all(desk.path("installed")).unwrap();
    let out = install(&desk, &[]);
    assert!(out.status.success(), "{out:?}");
    assert_eq!(
        std::fs::read_to_string(desk.path("installed/diskwright")).unwrap(),
        program
    );
    assert!(!desk.path("cargo.log").exists());
    // Something else under its name.
    std::fs::remove_dir_all(desk.path("installed")).unwrap();
    std::fs::write(
        folder.join("SHA256SUMS"),
        format!("{}  {name}\n", "0".repeat(64)),
    )
    .unwrap();
    let out = install(&desk, &[]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(
        !out.status.success() && said.contains("has the SHA-256"),
        "{said}"
    );
    assert!(!desk.path("installed/diskwright").exists() && !desk.path("cargo.log").exists());
}

/// As a container of `.github/Containerfile` runs it: uid 65534, no capability, root read-only, no network.
#[test]
fn the_program_works_in_a_container_without_any_privilege() {
    if !have("bwrap") || !have("setpriv") {
        return;
    }
    let desk = Desk::new();
    desk.write("rootfs.tar", &archive(&[file("etc/hostname", b"a")]));
    let folder = desk.folder().to_str().unwrap();
    stdout("chmod", &["-R", "a+rwX", folder]);
    let mut command = desk.prefixed(
        &[
            "bwrap",
            "--ro-bind",
            "/",
            "/",
            "--bind",
            folder,
            folder,
            "--unshare-net",
            "--die-with-parent",
            "setpriv",
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            "--inh-caps=-all",
            "--bounding-set=-all",
            "--no-new-privs",
        ],
        &[
            "build",
            "rootfs.tar",
            "-o",
            "out/disk.img",
            "--boot",
            "none",
            "--manifest",
            "out/m.json",
        ],
    );
    let out = command.env("TMPDIR", folder).output().unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    assert_eq!(desk.out(), ["disk.img", "m.json"]);
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(desk.path("out/m.json")).unwrap()).unwrap();
    assert_eq!(manifest["files"][0]["path"], "/etc");
}

/// The container file copies one file, and runs as nobody.
#[test]
fn the_container_file_makes_an_image_of_the_program_alone() {
    if !have("buildah") {
        return;
    }
    let desk = Desk::new();
    desk.write("diskwright", b"#!/nothing");
    let path = |name: &str| desk.path(name).to_str().unwrap().to_owned();
    let storage = [
        "--storage-driver",
        "vfs",
        "--root",
        &path("s"),
        "--runroot",
        &path("r"),
    ]
    .map(str::to_owned);
    let buildah = |args: &[&str]| {
        let all: Vec<&str> = storage
            .iter()
            .map(String::as_str)
            .chain(args.iter().copied())
            .collect();
        stdout("buildah", &all)
    };
    let containerfile = root().join(".github/Containerfile");
    let (containerfile, context) = (
        containerfile.to_str().unwrap(),
        desk.folder().join("context"),
    );
    std::fs::create_dir(&context).unwrap();
    std::fs::rename(desk.path("diskwright"), context.join("diskwright")).unwrap();
    let context = context.to_str().unwrap();
    buildah(&[
        "bud",
        "--isolation",
        "chroot",
        "-f",
        containerfile,
        "-t",
        "d",
        context,
    ]);
    let said: Value = serde_json::from_str(&buildah(&["inspect", "--type", "image", "d"])).unwrap();
    let config = &said["OCIv1"]["config"];
    assert_eq!(
        (config["User"].as_str(), config["Entrypoint"][0].as_str()),
        (Some("65534:65534"), Some("/diskwright"))
    );
    assert_eq!(
        said["OCIv1"]["rootfs"]["diff_ids"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
