//! Tests against other people's tools and whole runs of the program: one binary, so that one link serves
//! them all.
//!
//! | module | what it proves |
//! |---|---|
//! | `acl_tools` | ACLs and attributes of a filesystem, through GNU tar and bsdtar |
//! | `archive_*` | the tar reader against tar, bad input, damage |
//! | `aws_import` | images sent to S3 and imported: what is made, faults, what is left |
//! | `aws_bundle*` | bundles sent to a strict fake of S3, to moto and to s3s-fs; faults, resuming |
//! | `aws_*` | snapshots and AMIs against a strict fake of AWS: what is sent, faults, resuming, incremental ones |
//! | `bad_*` | bad archives, outputs and flags: exit code, message, nothing left |
//! | `disk_full`, `signals` | a build that is refused or stopped half way leaves nothing |
//! | `disk_damage` | a Debian boots from a disk of which a part is destroyed |
//! | `boot`, `cli` | the program's verbs, exit codes and streams |
//! | `bundle*` | bundles of EC2, both ways: golden ones, openssl and tar, damage, bad input |
//! | `customize` | what every flag that edits the tree writes, against systemctl and debugfs |
//! | `customize_bad` | filters and edits that cannot be, and what is told |
//! | `customize_boot` | in the booted guest: ssh with the key, unit, names, zone, locale, cloud-init |
//! | `determinism` | same archive, same spec, same bytes |
//! | `efi` | core.efi and what lies on an EFI system partition, against grub-mkimage |
//! | `efi_debian` | a Debian comes up under Secure Boot by the signed pair, on arm64 by every loader |
//! | `efi_boot` | OVMF and AAVMF start our loaders, Secure Boot the signed pair alone |
//! | `explain` | what is told of bitmaps and group descriptors, against debugfs and dumpe2fs |
//! | `ext4_read` | our reader against debugfs, on filesystems of every kind that mke2fs makes, sound and damaged |
//! | `examples` | the examples under `tests/examples`, run or held against their tools' schemas |
//! | `ext4_check` | that the checker finds whatever damage e2fsck finds |
//! | `ext4_geometry` | layout of a filesystem against mke2fs, at a hundred sizes |
//! | `ext4_shapes` | every block size and profile: e2fsck, files read back, resize2fs, fit, refusals |
//! | `fat` | the EFI system partition against dosfstools, mtools, blkid |
//! | `fidelity` | every file of an image against the tar, through other readers |
//! | `fidelity_rows`, `fidelity_table` | the README's table of what diskwright and others keep of an archive |
//! | `boot_debian` | a Debian boots, writes, reboots and leaves a clean filesystem |
//! | `boot_matrix` | Debian 12 and 13 boot in every mode, by BIOS and UEFI, from NVMe |
//! | `inputs` | digests of overlays, files, keys and seeds; modes and holes of what they bring |
//! | `kernel` | Linux finds in an image what the archive says |
//! | `growth` | Linux grows an image online, fills it and leaves it clean |
//! | `gpt` | every mode with a GPT against sgdisk, sfdisk, parted, blkid, checkers, GRUB |
//! | `golden` | which bytes those were in the last commit |
//! | `grow_boot` | a Debian on a larger disk grows its partition and its root by itself |
//! | `grub*` | core.img, its embedding and grub.cfg against GRUB's own tools, and a boot |
//! | `grub_install` | a real grub-install writes the sectors that we wrote |
//! | `grub_life` | update-grub, grub-install, a new kernel and grub-reboot in a booted Debian |
//! | `large_dir` | directories whose index has three levels, and who refuses them |
//! | `layers*` | folders and container images against tar, umoci, skopeo and buildah; damaged images |
//! | `props` | that replaced files leave no byte, and that very large directories are clean |
//! | `props_disk`, `props_ext4` | what holds for any tree, any filesystem, any disk |
//! | `diff` | every kind of change between two images or archives is told, and nothing else |
//! | `shared` | that files which share inodes, blocks or clusters are read once |
//! | `look`, `extract` | ls, cat, stat, du on images that others made; a tar that builds the same image again; a folder that nothing leads out of |
//! | `limits` | the limits of ext4, from both sides |
//! | `oracle` | every shape of image against e2fsck, sfdisk, blkid, file; what each of them proves |
//! | `partition` | the MBR against sfdisk |
//! | `poison` | that nobody looks at what an image calls free |
//! | `privilege` | that a build needs no privilege and little memory |
//! | `around` | manual pages, completions, the schema of spec files, the action and workflows of GitHub |
//! | `repro` | that what is the same is called so, and what differs is named |
//! | `provenance`, `sbom` | manifests, bills of materials and statements against other readers and schemas |
//! | `pv` | images for PV-GRUB: menu.lst by GRUB 0.97's grammar, refusals |
//! | `pv_boot` | GRUB 0.97 and Xen's pygrub read such an image of Debian 12 and 13, what they find boots |
//! | `readme` | that the README says what the program does |
//! | `records_guest` | in a Linux guest: every digest of the manifest is sha256sum's, every package dpkg-query's |
//! | `scale` | sizes and numbers of files that nobody tries by hand |
//! | `vdisk*` | every format against qemu-img, both ways; streams, conversions, block maps, damage |
//! | `tidy` | the rules of the house: dependency direction, lengths, introductions |

