//! `snapshot --route import` against strict fakes of S3 and EC2: what is sent, what is made, what is left.

use crate::common::cloud::{Cloud, Holds};
use crate::common::desk::{Ran, Running, ran};
use crate::common::fault::wait_until;
use crate::common::server::s3s_fs;
use crate::fake_ebs::{Fault, When};
use crate::fake_s3::FakeS3;
use expect_test::expect;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

struct Port {
    cloud: Cloud,
    s3: FakeS3,
}

impl Port {
    /// With an image of 17 MiB: three parts.
    fn new() -> Self {
        let (cloud, s3) = (Cloud::new(), FakeS3::start());
        s3.state().bucket("images");
        cloud.fake.state().imports.object = Some(s3.objects());
        let blocks: Vec<_> = (0..34)
            .map(|nr| match nr % 5 {
                4 => Holds::Hole,
                _ => Holds::Data(nr),
            })
            .collect();
        cloud.image("disk.img", &blocks);
        Self { cloud, s3 }
    }

    fn command(&self, url: &str, image: &str, flags: &[&str]) -> Command {
        let args = [
            "snapshot",
            image,
            "--route",
            "import",
            "--bucket",
            "images",
            "--s3-endpoint-url",
            url,
        ];
        self.cloud.command(&[&args, flags].concat())
    }

    fn run(&self, flags: &[&str]) -> Ran {
        let flags = [&["--quiet"], flags].concat();
        ran(&self
            .command(&self.s3.url, "disk.img", &flags)
            .output()
            .unwrap())
    }

    /// In the bucket there is neither an object nor a part of one.
    #[track_caller]
    fn is_empty(&self, what: &str) {
        let state = self.s3.state();
        let bucket = &state.buckets["images"];
        let keys: Vec<_> = bucket.objects.keys().collect();
        assert!(keys.is_empty(), "{what}: {keys:?}");
        assert!(bucket.uploads.is_empty(), "{what}: an unfinished upload");
    }
}

#[test]
fn an_image_becomes_a_snapshot_and_the_object_is_gone() {
    let port = Port::new();
    let ran = port.run(&["--prefix", "import", "--tag", "Name=web", "--encrypted"]);
    assert_eq!(ran.code, Some(0), "{ran:?} {:?}", port.s3.state().refusals);
    let id = ran.stdout.trim_end();
    port.cloud.holds(id, "disk.img");
    port.is_empty("success");
    let state = port.cloud.fake.state();
    assert_eq!(state.get(id).tags["Name"], "web");
    let form = &state.imports.tasks[0].form;
    assert_eq!(form["DiskContainer.Format"], "RAW");
    assert_eq!(form["Encrypted"], "true");
    assert!(form["DiskContainer.UserBucket.S3Key"].starts_with("import/diskwright-"));
    assert_eq!(port.s3.state().faults.seen("UploadPart"), 3);
}

#[test]
fn a_vhd_is_sent_as_it_is() {
    let port = Port::new();
    let mut vhd = vec![7; 4096];
    vhd[3584..3592].copy_from_slice(b"conectix");
    port.cloud.desk.write("disk.vhd", &vhd);
    let output = port
        .command(&port.s3.url, "disk.vhd", &["--role-name", "mine"])
        .output();
    let ran = ran(&output.unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("import-snap-"), "{}", ran.stderr);
    let state = port.cloud.fake.state();
    let task = &state.imports.tasks[0];
    assert!(task.bytes == vhd);
    assert_eq!(task.form["DiskContainer.Format"], "VHD");
    assert_eq!(task.form["RoleName"], "mine");
}

