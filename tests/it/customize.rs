//! Images made one's own: what every flag that edits the tree writes, against debugfs and systemctl; that the
//! spec file and the order of the flags make no difference.

use crate::common::desk::{Desk, Ran};
use crate::common::tarball::{Header, archive};
use crate::tools::{have, stdout};
use std::os::unix::fs::PermissionsExt;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKw me@here\n";

/// Units of the small system: name and section `[Install]`.
const UNITS: [(&str, &str); 10] = [
    ("multi-user.target", ""),
    (
        "web.service",
        "WantedBy=multi-user.target\nAlias=www.service\nAlso=web.socket",
    ),
    ("web.socket", "RequiredBy=sockets.target"),
    ("late.timer", "WantedBy=timers.target other.target"),
    ("static.service", ""),
    (
        "tty@.service",
        "DefaultInstance=tty1\nWantedBy=getty.target",
    ),
    ("inst@.service", "WantedBy=multi-user.target %i.target"),
    ("off.service", "WantedBy=multi-user.target"),
    ("nginx.service", "WantedBy=multi-user.target"),
    ("fstrim.timer", "WantedBy=timers.target"),
];

/// A small system with accounts, units, zones; its parts have the modes and owners of a real one.
pub(crate) fn small() -> Vec<u8> {
    let mut members = Vec::new();
    let mut put = |name: &str, kind: u8, mode: &str, gid: u32, bytes: &[u8]| {
        let len = bytes.len().try_into().unwrap();
        let header = Header::new(name, kind, len)
            .with(100, format!("{mode:0>7}\0").as_bytes())
            .with(116, format!("{gid:07o}\0").as_bytes())
            .with(136, b"14000000000\0");
        members.push(header.data(bytes));
    };
    for (name, mode, gid, text) in [
        (
            "etc/passwd",
            "644",
            0,
            "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33::/var/www:/bin/false\n",
        ),
        (
            "etc/group",
            "644",
            0,
            "root:x:0:\nsudo:x:27:\nadm:x:4:www-data\nwww-data:x:33:\n",
        ),
        ("etc/shadow", "640", 42, "root:*:1:0:99999:7:::\n"),
        (
            "etc/gshadow",
            "640",
            42,
            "root:*::\nsudo:*::\nadm:*::www-data\nwww-data:!::\n",
        ),
        (
            "etc/login.defs",
            "644",
            0,
            "UID_MIN 2000\nUID_MAX 60000\nHOME_MODE 0750\n",
        ),
        ("etc/skel/.profile", "644", 0, "umask 022\n"),
        ("etc/debian_version", "644", 0, "12\n"),
        (
            "etc/machine-id",
            "444",
            0,
            "0123456789abcdef0123456789abcdef\n",
        ),
        ("etc/cloud/cloud.cfg", "644", 0, "#\n"),
        (
            "var/lib/dbus/machine-id",
            "644",
            0,
            "0123456789abcdef0123456789abcdef\n",
        ),
        ("bin/bash", "755", 0, "#!\n"),
        ("usr/share/zoneinfo/Etc/UTC", "644", 0, "TZif"),
        ("usr/share/zoneinfo/Europe/Berlin", "644", 0, "TZif"),
        ("usr/share/doc/a/copyright", "644", 0, "(c)\n"),
        ("usr/share/doc/b/copyright", "644", 0, "(c)\n"),
    ] {
        put(name, b'0', mode, gid, text.as_bytes());
    }
    for (name, install) in UNITS {
        let text = format!("[Unit]\nDescription={name}\n[Install]\n{install}\n");
        put(
            &format!("usr/lib/systemd/system/{name}"),
            b'0',
            "644",
            0,
            text.as_bytes(),
        );
    }
    put("root", b'5', "700", 0, b"");
    put("srv", b'5', "755", 0, b"");
    put("tmp", b'5', "1777", 0, b"");
    let link = |name: &str, target: &str| Header::new(name, b'2', 0).link(target).block();
    members.push(link("lib", "usr/lib"));
    members.push(link("etc/localtime", "/usr/share/zoneinfo/Etc/UTC"));
    let wants = "etc/systemd/system/multi-user.target.wants";
    members.push(link(
        &format!("{wants}/off.service"),
        "/lib/systemd/system/off.service",
    ));
    members.push(link("etc/systemd/system/no.service", "/dev/null"));
    archive(&members)
}

