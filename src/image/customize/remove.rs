//! Leaving out what patterns of paths match.

use super::CustomizeError;
use super::edit::Edit;
use crate::ext4::EntryError;
use crate::image::BuildError;
use crate::tree::NodeId;
use fast_glob::glob_match;

/// A character of a name that makes it a pattern.
fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '[', ']', '{', '}', '\\'])
}

/// Patterns that can match nothing.
pub(super) fn check(patterns: &[String]) -> Result<(), CustomizeError> {
    for pattern in patterns {
        let names = || pattern.split('/').filter(|n| !matches!(*n, "" | "."));
        let why = if !pattern.starts_with('/') {
            "begin it with `/`: patterns are of whole paths, as /usr/share/doc/** is"
        } else if names().any(|n| n == "..") {
            "it has a component `..`"
        } else if names().next().is_none() {
            "the root itself cannot be left out"
        } else if !balanced(pattern) {
            "a `[` or `{` is not closed"
        } else if names().any(|n| n.starts_with("!(")) {
            "`!(…)` is bash's and no pattern here: --remove what shall go by name"
        } else {
            continue;
        };
        return Err(CustomizeError::Value {
            flag: "remove",
            value: pattern.clone(),
            why: why.into(),
        });
    }
    Ok(())
}

fn balanced(pattern: &str) -> bool {
    let (mut class, mut braces, mut escaped) = (false, 0_u32, false);
    for c in pattern.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' => class = false,
            '[' => class = true,
            '{' if !class => braces += 1,
            '}' if !class => match braces.checked_sub(1) {
                Some(less) => braces = less,
                None => return false,
            },
            _ => {}
        }
    }
    !class && braces == 0 && !escaped
}

/// The pattern of these names. To the matcher a `!` in front would mean all that does not match.
fn whole(names: &[&str]) -> String {
    let rest = names.join("/");
    match rest.starts_with('!') {
        true => format!("\\{rest}"),
        false => rest,
    }
}

/// Takes everything that `pattern` matches out of the tree, directories with all that is in them.
pub(super) fn remove(edit: &mut Edit<'_, '_>, pattern: &str) -> Result<(), BuildError> {
    let names: Vec<&str> = pattern
        .split('/')
        .filter(|n| !matches!(*n, "" | "."))
        .collect();
    // The plain folders in front may be links: /lib/x lies in /usr/lib. The last name is what goes itself.
    let last = names.len().saturating_sub(1);
    let plain = names[..last].iter().take_while(|n| !is_pattern(n)).count();
    let folder = edit.real(&names[..plain].join("/"), true)?.path;
    let rest = whole(&names[plain..]);
    let mut found: Vec<(Vec<u8>, NodeId)> = Vec::new();
    let tree = &edit.ingest.tree;
    let sorted = tree.sorted();
    let mut below = None;
    tree.walk(&sorted, |path, node| {
        let inside = |outer: &[u8]| {
            let rest = path.strip_prefix(outer);
            rest.is_some_and(|r| outer.is_empty() || r.first() == Some(&b'/'))
        };
        if below.as_deref().is_some_and(inside) {
            edit.files += 1;
            return;
        }
        if !inside(&folder) {
            return;
        }
        let own = &path[folder.len()..];
        if glob_match(rest.as_bytes(), own.strip_prefix(b"/").unwrap_or(own)) {
            below = Some(path.to_vec());
            edit.files += 1;
            found.push((path.to_vec(), node));
        }
    });
    for (path, _) in &found {
        let hidden = edit.ingest.tree.whiteout(path).map_err(EntryError::from)?;
        edit.ingest.drop_data(hidden.dropped)?;
    }
    if found.is_empty() {
        edit.ingest.warn(&format!(
            "--remove {pattern}: nothing in the image matches it"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_can_match_nothing_are_refused() {
        for bad in [
            "usr/x", "/", "/.", "/a/../b", "/a[b", "/{a", "/a}", "/a\\", "", "/a/!(b)",
        ] {
            assert!(check(&[bad.into()]).is_err(), "{bad}");
        }
        for good in ["/a", "/a/**", "/a/[!b]*", "/x{a,b}", "/a\\[b"] {
            check(&[good.into()]).unwrap();
        }
    }

    #[test]
    fn a_mark_in_front_is_itself_and_negates_nothing() {
        for (names, path, expected) in [
            (&["!x*"][..], &b"!xy"[..], true),
            (&["!x*"], b"other", false),
            (&["!!"], b"!!", true),
            (&["!!"], b"", false),
            (&["[!x]*", "!y"], b"a/!y", true),
        ] {
            assert_eq!(
                glob_match(whole(names).as_bytes(), path),
                expected,
                "{names:?}"
            );
        }
    }
}
