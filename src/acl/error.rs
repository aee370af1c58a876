//! Why something is no ACL.

use super::Tag;
use std::fmt;

/// Why something is no ACL that Linux takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AclError {
    /// The bytes end inside the header or an entry.
    #[error("it is cut off")]
    CutOff,
    /// Neither the version of system calls nor that of ext4's disk.
    #[error("its version is {version}; Linux knows 2")]
    Version {
        /// `a_version`.
        version: u32,
    },
    /// An entry about nobody knows whom.
    #[error("an entry has the unknown tag {tag}")]
    Tag {
        /// `e_tag`.
        tag: u16,
    },
    /// More than read, write and execute.
    #[error("an entry has the permissions {perm}; 7 is the most")]
    Perm {
        /// `e_perm`.
        perm: u16,
    },
    /// An entry for the id that stands for none.
    #[error("an entry names the id 4294967295, which is nobody's")]
    Nobody,
    /// Two entries about the same.
    #[error("it has two entries for {tag}")]
    Twice {
        /// Whom they are about.
        tag: Tag,
    },
    /// An entry that every ACL has, or every one with named users or groups.
    #[error("it has no entry for {tag}")]
    Lacks {
        /// What is missing.
        tag: Tag,
    },
    /// Text that is no entry.
    #[error("'{entry}' is no entry of the form type:name:permissions")]
    Text {
        /// The text between two separators.
        entry: String,
    },
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UserObj => f.write_str("the owner"),
            Self::User(id) => write!(f, "user {id}"),
            Self::GroupObj => f.write_str("the group"),
            Self::Group(id) => write!(f, "group {id}"),
            Self::Mask => f.write_str("the mask"),
            Self::Other => f.write_str("others"),
        }
    }
}
