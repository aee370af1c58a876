//! A Debian 12 lives on the image: it boots under SeaBIOS, mounts its root read-write, writes, reboots,
//! finds what it wrote, switches itself off, and leaves a clean filesystem behind.
//!
//! What is booted is the demo's rootfs with a root password of nothing and the two scripts below appended
//! to its tar: the guest is told to run them through its serial login, as a person would.

use std::path::{Path, PathBuf};
use std::time::Duration;

use diskwright::boot::{
    Arch, DEFAULT_FAIL, Machine, Outcome, Script, Step, Verdict, find_qemu, run,
};
use diskwright::observe::Silent;
use regex::bytes::Regex;

use crate::common::rootfs;
use crate::tools::{have, skip, stdout};

/// Several times what a loaded machine without KVM takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1200);

/// What Linux says, before it looks at any disk, when 40 ms of its clock pass without a timer interrupt: qemu got
/// no processor for so long. No word on the image.
const STARVED: &str = "IO-APIC + timer doesn't work";

/// Says what the kernel and systemd hold against the root, writes 20 MiB in 40 files.
const FIRST: &[u8] = br#"set -eu
absent() { if grep -i "$1"; then return 1; fi; }
findmnt --noheadings --output SOURCE,FSTYPE,OPTIONS /
lsblk --output NAME,SIZE,TYPE,FSTYPE,LABEL,UUID,PARTUUID,MOUNTPOINTS
findmnt --noheadings --output OPTIONS / | grep -q '^rw,'
touch /.writable && rm /.writable
dmesg | grep -i 'ext4'
dmesg --level=emerg,alert,crit,err | absent 'ext4\|nvme\|jbd2\|I/O error'
dmesg | absent 'ext4-fs.*\(error\|warning\|recover\|orphan\|lazy\)'
df --block-size=1M /
mkdir -p /srv/proof/deep
for n in $(seq 40); do head -c 512K /dev/urandom > /srv/proof/deep/$n; done
seq 3000 | while read -r n; do echo $n > /srv/proof/$n; done
cd /srv/proof
find . -type f ! -name sums -exec sha256sum {} + > /root/sums
sync
# The prompt comes before the last service is up.
systemctl is-system-running --wait || true
systemctl --failed --no-legend --plain
systemctl is-active ssh
echo "failed units: $(systemctl --failed --no-legend --plain | wc -l)"
echo PROOF ONE $(wc -l < /root/sums)
"#;

/// Finds what the first boot wrote, and no journal that had to be replayed.
const SECOND: &[u8] = br#"set -eu
absent() { if grep -i "$1"; then return 1; fi; }
cd /srv/proof
sha256sum --quiet --check /root/sums
findmnt --noheadings --output OPTIONS / | grep -q '^rw,'
dmesg --level=emerg,alert,crit,err | absent 'ext4\|nvme\|jbd2\|I/O error'
dmesg | absent 'ext4-fs.*\(error\|warning\|recover\|orphan\|lazy\)'
rm -r /srv/proof/deep
if [ -e /root/full ]; then
    update-grub
    grep -q 'root=UUID=' /boot/grub/grub.cfg
    absent 'root=/dev' < /boot/grub/grub.cfg
fi
sync
echo PROOF TWO $(wc -l < /root/sums)
"#;

pub(crate) fn step(expect: &str, send: Option<&str>) -> Step {
    Step {
        expect: Regex::new(expect).unwrap(),
        send: send.map(str::to_owned),
    }
}

/// Boots the image to its login prompt and through `steps`; the guest then ends by itself, or is cut off
/// after the last step when `until_exit` is false.
pub(crate) fn boot(image: &Path, persist: bool, steps: Vec<Step>, until_exit: bool) -> Outcome {
    let machine = Machine {
        persist,
        ..Machine::default()
    };
    log_in(image, &machine, PATIENCE, steps, until_exit)
}

/// The same in any machine.
pub(crate) fn log_in(
    image: &Path,
    machine: &Machine,
    patience: Duration,
    steps: Vec<Step>,
    until_exit: bool,
) -> Outcome {
    // No `$`: the kernel's late messages may follow the prompt at once.
    let mut all = vec![step(r"[\w.-]+ login: ", None)];
    all[0].send = (!steps.is_empty()).then(|| "root\n".to_owned());
    all.extend(steps);
    follow(image, machine, patience, all, until_exit)
}

