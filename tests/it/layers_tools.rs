//! Images made by umoci, skopeo and buildah: every form of one image gives one disk, and it holds what
//! umoci's own flattening does.

use crate::common::desk::Desk;
use crate::common::run;
use crate::tools::have;

const TAR: &str = "tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1700000000 --format=pax \
                   --pax-option=delete=atime,delete=ctime";

/// Three layers: a whiteout of a file and of a directory, an opaque marker, links across layers.
fn make(desk: &Desk) {
    sh(desk, "
        mkdir -p l1/etc l1/opt/app/deep l1/data/sub l1/bin l2/etc l2/opt/app l3/data l3/bin
        echo a > l1/etc/a; echo b > l1/etc/b; echo old > l1/opt/app/old; echo o > l1/opt/app/deep/o
        echo s > l1/data/sub/x; echo prog > l1/bin/prog; ln l1/bin/prog l1/bin/hard; ln -s prog l1/bin/l
        touch l2/etc/.wh.b l2/opt/app/.wh..wh..opq; echo new > l2/opt/app/new
        touch l3/data/.wh.sub; echo z > l3/data/z
        for n in 1 2; do $T -C l$n -cf l$n.tar .; done
        # A hard link to a file of the lowest layer alone.
        cp -a l1/bin/prog l3/bin/prog; ln l3/bin/prog l3/bin/upper
        $T -C l3 -cf l3.tar data bin/prog bin/upper
        umoci init --layout img && umoci new --image img:t
        for n in 1 2 3; do
            umoci raw add-layer --image img:t --history.created 2023-11-14T22:13:20Z l$n.tar
        done
        umoci config --image img:t --created 2023-11-14T22:13:20Z \\
            --history.created 2023-11-14T22:13:20Z --architecture amd64 --os linux");
}

fn sh(desk: &Desk, script: &str) {
    let script = format!("set -eu; T='{TAR}'\n{script}");
    run(desk.folder(), "sh", &["-c", &script]);
}

fn tools() -> bool {
    ["umoci", "skopeo", "tar", "zstd"].iter().all(|t| have(t))
}

/// The disk's SHA-256.
#[track_caller]
fn sum(desk: &Desk, argument: &str) -> String {
    let flags = ["--boot", "none", "--scheme", "none", "--sha256", "--json"];
    let ran = desk.builds(argument, &flags);
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    json["sha256"].as_str().unwrap().to_owned()
}

#[test]
fn every_form_of_an_image_gives_the_same_disk() {
    if !tools() {
        return;
    }
    let desk = Desk::new();
    make(&desk);
    sh(&desk, "
        skopeo copy -q oci:img:t docker-archive:docker.tar:example/img:t
        skopeo copy -q oci:img:t oci-archive:oci.tar:t
        skopeo copy -q --dest-compress-format zstd oci:img:t oci:zimg:t
        gzip -k docker.tar; zstd -q oci.tar
        skopeo copy -q --additional-tag example/second:x oci:img:t docker-archive:multi.tar:example/img:t
        # Docker's own media types in an OCI layout, as containerd exports them.
        mkdir -p v2/blobs/sha256; skopeo copy -q --format v2s2 oci:img:t dir:dir
        for f in dir/*; do
            case $f in */manifest.json|*/version) ;; *) cp $f v2/blobs/sha256/;; esac
        done
        d=$(sha256sum < dir/manifest.json | cut -d' ' -f1); cp dir/manifest.json v2/blobs/sha256/$d
        printf '{\"imageLayoutVersion\":\"1.0.0\"}' > v2/oci-layout
        printf '{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/vnd.docker.distribution.manifest.v2+json\",\"digest\":\"sha256:%s\",\"size\":%d}]}' $d $(stat -c %s dir/manifest.json) > v2/index.json");
    let first = sum(&desk, "oci:img:t");
    desk.fsck();
    for argument in [
        "oci:img",
        "oci:zimg:t",
        "oci:v2",
        "oci-archive:oci.tar:t",
        "oci-archive:oci.tar.zst",
        "docker-archive:docker.tar",
        "docker-archive:docker.tar:example/img:t",
        "docker-archive:docker.tar.gz:docker.io/example/img:t",
        "docker-archive:multi.tar:example/second:x",
    ] {
        assert_eq!(sum(&desk, argument), first, "{argument}");
    }
    let mut piped = desk.command(&[
        "build",
        "docker-archive:-",
        "-o",
        "out/disk.img",
        "--force",
        "--boot",
        "none",
        "--scheme",
        "none",
        "--sha256",
        "--json",
    ]);
    let archive = std::fs::File::open(desk.path("docker.tar")).unwrap();
    let output = piped.stdin(archive).output().unwrap();
    assert!(
        String::from_utf8_lossy(&output.stdout).contains(&first),
        "{output:?}"
    );
}