pub(crate) fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("small.tar", &small());
    desk.write("key.pub", KEY.as_bytes());
    desk.write("user-data", b"#cloud-config\n");
    desk
}

fn builds(desk: &Desk, flags: &[&str]) -> Ran {
    let ran = desk.builds("small.tar", &[&["--boot", "none"], flags].concat());
    desk.fsck();
    ran
}

fn cat(desk: &Desk, path: &str) -> String {
    desk.debugfs(&format!("cat {path}")).unwrap_or_default()
}

/// Mode with its type, owner and group, as debugfs lists them.
fn look(desk: &Desk, path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap();
    let list = desk
        .debugfs(&format!("ls -l {folder}/"))
        .unwrap_or_default();
    let words = list
        .lines()
        .map(|l| l.split_whitespace().collect::<Vec<_>>());
    let mut lines = words.filter(|w| w.last() == Some(&name));
    let line = lines
        .next()
        .unwrap_or_else(|| panic!("no {path} in {list}"));
    format!("{} {}:{}", line[1], line[3], line[4])
}

fn target(desk: &Desk, path: &str) -> String {
    let stat = desk.debugfs(&format!("stat {path}")).unwrap_or_default();
    let line = stat
        .lines()
        .find_map(|l| l.strip_prefix("Fast link dest: "));
    line.unwrap_or_else(|| panic!("{path}: {stat}"))
        .trim_matches('"')
        .to_owned()
}

#[test]
fn users_and_keys_get_their_lines_and_files_keep_owner_and_mode() {
    let desk = desk();
    let ran = builds(
        &desk,
        &[
            "--ssh-key",
            "lisa:key.pub",
            "--ssh-key",
            "root:key.pub",
            "--user",
            "lisa:sudo,adm",
            "--user",
            "bob:7",
        ],
    );
    assert!(
        ran.stderr
            .contains("custom  user lisa bob, ssh-key lisa root\n"),
        "{ran:?}"
    );
    if !have("debugfs") {
        return;
    }
    let passwd = cat(&desk, "/etc/passwd");
    let added = "\nlisa:x:2000:2000::/home/lisa:/bin/bash\nbob:x:7:7::/home/bob:/bin/bash\n";
    assert!(passwd.ends_with(added), "{passwd}");
    assert_eq!(
        cat(&desk, "/etc/group"),
        "root:x:0:\nsudo:x:27:lisa\nadm:x:4:www-data,lisa\nwww-data:x:33:\nlisa:x:2000:\nbob:x:7:\n"
    );
    let shadow = cat(&desk, "/etc/shadow");
    // Days of the archive's newest time, 2^30 * 12 / 8 seconds.
    assert!(
        shadow.contains("\nlisa:*:18641:0:99999:7:::\nbob:*:"),
        "{shadow}"
    );
    for (path, expected) in [
        ("/etc/passwd", "100644 0:0"),
        ("/etc/shadow", "100640 0:42"),
        ("/home", "40755 0:0"),
        ("/home/lisa", "40750 2000:2000"),
        ("/home/lisa/.profile", "100644 2000:2000"),
        ("/home/lisa/.ssh", "40700 2000:2000"),
        ("/home/lisa/.ssh/authorized_keys", "100600 2000:2000"),
        ("/home/bob", "40750 7:7"),
        ("/root/.ssh/authorized_keys", "100600 0:0"),
    ] {
        assert_eq!(look(&desk, path), expected, "{path}");
    }
    assert_eq!(cat(&desk, "/root/.ssh/authorized_keys"), KEY);
}

