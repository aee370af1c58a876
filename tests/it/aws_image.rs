//! `register`, `copy` and `share` against a server as strict as AWS: what is sent, what is found again, what is
//! refused before anything is sent.

use crate::common::cloud::{Cloud, Holds};
use crate::common::tarball::{archive, file};
use crate::fake_ebs::{Fault, Manner, When};
use expect_test::expect;
use serde_json::Value;
use std::time::Duration;

/// A cloud with a snapshot in it.
fn with_snapshot(manner: Manner) -> (Cloud, String) {
    let cloud = Cloud::with(manner);
    cloud.image("disk.img", &[Holds::Data(1), Holds::Hole]);
    let id = cloud.snapshot(&["disk.img"]);
    (cloud, id)
}

/// A verb, which must succeed.
#[track_caller]
fn done(cloud: &Cloud, args: &[&str]) -> String {
    let ran = cloud.run(&[args, &["--quiet"]].concat());
    let refusals = &cloud.fake.state().refusals;
    assert_eq!(ran.code, Some(0), "{args:?} {ran:?} {refusals:?}");
    ran.stdout.trim_end().to_owned()
}

#[track_caller]
fn registered(cloud: &Cloud, snapshot: &str, args: &[&str]) -> String {
    done(
        cloud,
        &[&["register", snapshot, "--arch", "x86_64"], args].concat(),
    )
}

/// Of what is not said AWS assumes i386, paravirtual, magnetic volumes and metadata for everybody.
#[test]
fn an_ami_says_all_that_aws_would_assume_otherwise() {
    let (cloud, snapshot) = with_snapshot(Manner::default());
    let args = [
        "--boot-mode",
        "uefi-preferred",
        "--name",
        "web [{arch}]",
        "--tag",
        "team=web",
    ];
    let id = registered(&cloud, &snapshot, &args);
    let state = cloud.fake.state();
    let ami = state.amis()[0];
    assert_eq!(
        (ami.id.as_str(), ami.name.as_str()),
        (id.as_str(), "web [x86_64]")
    );
    let said = |name: &str| ami.form.get(name).map(String::as_str);
    for (name, value) in [
        ("Architecture", "x86_64"),
        ("VirtualizationType", "hvm"),
        ("BootMode", "uefi-preferred"),
        ("EnaSupport", "true"),
        ("ImdsSupport", "v2.0"),
        ("RootDeviceName", "/dev/xvda"),
        ("BlockDeviceMapping.1.DeviceName", "/dev/xvda"),
        ("BlockDeviceMapping.1.Ebs.SnapshotId", snapshot.as_str()),
        ("BlockDeviceMapping.1.Ebs.VolumeType", "gp3"),
        ("BlockDeviceMapping.1.Ebs.DeleteOnTermination", "true"),
    ] {
        assert_eq!(said(name), Some(value), "{name}");
    }
    for name in [
        "BlockDeviceMapping.1.Ebs.Encrypted",
        "BlockDeviceMapping.1.Ebs.VolumeSize",
        "SriovNetSupport",
        "TpmSupport",
        "KernelId",
        "Description",
    ] {
        assert_eq!(said(name), None, "{name}");
    }
    assert_eq!(ami.tags["team"], "web");
    assert_eq!(ami.tags["diskwright:digest"].len(), 64);
}

