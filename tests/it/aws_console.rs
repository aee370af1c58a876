//! `console`: what an instance has printed, told as it is, harmless, and judged.

use crate::aws_moto::{Moto, element};
use crate::common::cloud::{Cloud, keys};
use crate::common::desk::{Desk, Ran, ran};
use crate::fake_ebs::{Fault, Instance, When};
use expect_test::expect;
use std::process::Stdio;
use std::time::{Duration, Instant};

const ID: &str = "i-0123456789abcdef0";

fn cloud(instance: Instance) -> Cloud {
    let cloud = Cloud::new();
    cloud.fake.state().instances.insert(ID.to_owned(), instance);
    cloud
}

fn console(cloud: &Cloud, args: &[&str]) -> Ran {
    cloud.run(&[&["console", ID], args].concat())
}

fn printed(text: &str) -> Instance {
    Instance {
        looks: vec![text.into()],
        posted: text.into(),
        ..Instance::default()
    }
}

#[test]
fn a_console_is_printed_without_what_a_terminal_obeys() {
    let long = "x".repeat(3000);
    let text =
        format!("\x1b[2J\x1b[32mok\x1b[0m\r\n\x1b]0;owned\x07{long}\u{9b}6n\r\nDebian login: ");
    let cloud = cloud(printed(&text));
    let ran = console(&cloud, &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert_eq!(ran.stdout, format!("\nok\n{long}6n\nDebian login: \n"));
}

#[test]
fn a_panic_is_code_1_and_told() {
    let cloud = cloud(printed(
        "[    1.5] Kernel panic - not syncing: VFS: Unable to mount root fs\r\nend\r\n",
    ));
    let ran = console(&cloud, &[]);
    assert_eq!(ran.code, Some(1));
    expect![[r#"
        failed: [    1.5] Kernel panic - not syncing: VFS: Unable to mount root fs
    "#]]
    .assert_eq(&ran.stderr);
    let json = console(&cloud, &["--json"]);
    assert_eq!(json.code, Some(1));
    expect![[r#"
        {
          "console": "[    1.5] Kernel panic - not syncing: VFS: Unable to mount root fs\nend\n",
          "expected": null,
          "findings": [
            "[    1.5] Kernel panic - not syncing: VFS: Unable to mount root fs"
          ],
          "instance-id": "i-0123456789abcdef0",
          "region": "us-east-1",
          "taken": "2026-11-23T06:00:00Z"
        }
    "#]]
    .assert_eq(&json.stdout);
}

#[test]
fn what_stands_for_a_failure_is_one_list() {
    for line in [
        "You are in emergency mode. After logging in, type",
        "ALERT!  UUID=1 does not exist.  Dropping to a shell!",
        "grub rescue> ",
        "Entering emergency mode. Exit the shell to continue.",
    ] {
        let cloud = cloud(printed(line));
        assert_eq!(console(&cloud, &[]).code, Some(1), "{line}");
        let other = console(&cloud, &["--fail", "no such words"]);
        assert_eq!(other.code, Some(0), "{line}");
    }
}

#[test]
fn following_prints_what_is_new_until_what_is_expected() {
    let kernel: String = (0..4000).map(|n| format!("[{n:>8}] a line\n")).collect();
    let window = |end: usize| kernel.as_bytes()[end.saturating_sub(64 << 10)..end].to_vec();
    let mut looks: Vec<_> = [0, 10, 40_000, 40_000, 72_000].map(window).into();
    looks.push([&window(72_000)[500..], b"Debian login: "].concat());
    let cloud = cloud(Instance {
        looks,
        ..Instance::default()
    });
    let args = ["--follow", "--expect", "login: ?$", "--every", "0s"];
    let ran = console(&cloud, &args);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert_eq!(ran.stdout, format!("{}Debian login: \n", &kernel[..72_000]));
}

#[test]
fn following_ends_at_a_failure_or_when_its_time_is_over() {
    let looks = [
        b"booting\n".to_vec(),
        b"booting\nKernel panic - x\n".to_vec(),
    ];
    let instance = Instance {
        looks: looks.into(),
        ..Instance::default()
    };
    let ran = console(&cloud(instance), &["--follow", "--every", "0s"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.stdout, "booting\nKernel panic - x\n\n");
    let still = cloud(printed("booting"));
    let args = ["--follow", "--every", "1s", "--for", "1s"];
    assert_eq!(console(&still, &args).code, Some(0));
    let ran = console(&still, &[&args[..], &["--expect", "login:"]].concat());
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.stderr, "failed: no line shows what is expected\n");
}

#[test]
fn what_is_missing_in_between_is_said() {
    let looks = [vec![b'a'; 100], vec![b'b'; 100], b"end".to_vec()];
    let instance = Instance {
        looks: looks.into(),
        ..Instance::default()
    };
    let ran = console(
        &cloud(instance),
        &["--follow", "--every", "0s", "--expect", "end"],
    );
    assert_eq!(ran.code, Some(0));
    let lost = ran
        .stderr
        .matches("does not continue what came before")
        .count();
    assert_eq!(lost, 2, "{ran:?}");
}

#[test]
fn ctrl_c_ends_following() {
    let cloud = cloud(printed("booting"));
    let mut command = cloud.command(&["console", ID, "--follow"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.unwrap();
    let begun = Instant::now();
    while cloud.fake.state().faults.seen("GetConsoleOutput") == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_picture_of_the_screen_is_written() {
    let jpeg = b"\xff\xd8\xff\xe0 a picture".to_vec();
    let cloud = cloud(Instance {
        screen: jpeg.clone(),
        ..printed("up\n")
    });
    let ran = console(&cloud, &["--screenshot", "screen.jpg"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(std::fs::read(cloud.desk.path("screen.jpg")).unwrap(), jpeg);
    cloud.fake.state().instances.get_mut(ID).unwrap().screen = b"<html>".to_vec();
    let ran = console(&cloud, &["--screenshot", "other.jpg"]);
    cloud.desk.told(
        &ran,
        4,
        expect![[r#"
        error: cannot read the console of i-0123456789abcdef0
          because: ec2:GetConsoleScreenshot (i-0123456789abcdef0): the answer has no JPEG
    "#]],
    );
    assert!(!cloud.desk.path("other.jpg").exists());
}

#[test]
fn what_cannot_be_read_is_told_with_what_to_do() {
    let cloud = cloud(Instance {
        xen: true,
        ..printed("")
    });
    let empty = console(&cloud, &[]);
    assert_eq!((empty.code, empty.stdout.as_str()), (Some(0), ""));
    assert!(empty.stderr.contains("the console is empty"), "{empty:?}");
    cloud
        .desk
        .told(&console(&cloud, &["--latest"]), 4, expect![[r#"
            error: cannot read the console of i-0123456789abcdef0
              because: ec2:GetConsoleOutput (i-0123456789abcdef0): UnsupportedOperation: This instance type does not support retrieving the latest console logs. (request 0-fake)
            help: leave out --latest and --follow: of this instance AWS has the console as of its last start or stop
        "#]]);
    let unknown = cloud.run(&["console", "i-0123456789abcdef1"]);
    cloud.desk.told(&unknown, 4, expect![[r#"
        error: cannot read the console of i-0123456789abcdef1
          because: ec2:GetConsoleOutput (i-0123456789abcdef1): InvalidInstanceID.NotFound: The instance ID 'i-0123456789abcdef1' does not exist (request 0-fake)
    "#]]);
    let requests = cloud.fake.state().faults.seen("GetConsoleOutput");
    cloud.desk.told(
        &cloud.run(&["console", "ami-12345678"]),
        2,
        expect![[r#"
            error: "ami-12345678" is not the id of an instance
            help: an id is i- and 8 or 17 digits and letters from a to f, as `aws ec2 describe-instances` lists them
        "#]],
    );
    assert_eq!(cloud.fake.state().faults.seen("GetConsoleOutput"), requests);
}

#[test]
fn what_fails_for_a_while_is_tried_again() {
    for fault in Fault::USUAL {
        let cloud = cloud(printed("up\n"));
        cloud.fake.fault("GetConsoleOutput", When::First(2), fault);
        let ran = console(&cloud, &["--timeout", "1s"]);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (Some(0), "up\n"),
            "{fault:?}"
        );
    }
    let cloud = cloud(printed("up\n"));
    cloud
        .fake
        .fault("GetConsoleOutput", When::After(0), Fault::Denied);
    cloud.desk.told(&console(&cloud, &[]), 4, expect![[r#"
        error: cannot read the console of i-0123456789abcdef0
          because: ec2:GetConsoleOutput (i-0123456789abcdef0): UnauthorizedOperation: You are not authorized (request 0-fake)
        help: the keys in use need the permission ec2:GetConsoleOutput
    "#]]);
}

/// moto prints what a Xen instance printed in 2006.
#[test]
fn the_console_of_somebody_elses_server_is_read() {
    let Some(moto) = Moto::start() else { return };
    let desk = Desk::new();
    let access = ["--endpoint-url", &moto.url, "--region", "eu-west-1"];
    let run = |id: &str| {
        let mut command = desk.command(&[&["console", id][..], &access].concat());
        keys(&mut command, &desk);
        ran(&command.output().unwrap())
    };
    assert_eq!(run(ID).code, Some(4));
    let form = "Action=RunInstances&Version=2016-11-15&ImageId=ami-12c6146b&MinCount=1&MaxCount=1";
    let started = moto.ec2(form);
    let ran = run(element(&started, "instanceId"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("Linux version 2.6.16-xenU"), "{ran:?}");
}