#[test]
fn an_overlay_is_the_images_and_folders_of_the_image_keep_their_own() {
    let desk = desk();
    let write = |path: &str, mode: u32| {
        let file = desk.path("over").join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, path).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
    };
    write("lib/x/y", 0o664);
    write("etc/secret", 0o600);
    write("srv/www/.wh.index", 0o755);
    write("home/lisa/note", 0o644);
    for folder in ["over", "over/tmp", "over/root", "over/lib/x"] {
        let path = desk.path(folder);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o775)).unwrap();
    }
    std::fs::write(desk.path("motd"), "hello\n").unwrap();
    builds(
        &desk,
        &[
            "--file",
            "motd:/srv/www/motd:0640:www-data",
            "--overlay",
            "over",
            "--user",
            "lisa",
            "--file",
            "motd:/home/lisa/:4711:lisa:adm",
        ],
    );
    if !have("debugfs") {
        return;
    }
    for (path, expected) in [
        ("/usr/lib/x", "40755 0:0"),
        ("/usr/lib/x/y", "100644 0:0"),
        ("/etc/secret", "100600 0:0"),
        ("/srv/www/.wh.index", "100755 0:0"),
        ("/srv/www/motd", "100640 33:33"),
        ("/tmp", "41777 0:0"),
        ("/root", "40700 0:0"),
        ("/home/lisa", "40750 2000:2000"),
        ("/home/lisa/.profile", "100644 2000:2000"),
        ("/home/lisa/note", "100644 0:0"),
        ("/home/lisa/motd", "104711 2000:4"),
    ] {
        assert_eq!(look(&desk, path), expected, "{path}");
    }
    assert_eq!(target(&desk, "/lib"), "usr/lib");
    assert_eq!(cat(&desk, "/srv/www/motd"), "hello\n");
}

#[test]
fn what_is_removed_leaves_no_byte() {
    let desk = desk();
    desk.write("doc", b"new");
    let ran = builds(
        &desk,
        &[
            "--remove",
            "/usr/share/doc/[a]*",
            "--remove",
            "/lib/systemd/system/*.timer",
            "--remove",
            "/none/**",
            "--remove",
            "/etc/shadow",
            "--file",
            "doc:/usr/share/doc/a",
        ],
    );
    assert!(
        ran.stderr
            .contains("warning: --remove /none/**: nothing in the image matches it"),
        "{ran:?}"
    );
    assert!(
        ran.stderr.contains("/usr/share/doc/[a]* (2 files)"),
        "{ran:?}"
    );
    if !have("debugfs") {
        return;
    }
    assert_eq!(cat(&desk, "/usr/share/doc/a"), "new");
    assert_eq!(cat(&desk, "/usr/share/doc/b/copyright"), "(c)\n");
    assert!(
        !desk
            .debugfs("ls /usr/lib/systemd/system")
            .unwrap()
            .contains("late.timer")
    );
    let image = std::fs::read(desk.path("out/disk.img")).unwrap();
    let holds = |text: &[u8]| image.windows(text.len()).any(|w| w == text);
    assert!(holds(b"www-data:!::") && !holds(b"root:*:1:0:99999"));
}

#[test]
fn zone_locale_seed_and_machine_id_are_files() {
    let desk = desk();
    let ran = builds(
        &desk,
        &[
            "--timezone",
            "Europe/Berlin",
            "--locale",
            "de_DE.UTF-8",
            "--cloud-init",
            "user-data",
            "--machine-id",
            "uninitialized",
            "--hostname",
            "web",
        ],
    );
    assert!(
        ran.stderr
            .contains("--locale de_DE.UTF-8: the image has no such locale"),
        "{ran:?}"
    );
    if !have("debugfs") {
        return;
    }
    assert_eq!(
        target(&desk, "/etc/localtime"),
        "../usr/share/zoneinfo/Europe/Berlin"
    );
    assert_eq!(target(&desk, "/var/lib/dbus/machine-id"), "/etc/machine-id");
    for (path, text) in [
        ("/etc/timezone", "Europe/Berlin\n"),
        ("/etc/default/locale", "LANG=de_DE.UTF-8\n"),
        ("/etc/machine-id", "uninitialized\n"),
        ("/var/lib/cloud/seed/nocloud/user-data", "#cloud-config\n"),
    ] {
        assert_eq!(cat(&desk, path), text, "{path}");
    }
    let meta = cat(&desk, "/var/lib/cloud/seed/nocloud/meta-data");
    assert!(
        meta.starts_with("instance-id: nocloud-") && meta.ends_with("\nlocal-hostname: web\n"),
        "{meta}"
    );
    assert!(cat(&desk, "/etc/cloud/cloud.cfg.d/99-diskwright.cfg").contains("[ NoCloud, None ]"));
    assert_eq!(
        look(&desk, "/var/lib/cloud/seed/nocloud/user-data"),
        "100600 0:0"
    );
    let ran = builds(&desk, &["--locale", "C.UTF-8", "--machine-id", "empty"]);
    assert!(!ran.stderr.contains("warning"), "{ran:?}");
    assert_eq!(cat(&desk, "/etc/machine-id"), "");
}

