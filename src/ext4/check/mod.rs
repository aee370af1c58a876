//! An independent checker of a written ext4 filesystem.