/// Boots the image and goes through `steps`, each of which must come.
pub(crate) fn follow(
    image: &Path,
    machine: &Machine,
    patience: Duration,
    steps: Vec<Step>,
    until_exit: bool,
) -> Outcome {
    let script = Script {
        steps,
        fail: vec![Regex::new(DEFAULT_FAIL).unwrap()],
        timeout: Some(patience),
        until_exit,
        interactive: false,
    };
    let mut left = 3;
    let outcome = loop {
        left -= 1;
        let outcome = run(image, machine, &script, &mut std::io::sink(), &Silent).unwrap();
        if left == 0 || !log(&outcome).contains(STARVED) {
            break outcome;
        }
        eprintln!("this machine was too busy for the guest's timer: once more");
    };
    assert_eq!(outcome.verdict, Verdict::Matched, "{}", log(&outcome));
    eprintln!("booted and done in {:.0} s", outcome.elapsed.as_secs_f64());
    outcome
}

pub(crate) fn log(outcome: &Outcome) -> String {
    String::from_utf8_lossy(&outcome.log).into_owned()
}

/// Whether a virtual machine can be had.
pub(crate) fn can_boot() -> bool {
    find_qemu(Arch::X86_64).is_ok() || skip("qemu-system-x86_64 is not installed")
}

/// The tar's own /etc/shadow, root's password made empty.
pub(crate) fn open_shadow(tar: &Path) -> Vec<u8> {
    let text = String::from_utf8(rootfs::member(tar, "etc/shadow")).unwrap();
    let opened = text.lines().map(|line| match line.strip_prefix("root:") {
        Some(rest) => format!("root::{}\n", rest.split_once(':').unwrap().1),
        None => format!("{line}\n"),
    });
    opened.collect::<String>().into_bytes()
}

/// A tar in `folder` of that Debian, root's password empty, with these files more.
pub(crate) fn opened(debian: &Path, folder: &Path, files: &[(&str, &str, &[u8])]) -> PathBuf {
    let tar = folder.join("rootfs.tar");
    let shadow = open_shadow(debian);
    let shadow = ("etc/shadow", "640", &shadow[..]);
    rootfs::with_files(debian, &tar, &[&[shadow], files].concat());
    tar
}

#[test]
fn debian_boots_writes_reboots_and_leaves_a_clean_filesystem() {
    if !(can_boot() && rootfs::judges() && have("dumpe2fs")) {
        return;
    }
    let Some(debian) = rootfs::debian() else {
        return;
    };
    let full = rootfs::full("update-grub in the guest, and a third boot");
    let folder = tempfile::tempdir().unwrap();
    let tar = folder.path().join("rootfs.tar");
    let shadow = open_shadow(&debian);
    let mut files = vec![
        ("etc/shadow", "640", &shadow[..]),
        ("root/first", "644", FIRST),
        ("root/second", "644", SECOND),
    ];
    if full {
        files.push(("root/full", "644", b""));
    }
    rootfs::with_files(&debian, &tar, &files);
    let image = folder.path().join("debian.img");
    let built = rootfs::image(&tar, &image);

    // systemctl waits for nothing: the guest goes on to end by itself.
    let first = boot(
        &image,
        true,
        vec![
            step(":~# ", Some("sh -x /root/first 2>&1; systemctl reboot\n")),
            step(r"PROOF ONE 3040\r?\n", None),
        ],
        true,
    );
    let said = log(&first);
    assert!(said.contains("failed units: 0"), "{said}");
    rootfs::assert_e2fsck_clean(&image, &built);

    let second = boot(
        &image,
        true,
        vec![
            step(
                ":~# ",
                Some("sh -x /root/second 2>&1; systemctl poweroff\n"),
            ),
            step(r"PROOF TWO 3040\r?\n", None),
        ],
        true,
    );
    rootfs::assert_e2fsck_clean(&image, &built);
    let state = stdout("dumpe2fs", &["-h", &rootfs::filesystem(&image, &built)]);
    assert!(state.contains("Filesystem state:         clean"), "{state}");
    assert!(!state.contains("needs_recovery"), "{state}");
    if full {
        assert!(
            log(&second).contains("Found linux image"),
            "{}",
            log(&second)
        );
        boot(&image, false, Vec::new(), false);
    }
}
