//! `build --format`, `-o -`, `convert` and `--bmap`: whole runs of the program.

use crate::common::desk::{Desk, ran};
use crate::common::tarball::{archive, file};
use crate::tools::{have, stdout};
use diskwright::vdisk::Format;
use expect_test::expect;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;

/// A desk with an archive: small files, zeros, a file that a later entry replaces when `replaced`.
fn desk(replaced: bool) -> Desk {
    let desk = Desk::new();
    let noise: Vec<u8> = (0..2_000_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    let mut members: Vec<_> = (0..40)
        .map(|i| file(&format!("f{i}"), &noise[i * 1000..i * 3000 + 500]))
        .collect();
    members.push(file("big", &noise));
    members.push(file("zeros", &vec![0; 700_000]));
    if replaced {
        members.push(file("big", b"later"));
    }
    members.push(file("last", &noise[..300_000]));
    desk.write("a.tar", &archive(&members));
    desk
}

/// VHD and VMDK have whole MiB anyway.
const NONE: [&str; 5] = ["--boot", "none", "--quiet", "--round", "1M"];

fn build(desk: &Desk, output: &str, flags: &[&str]) {
    let line = [&["build", "a.tar", "-o", output], &NONE[..], flags].concat();
    let ran = desk.run(&line);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (Some(0), ""),
        "{output}: {ran:?}"
    );
}

/// What goes to standard output.
fn streamed(desk: &Desk, line: &[&str]) -> Vec<u8> {
    let output = desk.command(line).output().unwrap();
    assert!(output.status.success(), "{line:?}: {output:?}");
    output.stdout
}

fn bytes(desk: &Desk, name: &str) -> Vec<u8> {
    std::fs::read(desk.path(name)).unwrap()
}