#[test]
fn every_parameter_arrives() {
    let (cloud, snapshot) = with_snapshot(Manner::default());
    cloud.desk.write("vars", b"QU1aTlVFRkk=\n");
    registered(
        &cloud,
        &snapshot,
        &[
            "--boot-mode=uefi",
            "--tpm",
            "--uefi-data=vars",
            "--volume-size=20",
            "--iops=6000",
            "--throughput=500",
            "--volume-initialization-rate=200",
            "--keep-volume",
            "--root-device-name=/dev/sda1",
            "--block-device-mapping=/dev/sdb=ephemeral0",
            "--block-device-mapping=/dev/sdc=:8:false:io2:400:encrypted",
            "--block-device-mapping=/dev/sdd=none",
            "--sriov-net",
            "--no-ena",
            "--no-imdsv2",
            "--billing-product=bp-12345678",
            "--description=a web server",
        ],
    );
    let state = cloud.fake.state();
    let form = &state.amis()[0].form;
    for (name, value) in [
        ("TpmSupport", "v2.0"),
        ("UefiData", "QU1aTlVFRkk="),
        ("BlockDeviceMapping.1.Ebs.VolumeSize", "20"),
        ("BlockDeviceMapping.1.Ebs.Iops", "6000"),
        ("BlockDeviceMapping.1.Ebs.Throughput", "500"),
        ("BlockDeviceMapping.1.Ebs.VolumeInitializationRate", "200"),
        ("BlockDeviceMapping.1.Ebs.DeleteOnTermination", "false"),
        ("BlockDeviceMapping.2.VirtualName", "ephemeral0"),
        ("BlockDeviceMapping.3.Ebs.VolumeSize", "8"),
        ("BlockDeviceMapping.3.Ebs.VolumeType", "io2"),
        ("BlockDeviceMapping.3.Ebs.Encrypted", "true"),
        ("BlockDeviceMapping.4.NoDevice", ""),
        ("SriovNetSupport", "simple"),
        ("BillingProduct.1", "bp-12345678"),
        ("Description", "a web server"),
    ] {
        assert_eq!(
            form.get(name).map(String::as_str),
            Some(value),
            "{name}: {form:?}"
        );
    }
    for name in ["EnaSupport", "ImdsSupport"] {
        assert!(!form.contains_key(name), "{name}");
    }
}

#[test]
fn a_bundle_becomes_an_ami_by_its_manifest() {
    let cloud = Cloud::new();
    let id = done(
        &cloud,
        &[
            "register",
            "s3://bucket/web/disk.img.manifest.xml",
            "--arch=x86_64",
            "--virtualization-type=paravirtual",
            "--kernel=aki-919dcaf8",
            "--name={name}",
        ],
    );
    let state = cloud.fake.state();
    let ami = state.amis()[0];
    assert_eq!(
        (ami.id.as_str(), ami.name.as_str()),
        (id.as_str(), "disk.img")
    );
    for (name, value) in [
        ("ImageLocation", "bucket/web/disk.img.manifest.xml"),
        ("VirtualizationType", "paravirtual"),
        ("KernelId", "aki-919dcaf8"),
    ] {
        assert_eq!(ami.form[name], value);
    }
    for name in ["EnaSupport", "ImdsSupport", "RootDeviceName", "BootMode"] {
        assert!(!ami.form.contains_key(name), "{name}");
    }
}

