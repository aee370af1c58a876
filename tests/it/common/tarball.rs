//! Tar archives byte by byte, right or wrong: what no tool would write.

/// A header under construction, POSIX unless told otherwise.
#[derive(Clone)]
pub struct Header(pub [u8; 512]);

impl Header {
    pub fn new(name: &str, typeflag: u8, size: u64) -> Self {
        let mut header = Self([0; 512]);
        header.put(0, name.as_bytes());
        header.put(100, b"0000644\0");
        header.put(108, b"0000000\0");
        header.put(116, b"0000000\0");
        header.put(124, format!("{size:011o}\0").as_bytes());
        header.put(136, b"00000000000\0");
        header.put(156, &[typeflag]);
        header.put(257, b"ustar\x0000");
        header
    }

    #[must_use]
    pub fn gnu(self) -> Self {
        self.with(257, b"ustar  \0")
    }

    #[must_use]
    pub fn v7(self) -> Self {
        self.with(257, &[0; 8])
    }

    #[must_use]
    pub fn link(self, target: &str) -> Self {
        self.with(157, target.as_bytes())
    }

    #[must_use]
    pub fn with(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.put(offset, bytes);
        self
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) {
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// The block, its checksum filled in.
    #[must_use]
    pub fn block(&self) -> Vec<u8> {
        let mut block = self.0.to_vec();
        fix_checksum(&mut block);
        block
    }

    /// The block and its data, padded.
    #[must_use]
    pub fn data(&self, data: &[u8]) -> Vec<u8> {
        let mut bytes = self.block();
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }
}

/// Makes a block's checksum right.
pub fn fix_checksum(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// A file.
pub fn file(name: &str, data: &[u8]) -> Vec<u8> {
    Header::new(name, b'0', data.len().try_into().unwrap()).data(data)
}

/// A pax header, for the next entry (`x`) or all (`g`).
pub fn pax(typeflag: u8, records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut len = rest + 1;
        while rest + len.to_string().len() != len {
            len = rest + len.to_string().len();
        }
        body.extend(
            [
                len.to_string().as_bytes(),
                b" ",
                key.as_bytes(),
                b"=",
                value,
                b"\n",
            ]
            .concat(),
        );
    }
    Header::new("PaxHeaders/x", typeflag, body.len().try_into().unwrap()).data(&body)
}

/// A GNU long name (`L`) or link target (`K`).
pub fn long(typeflag: u8, name: &[u8]) -> Vec<u8> {
    let name = [name, b"\0"].concat();
    let len = name.len().try_into().unwrap();
    Header::new("././@LongLink", typeflag, len)
        .gnu()
        .data(&name)
}

/// The members and an end marker.
pub fn archive(members: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = members.concat();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}
