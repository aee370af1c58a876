//! Members of an archive with every property that pax can carry.

use super::tarball::{Header, pax};

/// An entry in the making.
#[derive(Clone)]
pub struct Member {
    path: Vec<u8>,
    typeflag: u8,
    mode: u32,
    owner: (u64, u64),
    link: Vec<u8>,
    device: (u32, u32),
    data: Vec<u8>,
    records: Vec<(String, Vec<u8>)>,
}

impl Member {
    fn new(path: &[u8], typeflag: u8) -> Self {
        Self {
            path: path.to_vec(),
            typeflag,
            mode: 0o644,
            owner: (0, 0),
            link: Vec::new(),
            device: (0, 0),
            data: Vec::new(),
            records: vec![("mtime".into(), b"1700000000.123456789".to_vec())],
        }
    }

    pub fn file(path: impl AsRef<[u8]>, data: impl Into<Vec<u8>>) -> Self {
        let data = data.into();
        Self {
            data,
            ..Self::new(path.as_ref(), b'0')
        }
    }

    pub fn folder(path: impl AsRef<[u8]>) -> Self {
        Self::new(path.as_ref(), b'5').mode(0o755)
    }

    pub fn symlink(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        let link = target.as_ref().to_vec();
        Self {
            link,
            ..Self::new(path.as_ref(), b'2')
        }
        .mode(0o777)
    }

    pub fn hard_link(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        let link = target.as_ref().to_vec();
        Self {
            link,
            ..Self::new(path.as_ref(), b'1')
        }
    }

    /// `kind`: `3` a character, `4` a block device, `6` a fifo.
    pub fn special(path: impl AsRef<[u8]>, kind: u8, device: (u32, u32)) -> Self {
        Self {
            device,
            ..Self::new(path.as_ref(), kind)
        }
    }

    #[must_use]
    pub fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    #[must_use]
    pub fn owner(self, uid: u64, gid: u64) -> Self {
        Self {
            owner: (uid, gid),
            ..self
        }
    }

    /// A pax record, in place of one of the same key.
    #[must_use]
    pub fn record(mut self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.records.retain(|(k, _)| k != key);
        self.records.push((key.into(), value.as_ref().to_vec()));
        self
    }

    #[must_use]
    pub fn mtime(self, text: &str) -> Self {
        self.record("mtime", text)
    }

    #[must_use]
    pub fn xattr(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.record(&format!("SCHILY.xattr.{name}"), value)
    }

    /// Its headers and data.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut records = self.records.clone();
        let mut header = Header::new("", self.typeflag, self.data.len().try_into().unwrap())
            .with(100, format!("{:07o}\0", self.mode).as_bytes());
        for (offset, room, key, value) in [
            (0, 100, "path", &self.path),
            (157, 100, "linkpath", &self.link),
        ] {
            if value.len() <= room {
                header = header.with(offset, value);
            } else {
                records.push((key.into(), value.clone()));
            }
        }
        for (offset, key, id) in [(108, "uid", self.owner.0), (116, "gid", self.owner.1)] {
            if id < 0o7_777_777 {
                header = header.with(offset, format!("{id:07o}\0").as_bytes());
            } else {
                records.push((key.into(), id.to_string().into_bytes()));
            }
        }
        for (offset, number) in [(329, self.device.0), (337, self.device.1)] {
            header = header.with(offset, format!("{number:07o}\0").as_bytes());
        }
        let records: Vec<(&str, &[u8])> =
            records.iter().map(|(k, v)| (k.as_str(), &v[..])).collect();
        let mut bytes = if records.is_empty() {
            Vec::new()
        } else {
            pax(b'x', &records)
        };
        bytes.extend(header.data(&self.data));
        bytes
    }
}