#[test]
fn the_same_registration_is_the_same_ami() {
    let (cloud, snapshot) = with_snapshot(Manner::default());
    let first = registered(&cloud, &snapshot, &["--name", "web"]);
    assert_eq!(
        registered(&cloud, &snapshot, &["--name", "web", "--tag", "n=2"]),
        first
    );
    let json = registered(&cloud, &snapshot, &["--name", "web", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["image-id"], &json["existed"]),
        (&first.as_str().into(), &true.into())
    );
    assert_eq!(cloud.fake.state().faults.seen("RegisterImage"), 1);
    // In another way, it would be another AMI.
    let args = [
        "register",
        &snapshot,
        "--arch=x86_64",
        "--boot-mode=legacy-bios",
        "--name=web",
        "--no-ena",
        "--quiet",
    ];
    let other = cloud.run(&args);
    cloud.desk.told(&other, 4, expect![[r#"
        error: cannot register snap-0000000face000000
          because: the name "web" belongs to ami-00000000a00000000 in us-east-1 already, which holds something else, or was registered in another way
        help: say another --name, or deregister that AMI first
    "#]]);
    cloud.fake.state().images[0].tags.clear();
    let foreign = cloud.run(&args);
    assert!(
        foreign.stderr.contains("which was not made by diskwright"),
        "{}",
        foreign.stderr
    );
    assert_eq!(cloud.fake.state().amis().len(), 1);
}

/// Nothing of this reaches AWS.
#[test]
fn what_aws_would_refuse_is_refused_here() {
    let cloud = Cloud::new();
    cloud.desk.write("vars", b"no base64!");
    let snapshot = "snap-0123456789abcdef0";
    for (flags, why) in [
        (
            &["--name=ab"][..],
            "it has 2 characters, and AWS takes 3 to 128",
        ),
        (&["--name=web:1"], "AWS takes no ':' in it"),
        (&["--name={time}"], "is none of {name}"),
        (&["--tag=aws:x=1"], "keys that begin with aws: are AWS's"),
        (&["--tag=a=1", "--tag=a=2"], "its key is given twice"),
        (
            &["--volume-type=st1"],
            "no instance starts from such a volume",
        ),
        (&["--volume-type=io2"], "an io2 volume needs --iops"),
        (
            &["--volume-type=gp2", "--iops=3000"],
            "a gp2 volume has no --iops of its own",
        ),
        (
            &["--volume-type=gp2", "--throughput=200"],
            "--throughput is for gp3",
        ),
        (&["--iops=2999"], "for gp3 it is 3000 to 80000"),
        (&["--iops=80001"], "for gp3 it is 3000 to 80000"),
        (
            &["--iops=6000", "--volume-size=8"],
            "at most 500 for each of its 8 GiB",
        ),
        (
            &["--throughput=2001", "--iops=16000"],
            "for gp3 it is 125 to 2000",
        ),
        (&["--throughput=800"], "say more --iops"),
        (&["--volume-size=65537"], "for gp3 it is 1 to 65536"),
        (&["--volume-initialization-rate=99"], "it is 100 to 300"),
        (&["--tpm"], "a TPM wants the boot mode uefi"),
        (
            &["--tpm", "--boot-mode=uefi-preferred"],
            "a TPM wants the boot mode uefi",
        ),
        (
            &["--arch=arm64", "--boot-mode=legacy-bios"],
            "starts by UEFI",
        ),
        (
            &["--arch=arm64", "--boot-mode=uefi", "--tpm"],
            "have no TPM",
        ),
        (&["--uefi-data=vars"], "UEFI data wants the boot mode uefi"),
        (
            &["--uefi-data=vars", "--boot-mode=uefi"],
            "UEFI data is base64",
        ),
        (
            &["--kernel=aki-919dcaf8"],
            "wants --virtualization-type paravirtual",
        ),
        (
            &["--virtualization-type=paravirtual", "--boot-mode=uefi"],
            "instances have no boot mode",
        ),
        (
            &["--virtualization-type=paravirtual", "--kernel=aki-1"],
            "8 or 17 hexadecimal digits",
        ),
        (&["--virtualization-type=paravirtual"], "say --kernel"),
        (
            &["--root-device-name=/dev/xvda1"],
            "another name without a number",
        ),
        (
            &["--root-device-name=/dev/nvme0n1"],
            "EC2's devices are called",
        ),
        (
            &["--block-device-mapping=/dev/xvda=none"],
            "two devices are called /dev/xvda",
        ),
        (
            &["--block-device-mapping=/dev/sdb=snap-0123456789abcdef0:8::::encrypted"],
            "encrypted as its snapshot is",
        ),
    ] {
        let mut args = vec!["register", snapshot];
        for given in ["--arch=x86_64", "--boot-mode=legacy-bios"] {
            let (name, _) = given.split_once('=').unwrap();
            let paravirtual = flags[0].starts_with("--virtualization") && name == "--boot-mode";
            if !paravirtual && !flags.iter().any(|f| f.starts_with(name)) {
                args.push(given);
            }
        }
        args.extend(flags);
        let ran = cloud.run(&args);
        assert_eq!(ran.code, Some(2), "{flags:?} {ran:?}");
        assert!(ran.stderr.contains(why), "{flags:?}: {}", ran.stderr);
    }
    let bundle = [
        "register",
        "s3://bucket/x.manifest.xml",
        "--arch=x86_64",
        "--virtualization-type=hvm",
    ];
    for (args, why) in [
        (
            &["register", "snap-1", "--arch=x86_64"][..],
            "8 or 17 hexadecimal digits",
        ),
        (
            &["register", "s3://bucket/x.xml", "--arch=x86_64"],
            "NAME.manifest.xml",
        ),
        (
            &["register", "s3://bucket/x.manifest.xml", "--arch=arm64"],
            "no instance for arm64",
        ),
        (
            &["copy", "ami-1", "--to=eu-west-1"],
            "8 or 17 hexadecimal digits",
        ),
        (&["copy", "ami-0123456789abcdef0"], "--copy-to"),
        (
            &["copy", "ami-0123456789abcdef0", "--to=x"],
            "regions are called as",
        ),
        (
            &["copy", "ami-0123456789abcdef0", "--to=eu-west-1,eu-west-1"],
            "it is named twice",
        ),
        (
            &[&bundle[..], &["--volume-type=gp3"]].concat(),
            "--volume-type is for snapshots",
        ),
        (
            &[&bundle[..], &["--root-device-name=/dev/xvda"]].concat(),
            "--root-device-name is for snapshots",
        ),
        (
            &[&bundle[..], &["--keep-volume"]].concat(),
            "--keep-volume is for snapshots",
        ),
        (
            &["share", "ami-0123456789abcdef0"],
            "with whom, and until when?",
        ),
        (
            &["share", "ami-0123456789abcdef0", "--share-with=1234"],
            "twelve digits",
        ),
        (
            &[
                "share",
                "ami-0123456789abcdef0",
                "--deprecate-at=2001-01-01",
            ],
            "in the next 10 years",
        ),
        (
            &[
                "share",
                "ami-0123456789abcdef0",
                "--public",
                "--deprecate-at=800d",
            ],
            "in the next 2 years",
        ),
        (
            &["share", "ami-0123456789abcdef0", "--ssm-parameter=a/b"],
            "begins with a slash",
        ),
    ] {
        let ran = cloud.run(args);
        assert_eq!(ran.code, Some(2), "{args:?} {ran:?}");
        assert!(ran.stderr.contains(why), "{args:?}: {}", ran.stderr);
    }
    assert_eq!(cloud.fake.state().requests, 0);
}

#[test]
fn a_snapshot_that_will_not_do_is_told_before_the_ami_is_made() {
    let (cloud, snapshot) = with_snapshot(Manner::default());
    cloud.fake.state().snapshots[0].gibibytes = 9;
    let args = [
        "register",
        &snapshot,
        "--arch=x86_64",
        "--boot-mode=legacy-bios",
        "--volume-size=8",
        "--quiet",
    ];
    let ran = cloud.run(&args);
    assert!(
        ran.stderr
            .contains("8 GiB is smaller than snap-0000000face000000, which has 9 GiB"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.code, Some(3));
    cloud.fake.state().snapshots[0].completed = None;
    let ran = cloud.run(&args[..4]);
    assert!(
        ran.stderr
            .contains("is pending: an AMI needs a completed one"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.code, Some(4));
    assert_eq!(cloud.fake.state().faults.seen("RegisterImage"), 0);
}

#[test]
fn a_pending_ami_is_waited_for_and_a_failed_one_is_told_and_removed() {
    let slow = Manner {
        pending: Duration::from_secs(2),
        settling: Duration::from_millis(300),
        ..Manner::default()
    };
    let (cloud, snapshot) = with_snapshot(slow);
    let id = registered(&cloud, &snapshot, &["--name", "web"]);
    assert!(cloud.fake.state().faults.seen("DescribeImages") > 2);
    let args = [
        "register",
        &snapshot,
        "--arch=x86_64",
        "--boot-mode=legacy-bios",
        "--name=two",
        "--wait=1s",
        "--quiet",
    ];
    let ran = cloud.run(&args);
    assert!(
        ran.stderr.contains("is still pending after 0 minutes"),
        "{}",
        ran.stderr
    );
    cloud.fake.state().manner.images_fail = true;
    cloud.desk.told(
        &cloud.run(&[&args[..5], &["--quiet"]].concat()),
        4,
        expect![[r#"
            error: cannot register snap-0000000face000000
              because: ami-00000000a00000002 in us-east-1 is failed: it did not work
        "#]],
    );
    let state = cloud.fake.state();
    assert_eq!(
        state.amis().iter().map(|a| &a.id).collect::<Vec<_>>(),
        [&id]
    );
    // The snapshot was there before.
    assert!(!state.get(&snapshot).deleted);
}

#[test]
fn an_ami_is_copied_with_its_tags_to_several_regions_at_once() {
    let slow = Manner {
        pending: Duration::from_millis(1500),
        settling: Duration::from_millis(300),
        ..Manner::default()
    };
    let (cloud, snapshot) = with_snapshot(slow);
    let args = ["--name=web", "--tag=team=web", "--description=d"];
    let id = registered(&cloud, &snapshot, &args);
    let to = "--to=eu-west-1,eu-west-2=alias/web";
    let lines = done(&cloud, &["copy", &id, to]);
    let lines: Vec<_> = lines.lines().map(|l| l.split_once(' ').unwrap()).collect();
    assert_eq!(
        lines.iter().map(|l| l.0).collect::<Vec<_>>(),
        ["eu-west-1", "eu-west-2"]
    );
    {
        let state = cloud.fake.state();
        for (region, id) in &lines {
            let ami = state.amis().into_iter().find(|a| a.id == *id).unwrap();
            assert_eq!(
                (&*ami.region, &*ami.name, &*ami.tags["team"]),
                (*region, "web", "web")
            );
            assert_eq!(
                ami.tags["diskwright:digest"],
                state.images[0].tags["diskwright:digest"]
            );
            assert_ne!(
                ami.tags["diskwright:run"],
                state.images[0].tags["diskwright:run"]
            );
            assert_eq!(ami.form["Description"], "d");
            assert_eq!(state.get(&ami.snapshots[0]).tags["team"], "web");
            assert_eq!(ami.encrypted, *region == "eu-west-2");
        }
        // Both were pending at the same time.
        assert_eq!(state.faults.seen("CopyImage"), 2);
    }
    // Again, with one more.
    let json = done(
        &cloud,
        &["copy", &id, "--to=eu-west-1,eu-north-1", "--json"],
    );
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json[0]["existed"], &json[1]["existed"]),
        (&true.into(), &false.into())
    );
    assert_eq!(json[0]["image-id"], lines[0].1);
    assert_eq!(cloud.fake.state().faults.seen("CopyImage"), 3);
    // A copy that is there and not encrypted does not do.
    let ran = cloud.run(&["copy", &id, "--to=eu-west-1", "--encrypt-copies", "--quiet"]);
    assert!(
        ran.stderr.contains("is a copy, but not encrypted"),
        "{}",
        ran.stderr
    );
    // Nor does one of another key; what an alias stands for is not known.
    let key = "arn:aws:kms:eu-west-2:111122223333:key/1";
    let copy = |key: &str| {
        let to = format!("--to=eu-west-2={key}");
        cloud.run(&["copy", &id, &to, "--quiet"])
    };
    let ran = copy(key);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(
        ran.stderr
            .contains("is a copy, but encrypted with alias/web"),
        "{}",
        ran.stderr
    );
    let of = lines[1].1;
    {
        let mut state = cloud.fake.state();
        let of = state.images.iter().find(|a| a.id == of).unwrap();
        let of = of.snapshots[0].clone();
        let of = state.snapshots.iter_mut().find(|s| s.id == of).unwrap();
        of.request["KmsKeyArn"] = key.into();
    }
    for key in [key, "1", "alias/web"] {
        assert_eq!(copy(key).stdout.trim_end(), format!("eu-west-2 {of}"));
    }
    // One that is pending while it is found is looked at when it is there.
    cloud.fake.state().manner.pending = Duration::from_secs(2);
    let pending =
        |args: &[&str]| cloud.run(&[&["copy", &id, "--to=eu-west-3", "--quiet"], args].concat());
    let ran = pending(&["--keep", "--wait=1s"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let ran = pending(&["--encrypt-copies"]);
    assert!(
        ran.stderr.contains("is a copy, but not encrypted"),
        "{}",
        ran.stderr
    );
    cloud.fake.state().manner.pending = Duration::ZERO;
    // One of somebody else's has the tag too: by it policies know what may be deleted.
    cloud.fake.state().images[0].tags.clear();
    let other = done(&cloud, &["copy", &id, "--to=ap-south-1"]);
    let state = cloud.fake.state();
    let ami = state
        .amis()
        .into_iter()
        .find(|a| other.ends_with(&a.id))
        .unwrap();
    assert_eq!(ami.tags["diskwright:digest"].len(), 64);
    drop(state);
    // Nor is one made where the AMI is.
    let ran = cloud.run(&["copy", &id, "--to=us-east-1", "--quiet"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(
        ran.stderr.contains("the AMI is there already"),
        "{}",
        ran.stderr
    );
}

/// A key that is not there is found out when the copies are on their way.
#[test]
fn a_copy_that_fails_takes_the_others_along() {
    for (leaves_snapshots, protects) in [(false, false), (true, false), (false, true)] {
        let (cloud, snapshot) = with_snapshot(Manner {
            leaves_snapshots,
            protects,
            ..Manner::default()
        });
        let id = registered(&cloud, &snapshot, &["--name=web"]);
        cloud.fake.state().manner.pending = Duration::from_millis(700);
        for request in ["DeregisterImage", "DeleteSnapshot"] {
            cloud.fake.fault(request, When::First(2), Fault::Internal);
        }
        let to = "--to=eu-west-1,eu-west-2=alias/missing,eu-north-1";
        let ran = cloud.run(&["copy", &id, to, "--quiet"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(4), ""), "{ran:?}");
        let why = "in eu-west-2 is failed: Given key ID is not accessible";
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
        let state = cloud.fake.state();
        assert_eq!(state.faults.seen("CopyImage"), 3);
        assert_eq!(
            state.amis().iter().map(|a| &a.id).collect::<Vec<_>>(),
            [&id]
        );
        let left = state.snapshots.iter().filter(|s| !s.deleted);
        assert_eq!(left.map(|s| &s.id).collect::<Vec<_>>(), [&snapshot]);
    }
}

#[test]
fn an_ami_is_shared_protected_and_put_where_it_is_looked_up() {
    let (cloud, snapshot) = with_snapshot(Manner::default());
    let id = registered(&cloud, &snapshot, &["--name=web"]);
    let organization = "arn:aws:organizations::111122223333:organization/o-abcdefghij";
    let with = format!("--share-with=111122223333,444455556666,{organization}");
    let printed = done(
        &cloud,
        &[
            "share",
            &id,
            &with,
            "--public",
            "--deprecate-at=2027-12-31",
            "--protect",
            "--ssm-parameter=/images/web",
        ],
    );
    assert_eq!(printed, id);
    let state = cloud.fake.state();
    let ami = &state.images[0];
    let shared: Vec<&str> = ami.shared.iter().map(String::as_str).collect();
    assert_eq!(
        shared,
        ["111122223333", "444455556666", "all", organization]
    );
    let accounts: Vec<&str> = state
        .get(&snapshot)
        .shared
        .iter()
        .map(String::as_str)
        .collect();
    assert_eq!(accounts, ["111122223333", "444455556666"]);
    assert_eq!(ami.deprecated.as_deref(), Some("2027-12-31T00:00:00Z"));
    assert!(ami.protected);
    let key = ("us-east-1".to_owned(), "/images/web".to_owned());
    assert_eq!(state.parameters[&key], id);
}

#[test]
fn an_ami_is_protected_when_nothing_can_fail_any_more() {
    let (cloud, snapshot) = with_snapshot(Manner::default());
    let id = registered(&cloud, &snapshot, &["--name=web"]);
    let share = ["share", &id, "--protect", "--ssm-parameter=/web", "--quiet"];
    cloud
        .fake
        .fault("PutParameter", When::First(1), Fault::Denied);
    assert_eq!(cloud.run(&share).code, Some(4));
    assert!(!cloud.fake.state().images[0].protected);
    // When protection fails, the parameter has its old value back.
    let other = registered(&cloud, &snapshot, &["--name=other"]);
    let key = ("us-east-1".to_owned(), "/web".to_owned());
    let value = |value: &str| {
        let mut state = cloud.fake.state();
        state.parameters.insert(key.clone(), value.to_owned());
    };
    value(&other);
    let protection = "EnableImageDeregistrationProtection";
    cloud.fake.fault(protection, When::First(1), Fault::Denied);
    assert_eq!(cloud.run(&share).code, Some(4));
    assert_eq!(cloud.fake.state().parameters[&key], other);
    // What another run has put there since, stays.
    value(&other);
    cloud.fake.fault(protection, When::First(9), Fault::Hang);
    let run = [&share[..], &["--timeout=2s", "--patience=2s"]].concat();
    std::thread::scope(|scope| {
        let ran = scope.spawn(|| cloud.run(&run));
        while cloud.fake.state().parameters[&key] != id {
            std::thread::sleep(Duration::from_millis(10));
        }
        value("ami-of-another-run");
        assert_eq!(ran.join().unwrap().code, Some(4));
    });
    assert_eq!(cloud.fake.state().parameters[&key], "ami-of-another-run");
}

#[test]
fn an_ami_that_somebody_deregisters_is_waited_for_no_longer() {
    let (cloud, snapshot) = with_snapshot(Manner {
        pending: Duration::from_secs(600),
        ..Manner::default()
    });
    let register = [
        "register",
        &snapshot,
        "--arch=x86_64",
        "--boot-mode=uefi",
        "--name=web",
        "--quiet",
    ];
    std::thread::scope(|scope| {
        let ran = scope.spawn(|| cloud.run(&register));
        while cloud.fake.state().faults.seen("DescribeImages") < 3 {
            std::thread::sleep(Duration::from_millis(10));
        }
        cloud.fake.state().images.clear();
        let ran = ran.join().unwrap();
        assert_eq!(ran.code, Some(4), "{ran:?}");
        assert!(ran.stderr.contains("InvalidAMIID.NotFound"), "{ran:?}");
    });
}

#[test]
fn what_cannot_be_public_is_told_before_anything_is_shared() {
    let (cloud, snapshot) = with_snapshot(Manner {
        public_blocked: true,
        ..Manner::default()
    });
    let id = registered(&cloud, &snapshot, &["--name=web"]);
    let args = [
        "share",
        &id,
        "--public",
        "--share-with=111122223333",
        "--quiet",
    ];
    cloud.desk.told(&cloud.run(&args), 4, expect![[r#"
        error: cannot share ami-00000000a00000000
          because: the account blocks public AMIs in us-east-1
        help: if it is to be public: aws ec2 disable-image-block-public-access --region us-east-1; it takes some minutes
    "#]]);
    cloud.fake.state().images[0].encrypted = true;
    let ran = cloud.run(&args);
    assert!(
        ran.stderr
            .contains("is encrypted, and AWS makes no such AMI public"),
        "{}",
        ran.stderr
    );
    let state = cloud.fake.state();
    assert!(state.images[0].shared.is_empty() && state.get(&snapshot).shared.is_empty());
}

/// Without the image at hand, a few blocks of the snapshot say what it is.
#[test]
fn a_snapshot_says_itself_what_it_is() {
    use std::os::unix::fs::FileExt;
    let cloud = Cloud::new();
    let tar = archive(&[file("lib64/ld-linux-x86-64.so.2", b"the linker")]);
    cloud.desk.write("a.tar", &tar);
    let flags = [
        "--boot=none",
        "--scheme=mbr",
        "--size=1G",
        "--map-file=disk.map",
    ];
    cloud.desk.builds("a.tar", &flags);
    let send = |more: &[&str]| {
        let id = cloud.snapshot(&[&["out/disk.img", "--quiet"], more].concat());
        (cloud.run(&["register", &id, "--quiet"]), id)
    };
    let (unknown, _) = send(&["--map-file=disk.map"]);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.stderr.contains("say --arch"), "{}", unknown.stderr);
    // What GRUB's boot.img begins with.
    let image = cloud.desk.path("out/disk.img");
    let image = std::fs::File::options().write(true).open(image).unwrap();
    image.write_all_at(&[0xEB, 0x63, 0x90], 0).unwrap();
    let (ran, id) = send(&["--holes=skip"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let state = cloud.fake.state();
    let form = &state.amis()[0].form;
    assert_eq!(
        (&*form["Architecture"], &*form["BootMode"]),
        ("x86_64", "legacy-bios")
    );
    let read = state.faults.seen("GetSnapshotBlock");
    assert!(
        (1..=6).contains(&read),
        "{read} of {}",
        state.get(&id).digests.len()
    );
}
