//! Why GRUB cannot be put on a disk.

/// What stands in the way of boot.img, core.img or grub.cfg.
#[derive(Debug, thiserror::Error)]
pub enum GrubError {
    /// A file of `/usr/lib/grub` is not there.
    #[error("GRUB's {file} is missing: add the package {package} to the rootfs")]
    MissingFile {
        /// The file, with the folder of its platform: `i386-pc/boot.img`.
        file: String,
        /// The package of Debian that brings it.
        package: &'static str,
    },
    /// A module was asked for, or is a dependency, and moddep.lst does not know it.
    #[error("GRUB module `{module}`{} is not in moddep.lst", needed(.needed_by))]
    UnknownModule {
        /// Its name without `.mod`.
        module: String,
        /// The module that depends on it; `None` when the caller asked for it.
        needed_by: Option<String>,
    },
    /// Modules depend on each other in a circle: no order of loading exists.
    #[error("moddep.lst: module `{module}` depends on itself")]
    ModuleCycle {
        /// A module of the circle.
        module: String,
    },
    /// A line of moddep.lst has no `name:`.
    #[error("moddep.lst line {line}: `{text}` is not `module: dependency …`")]
    Moddep {
        /// Counted from 1.
        line: usize,
        /// The line, shortened.
        text: String,
    },
    /// A file is not what its name says, or from a GRUB whose format changed.
    #[error("{file}: {field} is {found}, must be {wanted}")]
    Format {
        /// The file, with the folder of its platform.
        file: String,
        /// Structure and field.
        field: &'static str,
        /// The value found.
        found: String,
        /// What it has to be.
        wanted: String,
    },
    /// Files of two builds of GRUB lie in one folder.
    #[error(
        "{file} is of another build of GRUB than the files beside it: {sign}. Core image and modules must be \
         of one build: install the package {package} anew"
    )]
    MixedBuilds {
        /// The file that shows it, with the folder of its platform.
        file: String,
        /// By what.
        sign: String,
        /// The package of Debian that brings the whole folder.
        package: &'static str,
    },
    /// Something exceeds the memory map that GRUB's loader is linked for.
    #[error("{what} takes {size} bytes, GRUB's memory map leaves {limit}: {advice}")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
        /// What to do.
        advice: &'static str,
    },
    /// core.img is longer than the place meant for it.
    #[error(
        "core.img takes {needed} sectors, only {available} can be used from sector {first}: \
         start the first partition later or use fewer modules"
    )]
    AreaTooSmall {
        /// Sectors of core.img.
        needed: u64,
        /// Sectors that may be used.
        available: u64,
        /// First sector of the area.
        first: u64,
    },
    /// A text would break, or break out of, the file it is written to.
    #[error("{what} `{}` {why}", .value.escape_debug())]
    Text {
        /// Which setting.
        what: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is no kernel to boot.
    #[error(
        "no kernel to boot: /boot has no vmlinuz-*; add a package such as linux-image-cloud-amd64"
    )]
    NoKernel,
    /// The compressor or decompressor failed.
    #[error("LZMA stream of core.img")]
    Lzma(#[source] std::io::Error),
}

fn needed(by: &Option<String>) -> String {
    by.as_ref()
        .map_or_else(String::new, |by| format!(" (needed by `{by}`)"))
}
