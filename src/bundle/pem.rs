//! Keys and certificates in files: PEM (RFC 7468) or bare DER.

use rsa::pkcs8::der::pem::decode_vec;

/// A block of a PEM file: what it is called, and its DER.
pub(super) struct Block {
    pub(super) label: String,
    pub(super) der: Vec<u8>,
    /// Old OpenSSL's `Proc-Type: 4,ENCRYPTED`.
    pub(super) encrypted: bool,
}

/// The blocks of `bytes`; none where it is no PEM. One that is damaged is left out.
pub(super) fn blocks(bytes: &[u8]) -> Vec<Block> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Vec::new();
    };
    let mut list = Vec::new();
    for begun in text.split("-----BEGIN ").skip(1) {
        let Some((label, rest)) = begun.split_once("-----") else {
            continue;
        };
        let Some((body, _)) = rest.split_once("-----END ") else {
            continue;
        };
        let (headers, base64): (Vec<&str>, Vec<&str>) = body
            .lines()
            .map(str::trim)
            .partition(|line| line.contains(':'));
        let der = decode(label, &base64.concat());
        list.push(Block {
            label: label.to_owned(),
            der: der.unwrap_or_default(),
            encrypted: headers.iter().any(|h| h.contains("ENCRYPTED")),
        });
    }
    list
}

/// `base64` in lines of 64, which the decoder insists on: certificates that EC2 made have 76.
fn decode(label: &str, base64: &str) -> Option<Vec<u8>> {
    let lines: Vec<_> = base64.as_bytes().chunks(64).collect();
    let lines = String::from_utf8(lines.join(&b'\n')).ok()?;
    let pem = format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n");
    decode_vec(pem.as_bytes()).ok().map(|(_, der)| der)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_any_length_and_several_blocks_are_read() {
        let text = "bag\n-----BEGIN A-----\r\nAAEC\r\nAwQ=\r\n-----END A-----\n\
                    -----BEGIN B-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x,y\n\nAAEC\n-----END B-----";
        let found = blocks(text.as_bytes());
        assert_eq!(
            (found[0].label.as_str(), &found[0].der[..]),
            ("A", &[0, 1, 2, 3, 4][..])
        );
        assert!(!found[0].encrypted && found[1].encrypted);
        let long = format!(
            "-----BEGIN C-----\n{}\n-----END C-----\n",
            "AAAA".repeat(40)
        );
        assert_eq!(blocks(long.as_bytes())[0].der, [0; 120]);
        assert!(blocks(b"\x30\x82\xff").is_empty());
    }
}