#[test]
fn the_disk_holds_what_umoci_unpacks() {
    if !tools() || !have("debugfs") {
        return;
    }
    let desk = Desk::new();
    make(&desk);
    // Odd layers: names without "./", the marker before its directory, no padding and no end.
    sh(
        &desk,
        "
        mkdir src; echo fresh > src/fresh
        umoci insert --image img:t --opaque src /opt/app
        umoci insert --image img:t --whiteout /etc/a
        rootless=; [ $(id -u) = 0 ] || rootless=--rootless
        umoci unpack $rootless --image img:t bundle
        $T -C bundle/rootfs -cf flat.tar .",
    );
    sum(&desk, "oci:img:t");
    desk.fsck();
    let image = desk.path("out/disk.img");
    let dump = |image: &std::path::Path, to: &str| {
        std::fs::create_dir(desk.path(to)).unwrap();
        let request = format!("rdump / {to}");
        run(
            desk.folder(),
            "debugfs",
            &["-R", &request, image.to_str().unwrap()],
        );
        let _ = std::fs::remove_dir(desk.path(to).join("lost+found"));
    };
    dump(&image, "ours");
    run(
        desk.folder(),
        "diff",
        &["-r", "--no-dereference", "ours", "bundle/rootfs"],
    );
    // Hard links and times too: the seeds of both trees are one.
    let uuid = |argument: &str| {
        let ran = desk.run(&["plan", argument, "--json", "--boot", "none"]);
        let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        (
            json["files"].clone(),
            json["directories"].clone(),
            json["symlinks"].clone(),
        )
    };
    assert_eq!(uuid("oci:img:t"), uuid("flat.tar"));
}

#[test]
fn buildah_s_images_and_indexes_of_several_platforms_are_read() {
    if !tools() || !have("buildah") {
        return;
    }
    let desk = Desk::new();
    make(&desk);
    let buildah = "buildah --root S --runroot R --storage-driver vfs";
    let script = format!(
        "
        B='{buildah}'
        C=$($B from scratch)
        mkdir in; echo one > in/one; echo two > in/two
        $B add -q $C in /
        $B commit -q --timestamp 1700000000 $C oci:built:t
        $B commit -q --timestamp 1700000000 $C docker-archive:built.tar:x:t
        umoci tag --image img:t arm; umoci config --image img:arm --architecture arm64
        $B manifest create ml; $B manifest add ml oci:img:t; $B manifest add ml oci:img:arm
        $B manifest push -q --all ml oci:ml:t"
    );
    let made = desk_sh(&desk, &script);
    if !made {
        // Its storage wants a user namespace that this machine may refuse; CI runs as root.
        assert!(!rustix::process::geteuid().is_root(), "buildah failed");
        eprintln!("SKIP: buildah cannot run here");
        return;
    }
    assert_eq!(
        sum(&desk, "oci:built:t"),
        sum(&desk, "docker-archive:built.tar")
    );
    let ran = desk.builds(
        "oci:ml:t",
        &["--boot", "none", "--platform", "linux/arm64/v8"],
    );
    assert_eq!(ran.code, Some(0));
    let refused = desk.run(&["plan", "oci:ml:t", "--platform", "linux/s390x"]);
    assert!(
        refused.stderr.contains("it has linux/amd64, linux/arm64"),
        "{}",
        refused.stderr
    );
}

fn desk_sh(desk: &Desk, script: &str) -> bool {
    let output = std::process::Command::new("sh")
        .args(["-c", &format!("set -eu\n{script}")])
        .current_dir(desk.folder())
        .output()
        .unwrap();
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}
