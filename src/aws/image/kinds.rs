//! The words that RegisterImage knows.

use super::ImageError;
use std::fmt;
use std::str::FromStr;

macro_rules! kind {
    ($(#[$doc:meta])* $name:ident ($what:literal) { $($(#[$item_doc:meta])* $item:ident = $word:literal $(| $alias:literal)*),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$item_doc])* $item),+ }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$item),+];

            /// As EC2 has it.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$item => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }

        impl FromStr for $name {
            type Err = ImageError;

            fn from_str(text: &str) -> Result<Self, ImageError> {
                match text {
                    $($word $(| $alias)* => Ok(Self::$item),)+
                    _ => Err(ImageError::refused($what, text, &[$($word),+].join(", "))),
                }
            }
        }
    };
}

kind! {
    /// What processor an instance has.
    Architecture("architecture") {
        /// 32-bit x86.
        I386 = "i386" | "i686",
        /// 64-bit x86.
        X86_64 = "x86_64" | "amd64" | "x86-64",
        /// 64-bit ARM: Graviton.
        Arm64 = "arm64" | "aarch64",
    }
}

kind! {
    /// By what firmware an instance starts.
    BootMode("boot mode") {
        /// BIOS.
        LegacyBios = "legacy-bios",
        /// UEFI.
        Uefi = "uefi",
        /// UEFI where the instance type has it, else BIOS: for images that start by both.
        UefiPreferred = "uefi-preferred",
    }
}

kind! {
    /// How an instance is virtualized.
    Virtualization("virtualization type") {
        /// A whole machine: what all current instance types are.
        Hvm = "hvm",
        /// Xen's PV, by PV-GRUB or a kernel of its own: instance types of before 2014.
        Paravirtual = "paravirtual",
    }
}

kind! {
    /// What a volume is made of.
    VolumeType("volume type") {
        /// General purpose SSD.
        Gp3 = "gp3",
        /// Its predecessor.
        Gp2 = "gp2",
        /// SSD with a number of IOPS that is paid for.
        Io1 = "io1",
        /// Its successor.
        Io2 = "io2",
        /// Magnetic, for throughput; not for a root.
        St1 = "st1",
        /// Magnetic, for what is seldom read; not for a root.
        Sc1 = "sc1",
        /// Magnetic, of before 2014.
        Standard = "standard",
    }
}