/// Links of `/etc/systemd/system`: where they are, and the name of what they lead to.
fn links(folder: &std::path::Path) -> Vec<String> {
    let system = folder.join("etc/systemd/system");
    let system = system.to_str().unwrap();
    let found = stdout("find", &[system, "-type", "l", "-printf", "%P %l\n"]);
    let short = |line: &str| {
        let (path, target) = line.split_once(' ').unwrap();
        format!("{path} -> {}", target.rsplit('/').next().unwrap())
    };
    let mut list: Vec<String> = found.lines().map(short).collect();
    list.sort();
    list
}

#[test]
fn units_are_enabled_disabled_and_masked_as_systemctl_does_it() {
    if ["systemctl", "debugfs", "find", "tar"]
        .iter()
        .any(|tool| !have(tool))
    {
        return;
    }
    let verbs: [(&str, &[&str]); 3] = [
        (
            "enable",
            &[
                "web",
                "late.timer",
                "tty@.service",
                "inst@one",
                "tty@tty7.service",
            ],
        ),
        ("disable", &["off"]),
        ("mask", &["static", "generated.mount"]),
    ];
    let desk = desk();
    let (theirs, ours) = (desk.path("theirs"), desk.path("ours"));
    for folder in [&theirs, &ours] {
        std::fs::create_dir(folder).unwrap();
    }
    let tar = desk.path("small.tar");
    stdout(
        "tar",
        &[
            "-xf",
            tar.to_str().unwrap(),
            "-C",
            theirs.to_str().unwrap(),
            "--no-same-owner",
        ],
    );
    let root = format!("--root={}", theirs.display());
    let mut flags = Vec::new();
    let names = verbs.map(|(verb, _)| format!("--{verb}"));
    for ((verb, units), flag) in verbs.iter().zip(&names) {
        for unit in *units {
            stdout("systemctl", &[&root, verb, unit]);
            flags.extend([flag.as_str(), unit]);
        }
    }
    builds(&desk, &flags);
    desk.debugfs(&format!("rdump /etc {}", ours.display()));
    assert_eq!(links(&ours), links(&theirs));
    assert_eq!(links(&ours).len(), 12, "{:#?}", links(&ours));

    // And back.
    let back = ["web", "tty@.service", "inst@one.service"];
    let mut flags = Vec::new();
    for unit in back {
        stdout("systemctl", &[&root, "disable", unit]);
        flags.extend(["--disable", unit]);
    }
    let again = [
        "build",
        "out/small2",
        "-o",
        "out/disk.img",
        "--force",
        "--boot",
        "none",
        "--owner",
        "0:0",
    ];
    std::fs::create_dir(desk.path("out/small2")).unwrap();
    desk.debugfs(&format!("rdump / {}", desk.path("out/small2").display()));
    let ran = desk.run(&[&again[..], &flags].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    std::fs::remove_dir_all(&ours).unwrap();
    std::fs::create_dir(&ours).unwrap();
    desk.debugfs(&format!("rdump /etc {}", ours.display()));
    assert_eq!(links(&ours), links(&theirs));
}

#[test]
fn the_order_of_flags_and_where_files_lie_make_no_difference() {
    let desk = desk();
    std::fs::create_dir_all(desk.path("specs/over/etc")).unwrap();
    std::fs::create_dir_all(desk.path("elsewhere/etc")).unwrap();
    for (folder, mode) in [("specs/over", 0o644), ("elsewhere", 0o664)] {
        let file = desk.path(folder).join("etc/motd");
        std::fs::write(&file, "hello\n").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
    }
    std::fs::copy(desk.path("key.pub"), desk.path("specs/key.pub")).unwrap();
    desk.write(
        "specs/image.toml",
        b"rootfs = '../small.tar'\nboot = 'none'\noverlay = 'over'\nssh-key = ['root:key.pub', 'lisa:key.pub']\n\
          file = ['key.pub:/opt/key:0600:lisa']\nuser = ['lisa:sudo']\nenable = ['web', 'late.timer']\n\
          timezone = 'Europe/Berlin'\nremove = ['/usr/share/doc/**', '/tmp']\nmachine-id = 'empty'\n",
    );
    let digest = |args: &[&str]| {
        let ran = desk.run(
            &[
                &[
                    "build",
                    "-o",
                    "out/disk.img",
                    "--force",
                    "--json",
                    "--sha256",
                    "--quiet",
                ],
                args,
            ]
            .concat(),
        );
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let made: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        (made["sha256"].to_string(), made["customized"].to_string())
    };
    let by_spec = digest(&["--spec", "specs/image.toml"]);
    let by_flags = digest(&[
        "small.tar",
        "--boot",
        "none",
        "--machine-id",
        "empty",
        "--timezone",
        "Europe/Berlin",
        "--enable",
        "web",
        "--enable",
        "late.timer",
        "--user",
        "lisa:sudo",
        "--file",
        "key.pub:/opt/key:0600:lisa",
        "--ssh-key",
        "root:key.pub",
        "--ssh-key",
        "lisa:key.pub",
        "--overlay",
        "elsewhere",
        "--remove",
        "/usr/share/doc/**",
        "--remove",
        "/tmp",
    ]);
    assert_eq!(by_spec.0, by_flags.0);
    assert!(
        by_flags
            .1
            .starts_with(r#"[{"files":4,"flag":"remove","value":"/usr/share/doc/**"},"#),
        "{}",
        by_flags.1
    );
    std::fs::write(desk.path("elsewhere/etc/motd"), "HELLO\n").unwrap();
    let other = digest(&["--spec", "specs/image.toml", "--overlay", "elsewhere"]);
    assert_ne!(by_spec.0, other.0);
}

#[test]
fn an_image_of_an_image_with_the_same_wishes_is_the_same_image() {
    let desk = desk();
    let flags = [
        "--user",
        "lisa:sudo",
        "--ssh-key",
        "lisa:key.pub",
        "--enable",
        "web",
        "--timezone",
        "Europe/Berlin",
        "--machine-id",
        "empty",
        "--cloud-init",
        "user-data",
        "--seed",
        "one",
    ];
    builds(&desk, &flags);
    if !have("debugfs") {
        return;
    }
    let lines =
        || ["passwd", "group", "shadow", "gshadow"].map(|f| cat(&desk, &format!("/etc/{f}")));
    let once = lines();
    std::fs::create_dir(desk.path("again")).unwrap();
    desk.debugfs(&format!("rdump / {}", desk.path("again").display()));
    let args = [
        &[
            "build",
            "again",
            "-o",
            "out/disk.img",
            "--force",
            "--boot",
            "none",
        ],
        &flags[..],
    ]
    .concat();
    let ran = desk.run(&args);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(lines(), once);
    assert_eq!(cat(&desk, "/home/lisa/.ssh/authorized_keys"), KEY);
}

#[test]
fn an_overlay_streams() {
    if !have("debugfs") {
        return;
    }
    let desk = desk();
    std::fs::create_dir(desk.path("over")).unwrap();
    let big = std::fs::File::create(desk.path("over/big")).unwrap();
    for at in 0..300 {
        std::os::unix::fs::FileExt::write_all_at(&big, &vec![7; 1 << 20], at << 20).unwrap();
    }
    let args = [
        "build",
        "small.tar",
        "-o",
        "out/disk.img",
        "--boot",
        "none",
        "--quiet",
        "--overlay",
        "over",
        "--file",
        "over/big:/big2",
    ];
    let mut child = desk
        .command(&args)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let peak = crate::common::memory::peak(&mut child);
    assert!(child.wait().unwrap().success());
    let limit = crate::common::memory::limit(100);
    assert!(peak < limit, "{peak} bytes of {limit}");
    assert_eq!(look(&desk, "/big2"), "100644 0:0");
}

/// Units that name each other, and links that lead in a circle: there is an end to them.
#[test]
fn circles_of_units_are_enabled_and_disabled_once() {
    let desk = desk();
    let folder = "over/etc/systemd/system";
    std::fs::create_dir_all(desk.path("over/etc/systemd/system/x.target.wants")).unwrap();
    for (name, other) in [("a", "b"), ("b", "a")] {
        let text =
            format!("[Install]\nWantedBy=multi-user.target\nAlso={other}.service {name}.service\n");
        desk.write(&format!("{folder}/{name}.service"), text.as_bytes());
    }
    for (name, target) in [
        ("ring1.service", "ring2.service"),
        ("ring2.service", "ring1.service"),
        ("x.target.wants/a.service", "../ring1.service"),
        ("ring3.service", "a.service"),
    ] {
        std::os::unix::fs::symlink(target, desk.path(folder).join(name)).unwrap();
    }
    let overlay = ["--overlay", "over"];
    builds(&desk, &[&overlay[..], &["--enable", "a"]].concat());
    let wants = "/etc/systemd/system/multi-user.target.wants";
    if have("debugfs") {
        for name in ["a", "b"] {
            let to = format!("/etc/systemd/system/{name}.service");
            assert_eq!(target(&desk, &format!("{wants}/{name}.service")), to);
        }
    }
    for (unit, left) in [("a", &["ring1", "ring2"][..]), ("ring1", &["a", "b"])] {
        builds(&desk, &[&overlay[..], &["--disable", unit]].concat());
        if let Some(list) = desk.debugfs("ls /etc/systemd/system") {
            for gone in [
                "ring3.service",
                "x.target.wants",
                "multi-user.target.wants/a",
            ] {
                assert!(!list.contains(gone), "{unit}: {list}");
            }
            for name in left {
                assert!(list.contains(&format!("{name}.service")), "{unit}: {list}");
            }
        }
    }
}

/// sshd reads no keys in a folder or a file that another than their user could write.
#[test]
fn keys_of_an_overlay_become_the_users_when_one_is_added() {
    let desk = desk();
    for (home, mode) in [("home/lisa", 0o775), ("root", 0o755)] {
        let folder = desk.path(&format!("over/{home}/.ssh"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(mode)).unwrap();
        std::fs::write(folder.join("authorized_keys"), "ssh-rsa AAAAB3 other").unwrap();
        std::fs::write(folder.join("config"), "Host *\n").unwrap();
    }
    let flags = ["--overlay", "over", "--user", "lisa"];
    let keys = ["--ssh-key", "lisa:key.pub", "--ssh-key", "root:key.pub"];
    builds(&desk, &[&flags[..], &keys].concat());
    if !have("debugfs") {
        return;
    }
    for (home, owner) in [("/home/lisa", "2000:2000"), ("/root", "0:0")] {
        assert_eq!(
            look(&desk, &format!("{home}/.ssh")),
            format!("40700 {owner}")
        );
        let file = format!("{home}/.ssh/authorized_keys");
        assert_eq!(look(&desk, &file), format!("100600 {owner}"));
        assert_eq!(cat(&desk, &file), format!("ssh-rsa AAAAB3 other\n{KEY}"));
    }
    assert_eq!(look(&desk, "/home/lisa/.ssh/config"), "100644 0:0");
}
