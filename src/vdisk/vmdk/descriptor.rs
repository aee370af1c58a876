//! The descriptor: lines of text that say what a VMDK is.

use crate::units::SECTOR;

/// Heads and sectors of a geometry, as VMware gives disks on a SCSI adapter above 1 GiB.
const HEADS: u64 = 255;
const SECTORS: u64 = 63;

/// The descriptor of a streamOptimized extent of so many sectors. `cid` changes when the content does.
pub(super) fn stream_optimized(sectors: u64, cid: u32) -> String {
    let cylinders = sectors / (HEADS * SECTORS);
    format!(
        "# Disk DescriptorFile\n\
         version=1\n\
         CID={cid:08x}\n\
         parentCID=ffffffff\n\
         createType=\"streamOptimized\"\n\
         \n\
         # Extent description\n\
         RW {sectors} SPARSE \"disk.vmdk\"\n\
         \n\
         # The Disk Data Base\n\
         #DDB\n\
         \n\
         ddb.adapterType = \"lsilogic\"\n\
         ddb.geometry.cylinders = \"{cylinders}\"\n\
         ddb.geometry.heads = \"{HEADS}\"\n\
         ddb.geometry.sectors = \"{SECTORS}\"\n\
         ddb.virtualHWVersion = \"7\"\n"
    )
}

/// The value of a key, without its quotation marks.
pub(super) fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let value = |line: &'a str| {
        Some(
            line.trim()
                .strip_prefix(key)?
                .trim()
                .strip_prefix('=')?
                .trim(),
        )
    };
    Some(text.lines().find_map(value)?.trim_matches('"'))
}

/// Bytes that are read of a descriptor at most.
pub(super) const MAX_LEN: u64 = 20 * SECTOR * 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_values_with_and_without_quotation_marks() {
        let text = stream_optimized(2048, 7);
        assert_eq!(value(&text, "CID"), Some("00000007"));
        assert_eq!(value(&text, "createType"), Some("streamOptimized"));
        assert_eq!(value(&text, "ddb.geometry.heads"), Some("255"));
        assert_eq!(value(&text, "parentFileNameHint"), None);
    }
}
