//! Images that are damaged or are none: each is refused by the name of the blob, and leaves nothing.

use crate::common::desk::Desk;
use crate::common::layout::{CONFIG, LAYER, Layout, platform, sha256, tag};
use crate::common::tarball::{archive, file};
use expect_test::expect;

fn one_layer(desk: &Desk) -> (Layout, Vec<u8>) {
    let layout = Layout::new(&desk.path("img"));
    let bytes = archive(&[file("a", &vec![b'x'; 3000])]);
    let layer = layout.blob(LAYER, &bytes, "");
    layout.index(&[layout.image("linux/amd64", &[layer], &tag("t"))]);
    (layout, bytes)
}

const FLAGS: [&str; 4] = ["-o", "out/disk.img", "--boot", "none"];

#[track_caller]
fn refused(desk: &Desk, argument: &str, expected: expect_test::Expect) {
    desk.refused(&[&["build", argument], &FLAGS[..]].concat(), 3, expected);
}

#[test]
fn a_damaged_cut_or_missing_layer_is_named() {
    let desk = Desk::new();
    let (layout, mut bytes) = one_layer(&desk);
    let path = layout.path_of(&sha256(&bytes));
    bytes[1000] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    refused(
        &desk,
        "oci:img:t",
        expect![[r#"
        error: oci:img: blobs/sha256/cb128b83188c25b9b521a7e30f6a5eb5ffaf235ef59838fccc6fa82fae19c3cb is damaged: its digest is sha256:a883a37e9024eabf0d9b4fa3c9d5f5ddeaa14625986f3d74d72111b3002222f5, not sha256:cb128b83188c25b9b521a7e30f6a5eb5ffaf235ef59838fccc6fa82fae19c3cb; copy the image again
    "#]],
    );
    std::fs::write(&path, &bytes[..bytes.len() - 512]).unwrap();
    refused(
        &desk,
        "oci:img:t",
        expect![[r#"
        error: oci:img: blobs/sha256/cb128b83188c25b9b521a7e30f6a5eb5ffaf235ef59838fccc6fa82fae19c3cb has 4096 bytes, its descriptor says 4608: it is cut short or was replaced; copy the image again
    "#]],
    );
    std::fs::remove_file(&path).unwrap();
    refused(
        &desk,
        "oci:img:t",
        expect![[r#"
        error: oci:img: blobs/sha256/cb128b83188c25b9b521a7e30f6a5eb5ffaf235ef59838fccc6fa82fae19c3cb is missing; copy the image again, whole
    "#]],
    );
}

#[test]
fn a_digest_is_no_path() {
    let desk = Desk::new();
    let (layout, _) = one_layer(&desk);
    desk.write("secret", b"{}");
    let evil = r#"{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:../../../secret","size":2}"#;
    layout.index(&[evil.into()]);
    refused(
        &desk,
        "oci:img",
        expect![[r#"
        error: oci:img: index.json: 'sha256:../../../secret' is no digest: sha256 with 64 or sha512 with 128 digits of 0-9a-f
    "#]],
    );
}

#[test]
fn metadata_is_verified_too() {
    let desk = Desk::new();
    let (layout, _) = one_layer(&desk);
    for blob in std::fs::read_dir(layout.0.join("blobs/sha256")).unwrap() {
        let path = blob.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        if text.starts_with(r#"{"os""#) {
            std::fs::write(&path, text.replace("amd64", "arm64")).unwrap();
        }
    }
    refused(
        &desk,
        "oci:img",
        expect![[r#"
        error: oci:img: blobs/sha256/778e22c97be14e9da4828fc03833007f41cf57ca4c0ea2e99957c6202f69a6ea is damaged: its digest is sha256:122054a15882b893224a14b8bad8259082c8e9b30d02f4c81d0d31b9dc77ed52, not sha256:778e22c97be14e9da4828fc03833007f41cf57ca4c0ea2e99957c6202f69a6ea; copy the image again
    "#]],
    );
}

#[test]
fn what_is_no_image_is_told_so() {
    let desk = Desk::new();
    let layout = Layout::new(&desk.path("img"));
    let layer = layout.blob(
        "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
        b"x",
        "",
    );
    let config = layout.blob("application/vnd.cncf.helm.config.v1+json", b"{}", "");
    layout.index(&[layout.manifest(&config, std::slice::from_ref(&layer), "")]);
    refused(
        &desk,
        "oci:img",
        expect![[r#"
        error: oci:img: blobs/sha256/0400f2140ecf3f70b8843477d485113a1b64cc5cfbd48d9f17e8d0846c2d8997 is not an image: its configuration is of type 'application/vnd.cncf.helm.config.v1+json', as an artifact's
    "#]],
    );
    layout.index(&[layout.image("linux/amd64", &[layer], "")]);
    refused(
        &desk,
        "oci:img",
        expect![[r#"
        error: oci:img: blobs/sha256/2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 has the media type 'application/vnd.cncf.helm.chart.content.v1.tar+gzip', which is no layer of a filesystem that is known here
    "#]],
    );
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let layer = layout.blob(foreign, b"x", r#","urls":["https://example.org/x"]"#);
    layout.index(&[layout.image("linux/amd64", &[layer], "")]);
    refused(
        &desk,
        "oci:img",
        expect![[r#"
        error: oci:img: blobs/sha256/2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 has the media type 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', which is for layers that lie elsewhere: its bytes are not part of the image; pull it with a tool that fetches them, and commit it anew
    "#]],
    );
    let config = layout.blob(CONFIG, br#"{"os":"linux","architecture":"amd64"}"#, "");
    let layer = layout.blob(LAYER, &archive(&[]), "");
    layout.index(&[layout.manifest(&config, &[layer], "")]);
    refused(
        &desk,
        "oci:img",
        expect![[r#"
        error: oci:img: the manifest lists 1 layers, the configuration blobs/sha256/9cd31762e7050165195c9469ccea41a23c079f2d0f51b5e9bf0c9d7842618b72 0; copy the image again
    "#]],
    );
    let mut nested = layout.image("linux/amd64", &[], &platform("linux/amd64"));
    for _ in 0..10 {
        nested = layout.nested(&[nested], "");
    }
    layout.index(&[nested]);
    refused(
        &desk,
        "oci:img",
        expect![[r#"
        error: oci:img: its indexes name more than 1000 manifests, or lie more than 8 deep
    "#]],
    );
}

#[test]
fn an_image_of_another_system_is_refused() {
    let desk = Desk::new();
    let layout = Layout::new(&desk.path("img"));
    let layer = layout.blob(LAYER, &archive(&[file("a", b"x")]), "");
    layout.index(&[layout.image("windows/amd64", std::slice::from_ref(&layer), "")]);
    refused(
        &desk,
        "oci:img",
        expect![[r#"
        error: oci:img: blobs/sha256/c0a570cf7fe5d59ce803ff571265a0e33edf163c7c408e05cb28a32f63ed484f is for the operating system 'windows', and only those for linux become disks here
    "#]],
    );
    for os in ["Linux/amd64", "/amd64"] {
        layout.index(&[layout.image(os, std::slice::from_ref(&layer), "")]);
        desk.builds("oci:img", &["--boot", "none"]);
        std::fs::remove_file(desk.path("out/disk.img")).unwrap();
    }
    desk.write(
        "saved.tar",
        &archive(&[
            file("c.json", br#"{"os":"freebsd","rootfs":{"diff_ids":[]}}"#),
            file("manifest.json", br#"[{"Config":"c.json","Layers":[]}]"#),
        ]),
    );
    refused(
        &desk,
        "docker-archive:saved.tar",
        expect![[r#"
        error: docker-archive:saved.tar: c.json is for the operating system 'freebsd', and only those for linux become disks here
    "#]],
    );
}

#[test]
fn an_index_of_nothing_is_told_so() {
    let desk = Desk::new();
    let layout = Layout::new(&desk.path("img"));
    layout.index(&[]);
    refused(
        &desk,
        "oci:img",
        expect![[r#"
        error: oci:img holds no image: its index.json lists none; copy the image again
    "#]],
    );
    layout.index(&[layout.blob(CONFIG, b"{}", &platform("unknown/unknown"))]);
    refused(
        &desk,
        "oci:img",
        expect![[r#"
        error: oci:img holds no image: its index.json lists none; copy the image again
    "#]],
    );
    desk.write("saved.tar", &archive(&[file("manifest.json", b"[]")]));
    refused(
        &desk,
        "docker-archive:saved.tar",
        expect![[r#"
        error: docker-archive:saved.tar holds no image: its manifest.json lists none; copy the image again
    "#]],
    );
    refused(
        &desk,
        "docker-archive:saved.tar:some",
        expect![[r#"
        error: docker-archive:saved.tar holds no image: its manifest.json lists none; copy the image again
    "#]],
    );
}

#[test]
fn a_whiteout_of_no_file_is_refused() {
    let desk = Desk::new();
    let layout = Layout::new(&desk.path("img"));
    let layer = layout.blob(LAYER, &archive(&[file("etc/.wh...", b"")]), "");
    layout.index(&[layout.image("linux/amd64", &[layer], "")]);
    let ran = desk.run(&[&["build", "oci:img"], &FLAGS[..]].concat());
    assert!(
        ran.stderr
            .contains("the whiteout 'etc/.wh...' names no file"),
        "{ran:?}"
    );
    assert_eq!(ran.code, Some(3));
}

#[test]
fn a_name_without_a_scheme_s_store_says_what_it_is() {
    let desk = Desk::new();
    one_layer(&desk);
    refused(
        &desk,
        "oci:nowhere",
        expect![[r#"
        error: oci:nowhere is no OCI layout: it has no index.json
    "#]],
    );
    desk.write("plain.tar", &archive(&[file("a", b"x")]));
    refused(
        &desk,
        "docker-archive:plain.tar",
        expect![[r#"
        error: docker-archive:plain.tar is no archive of `docker save`: it has no manifest.json
    "#]],
    );
    refused(
        &desk,
        "oci-archive:plain.tar",
        expect![[r#"
        error: oci-archive:plain.tar is no OCI layout: it has no index.json
    "#]],
    );
    refused(
        &desk,
        "oci-archive:missing.tar",
        expect![[r#"
        error: cannot open the archive missing.tar
          because: No such file or directory (os error 2)
    "#]],
    );
}
