//! Volumes and other devices that an instance finds.

use super::{ImageError, VolumeType};
use std::str::FromStr;

/// An EBS volume that comes with an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// What it holds at first; `None`: nothing.
    pub snapshot_id: Option<String>,
    /// GiB; `None`: as many as its snapshot.
    pub size: Option<u64>,
    /// What it is made of.
    pub kind: VolumeType,
    /// Operations a second: for `gp3`, `io1` and `io2`.
    pub iops: Option<u32>,
    /// MiB a second: for `gp3`.
    pub throughput: Option<u32>,
    /// MiB a second at which its blocks come from the snapshot: paid for.
    pub initialization_rate: Option<u32>,
    /// Delete it with its instance.
    pub delete_on_termination: bool,
    /// Encrypt it; AWS takes this of a volume without a snapshot alone.
    pub encrypted: bool,
}

impl Volume {
    /// A `gp3` volume of a snapshot, of its size.
    #[must_use]
    pub fn of(snapshot_id: impl Into<String>) -> Self {
        Self {
            snapshot_id: Some(snapshot_id.into()),
            ..Self::default()
        }
    }
}

impl Default for Volume {
    fn default() -> Self {
        Self {
            snapshot_id: None,
            size: None,
            kind: VolumeType::Gp3,
            iops: None,
            throughput: None,
            initialization_rate: None,
            delete_on_termination: true,
            encrypted: false,
        }
    }
}

/// A device beside the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// `/dev/sdb`, `/dev/xvdb`.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
}

/// What a device beside the root is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// A disk of the instance's host: `ephemeral0` and so on.
    Ephemeral(String),
    /// A volume.
    Volume(Volume),
    /// None, where there would be one otherwise.
    None,
}

/// In the form of ec2-register: `NAME=ephemeralN`, `NAME=none` and `NAME=[SNAPSHOT]:[GIB]:[true|false]:[TYPE]:[IOPS]:[encrypted]`.
impl FromStr for Device {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let bad = |why: &str| ImageError::value("block device mapping", text, why);
        let (name, what) = text
            .split_once('=')
            .ok_or_else(|| bad("it has the form DEVICE=WHAT, as in /dev/sdb=ephemeral0"))?;
        let kind = match what {
            "none" => DeviceKind::None,
            _ if what.starts_with("ephemeral") => {
                let number = what.trim_start_matches("ephemeral");
                if number.parse::<u8>().is_err() {
                    return Err(bad(
                        "the disks of a host are ephemeral0, ephemeral1 and so on",
                    ));
                }
                DeviceKind::Ephemeral(what.to_owned())
            }
            _ => {
                let form = "a volume is SNAPSHOT:GIB:DELETE:TYPE:IOPS:encrypted, where each but one of the first \
                            two may be left out";
                let mut parts = what.split(':').map(|p| Some(p).filter(|p| !p.is_empty()));
                let mut next = || parts.next().flatten();
                let mut volume = Volume {
                    snapshot_id: next().map(ToOwned::to_owned),
                    ..Volume::default()
                };
                let number = |part: Option<&str>| match part {
                    None => Ok(None),
                    Some(part) => part.parse::<u32>().map(Some).map_err(|_| bad(form)),
                };
                volume.size = number(next())?.map(u64::from);
                match next() {
                    None | Some("true") => {}
                    Some("false") => volume.delete_on_termination = false,
                    Some(_) => return Err(bad(form)),
                }
                if let Some(kind) = next() {
                    volume.kind = kind.parse()?;
                }
                volume.iops = number(next())?;
                match next() {
                    None => {}
                    Some("encrypted") => volume.encrypted = true,
                    Some(_) => return Err(bad(form)),
                }
                if next().is_some() || (volume.snapshot_id.is_none() && volume.size.is_none()) {
                    return Err(bad(form));
                }
                DeviceKind::Volume(volume)
            }
        };
        Ok(Self {
            name: name.to_owned(),
            kind,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_written_as_for_ec2_register() {
        let device = |text: &str| text.parse::<Device>().map(|d| (d.name, d.kind));
        let volume = |volume| Ok(("/dev/sdf".to_owned(), DeviceKind::Volume(volume)));
        assert_eq!(
            device("/dev/sdb=ephemeral0").unwrap().1,
            DeviceKind::Ephemeral("ephemeral0".into())
        );
        assert_eq!(device("/dev/sdc=none").unwrap().1, DeviceKind::None);
        assert_eq!(
            device("/dev/sdf=snap-1:20:false:io2:500").map_err(|e| e.to_string()),
            volume(Volume {
                size: Some(20),
                kind: VolumeType::Io2,
                iops: Some(500),
                delete_on_termination: false,
                ..Volume::of("snap-1")
            })
        );
        assert_eq!(
            device("/dev/sdf=:8::::encrypted").map_err(|e| e.to_string()),
            volume(Volume {
                size: Some(8),
                encrypted: true,
                ..Volume::default()
            })
        );
        for bad in [
            "/dev/sdb",
            "/dev/sdb=ephemeral",
            "/dev/sdb=:",
            "/dev/sdb=snap-1:x",
            "/dev/sdb=:1:yes",
            "/dev/sdb=:1::tape",
        ] {
            assert!(bad.parse::<Device>().is_err(), "{bad}");
        }
    }
}
