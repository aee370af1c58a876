//! A folder as a root filesystem, against the tar of it.

use crate::common::desk::Desk;
use crate::common::run;
use crate::tools::have;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// A tree with every kind of file that this user may make.
fn furnish(root: &Path) {
    let folder = |p: &str| std::fs::create_dir_all(root.join(p)).unwrap();
    let write = |p: &str, bytes: &[u8]| std::fs::write(root.join(p), bytes).unwrap();
    folder("usr/lib");
    folder("b.d");
    folder("b");
    write("b/x", &vec![b'x'; 3_000_000]);
    write("b.d/y", b"y");
    write("empty", b"");
    for n in 0..300 {
        write(
            &format!("usr/lib/{n}"),
            format!("file {n}").repeat(n).as_bytes(),
        );
    }
    symlink("usr/lib", root.join("lib")).unwrap();
    std::fs::hard_link(root.join("b/x"), root.join("usr/second")).unwrap();
    std::fs::hard_link(root.join("lib"), root.join("usr/link-again")).unwrap();
    let mode = std::fs::Permissions::from_mode(0o4711);
    std::fs::set_permissions(root.join("b.d/y"), mode).unwrap();
    let sparse = std::fs::File::create(root.join("sparse")).unwrap();
    sparse.set_len(40_000_000).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"island", 20_000_000).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join("fifo"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    let deep: String = (0..200).map(|n| format!("d{n}/")).collect();
    folder(&deep);
    write(&format!("{deep}end"), b"deep");
    for (name, value) in [("user.b", "2"), ("user.a", "1")] {
        // tmpfs of older kernels has no user attributes.
        let _ = rustix::fs::setxattr(
            root.join("b/x"),
            name,
            value.as_bytes(),
            rustix::fs::XattrFlags::empty(),
        );
    }
    if have("setfacl") {
        let _ = Command::new("setfacl")
            .args(["-m", "u:1234:r"])
            .arg(root.join("empty"))
            .status();
    }
}

#[test]
fn the_image_of_a_folder_is_that_of_its_tar() {
    if !have("tar") {
        return;
    }
    let desk = Desk::new();
    furnish(&desk.path("root"));
    let tar = "--sort=name --format=pax --pax-option=delete=atime,delete=ctime --sparse --xattrs \
               --xattrs-include=* --numeric-owner -C root -cf root.tar .";
    run(
        desk.folder(),
        "tar",
        &tar.split(' ').filter(|a| !a.is_empty()).collect::<Vec<_>>(),
    );
    let sum = |argument: &str| {
        desk.builds(argument, &["--boot", "none", "--sha256", "--json"])
            .stdout
    };
    assert_eq!(sum("root"), sum("root.tar"));
    desk.fsck();
}

#[test]
fn an_owner_replaces_every_owner_and_nothing_else() {
    let desk = Desk::new();
    furnish(&desk.path("root"));
    desk.builds("root", &["--boot", "none", "--owner", "7:70000"]);
    for path in ["/", "/b/x", "/lib", "/fifo", "/b.d"] {
        let Some(stat) = desk.debugfs(&format!("stat {path}")) else {
            return;
        };
        assert!(
            stat.contains("User:     7   Group: 70000"),
            "{path}: {stat}"
        );
    }
    let ran = desk.run(&["build", "x.tar", "-o", "out/x", "--owner", "0:0"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

#[test]
fn reading_leaves_times_of_access_and_symlinks_outside_alone() {
    let desk = Desk::new();
    let root = desk.path("root");
    std::fs::create_dir(&root).unwrap();
    desk.write("outside", b"SECRET-OUTSIDE-THE-FOLDER");
    symlink("../outside", root.join("link")).unwrap();
    std::fs::write(root.join("file"), b"data").unwrap();
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000);
    let file = std::fs::File::open(root.join("file")).unwrap();
    file.set_times(std::fs::FileTimes::new().set_accessed(old))
        .unwrap();
    desk.builds("root", &["--boot", "none"]);
    assert_eq!(std::fs::metadata(root.join("file")).unwrap().atime(), 1000);
    let image = std::fs::read(desk.path("out/disk.img")).unwrap();
    assert!(!image.windows(14).any(|w| w == b"SECRET-OUTSIDE"));
}

#[test]
fn sockets_are_left_out_with_a_warning() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("root")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(desk.path("root/socket")).unwrap();
    let ran = desk.builds("root", &["--boot", "none"]);
    assert!(
        ran.stderr.contains("warning: root/socket: left out"),
        "{}",
        ran.stderr
    );
}

#[test]
fn an_output_inside_the_folder_is_refused() {
    let desk = Desk::new();
    std::fs::create_dir_all(desk.path("root/sub")).unwrap();
    let ran = desk.run(&["build", "root", "-o", "root/sub/disk.img", "--boot", "none"]);
    assert_eq!(ran.code, Some(3));
    assert!(
        ran.stderr
            .contains("lies in the folder that the image is made of"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        crate::common::desk::names(&desk.path("root/sub")),
        Vec::<String>::new()
    );
}

#[test]
fn what_may_not_be_read_is_named_with_what_to_do() {
    if !have("setpriv") {
        return;
    }
    let desk = Desk::new();
    std::fs::create_dir(desk.path("root")).unwrap();
    desk.write("root/secret", b"x");
    let none = std::fs::Permissions::from_mode(0o000);
    std::fs::set_permissions(desk.path("root/secret"), none).unwrap();
    let mut line = vec!["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    if rustix::process::geteuid().is_root() {
        for path in [desk.folder().to_owned(), desk.path("out")] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
        }
        line = vec!["setpriv", "--reuid=65534", "--clear-groups"];
    }
    let output = desk
        .prefixed(
            &line,
            &["build", "root", "-o", "out/disk.img", "--boot", "none"],
        )
        .output()
        .unwrap();
    let ran = crate::common::desk::ran(&output);
    desk.told(&ran, 3, expect_test::expect![[r#"
        error: cannot read root/secret: permission denied; run as who may read all of the folder (root, `unshare -r`, `podman unshare`) and set owners with `--owner 0:0` where they are not the image's
    "#]]);
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_an_error() {
    use diskwright::archive::{EntryKind, Item, Rootfs};
    let desk = Desk::new();
    std::fs::create_dir(desk.path("root")).unwrap();
    desk.write("root/file", &vec![1; 5_000_000]);
    let mut rootfs = Rootfs::open(&[desk.path("root").as_os_str()]).unwrap();
    loop {
        if let Some(Item::Entry(entry)) = rootfs.next_item().unwrap()
            && matches!(entry.kind, EntryKind::File { .. })
        {
            break;
        }
    }
    assert!(rootfs.next_data().unwrap().is_some());
    desk.write("root/file", b"short");
    let error = loop {
        match rootfs.next_data() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("nobody noticed"),
            Err(e) => break e.to_string(),
        }
    };
    assert!(
        error.contains("root/file became shorter while it was read"),
        "{error}"
    );
}
