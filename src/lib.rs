//! diskwright turns a root filesystem archive into a bootable disk image, in plain userspace: no root, no
//! loop device, no mount, no namespace, no virtual machine.
//!
//! ```text
//! archive ──► tree ──► prepare ──► ext4 | fat | partition | grub ──► image ──► sink
//! (bytes)    (files)  (edits)         (plans: what lies where)       (extents)  (raw, qcow2 …)
//! ```
//!
//! An image is a value: a list of extents, sorted, disjoint, covering the disk exactly, each of which says
//! what its bytes are ([`extent::Content`]). Modules stand below in the order of the stages; each uses
//! only those above it.
//!
//! ```no_run
//! use diskwright::archive::Rootfs;
//! use diskwright::image::{self, Spec};
//! use diskwright::observe::Silent;
//! use diskwright::sink::raw::{RawFile, RawOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut raw = RawFile::create("disk.img".as_ref(), RawOptions::default())?;
//! let mut rootfs = Rootfs::open(&["rootfs.tar.zst".as_ref()])?;
//! let built = image::build(&mut rootfs, &Spec::default(), raw.spool(), &Silent)?;
//! built.image.verify()?;
//! raw.write(&built.image, &Silent)?;
//! raw.finish()?;
//! println!("{} bytes are free", built.report.available);
//! # Ok(())
//! # }
//! ```
//!
//! # Parts on their own
//!
//! [`ext4`], [`partition`] and [`image`] serve those who want a filesystem, a disk or its layout and no
//! archive, to build one in memory, to fuzz a reader, to test what looks at disks. `ext4` and [`tree`]
//! need nothing else of the crate but its ground floor ([`units`], [`extent`], [`mod@read_at`], …).
//!
//! ```
//! use diskwright::ext4::{Builder, Format, Holds, Meta, PieceKind};
//! use diskwright::extent::{Content, Layout};
//! use diskwright::read_at::ReadAt;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut fs = Builder::new(Format::default())?;
//! fs.file("/etc/hostname", Meta::new(0o644), "demo\n")?;
//! let fs = fs.finish()?;
//!
//! // Read a block and say what it is.
//! let first = fs.read_block(0)?;
//! assert_eq!(first[1080..1082], [0x53, 0xEF]);
//! assert!(matches!(fs.holds(0), Holds::Metadata(piece) if piece.kind == PieceKind::Superblock { group: 0 }));
//! let data = fs.extents().iter().find(|e| matches!(e.content, Content::File { .. })).unwrap();
//! let block = data.start / fs.block_size();
//! assert_eq!(fs.describe(block), "/etc/hostname from byte 0");
//! assert!(fs.read_block(block)?.starts_with(b"demo\n"));
//!
//! // Poison the free space: nobody may notice.
//! let poisoned = fs.poisoned(1);
//! let (summary, findings) = diskwright::ext4::check::check(&poisoned, &diskwright::observe::Silent)?;
//! assert!(summary.complete && findings.is_empty());
//!
//! // Write it forward, to a pipe if need be.
//! let mut image = Vec::new();
//! fs.write_to(&mut image)?;
//! # Ok(())
//! # }
//! ```
//!
//! A disk with two partitions is at [`image::Disk`], the format's options at [`ext4::Format`].
//!
//! [`vdisk`] reads and writes qcow2, VMDK and VHD; any of them is then a [`read_at::ReadAt`].
//!
//! [`bundle`] packs any image, or any other bytes, as EC2 takes them from S3, and takes them out again.
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `cli` (default) | the program, and `boot`, which judges an image in qemu |
//! | `aws` (default) | `aws`: snapshots, bundles and AMIs, over the SDKs of AWS |
//! | `proptest` | `strategy`: trees, filesystems and disks for property tests, that shrink |
//!
//! A library user says `default-features = false`.
//!
//! # What a version promises
//!
//! Semantic versioning covers what the modules `archive`, `entry`, `tree`, `ext4`, `partition`, `image`,
//! `bundle`, `vdisk`, `sink`, `extent`, `read_at` and `units` make public. It does not cover the texts of messages, the
//! structs of [`ext4::disk`] (they follow the format), what a strategy makes, and the bytes of an image:
//! whether those changed is told under **Image bytes** in the changelog, for every version. Before 1.0 a
//! minor version may break all of it.
//!
//! # Invariants
//!
//! Each is held by a test.
//!
//! 1. The same archive, spec and seed give the same bytes, on any host, filesystem, locale and thread
//!    count. No clock, no environment and no order of a map reaches a byte of the image. Every identifier
//!    derives from one [`seed`], a digest of the tree's names and metadata and of the spec. Times are
//!    clamped to `SOURCE_DATE_EPOCH`, or else to the newest entry.
//! 2. Placement depends on names and sizes only; emission never chooses a place. Only `image`'s customise
//!    and prepare stages read files of the tree, and only those they list.
//! 3. The extents of an image are sorted, disjoint and cover it exactly.
//! 4. Only [`archive`] sees untrusted bytes; past [`tree`], an error is the spec's or a bug.
//! 5. No byte of a file that is not in the final tree is in the image.
//! 6. Memory grows with the number of files, not with their sizes.
//! 7. Nothing needs root, a loop device, a mount, a namespace or KVM.
//! 8. An output appears whole or not at all.

pub mod units;

pub mod acl;
pub mod checksum;
pub mod display;
pub mod entry;
pub mod extent;
pub mod hex;
pub mod in_order;
pub mod observe;
mod pool;
pub mod read_at;
pub mod seed;

pub mod archive;

pub mod tree;

pub mod ext4;
pub mod fat;
pub mod grub;
pub mod packages;
pub mod partition;
pub mod vdisk;

pub mod image;

pub mod bundle;
#[cfg(feature = "proptest")]
pub mod strategy;

#[cfg(feature = "cli")]
pub mod boot;
pub mod inspect;
pub mod provenance;
pub mod sink;

#[cfg(feature = "aws")]
pub mod aws;
