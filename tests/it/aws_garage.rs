//! S3 as garage understands it: it refuses wrong signatures, digests and parts, as AWS does. It takes ten minutes to
//! build, so that `make test-full` alone does it.

use crate::common::bundle;
use crate::common::cloud::{Cloud, Holds, keys};
use crate::common::desk::ran;
use crate::common::rootfs::full;
use crate::common::server::Garage;

#[test]
fn garage_keeps_a_bundle_byte_for_byte_and_takes_it_once() {
    let desk = bundle::desk();
    if !full("a bundle to garage") {
        return;
    }
    let Some(garage) = Garage::start(&desk) else {
        return;
    };
    bundle::bundle(&desk, &["disk.img", "-p", "web"]);
    for (sent, present) in [(1, 0), (0, 1)] {
        let mut command = desk.command(&[
            "upload-bundle",
            "out/web.manifest.xml",
            "s3://images/a",
            "--json",
            // It has no ACLs: with one to set, what is there would be sent anew.
            "--acl",
            "private",
            "--endpoint-url",
            &garage.server.url,
            "--region",
            "us-east-1",
        ]);
        keys(&mut command, &desk);
        Garage::keys(&mut command);
        let ran = ran(&command.output().unwrap());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let figures: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let told = (&figures["sent"], &figures["present"]);
        assert_eq!(told, (&sent.into(), &present.into()), "{figures}");
    }
    for name in desk.out() {
        let sent = std::fs::read(desk.path("out").join(&name)).unwrap();
        assert!(garage.get(&format!("a/{name}")) == sent, "{name}");
    }
}

#[test]
fn garage_puts_the_parts_of_an_image_together() {
    if !full("an image to garage in parts") {
        return;
    }
    let cloud = Cloud::new();
    let Some(garage) = Garage::start(&cloud.desk) else {
        return;
    };
    let blocks: Vec<_> = (0..34).map(Holds::Data).collect();
    cloud.image("disk.img", &blocks);
    // The import itself is the fake's, which finds no object of its own, and fails: what was sent stays for `--keep`.
    cloud.fake.state().imports.fails = Some("on purpose");
    let mut command = cloud.command(&[
        "snapshot",
        "disk.img",
        "--route",
        "import",
        "--bucket",
        "images",
        "--keep",
        "--prefix",
        "import",
        "--s3-endpoint-url",
        &garage.server.url,
    ]);
    Garage::keys(&mut command);
    let ran = ran(&command.output().unwrap());
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let (_, key) = ran
        .stderr
        .split_once("s3://images/")
        .unwrap_or_else(|| panic!("{ran:?}"));
    let key = key
        .split(|c: char| c.is_whitespace() || c == ',')
        .next()
        .unwrap();
    assert!(
        garage.get(key) == std::fs::read(cloud.desk.path("disk.img")).unwrap(),
        "{key}"
    );
}
