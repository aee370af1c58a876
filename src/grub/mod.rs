//! GRUB for BIOS and UEFI machines, written without `grub-install`: bytes in, bytes out.
//!
//! The parts come from one folder, `/usr/lib/grub` of the rootfs where it has one, so that the core image
//! and the modules in `/boot/grub` are of one build. On a BIOS machine:
//!
//! ```text
//! LBA 0           LBA 1 … (an embedding area: the gap behind the MBR)
//! | boot.img |    | diskboot.img | lzma_decompress.img | LZMA stream | Reed-Solomon parity |
//!      |              ^   |              ^          |
//!      +--- 0x5C -----+   +- blocklist --+          v  decodes, at 0x100000, to
//!                                           | kernel image | modules … | prefix |
//!                                                                          |
//!                     /boot/grub/grub.cfg on the root filesystem <---------+
//! ```
//!
//! | file | what |
//! |---|---|
//! | `platform` | which files of `i386-pc` are needed and copied |
//! | `modules`, `elf`, `payload`, `lzma`, `core_img` | core.img, as `grub-mkimage -O i386-pc` makes it |
//! | `one_build`, `module_elf` | whether kernel.img and modules are of one build |
//! | `boot_img`, `embed`, `reed_solomon` | sector 0 and the embedding area, as `grub-bios-setup` does |
//! | `efi` | the files of an EFI system partition |
//! | `ext2_features` | which features of ext4 the rootfs's GRUB reads |
//! | `kernels`, `dpkg_version` | which kernels of `/boot` to offer, newest first |
//! | `config`, `grubenv`, `defaults` | grub.cfg, grubenv, the drop-in for `update-grub` |
//! | `root`, `words` | how they name the root filesystem; how they quote |
//! | `menu_lst`, `bz_image`, `xen_note` | the menu of PV-GRUB, and kernels that it reads |
//! | `gzip`, `deflate`, `lz4` | kernels packed anew |
//! | `aki` | PV-GRUB in the regions of EC2 |
//! | `foreign_cfg` | whether a grub.cfg that came with the rootfs boots this image |

mod aki;
mod bios;
mod boot_img;
mod bz_image;
mod config;
mod core_img;
mod defaults;
mod deflate;
mod disk;
mod dpkg_version;
mod efi;
mod elf;
mod embed;
mod error;
mod ext2_features;
mod foreign_cfg;
mod grubenv;
mod gzip;
mod kernels;
mod lz4;
mod lzma;
mod menu_lst;
mod module_elf;
mod modules;
mod one_build;
mod payload;
mod platform;
mod reed_solomon;
mod root;
mod words;
mod xen_note;

pub use aki::{Aki, AkiArch, aki, akis};
pub use bios::{
    BiosSpec, MODULES_EXT_ON_GPT, MODULES_EXT_ON_MBR, PREFIX_GPT_1, PREFIX_MBR_1, bios,
};
pub use boot_img::boot_sector;
pub use bz_image::pv_kernel;
pub use config::{Config, DEFAULT_CMDLINE, DEFAULT_CMDLINE_ARM64, MARKER, bears_marker, grub_cfg};
pub use core_img::{CoreImg, core_img};
pub use defaults::{DROP_IN_PATH, drop_in};
pub use dpkg_version::compare as compare_versions;
pub use efi::{
    EfiArch, EspFile, LoaderKind, UefiChoice, UefiLoader, UefiSpec, choose_uefi, core_efi,
    is_uefi_input, uefi,
};
pub use elf::check_module;
pub use embed::{Area, core_img_runs, embed};
pub use error::GrubError;
pub use ext2_features::{READ_SINCE_2_02, readable_incompat};
pub use foreign_cfg::{RootNamed, root_named};
pub use grubenv::{GRUBENV_LEN, grubenv};
pub use kernels::{KernelEntry, find as find_kernels};
pub use lzma::decompress as lzma_decompress;
pub use menu_lst::{DEFAULT_CMDLINE_PV, MENU_LST_PATH, PV_ROOT_DEVICE, menu_lst};
pub use modules::load_order;
pub use one_build::check_one_build;
pub use platform::{Files, is_core_input, is_module_file};
pub use reed_solomon::parity as reed_solomon_parity;
pub use root::{RootBy, RootIds};