#[test]
fn every_format_holds_the_same_disk_as_file_as_stream_and_converted() {
    for replaced in [false, true] {
        let desk = desk(replaced);
        build(&desk, "out/raw.img", &[]);
        let raw = bytes(&desk, "out/raw.img");
        for format in Format::ALL {
            let (word, name) = (format.word(), format!("out/disk.{format}"));
            build(&desk, &name, &["--format", word]);
            let made = bytes(&desk, &name);
            let line = [&["build", "a.tar", "-o", "-", "--format", word], &NONE[..]].concat();
            assert!(
                streamed(&desk, &line) == made,
                "{format}: the stream differs"
            );
            let line = ["convert", &name, "-", "--quiet"];
            assert!(streamed(&desk, &line) == raw, "{format}: not the same disk");
            // The file appears as the stream does.
            let again = desk.path("out/again");
            let line = [
                "convert",
                "out/raw.img",
                "out/again",
                "--format",
                word,
                "-q",
            ];
            assert_eq!(desk.run(&line).code, Some(0));
            let line = ["convert", "out/raw.img", "-", "--format", word, "--quiet"];
            assert!(
                streamed(&desk, &line) == std::fs::read(&again).unwrap(),
                "{format}"
            );
            std::fs::remove_file(again).unwrap();
            if let Some(driver) = format.qemu_driver().filter(|_| have("qemu-img")) {
                let (raw, made) = (desk.path("out/raw.img"), desk.path(&name));
                let (raw, made) = (raw.to_str().unwrap(), made.to_str().unwrap());
                let line = ["compare", "-f", "raw", "-F", driver, raw, made];
                assert_eq!(stdout("qemu-img", &line), "Images are identical.\n");
                if format == Format::Qcow2 {
                    let said = stdout("qemu-img", &["check", "-f", "qcow2", made]);
                    assert!(
                        said.contains("No errors were found on the image."),
                        "{said}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_name_of_the_output_asks_for_the_format_and_a_spec_may_say_it() {
    let desk = desk(false);
    build(&desk, "out/a.qcow2", &[]);
    assert!(bytes(&desk, "out/a.qcow2").starts_with(b"QFI\xfb"));
    build(&desk, "out/a.vmdk", &[]);
    assert!(bytes(&desk, "out/a.vmdk").starts_with(b"KDMV"));
    desk.write(
        "s.toml",
        b"rootfs = 'a.tar'\noutput = 'out/b.img'\nformat = 'vhd'\nboot = 'none'\n",
    );
    let ran = desk.run(&["build", "--spec", "s.toml", "--quiet"]);
    assert_eq!(ran.stdout, "out/b.img\n", "{ran:?}");
    assert!(bytes(&desk, "out/b.img").starts_with(b"conectix"));
    let sum = desk.run(&["build", "--spec", "s.toml", "--force", "--sha256", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&sum.stdout).unwrap();
    let sums = stdout("sha256sum", &[desk.path("out/b.img").to_str().unwrap()]);
    assert_eq!(json["sha256"].as_str().unwrap(), &sums[..64]);
}

#[test]
fn bmaptool_copies_by_the_block_map_what_must_be_there() {
    if !have("bmaptool") {
        return;
    }
    let desk = desk(false);
    build(&desk, "out/disk.img", &["--bmap", "out/disk.bmap"]);
    build(&desk, "out/disk.img.gz", &["--bmap", "out/gz.bmap"]);
    assert_eq!(bytes(&desk, "out/disk.bmap"), bytes(&desk, "out/gz.bmap"));
    for image in ["out/disk.img", "out/disk.img.gz"] {
        // On a device with something else on it: what must be zero is written too.
        let size = std::fs::metadata(desk.path("out/disk.img")).unwrap().len();
        let target = desk.path("target");
        std::fs::write(&target, vec![0xa5; usize::try_from(size).unwrap()]).unwrap();
        let (image, bmap) = (desk.path(image), desk.path("out/disk.bmap"));
        let line = [
            "copy",
            "--bmap",
            bmap.to_str().unwrap(),
            image.to_str().unwrap(),
            target.to_str().unwrap(),
        ];
        stdout("bmaptool", &line);
        assert!(have("e2fsck"));
        stdout(
            "e2fsck",
            &[
                "-fn",
                &crate::common::image::device(&target, crate::common::image::offset_of(&target)),
            ],
        );
        let copied = std::fs::read(&target).unwrap();
        assert!(copied.contains(&0xa5), "free space was written");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let desk = desk(false);
    desk.refused(
        &["build", "a.tar", "-o", "-", "--json", "--boot", "none"],
        2,
        expect![[r#"
            error: standard output carries the image, and --json would write there too
            help: leave out --json; the summary goes to standard error
        "#]],
    );
    desk.refused(
        &[
            "build",
            "a.tar",
            "-o",
            "out/d.vmdk",
            "--bmap",
            "out/b",
            "--boot",
            "none",
        ],
        2,
        expect![[r#"
            error: --bmap is for raw images, compressed or not, and this one is vmdk
            help: choose --format raw.zst: `bmaptool copy` decompresses it
        "#]],
    );
    desk.refused(
        &["convert", "a.tar", "out/d.qcow2"],
        3,
        expect![[r#"
            error: a.tar is a tar archive, and no image that can be read
        "#]],
    );
    let tar = bytes(&desk, "a.tar");
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&tar).unwrap();
    desk.write("a.tar.gz", &gz.finish().unwrap());
    desk.write("a.tar.zst", &zstd::encode_all(&tar[..], 1).unwrap());
    let mut vdi = vec![0; 4096];
    vdi[64..68].copy_from_slice(b"\x7f\x10\xda\xbe");
    desk.write("a.vdi.zst", &zstd::encode_all(&vdi[..], 1).unwrap());
    for (name, is) in [
        ("a.tar.gz", "a tar archive"),
        ("a.tar.zst", "a tar archive"),
        ("a.vdi.zst", "a VDI disk image"),
    ] {
        let told = desk.run(&["convert", name, "out/d.qcow2", "--quiet"]);
        let want = format!("error: {name} is {is}, and no image that can be read\n");
        assert_eq!((told.code, told.stderr), (Some(3), want));
        for verb in ["info", "map", "verify"] {
            let told = desk.run(&[verb, name]);
            assert!(told.code == Some(3) && told.stderr.contains(is), "{told:?}");
        }
    }
    assert_eq!(desk.out(), Vec::<String>::new());
    desk.write("raw", &vec![7; 4096]);
    desk.refused(
        &["convert", "raw", "raw", "--force"],
        3,
        expect![[r#"
            error: raw is the image that is read itself, which would be replaced; give the output another name
        "#]],
    );
    if have("qemu-img") {
        let path = |name: &str| desk.path(name).to_str().unwrap().to_owned();
        let line = [
            "create",
            "-q",
            "-f",
            "qcow2",
            "-b",
            &path("raw"),
            "-F",
            "raw",
            &path("over.qcow2"),
        ];
        stdout("qemu-img", &line);
        let told = desk.run(&["convert", "over.qcow2", "out/d.img"]);
        assert_eq!((told.code, desk.out().len()), (Some(3), 0));
        assert!(told.stderr.contains("has a backing file, "), "{told:?}");
        assert!(
            told.stderr.contains("qemu-img convert -O qcow2 IN OUT"),
            "{told:?}"
        );
    }
    // Cut off in the middle.
    desk.run(&["build", "a.tar", "-o", "whole.vmdk", "--boot", "none"]);
    let whole = bytes(&desk, "whole.vmdk");
    desk.write("cut.vmdk", &whole[..whole.len() / 2 / 512 * 512]);
    desk.refused(
        &["convert", "cut.vmdk", "out/d.img", "--quiet"],
        3,
        expect![[r#"
            error: cannot read cut.vmdk
              because: VMDK footer at byte 146432 is damaged: the end of the stream has no markers: the file was cut off or has something behind it
        "#]],
    );
}

#[test]
fn a_pipe_that_nobody_reads_is_an_error() {
    let desk = desk(false);
    let shell = "set -o pipefail; \"$@\" | head -c 1 > /dev/null";
    let line = [&["build", "a.tar", "-o", "-"], &NONE[..]].concat();
    let ran = ran(&desk
        .prefixed(&["bash", "-c", shell, "bash"], &line)
        .output()
        .unwrap());
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(
        ran.stderr
            .starts_with("error: cannot write to standard output\n"),
        "{ran:?}"
    );
}

#[test]
fn a_stream_into_a_file_begins_where_the_file_stands() {
    let desk = desk(false);
    build(&desk, "out/disk.img", &[]);
    let both = File::create(desk.path("both")).unwrap();
    let line = [&["build", "a.tar", "-o", "-"], &NONE[..]].concat();
    for _ in 0..2 {
        let mut command = desk.command(&line);
        command.stdout(both.try_clone().unwrap());
        assert!(command.status().unwrap().success());
    }
    let one = bytes(&desk, "out/disk.img");
    assert!(bytes(&desk, "both") == [&one[..], &one].concat());
}

/// Every write of a build, and of a conversion, that fails is told, and nothing is left.
#[test]
fn a_disk_that_fills_up_is_told_in_every_format() {
    if !have("strace") {
        return;
    }
    let calls = "pwrite64,pwritev,pwritev2";
    for format in ["qcow2", "vmdk", "vhd", "vhd-fixed", "raw.zst", "raw.gz"] {
        // What is replaced makes qcow2 write all of it once more.
        for replaced in [false, true] {
            let desk = desk(replaced && format == "qcow2");
            build(&desk, "in.img", &[]);
            let built = [
                &["build", "a.tar", "-o", "out/d", "--format", format],
                &NONE[..],
            ];
            let built = built.concat();
            let converted = ["convert", "in.img", "out/d", "--format", format, "--quiet"];
            for line in [&built[..], &converted] {
                let whole = ran(&desk.traced(calls, None, line).output().unwrap());
                assert_eq!(whole.code, Some(0), "{whole:?}");
                // strace counts the calls of each thread by itself.
                let log = desk.trace();
                let mut threads = BTreeMap::<&str, usize>::new();
                for thread in log.lines().filter_map(|l| l.split(' ').next()) {
                    *threads.entry(thread).or_default() += 1;
                }
                let writes = threads.values().max().copied().unwrap_or_default();
                assert!(writes > 0, "{format}");
                std::fs::remove_file(desk.path("out/d")).unwrap();
                for nth in [1, writes / 2, writes] {
                    let fault = format!("error=ENOSPC:when={}", nth.max(1));
                    let told = desk.run_with_fault(calls, &fault, line);
                    assert_eq!(told.code, Some(3), "{format} {nth}: {told:?}");
                    assert!(told.stderr.contains("No space left on device"), "{told:?}");
                    assert_eq!(desk.out(), Vec::<String>::new(), "{format} {nth}");
                }
            }
        }
    }
}

#[test]
fn what_looks_at_images_takes_every_format() {
    let desk = desk(false);
    build(&desk, "out/raw.img", &[]);
    let look = |verb: &str, name: &str, more: &[&str]| {
        let ran = desk.run(&[&[verb, name], more].concat());
        assert_eq!(ran.code, Some(0), "{verb} {name}: {ran:?}");
        ran.stdout
    };
    for format in Format::ALL {
        let name = format!("out/disk.{format}");
        build(&desk, &name, &["--format", format.word()]);
        for (verb, more) in [
            ("info", &["--json"][..]),
            ("verify", &["--json"]),
            ("explain", &["1049600"]),
            ("ls", &["--json"]),
        ] {
            let raw = look(verb, "out/raw.img", more);
            assert_eq!(look(verb, &name, more), raw, "{verb} of {format}");
        }
        // What it calls zero depends on what the format does not store.
        look("map", &name, &["--json"]);
    }
}
