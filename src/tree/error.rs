//! Why an entry cannot be part of a tree.

use crate::acl::AclError;

/// An entry that no tree can hold. `path` is the entry's own, printable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TreeError {
    /// A path that leaves the tree.
    #[error(
        "{path}: the path has a component '..', which could leave the root; \
         make the archive anew with names relative to its root"
    )]
    DotDot {
        /// The entry.
        path: String,
    },
    /// A path that no program could name.
    #[error(
        "{name}…: a path of {len} bytes; Linux opens paths of up to 4095 bytes: \
         give its folders shorter names"
    )]
    PathTooLong {
        /// How it begins.
        name: String,
        /// Its length in bytes.
        len: usize,
    },
    /// A component that no directory can hold.
    #[error(
        "{path}: a name of {len} bytes; ext4 holds names of up to 255 bytes: give it a shorter one"
    )]
    NameTooLong {
        /// The entry.
        path: String,
        /// Length of the component in bytes.
        len: usize,
    },
    /// A symbolic link whose target is empty or too long.
    #[error("{path}: a symbolic link target of {len} bytes; ext4 holds 1 to 4095 bytes")]
    TargetLength {
        /// The entry.
        path: String,
        /// Length of the target in bytes.
        len: usize,
    },
    /// Parents that lead in a circle.
    #[error(
        "{path}: its parent directories lead through more than 40 symbolic links: \
         '{link}' is part of a loop"
    )]
    SymlinkLoop {
        /// The entry.
        path: String,
        /// The component that was followed last.
        link: String,
    },
    /// A parent that is no directory.
    #[error("{path}: '{parent}' on the way to it is no directory")]
    NotDirectory {
        /// The path.
        path: String,
        /// The component that is none.
        parent: String,
    },
    /// A hard link whose target the archive did not bring before it.
    #[error(
        "{path}: a hard link to '{target}', which no earlier entry of the archive made; \
         was the archive filtered?"
    )]
    LinkToNothing {
        /// The entry.
        path: String,
        /// Where it points.
        target: String,
    },
    /// A hard link to a directory.
    #[error("{path}: a hard link to the directory '{target}'; Linux has no such links")]
    LinkToDirectory {
        /// The entry.
        path: String,
        /// Where it points.
        target: String,
    },
    /// More names than an inode can count.
    #[error("{path}: '{target}' has 65,000 hard links already, the most that ext4 can count")]
    TooManyLinks {
        /// The entry.
        path: String,
        /// Where it points.
        target: String,
    },
    /// A device number that Linux cannot encode.
    #[error(
        "{path}: device number {major}:{minor}; Linux has majors up to 4095 and minors up to 1048575"
    )]
    DeviceNumber {
        /// The entry.
        path: String,
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// The root replaced by something else.
    #[error("{path}: the root of the archive is {what}, not a directory")]
    RootNotDirectory {
        /// The entry.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// An ACL that is none.
    #[error("{path}: the ACL in '{name}' is malformed")]
    Acl {
        /// The file.
        path: String,
        /// The attribute, or the pax record.
        name: &'static str,
        /// What is wrong.
        source: AclError,
    },
    /// More files than inode numbers.
    #[error("the tree has more than 4,294,967,295 files, the most that ext4 can number")]
    TooManyNodes,
    /// More layers than a dirent can number.
    #[error("more than 65,535 layers; merge some of them into one archive")]
    TooManyLayers,
}