#[test]
fn a_role_that_is_not_there_is_told_before_anything_is_sent() {
    let port = Port::new();
    port.cloud.fake.state().imports.no_role = true;
    let ran = port.run(&[]);
    port.cloud.desk.told(&ran, 4, expect![[r#"
        error: cannot make a snapshot of disk.img
          because: VM Import cannot take the role vmimport: The service role vmimport provided does not exist or does not have sufficient permissions
        help: make the role vmimport: `diskwright iam-policy --route import --bucket images` prints with --document vmimport-trust who may take it, and with --document vmimport-policy what it may do; or name another with --role-name
    "#]]);
    assert_eq!(port.s3.state().faults.seen("CreateMultipartUpload"), 0);
}

#[test]
fn what_aws_says_of_a_failed_import_is_told() {
    let port = Port::new();
    port.cloud.fake.state().imports.fails = Some("ClientError: Disk validation failed");
    let ran = port.run(&[]);
    port.cloud.desk.told(&ran, 4, expect![[r#"
        error: cannot make a snapshot of disk.img
          because: AWS failed to complete import-snap-00000000000000000: ClientError: Disk validation failed
    "#]]);
    port.is_empty("failed");
}

const OF_S3: [&str; 4] = [
    "HeadBucket",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
];
const OF_EC2: [&str; 3] = [
    "ImportSnapshot",
    "DescribeImportSnapshotTasks",
    "CreateTags",
];

/// For every request in a thread of its own: most of these tests is waiting.
fn side_by_side(test: impl Fn(&'static str, &Port, Fault, When) + Sync, when: When) {
    std::thread::scope(|scope| {
        for request in OF_S3.into_iter().chain(OF_EC2) {
            let test = &test;
            scope.spawn(move || {
                for fault in Fault::USUAL {
                    let port = Port::new();
                    match OF_S3.contains(&request) {
                        true => port.s3.fault(request, when, fault),
                        false => port.cloud.fake.fault(request, when, fault),
                    }
                    test(request, &port, fault, when);
                }
            });
        }
    });
}

#[test]
fn what_fails_for_a_while_is_tried_again() {
    let test = |request: &str, port: &Port, fault: Fault, _: When| {
        let ran = port.run(&["--timeout", "1s", "--tag", "Name=web"]);
        assert_eq!(ran.code, Some(0), "{request} {fault:?} {ran:?}");
        port.cloud.holds(ran.stdout.trim_end(), "disk.img");
        assert_eq!(port.cloud.left().len(), 1, "{request} {fault:?}");
        port.is_empty(&format!("{request} {fault:?}"));
    };
    side_by_side(test, When::First(2));
}

#[test]
fn what_always_fails_leaves_nothing() {
    let test = |request: &str, port: &Port, fault: Fault, _: When| {
        let begun = Instant::now();
        let flags = ["--timeout", "1s", "--patience", "3s", "--tag", "Name=web"];
        let ran = port.run(&flags);
        assert_eq!(ran.code, Some(4), "{request} {fault:?} {ran:?}");
        assert!(
            begun.elapsed() < Duration::from_secs(90),
            "{request} {fault:?}"
        );
        // Done, but no answer ever says as what: that is told.
        if (request, fault) == ("DescribeImportSnapshotTasks", Fault::Lose) {
            assert!(ran.stderr.contains("is left behind"), "{}", ran.stderr);
        } else {
            assert_eq!(port.cloud.left(), [], "{request} {fault:?}");
        }
        port.is_empty(&format!("{request} {fault:?}"));
    };
    side_by_side(test, When::After(0));
}

#[test]
fn ctrl_c_leaves_nothing() {
    let port = Port::new();
    port.s3.fault("UploadPart", When::After(1), Fault::Hang);
    let flags = ["--parallel", "1", "--quiet"];
    let mut command = port.command(&port.s3.url, "disk.img", &flags);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = Running(command.spawn().unwrap());
    wait_until("a part", || port.s3.state().faults.seen("UploadPart") >= 2);
    crate::tools::stdout("kill", &["-INT", &running.0.id().to_string()]);
    let ran = running.end();
    assert_eq!(ran.code, Some(130), "{ran:?}");
    port.is_empty("interrupted");
}

#[test]
fn flags_of_the_other_route_are_refused() {
    let port = Port::new();
    let run = |args: &[&str]| port.cloud.run(&[&["snapshot", "disk.img"], args].concat());
    let told = |args: &[&str], expected| port.cloud.desk.told(&run(args), 2, expected);
    told(
        &["--bucket", "images"],
        expect![[r#"
        error: --bucket is for --route import and, of push, bundle
    "#]],
    );
    told(
        &["--route", "import"],
        expect![[r#"
        error: the following required arguments were not provided:
          --bucket <NAME>

        Usage: diskwright snapshot --route <ROUTE> --endpoint-url <URL> --region <NAME> --bucket <NAME> <IMAGE>

        For more information, try '--help'.
    "#]],
    );
    let import = ["--route", "import", "--bucket", "images"];
    told(
        &[&import[..], &["--volume-size", "8"]].concat(),
        expect![[r#"
            error: --volume-size is of blocks that are sent one by one, and VM Import takes all
            help: leave it out, or the route
        "#]],
    );
    told(
        &["--route", "import", "--bucket", "My_Images"],
        expect![[r#"
            error: bucket `My_Images`: lower-case letters, digits, hyphens and dots make a bucket's name
        "#]],
    );
}

/// A server that somebody else wrote puts the parts together to the very image.
#[test]
fn s3s_fs_has_the_image_byte_for_byte() {
    let port = Port::new();
    let Some(server) = s3s_fs(&port.cloud.desk) else {
        return;
    };
    {
        let mut state = port.cloud.fake.state();
        state.imports.object = None;
        state.imports.fails = Some("on purpose");
    }
    let flags = ["--create-bucket", "--keep"];
    let ran = ran(&port
        .command(&server.url, "disk.img", &flags)
        .output()
        .unwrap());
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let folder = port.cloud.desk.path("s3/images");
    let names = crate::common::desk::names(&folder);
    let raw: Vec<_> = names.iter().filter(|n| n.ends_with(".raw")).collect();
    let there = std::fs::read(folder.join(raw[0])).unwrap();
    assert!(there == std::fs::read(port.cloud.desk.path("disk.img")).unwrap());
}
