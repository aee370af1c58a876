//! `upload-bundle` against a strict fake of S3: what is sent, what is there already, what a bucket must be like.

use crate::common::bucket::{MAKE, Shelf};
use crate::common::bundle;
use crate::fake_ebs::{Fault, When};
use expect_test::expect;
use std::time::Duration;

#[test]
fn a_finished_bundle_is_sent_for_ec2_to_read() {
    let shelf = Shelf::new().bundled(5);
    let ran = shelf.send(&[]);
    assert_eq!(ran.code, Some(0), "{ran:?} {:?}", shelf.s3.state().refusals);
    assert_eq!(ran.stdout, "images/a/web.manifest.xml\n");
    shelf.holds_it();
    let state = shelf.s3.state();
    assert_eq!(state.faults.seen("PutObject"), 6);
    // No more than 64 MiB of parts at a time, which the memory is planned for.
    assert!(state.widest <= 64 << 20, "{}", state.widest);
}

#[test]
fn the_manifest_is_the_last_to_come() {
    let shelf = Shelf::new().bundled(3);
    shelf.s3.fault("PutObject", When::After(2), Fault::Denied);
    let ran = shelf.send(&["--keep", "--parallel", "1"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert_eq!(
        shelf.s3.state().keys("images"),
        ["a/web.part.0", "a/web.part.1"]
    );
}

/// As one that was killed, or ended with --keep: what is there is not sent again.
#[test]
fn parts_that_are_there_are_not_sent_again() {
    let shelf = Shelf::new().bundled(4);
    shelf.figures(&[]);
    {
        let mut state = shelf.s3.state();
        let objects = &mut state.bucket("images").objects;
        objects.remove("a/web.manifest.xml");
        objects.remove("a/web.part.3");
        objects.get_mut("a/web.part.2").unwrap().etag = "of another".into();
        objects.get_mut("a/web.part.1").unwrap().acl = "private".into();
    }
    let figures = shelf.figures(&[]);
    assert_eq!(
        (&figures["sent"], &figures["present"]),
        (&2.into(), &2.into())
    );
    shelf.holds_it();
    // And all of it again is nothing.
    let figures = shelf.figures(&[]);
    assert_eq!(
        (&figures["sent"], &figures["present"]),
        (&0.into(), &4.into())
    );
    assert_eq!(shelf.s3.state().faults.seen("PutObject"), 5 + 3);
}

#[test]
fn what_no_list_may_tell_is_sent() {
    let shelf = Shelf::new().bundled(2);
    shelf.s3.fault("HeadBucket", When::After(0), Fault::Denied);
    for request in [
        "ListObjectsV2",
        "GetBucketOwnershipControls",
        "GetBucketEncryption",
    ] {
        shelf.s3.fault(request, When::After(0), Fault::Denied);
    }
    let ran = shelf.send(&[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("s3:ListBucket"), "{}", ran.stderr);
    shelf.holds_it();
}

#[test]
fn another_bundle_is_replaced_only_if_that_is_said() {
    let shelf = Shelf::new().bundled(4);
    shelf.figures(&[]);
    let smaller = shelf.bundled_again();
    let ran = smaller.send(&[]);
    smaller.told(&ran, 3, expect![[r"
        error: cannot upload the bundle to s3://images/a
          because: s3://images/a/web.manifest.xml exists already and is another; say `--force` to replace the bundle
    "]]);
    assert_eq!(smaller.s3.state().keys("images").len(), 5);
    smaller.figures(&["--force"]);
    // The parts of the larger one are gone.
    smaller.holds_it();
}

#[test]
fn a_bundle_is_made_on_the_way() {
    for input in ["disk.img", "-"] {
        let shelf = Shelf::new();
        let args = [&[input, "s3://images/x/y", "-p", "web"], &MAKE[..]].concat();
        let mut command = shelf.command(&args);
        if input == "-" {
            command.stdin(std::fs::File::open(shelf.desk.path("disk.img")).unwrap());
        }
        let ran = crate::common::desk::ran(&command.output().unwrap());
        assert_eq!(ran.code, Some(0), "{ran:?} {:?}", shelf.s3.state().refusals);
        assert_eq!(ran.stdout, "images/x/y/web.manifest.xml\n");
        assert!(
            shelf
                .s3
                .state()
                .keys("images")
                .contains(&"x/y/web.part.0000".into())
        );
        assert!(shelf.unbundled("x/y/", "web") == bundle::image());
        assert_eq!(shelf.desk.out(), Vec::<String>::new());
    }
}

/// Parts that are made faster than they are taken wait for one another, and do not fill the memory.
#[test]
fn bundling_waits_for_a_slow_bucket() {
    let shelf = Shelf::new();
    shelf.noise("noise.img", 45 << 20);
    shelf.s3.fault("PutObject", When::First(2), Fault::Hang);
    let args = [
        &[
            "noise.img",
            "s3://images",
            "--timeout",
            "1s",
            "--parallel",
            "2",
        ],
        &MAKE[..],
    ]
    .concat();
    let ran = shelf.run(&args);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(shelf.s3.state().widest <= 20 << 20);
    let image = std::fs::read(shelf.desk.path("noise.img")).unwrap();
    assert!(shelf.unbundled("", "noise.img") == image);
}

#[test]
fn a_bucket_that_will_not_do_is_told_with_how_to_mend_it() {
    let shelf = Shelf::new().bundled(1);
    let told = |expected| shelf.told(&shelf.send(&[]), 3, expected);
    shelf.s3.state().bucket("images").ownership = Some("BucketOwnerEnforced");
    told(expect![[r#"
        error: cannot upload the bundle to s3://images/a
          because: the bucket images takes no ACLs (BucketOwnerEnforced), and `aws-exec-read` is one
        help: aws s3api put-bucket-ownership-controls --bucket images --ownership-controls 'Rules=[{ObjectOwnership=BucketOwnerPreferred}]', or --acl private
    "#]]);
    shelf.s3.state().bucket("images").ownership = None;
    shelf.s3.state().bucket("images").encryption = "aws:kms";
    told(expect![[r#"
        error: cannot upload the bundle to s3://images/a
          because: the bucket images encrypts by default with aws:kms, and EC2 cannot read that
        help: aws s3api delete-bucket-encryption --bucket images: its objects are then encrypted with S3's own key, which EC2 reads
    "#]]);
    shelf.s3.state().bucket("images").region = "eu-west-1";
    told(expect![[r#"
        error: cannot upload the bundle to s3://images/a
          because: the bucket images is in eu-west-1, and what comes of it is to be in us-east-1
        help: say --region eu-west-1, or name a bucket of the other region
    "#]]);
    shelf.s3.state().buckets.clear();
    told(expect![[r#"
        error: cannot upload the bundle to s3://images/a
          because: there is no bucket images
        help: look at its name, or say --create-bucket to make it in this region
    "#]]);
    shelf.s3.state().taken.push("images".into());
    let ran = shelf.send(&["--create-bucket"]);
    shelf.told(
        &ran,
        3,
        expect![[r#"
        error: cannot upload the bundle to s3://images/a
          because: a bucket images exists, and it is not this account's
        help: choose another name, or use the keys of its account
    "#]],
    );
    assert_eq!(shelf.s3.state().faults.seen("PutObject"), 0);
}

#[test]
fn a_bucket_without_acls_takes_a_private_bundle() {
    let shelf = Shelf::new().bundled(1);
    shelf.s3.state().bucket("images").ownership = Some("BucketOwnerEnforced");
    let figures = shelf.figures(&["--acl", "private"]);
    assert_eq!(figures["image-location"], "images/a/web.manifest.xml");
}

/// A bucket that is made takes ACLs, may be unknown for a while, and goes with the rest if the run fails.
#[test]
fn a_bucket_is_made_where_there_is_none() {
    let shelf = Shelf::new().bundled(1);
    shelf.s3.state().buckets.clear();
    shelf.s3.state().settling = Duration::from_secs(2);
    shelf.figures(&["--create-bucket"]);
    shelf.holds_it();
    assert_eq!(
        shelf.s3.state().buckets["images"].ownership,
        Some("BucketOwnerPreferred")
    );

    shelf.s3.state().buckets.clear();
    shelf.s3.fault("PutObject", When::After(1), Fault::Denied);
    let ran = shelf.send(&["--create-bucket", "--parallel", "1"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(shelf.s3.state().buckets.is_empty());
}

#[test]
fn what_is_no_bundle_is_not_sent() {
    let shelf = Shelf::new().bundled(2);
    let part = shelf.desk.path("out/web.part.1");
    let mut bytes = std::fs::read(&part).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    let ran = shelf.send(&[]);
    shelf.told(&ran, 3, expect![[r#"
        error: cannot upload the bundle to s3://images/a
          because: the part web.part.1 is damaged: its SHA-1 is not the manifest's; bundle the image again
    "#]]);
    assert_eq!(shelf.s3.state().keys("images"), Vec::<String>::new());
    std::fs::remove_file(&part).unwrap();
    let ran = shelf.send(&[]);
    shelf.told(
        &ran,
        3,
        expect![[r#"
        error: cannot upload the bundle to s3://images/a
          because: cannot read what is to be sent
          because: out/web.part.1: No such file or directory (os error 2)
    "#]],
    );
    assert_eq!(shelf.s3.state().keys("images"), Vec::<String>::new());
}

#[test]
fn places_and_flags_that_do_not_fit_are_refused_before_anything_is_sent() {
    let shelf = Shelf::new().bundled(1);
    for (args, expected) in [
        (
            &["out/web.manifest.xml"][..],
            expect![[r#"
            error: place `out/web.manifest.xml`: it has the form s3://BUCKET/PREFIX
            help: the last argument says where to, as in s3://my-images/web
        "#]],
        ),
        (
            &["out/web.manifest.xml", "s3://My_Images/a"],
            expect![[r#"
                error: bucket `My_Images`: lower-case letters, digits, hyphens and dots make a bucket's name
                help: the last argument says where to, as in s3://my-images/web
            "#]],
        ),
        (
            &["out/web.manifest.xml", "s3://images/a", "-p", "x"],
            expect![[r#"
                error: cannot upload the bundle to s3://images/a
                  because: out/web.manifest.xml is a finished bundle's manifest, and there are flags that say how to make one
                help: leave them out, or give the image
            "#]],
        ),
        (
            &["disk.img", "s3://images/a"],
            expect![[r#"
            error: cannot upload the bundle to s3://images/a
              because: neither the flags nor the spec file have `account`
            help: a bundle is signed: say -u ACCOUNT, -c CERT and -k KEY
        "#]],
        ),
        (
            &["s3://images/a", "--acl", "bucket-owner-read"],
            expect![[r#"
                error: invalid value 'bucket-owner-read' for '--acl <ACL>': it is aws-exec-read, public-read or private

                For more information, try '--help'.
            "#]],
        ),
    ] {
        let ran = shelf.run(args);
        shelf.told(&ran, 2, expected);
    }
    assert_eq!(shelf.s3.state().faults.seen("HeadBucket"), 0);
}
