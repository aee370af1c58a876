//! Platforms: `os/arch[/variant]`, and which image serves which.

use std::fmt;
use std::str::FromStr;

/// A platform, in the words of Go, which images use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, `riscv64` …
    pub architecture: String,
    /// `v7` of `arm/v7`; empty where it says nothing: `arm64/v8` is `arm64`, `amd64/v1` is `amd64`.
    pub variant: String,
}

impl Platform {
    pub(in crate::archive) fn new(os: &str, architecture: &str, variant: &str) -> Self {
        let (architecture, implied) = match architecture {
            "x86_64" | "x86-64" => ("amd64", ""),
            "aarch64" => ("arm64", ""),
            "i386" | "i686" | "x86" => ("386", ""),
            "armhf" => ("arm", "v7"),
            "armel" => ("arm", "v6"),
            other => (other, ""),
        };
        let variant = match variant {
            "" => String::from(implied),
            v if v.starts_with('v') => v.into(),
            v => format!("v{v}"),
        };
        // As containerd normalises them (platforms/database.go): the least of each is no variant.
        let variant = match (architecture, variant.as_str()) {
            ("arm64", "v8") | ("amd64", "v1") => String::new(),
            ("arm", "") => String::from("v7"),
            _ => variant,
        };
        Self {
            os: os.to_lowercase(),
            architecture: architecture.to_lowercase(),
            variant,
        }
    }

    /// The machine that this program was made for.
    #[must_use]
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", ""),
            "powerpc64" => ("ppc64", ""),
            "loongarch64" => ("loong64", ""),
            "arm" => ("arm", "v7"),
            other => (other, ""),
        };
        Self::new("linux", architecture, variant)
    }

    /// Whether an image for `offered` runs here, and how far from the best it is: 0 is the same variant,
    /// and lower variants, which every later processor understands, come after it.
    pub(in crate::archive) fn distance(&self, offered: &Self) -> Option<u32> {
        if self.os != offered.os || self.architecture != offered.architecture {
            return None;
        }
        if self.variant == offered.variant {
            return Some(0);
        }
        let level = |p: &Self| match (p.architecture.as_str(), p.variant.as_str()) {
            ("amd64", "") => Some(1),
            ("arm64", "") => Some(8),
            (_, v) => v.strip_prefix('v')?.parse::<u32>().ok(),
        };
        level(self)?.checked_sub(level(offered)?)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.variant.as_str() {
            "" => format!("{}/{}", self.os, self.architecture),
            variant => format!("{}/{}/{variant}", self.os, self.architecture),
        };
        crate::display::display_path(name.as_bytes()).fmt(f)
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            _ if parts.iter().any(|p| p.is_empty()) => None,
            [os, architecture] => Some(Self::new(os, architecture, "")),
            [os, architecture, variant] => Some(Self::new(os, architecture, variant)),
            _ => None,
        }
        .ok_or_else(|| String::from("os/arch or os/arch/variant is needed, as in linux/arm64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn the_least_variant_is_no_variant() {
        assert_eq!(p("linux/arm64/v8"), p("linux/arm64"));
        assert_eq!(p("linux/aarch64"), p("linux/arm64"));
        assert_eq!(p("linux/x86_64/v1"), p("Linux/amd64"));
        assert_eq!(p("linux/arm"), p("linux/arm/7"));
        for bad in ["", "amd64", "linux/", "/amd64", "a/b/c/d"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_lower_variant_serves_and_a_higher_one_does_not() {
        assert_eq!(p("linux/arm/v7").distance(&p("linux/arm/v6")), Some(1));
        assert_eq!(p("linux/arm/v6").distance(&p("linux/arm/v7")), None);
        assert_eq!(p("linux/amd64/v3").distance(&p("linux/amd64")), Some(2));
        assert_eq!(p("linux/amd64").distance(&p("linux/amd64/v3")), None);
        assert_eq!(p("linux/arm64").distance(&p("linux/arm")), None);
        assert_eq!(p("linux/amd64").distance(&p("windows/amd64")), None);
    }
}
