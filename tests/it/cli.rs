//! The command as a person or a script meets it: help, exit codes, what goes to which stream.

use crate::common::desk::Desk;
use crate::common::tarball::{archive, file};
use crate::tools::have;
use expect_test::expect;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn diskwright(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
    command
        .env_remove("SOURCE_DATE_EPOCH")
        .env("COLUMNS", "100")
        .env("NO_COLOR", "1");
    command.args(args).stdin(Stdio::null()).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn help_names_every_verb_and_exit_code() {
    let output = diskwright(&["--help"]);
    assert_eq!(code(&output), 0);
    expect![[r#"
        Turns a root filesystem archive into a bootable disk image: no root, no loop device, no mount, no VM

        Usage: diskwright <COMMAND>

        Commands:
          build          Build a bootable disk image from a root filesystem archive
          plan           Show what build would write, without writing
          convert        Convert an image to another format; zeros are left out
          info           Show partitions and filesystems of an image, without mounting it
          ls             List files in an image, as ls(1) does
          tree           Show what is in an image as a tree, as tree(1) does
          cat            Print files of an image, as cat(1) does
          stat           Show all there is to know of a file in an image: as stat(1), with its attributes
                         and where its data lies
          du             Show what takes the space in an image, as du(1) does
          extract        Take files out of an image: into a tar, or into a folder
          diff           Show what two images have not in common: files, packages, structures, blocks of a
                         snapshot
          map            Draw what lies where on an image
          explain        Say what lies at a byte of an image: structure, field and value, or file
          lint           Say what makes an image, or a root filesystem, unfit to be an AMI; warnings and
                         errors give exit code 1
          boot           Boot an image in qemu, its serial console on the terminal
          verify         Check the root filesystem of an image; findings give exit code 1
          sbom           Print the packages in a disk image or a root filesystem, as SPDX or CycloneDX
          repro          Build twice in different environments and say what differs; differences give exit
                         code 1
          doctor         Say what this machine has, and which package brings what is missing
          aki            Print the PV-GRUB (AKI) of a region, to register an image of --boot pv with
          bundle         Pack a disk image, or one made of a root filesystem, into an S3 bundle of EC2
          unbundle       Take the image out of an S3 bundle of EC2
          verify-bundle  Check an S3 bundle of EC2; findings give exit code 1
          upload-bundle  Send a bundle to S3, finished or made on the way
          snapshot       Send a disk image to AWS as an EBS snapshot
          push           Make an AMI of a root filesystem or a disk image
          register       Register a snapshot, or a bundle in S3, as an AMI
          copy           Copy an AMI to other regions, all at once
          share          Share an AMI, set its end, protect it and put it where it is looked up
          console        Print what an instance has printed on its serial console
          iam-policy     Print the least policy that a run needs
          prune          Remove old AMIs and their snapshots
          man            Write the manual pages into a folder, one for each verb
          completions    Print what a shell needs to complete verbs, flags and their values
          schema         Print the JSON Schema of the spec file, for editors and validators
          help           Print this message or the help of the given subcommand(s)

        Options:
          -h, --help     Print help
          -V, --version  Print version

        Examples:
          diskwright build rootfs.tar.zst -o disk.img
          diskwright boot disk.img --expect login:

        Exit codes:
          0 done   1 findings   2 usage   3 bad input or environment   4 AWS said no
          130, 143 interrupted
    "#]].assert_eq(stdout(&output));
}

#[test]
fn help_of_build_shows_every_flag_with_its_default() {
    let output = diskwright(&["build", "-h"]);
    assert_eq!(code(&output), 0);
    expect![[r#"
        Build a bootable disk image from a root filesystem archive

        Usage: diskwright build [OPTIONS] [ROOTFS]...

        Arguments:
          [ROOTFS]...  Tar archive (plain, gzip, zstd, xz, bzip2), `-` for standard input, folder,
                       oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:NAME]; several are
                       layers, lowest first

        Options:
          -o, --output <FILE>    Where the image goes; appears whole or not at all. `-` is standard output
              --spec <FILE>      Read flags from a TOML file
              --format <FORMAT>  Format of the image [default: what its name ends in: .qcow2, .vmdk, .vhd,
                                 .zst, .gz, else raw] [possible values: raw, raw.zst, raw.gz, qcow2, vmdk,
                                 vhd, vhd-fixed]
              --force            Replace the output if it exists
              --sync             Flush the image to the disk before it gets its name
              --sha256           Show the SHA-256 of the image's file
              --map-file <FILE>  Write what is where in the image, as `qemu-img map --output=json` does:
                                 `snapshot` sends less with it
              --bmap <FILE>      Write a block map with SHA-256 sums: `bmaptool copy` leaves out what is
                                 free
          -q, --quiet            No progress and no summary; warnings and errors only
              --json             Print the figures of the image as JSON instead of its path
          -h, --help             Print help (see more with '--help')

        Input:
              --platform <OS/ARCH[/VARIANT]>  Which image of several [default: the host's, or the only one]
              --owner <UID:GID>               Owner of everything that comes from a folder [default: as the
                                              filesystem shows it]
              --filter <CMD>                  Shell command that takes the archive as a plain tar from
                                              standard input and gives a tar to standard output: for what
                                              must run code, in a sandbox of yours; manifest and statement
                                              hold the command

        Image:
              --size <SIZE|fit>      Size of the disk, or `fit`: the smallest that holds everything and
                                     --free [default: fit]
              --free <SIZE|PERCENT>  What `df` shows as available on a fitted disk; a percentage means at
                                     least 64 MiB [default: 10%]
              --label <LABEL>        Volume label of the root filesystem, at most 16 bytes [default: root]
              --uuid <UUID>          UUID of the root filesystem [default: from the seed]
              --seed <TEXT>          Text from which every UUID derives [default: a digest of the archive
                                     and these flags]
              --scheme <SCHEME>      Partition table [default: auto] [possible values: auto, mbr, gpt, none]
              --esp-size <SIZE>      Size of the EFI system partition, rounded up to a whole MiB [default:
                                     124M]
              --round <SIZE>         A fitted disk is a multiple of this, its filesystem as large as that
                                     allows

        Root filesystem:
              --block-size <1024|2048|4096>  Bytes in a block [default: 4096]
              --features <PROFILE>           Who must be able to read it [default: default; pv with --boot
                                             pv] [possible values: default, grub2.02, modern, pv]
              --large-dir                    Directories of millions of files: Linux 4.13, GRUB 2.12, e2fsck
                                             1.44
              --max-grow <SIZE>              Size up to which it can grow online [default: 2 TiB for fit,
                                             else as mke2fs]
              --inodes <N>                   Inodes, at least [default: one per 16 KiB, and the archive's
                                             and a tenth more]
              --inode-ratio <SIZE>           Bytes of the filesystem for each inode, 1 KiB to 64 MiB
              --reserved-percent <PERCENT>   Blocks that only root may use, in percent, 0 to 50 [default: 5]
              --journal-size <SIZE|none>     Size of the journal, at least 1024 blocks, or `none` [default:
                                             by size, as mke2fs]

        Boot:
              --grow-at-boot <GROW_AT_BOOT>  Who makes the root fill a larger disk at first boot [default:
                                             auto] [possible values: auto, repart, cloud-init, none]
              --boot <BOOT>                  Boot loader [default: auto] [possible values: auto, bios, uefi,
                                             hybrid, pv, none]
              --root-by <ROOT_BY>            How the kernel and fstab name the root [default: uuid]
                                             [possible values: uuid, label, partuuid]
              --cmdline <TEXT>               Kernel command line without root= [default: both consoles,
                                             patient NVMe]
              --grub <DIR>                   Folder like /usr/lib/grub, for a rootfs without GRUB [default:
                                             see vendor-grub/README.md]

        Customize (in this order, whatever that of the flags):
              --remove <GLOB>
                  Leave out what matches, as in '/usr/share/doc/**'; may be given several times
              --overlay <DIR[:OWNER[:GROUP]]>
                  Lay a folder over the tree; root:root owns its files unless told, and of modes group's and
                  others' write permission is left out. Several times: in this order
              --file <SRC:DEST[:MODE[:OWNER[:GROUP]]]>
                  Put a file into the image, as in motd:/etc/motd:0644; without MODE 0644, 0755 if it is
                  executable, 0600 or 0700 if nobody else may read it. Several times
              --user <NAME[:UID][:GROUP,…]>
                  Add a user without a password, its home from /etc/skel, to these groups; several times
              --ssh-key <USER:FILE>
                  Let a user log in over ssh with the public keys of a file; several times
              --timezone <ZONE>
                  Time zone, as in Europe/Berlin
              --locale <NAME>
                  LANG of the system, as in C.UTF-8
              --enable <UNIT>
                  Start a unit at boot, as `systemctl --root enable`; several times
              --disable <UNIT>
                  Start it no longer, as `systemctl --root disable`; several times
              --mask <UNIT>
                  Let nobody start it, as `systemctl --root mask`; several times
              --cloud-init <FILE|DIR>
                  User-data for cloud-init, or a folder with user-data, meta-data …: its source NoCloud
              --machine-id <MACHINE_ID>
                  What becomes of /etc/machine-id [default: keep] [possible values: keep, empty,
                  uninitialized]
              --hostname <NAME>
                  Host name to write to /etc/hostname and, at 127.0.1.1, to /etc/hosts

        Records:
              --manifest <FILE>               Write what the image was made of and every file in it with its
                                              SHA-256, as JSON
              --sbom <spdx|cyclonedx[:FILE]>  Write the packages in the image, as SPDX 2.3 or CycloneDX 1.6
                                              [default FILE: the image's, with .spdx.json or .cdx.json]
              --provenance <FILE>             Write how the image was made as an in-toto statement, SLSA
                                              provenance v1; it is yours to sign
              --builder-id <URI|ci>           Who runs the build, for --provenance; `ci` takes it from the
                                              variables of GitHub or GitLab

        Examples:
          diskwright build rootfs.tar.zst -o disk.img
          diskwright build rootfs.tar -o disk.img --size 8G --hostname web --sha256
          zstd -dc rootfs.tar.zst | diskwright build - -o disk.img
          diskwright build base.tar.zst overlay/ --owner 0:0 -o disk.img
          diskwright build oci:layout:latest -o disk.qcow2 --sbom spdx
          diskwright build rootfs.tar -o - --format vmdk | aws s3 cp - s3://mine/a.vmdk
          diskwright build --spec image.toml --force

        A spec file has the same names as keys, paths relative to itself, and flags
        override it:
          rootfs = "rootfs.tar.zst"     # or a list: ["base.tar", "oci:layout:app"]
          output = "disk.img"
          free = "20%"
          root-by = "label"
    "#]].assert_eq(stdout(&output));
}

#[test]
fn every_verb_has_examples_in_its_help() {
    for verb in ["build", "plan", "info", "boot", "verify", "doctor", "aki"] {
        let output = diskwright(&[verb, "--help"]);
        assert!(
            stdout(&output).contains(&format!("Examples:\n  diskwright {verb}")),
            "{verb}"
        );
    }
}

#[test]
fn usage_errors_are_2_and_leave_stdout_empty() {
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join("image.toml");
    std::fs::write(&spec, "sise = '4G'\n").unwrap();
    let spec = spec.to_str().unwrap();
    for args in [
        &[][..],
        &["bild"],
        &["build"],
        &["build", "x.tar"],
        &["build", "x.tar", "-o", "y", "--size", "4 parsecs"],
        &[
            "build", "x.tar", "-o", "y", "--scheme", "none", "--boot", "bios",
        ],
        &["build", "--spec", spec],
        &["boot", "x.img", "--expect", "("],
        &["boot", "x.img", "--memory", "1M"],
    ] {
        let output = diskwright(args);
        assert_eq!(code(&output), 2, "{args:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{args:?}");
    }
}

#[test]
fn an_unknown_key_of_a_spec_file_is_told_with_its_line_and_the_nearest_key() {
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join("image.toml");
    std::fs::write(&spec, "# an image\nlable = 'x'\n").unwrap();
    let output = diskwright(&["build", "--spec", spec.to_str().unwrap()]);
    let text = stderr(&output).replace(folder.path().to_str().unwrap(), "DIR");
    expect![[r#"
        error: DIR/image.toml:2: unknown key `lable`
        help: did you mean `label`?
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_spec_file_must_still_name_archive_and_output() {
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join("image.toml");
    std::fs::write(&spec, "rootfs = 'root.tar'\n").unwrap();
    let output = diskwright(&["build", "--spec", spec.to_str().unwrap()]);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("the image (`output`)"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn input_that_is_not_there_is_3_and_named() {
    let spec = ["build", "--spec", "/nonexistent/image.toml"];
    let build = [
        "build",
        "/nonexistent/root.tar",
        "-o",
        "/nonexistent/disk.img",
    ];
    let (plan, info) = (
        ["plan", "/nonexistent/root.tar"],
        ["info", "/nonexistent/disk.img"],
    );
    let (boot, verify) = (
        ["boot", "/nonexistent/disk.img"],
        ["verify", "/nonexistent/disk.img"],
    );
    for args in [&spec[..], &build, &plan, &info, &boot, &verify] {
        let output = diskwright(args);
        assert_eq!(code(&output), 3, "{args:?}");
        assert_eq!(stdout(&output), "");
        assert!(
            stderr(&output).starts_with("error: cannot "),
            "{}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains("/nonexistent/"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn verify_refuses_by_name_what_it_cannot_read() {
    if !crate::tools::have("mke2fs") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let args = ["-q", "-F", "-O", "quota,inline_data", "image", "20M"];
    super::common::run(folder.path(), "mke2fs", &args);
    let image = folder.path().join("image");
    let output = diskwright(&["verify", image.to_str().unwrap()]);
    assert_eq!(code(&output), 3);
    let told = stderr(&output);
    assert!(told.contains("inline_data, quota"), "{told}");
}

#[test]
fn doctor_needs_nothing_but_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let output = diskwright(&["doctor", folder, "--json"]);
    assert_eq!(code(&output), 0);
    let checks: serde_json::Value = serde_json::from_str(stdout(&output)).unwrap();
    let state = |name: &str| {
        let found = checks
            .as_array()
            .unwrap()
            .iter()
            .find(|check| check["name"] == name);
        found.unwrap()["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state("root"), "not-needed");
    assert_eq!(state("output folder"), "present");
    assert_eq!(code(&diskwright(&["doctor", "/nonexistent"])), 3);
}

#[test]
fn a_closed_stdout_is_success() {
    let line = format!("{} doctor | true", env!("CARGO_BIN_EXE_diskwright"));
    let script = format!("set -o pipefail; {line}");
    assert!(Path::new("/bin/bash").exists(), "the test needs bash");
    let status = Command::new("/bin/bash")
        .args(["-c", &script])
        .status()
        .unwrap();
    assert!(status.success());
}

/// `etc/hosts` of an image, by debugfs, that was built with a host name.
fn hosts(given: Option<&str>, name: &str) -> Option<String> {
    let desk = Desk::new();
    let members = given.map(|text| file("etc/hosts", text.as_bytes()));
    let members: Vec<_> = members.into_iter().chain([file("x", b"")]).collect();
    desk.write("a.tar", &archive(&members));
    desk.builds("a.tar", &["--boot", "none", "--hostname", name]);
    desk.debugfs("cat /etc/hosts")
}

/// Between descriptors and directories there is no more than this file, less than a gap that a batch of
/// metadata fills with zeros.
#[test]
fn a_small_file_between_metadata_keeps_its_data() {
    let desk = Desk::new();
    desk.write("a.tar", &archive(&[file("a", b"0123456789")]));
    for flags in [&[][..], &["--max-grow", "1G"], &["--size", "64M"]] {
        desk.builds("a.tar", &[&["--boot", "none"], flags].concat());
        if let Some(data) = desk.debugfs("cat /a") {
            assert_eq!(data, "0123456789", "{flags:?}");
        }
    }
}

#[test]
fn a_host_name_stands_at_its_own_address_unless_the_hosts_file_has_it() {
    let Some(made) = hosts(None, "web") else {
        return;
    };
    let ip6 = "::1\tlocalhost ip6-localhost ip6-loopback\n";
    assert_eq!(made, format!("127.0.0.1\tlocalhost\n127.0.1.1\tweb\n{ip6}"));
    let debian = "127.0.0.1 localhost\n";
    let expected = "127.0.0.1 localhost\n127.0.1.1\tweb.example.org web\n";
    assert_eq!(hosts(Some(debian), "web.example.org").unwrap(), expected);
    let own = "127.0.0.1 localhost\n10.0.0.5 web\n";
    assert_eq!(hosts(Some(own), "web").unwrap(), own);
}

#[test]
fn a_terminal_is_no_archive() {
    if !have("script") {
        return;
    }
    let desk = Desk::new();
    let build = format!(
        "{} build - -o out/disk.img",
        env!("CARGO_BIN_EXE_diskwright")
    );
    let ran = Command::new("script")
        .args(["-qec", &build, "/dev/null"])
        .current_dir(desk.folder())
        .stdin(Stdio::null())
        .output();
    let said = String::from_utf8(ran.unwrap().stdout).unwrap();
    assert!(said.contains("cannot open the archive stdin"), "{said}");
    assert!(
        said.contains("it is a terminal: name the archive"),
        "{said}"
    );
    assert_eq!(desk.out(), Vec::<String>::new());
}

#[test]
fn a_kernel_command_line_may_begin_with_a_hyphen() {
    let output = diskwright(&["plan", "/nonexistent/a.tar", "--cmdline", "--- quiet"]);
    assert!(
        stderr(&output).contains("cannot open the archive"),
        "{output:?}"
    );
}

#[test]
fn info_names_features_and_says_where_an_image_was_cut_off() {
    let desk = Desk::new();
    desk.write("a.tar", &archive(&[file("x", b"")]));
    desk.builds("a.tar", &["--boot", "none", "--size", "64M"]);
    let image = std::fs::OpenOptions::new()
        .write(true)
        .open(desk.path("out/disk.img"));
    let whole = desk.run(&["info", "out/disk.img"]).stdout;
    assert!(whole.contains("has_journal ext_attr resize_inode dir_index filetype extent 64bit"));
    assert!(!whole.contains("cut off"), "{whole}");
    image.unwrap().set_len(32 << 20).unwrap();
    let cut = desk.run(&["info", "out/disk.img"]).stdout;
    assert!(
        cut.contains("it ends 32.0 MiB beyond the end of the image"),
        "{cut}"
    );
}
