//! Keys to log in with over ssh: sshd(8), "AUTHORIZED_KEYS FILE FORMAT".

use super::accounts::Names;
use super::edit::{Edit, Given};
use super::overlay::Owners;
use super::spec::SshKey;
use super::{AUTHORIZED_KEYS, CustomizeError};
use crate::image::BuildError;

/// The longest line that sshd reads.
const LINE_MAX: usize = 8192;

/// Adds the keys of a file to those that a user has.
pub(super) fn add(
    edit: &mut Edit<'_, '_>,
    key: &SshKey,
    owners: &Owners,
) -> Result<(), BuildError> {
    let keys = edit.source(&key.file)?;
    let keys = public_keys(&keys).map_err(|why| CustomizeError::Content {
        flag: edit.flag,
        path: key.file.clone(),
        why,
    })?;
    let account = Names::read(edit)?.account(edit, &key.user)?;
    let given = |mode| Given {
        mode,
        uid: account.uid,
        gid: account.gid,
    };
    let home = edit.real(&account.home, true)?.node;
    let is_home = home.is_some_and(|n| edit.ingest.tree.node(n).is_directory());
    if account.home.is_empty() || !is_home {
        let why = format!(
            "/{}, the user's home, is no directory of the image",
            account.home
        );
        return Err(edit.value(&key.user, why));
    }
    let folder = edit.directory(&format!("{}/.ssh", account.home), given(0o700))?;
    let path = format!("{}/{AUTHORIZED_KEYS}", account.home);
    let old = edit.real(&path, true)?.node;
    let mut text = edit.text(&path)?.unwrap_or_default();
    let before = text.clone();
    for key in keys {
        if before
            .split(|&b| b == b'\n')
            .any(|l| l.trim_ascii() == key.as_bytes())
        {
            continue;
        }
        if text.last().is_some_and(|&b| b != b'\n') {
            text.push(b'\n');
        }
        text.extend_from_slice(key.as_bytes());
        text.push(b'\n');
    }
    if text != before {
        edit.rewrite(&path, text, given(0o600))?;
    }
    // sshd reads no keys that another could have written: its StrictModes.
    let file = edit.real(&path, true)?.node;
    let tree = &mut edit.ingest.tree;
    let file = file.filter(|_| old.is_some_and(|n| owners.made(n)));
    for (node, mode) in [
        (Some(folder).filter(|&n| owners.made(n)), 0o700),
        (file, 0o600),
    ] {
        if let Some(node) = node {
            tree.set_owner(node, account.uid, account.gid);
            tree.set_mode(node, mode);
        }
    }
    Ok(())
}

/// The lines that are keys; a text in which something else is.
fn public_keys(text: &[u8]) -> Result<Vec<&str>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is no text".to_owned())?;
    let lines = text.lines().map(str::trim);
    let lines: Vec<&str> = lines
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
        .collect();
    if text.contains("PRIVATE KEY-----") {
        return Err("it holds a private key, which no image should; give its .pub".into());
    }
    if let Some(at) = lines.iter().position(|l| !is_key(l)) {
        return Err(format!(
            "its key {} is none, as `ssh-ed25519 AAAA… name` is",
            at + 1
        ));
    }
    match lines.is_empty() {
        true => Err("it holds no key".into()),
        false => Ok(lines),
    }
}

/// Options, type, base64, comment.
fn is_key(line: &str) -> bool {
    let kind = |word: &str| {
        word.starts_with("ssh-") || word.starts_with("ecdsa-sha2-") || word.starts_with("sk-")
    };
    let base64 = |word: &str| {
        word.starts_with("AAAA")
            && word
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
    };
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    line.len() <= LINE_MAX && words.windows(2).any(|two| kind(two[0]) && base64(two[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_keys_are_taken() {
        let text = b"# mine\nssh-ed25519 AAAAC3Nz me@here\r\n\n  from=\"10.*\",no-pty ssh-rsa AAAAB3/+= x y\n";
        assert_eq!(
            public_keys(text).unwrap(),
            [
                "ssh-ed25519 AAAAC3Nz me@here",
                "from=\"10.*\",no-pty ssh-rsa AAAAB3/+= x y"
            ]
        );
        for (text, told) in [
            (&b""[..], "no key"),
            (b"# nothing\n", "no key"),
            (b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "private key"),
            (b"ssh-ed25519 AAAAC3Nz\nhello\n", "its key 2"),
            (b"\xff\xfe", "no text"),
        ] {
            let why = public_keys(text).unwrap_err();
            assert!(why.contains(told), "{why}");
        }
    }
}
