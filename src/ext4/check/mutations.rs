//! Sound filesystems have no findings; every damage has the finding that names it.

use super::fixtures::{Image, rich, tools};

const TOOLS: [&str; 3] = ["mke2fs", "debugfs", "e2fsck"];

#[test]
fn what_mke2fs_makes_is_clean_at_any_size() {
    if !tools(&TOOLS) {
        return;
    }
    for size in ["4M", "9M", "64M", "200M", "513M", "1300M", "10G"] {
        let image = Image::new(size, &[], |_| {});
        let (summary, findings) = image.check();
        assert_eq!(findings, [], "{size}");
        assert!(summary.complete, "{size}");
        assert_eq!(summary.directories, 2, "{size}");
    }
}

#[test]
fn a_filesystem_with_one_of_everything_is_clean() {
    if !tools(&TOOLS) {
        return;
    }
    let image = rich();
    let (summary, findings) = image.check();
    assert_eq!(findings, []);
    assert!(summary.complete);
    assert_eq!(summary.files, 12_003);
    assert_eq!((summary.symlinks, summary.specials), (2, 3));
}
