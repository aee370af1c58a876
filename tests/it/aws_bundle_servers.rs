//! `upload-bundle` against servers that somebody else wrote. moto checks no digest and no signature; s3s-fs checks
//! both, and keeps objects as files, but knows no ACL.

use crate::aws_moto::Moto;
use crate::common::bundle;
use crate::common::cloud::keys;
use crate::common::desk::{Desk, ran};
use crate::common::server::s3s_fs;

/// Sends the golden image's bundle to `s3://images/a`, in a bucket that is made, and tells the figures.
fn send(desk: &Desk, url: &str) -> serde_json::Value {
    let args = [
        "upload-bundle",
        "out/web.manifest.xml",
        "s3://images/a",
        "--create-bucket",
        "--json",
        "--endpoint-url",
        url,
        "--region",
        "us-east-1",
    ];
    let mut command = desk.command(&args);
    keys(&mut command, desk);
    let ran = ran(&command.output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn moto_takes_a_bundle_once() {
    let Some(moto) = Moto::start() else { return };
    let desk = bundle::desk();
    bundle::bundle(&desk, &["disk.img", "-p", "web"]);
    let figures = send(&desk, &moto.url);
    assert_eq!(figures["sent"], 1);
    let figures = send(&desk, &moto.url);
    assert_eq!(
        (&figures["sent"], &figures["present"]),
        (&0.into(), &1.into())
    );
}

#[test]
fn s3s_fs_keeps_a_bundle_byte_for_byte() {
    let desk = bundle::desk();
    bundle::bundle(&desk, &["disk.img", "-p", "web"]);
    let Some(server) = s3s_fs(&desk) else { return };
    // Its lists tell no ETags: what is there is sent again.
    for _ in 0..2 {
        let figures = send(&desk, &server.url);
        assert_eq!(figures["sent"], 1);
        for name in desk.out() {
            let there = std::fs::read(desk.path("s3/images/a").join(&name)).unwrap();
            let sent = std::fs::read(desk.path("out").join(&name)).unwrap();
            assert!(there == sent, "{name}");
        }
    }
}
