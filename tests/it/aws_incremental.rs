//! `snapshot --parent`: only what differs is sent, and nothing of the parent shows that should not.

use crate::common::cloud::{Cloud, Holds};
use crate::fake_ebs::{Fault, Manner, When};
use expect_test::expect;

const OLD: [Holds; 8] = [
    Holds::Data(1),
    Holds::Data(2),
    Holds::Data(3),
    Holds::Data(4),
    Holds::Data(5),
    Holds::Zeros,
    Holds::Hole,
    Holds::Hole,
];

/// Kept; changed; data that is zeros now; data that is free now; kept; zeros kept; new; free as before.
const NEW: [Holds; 8] = [
    Holds::Data(1),
    Holds::Data(9),
    Holds::Zeros,
    Holds::Hole,
    Holds::Data(5),
    Holds::Zeros,
    Holds::Data(7),
    Holds::Hole,
];

fn parent(cloud: &Cloud) -> String {
    cloud.image("old.img", &OLD);
    cloud.image("new.img", &NEW);
    let args = ["old.img", "--holes", "skip", "--block-map", "old.blocks"];
    cloud.snapshot(&args)
}

/// With a block map or without, encrypted or not: the same blocks are sent and the same volume comes of it.
#[test]
fn only_what_differs_is_sent() {
    for encrypts in [false, true] {
        let cloud = Cloud::with(Manner {
            encrypts,
            ..Manner::default()
        });
        let parent = parent(&cloud);
        for by_map in [true, false] {
            let mut args = vec!["new.img", "--holes", "skip", "--parent", &parent, "--new"];
            if by_map {
                args.extend(["--parent-blocks", "old.blocks"]);
            }
            let figures = cloud.figures(&args);
            // Changed, zeros over data, new, and the scrubbed one.
            assert_eq!(
                (&figures["sent"], &figures["scrubbed"]),
                (&4.into(), &1.into()),
                "{figures}"
            );
            assert_eq!(figures["inherited"], 3);
            let id = figures["snapshot-id"].as_str().unwrap();
            let volume = cloud.volume(id, 7 << 19);
            let image = std::fs::read(cloud.desk.path("new.img")).unwrap();
            assert!(
                volume[..] == image[..7 << 19],
                "encrypts {encrypts}, map {by_map}"
            );
        }
    }
}

/// What was deleted since can be read from the volume, if somebody wants it so.
#[test]
fn without_scrubbing_free_space_keeps_what_the_parent_has() {
    let cloud = Cloud::new();
    let parent = parent(&cloud);
    let figures = cloud.figures(&[
        "new.img",
        "--holes",
        "skip",
        "--parent",
        &parent,
        "--no-scrub",
    ]);
    assert_eq!(
        (&figures["sent"], &figures["scrubbed"]),
        (&3.into(), &0.into())
    );
    let volume = cloud.volume(figures["snapshot-id"].as_str().unwrap(), 4 << 20);
    assert!(volume[3 << 19..4 << 19] == crate::common::cloud::block(4));
}

/// Each generation's map serves the next one, and says the same as AWS's lists.
#[test]
fn a_chain_of_three_reads_back() {
    let cloud = Cloud::new();
    let mut parent = parent(&cloud);
    let mut blocks = "old.blocks".to_owned();
    for (nr, byte) in [(0, 11), (7, 12), (0, 13)] {
        let mut image = NEW;
        image[nr] = Holds::Data(byte);
        cloud.image("next.img", &image);
        let next = format!("{byte}.blocks");
        let args = ["next.img", "--parent", &parent, "--parent-blocks", &blocks];
        let id = cloud.snapshot(&[&args[..], &["--block-map", &next]].concat());
        cloud.holds(&id, "next.img");
        // From AWS's own lists nothing else follows.
        let figures = cloud.figures(&["next.img", "--parent", &id]);
        assert_eq!(
            (&figures["sent"], &figures["inherited"]),
            (&0.into(), &8.into())
        );
        (parent, blocks) = (id, next);
    }
}

#[test]
fn a_parent_of_many_pages_is_read_whole_though_requests_fail() {
    let cloud = Cloud::new();
    let many: Vec<Holds> = (0..250).map(Holds::Data).collect();
    cloud.image("old.img", &many);
    let parent = cloud.snapshot(&["old.img"]);
    for request in ["ListSnapshotBlocks", "GetSnapshotBlock"] {
        cloud.fake.fault(request, When::First(2), Fault::Internal);
        cloud.fake.fault(request, When::First(4), Fault::Cut);
    }
    let figures = cloud.figures(&["old.img", "--parent", &parent]);
    assert_eq!(
        (&figures["sent"], &figures["inherited"]),
        (&0.into(), &250.into())
    );
}

#[test]
fn a_block_map_of_another_snapshot_or_a_damaged_one_is_refused() {
    let cloud = Cloud::new();
    let _ = parent(&cloud);
    let args = [
        "snapshot",
        "new.img",
        "--quiet",
        "--parent",
        "snap-1",
        "--parent-blocks",
        "old.blocks",
    ];
    cloud.desk.told(
        &cloud.run(&args),
        2,
        expect![[r"
        error: the block map is of snapshot snap-0000000face000000, the parent is snap-1
    "]],
    );
    let mut text = std::fs::read_to_string(cloud.desk.path("old.blocks")).unwrap();
    text.truncate(text.len() - 10);
    cloud.desk.write("old.blocks", text.as_bytes());
    cloud.desk.told(&cloud.run(&args), 3, expect![[r"
        error: cannot read the block map old.blocks
          because: the block map is damaged: the digest in its last line is not that of the lines before
    "]]);
    cloud.desk.told(&cloud.run(&args[..5]), 4, expect![[r#"
        error: cannot make a snapshot of new.img
          because: ebs:ListSnapshotBlocks (snap-1): ResourceNotFoundException: The snapshot 'snap-1' does not exist. (request 0-fake)
    "#]]);
    assert_eq!(cloud.left().len(), 1);
}