#![allow(
    unreachable_pub,
    missing_docs,
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    clippy::as_conversions,
    reason = "a failed unwrap is a failed test"
)]

mod acl_tools;
mod archive_bad;
mod archive_compression;
mod archive_odd;
mod archive_prop;
mod archive_tools;
mod around;
mod aws_bundle;
mod aws_bundle_faults;
mod aws_bundle_servers;
mod aws_coldsnap;
mod aws_console;
mod aws_debian;
mod aws_doctor;
mod aws_fault_table;
mod aws_faults;
mod aws_garage;
mod aws_image;
mod aws_image_faults;
mod aws_import;
mod aws_incremental;
mod aws_moto;
mod aws_policy;
mod aws_prune;
mod aws_push;
mod aws_resume;
mod aws_snapshot;
mod bad_boot;
mod bad_grub;
mod bad_input;
mod bad_output;
mod bad_spec;
mod boot;
mod boot_debian;
mod boot_matrix;
mod bundle;
mod bundle_ami_tools;
mod bundle_bad;
mod bundle_prop;
mod cli;
mod common;
mod customize;
mod customize_bad;
mod customize_boot;
mod determinism;
mod diff;
mod disk_damage;
mod disk_full;
mod efi;
mod efi_boot;
mod efi_debian;
mod examples;
mod explain;
mod ext4_check;
mod ext4_geometry;
mod ext4_read;
mod ext4_shapes;
mod extract;
mod fake_ebs;
mod fake_s3;
mod fat;
mod fidelity;
mod fidelity_rows;
mod fidelity_table;
mod golden;
mod gpt;
mod grow_boot;
mod growth;
mod grub;
mod grub_boot;
mod grub_config;
mod grub_install;
mod grub_life;
mod inputs;
mod kernel;
mod large_dir;
mod layers;
mod layers_bad;
mod layers_folder;
mod layers_tools;
mod limits;
mod lint;
mod lint_systems;
mod look;
mod map;
mod map_picture;
mod oracle;
mod partition;
mod poison;
mod privilege;
mod props;
mod props_disk;
mod props_ext4;
mod provenance;
mod pv;
mod pv_boot;
mod readme;
mod records_guest;
mod repro;
mod sbom;
mod scale;
mod shared;
mod signals;
mod tidy;
mod tools;
mod vdisk;
mod vdisk_boot;
mod vdisk_cli;
mod vdisk_damage;
mod vdisk_limits;
