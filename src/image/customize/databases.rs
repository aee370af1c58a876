//! passwd(5), group(5), shadow(5), gshadow(5), subuid(5) and subgid(5) as texts: what useradd(8) does to them.
//!
//! Lines that are there keep their place and their bytes; new ones come last, but before those for NIS, behind
//! which getpwnam(3) may not look.

use super::spec::User;
use std::collections::BTreeSet;

/// The texts, `None` where the image has no such file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Databases {
    pub(super) passwd: Vec<u8>,
    pub(super) group: Vec<u8>,
    pub(super) shadow: Option<Vec<u8>>,
    pub(super) gshadow: Option<Vec<u8>>,
    pub(super) subuid: Option<Vec<u8>>,
    pub(super) subgid: Option<Vec<u8>>,
}

/// What login.defs(5) says about new users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Defaults {
    pub(super) uid_min: u32,
    pub(super) uid_max: u32,
    pub(super) home_mode: u16,
    /// First of the numbers that a user may hand on to containers, and how many.
    pub(super) sub_min: u64,
    pub(super) sub_count: u64,
}

impl Defaults {
    /// Reads `/etc/login.defs`; what it does not say is as shadow-utils has it.
    pub(super) fn read(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let value = |key: &str| {
            let mut words = text.lines().map(str::split_ascii_whitespace);
            words.find_map(|mut line| (line.next() == Some(key)).then(|| line.next())?)
        };
        let number = |key, default| value(key).and_then(|v| v.parse().ok()).unwrap_or(default);
        let octal = |text| u16::from_str_radix(text, 8).ok().filter(|m| *m <= 0o777);
        Self {
            uid_min: number("UID_MIN", 1000),
            uid_max: number("UID_MAX", 60_000),
            home_mode: value("HOME_MODE").and_then(octal).unwrap_or(0o700),
            sub_min: number("SUB_UID_MIN", 100_000).into(),
            sub_count: number("SUB_UID_COUNT", 65_536).into(),
        }
    }
}

/// The line of a user in passwd(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Relative to the root.
    pub(super) home: String,
}

/// Why a user cannot be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// No such group.
    Group(String),
    /// It has a group of its name already.
    OwnGroup,
    /// The number is another's.
    Taken(u32, String),
    /// It is there with another number.
    Other(u32),
    /// Its line in passwd(5) is malformed.
    Line,
    /// All numbers for users are taken.
    Full(u32, u32),
}

impl Databases {
    /// The account of `name`.
    pub(super) fn account(&self, name: &str) -> Option<Account> {
        let line = find(&self.passwd, name.as_bytes())?;
        let fields: Vec<&[u8]> = line.split(|&b| b == b':').collect();
        let text = |at: usize| std::str::from_utf8(fields.get(at)?).ok();
        Some(Account {
            uid: text(2)?.parse().ok()?,
            gid: text(3)?.parse().ok()?,
            home: text(5)?.trim_matches('/').to_owned(),
        })
    }

    /// The first group of a user's number.
    pub(super) fn group_of(&self, uid: u32) -> Option<u32> {
        let line = lines(&self.passwd).find(|l| number(l) == Some(uid))?;
        let name = line.split(|&b| b == b':').next()?;
        Some(self.account(std::str::from_utf8(name).ok()?)?.gid)
    }

    /// The number of a group.
    pub(super) fn group_number(&self, name: &str) -> Option<u32> {
        number(find(&self.group, name.as_bytes())?)
    }

    /// Adds a user whose shell is `shell`, `days` after the beginning of 1970. What it is then.
    pub(super) fn add(
        &mut self,
        user: &User,
        defaults: &Defaults,
        shell: &str,
        days: i64,
    ) -> Result<Account, Refused> {
        for group in &user.groups {
            if find(&self.group, group.as_bytes()).is_none() {
                return Err(Refused::Group(group.clone()));
            }
        }
        let account = match self.account(&user.name) {
            Some(account) if user.uid.is_some_and(|uid| uid != account.uid) => {
                return Err(Refused::Other(account.uid));
            }
            Some(account) => account,
            None if find(&self.passwd, user.name.as_bytes()).is_some() => {
                return Err(Refused::Line);
            }
            None => self.new_account(user, defaults, shell, days)?,
        };
        for group in &user.groups {
            join(&mut self.group, group, &user.name);
            if let Some(gshadow) = &mut self.gshadow {
                join(gshadow, group, &user.name);
            }
        }
        Ok(account)
    }

    fn new_account(
        &mut self,
        user: &User,
        defaults: &Defaults,
        shell: &str,
        days: i64,
    ) -> Result<Account, Refused> {
        let name = &user.name;
        let uids = numbers(&self.passwd);
        let gids = numbers(&self.group);
        let allowed = || defaults.uid_min..=defaults.uid_max;
        let full = Refused::Full(defaults.uid_min, defaults.uid_max);
        let uid = match user.uid {
            Some(uid) => match owner(&self.passwd, uid) {
                Some(other) => return Err(Refused::Taken(uid, other)),
                None => uid,
            },
            // One number for both where there is one.
            None => allowed()
                .find(|n| !uids.contains(n) && !gids.contains(n))
                .or_else(|| allowed().find(|n| !uids.contains(n)))
                .ok_or(full.clone())?,
        };
        // Its rights are not this user's.
        if find(&self.group, name.as_bytes()).is_some() {
            return Err(Refused::OwnGroup);
        }
        let free = |n: &u32| !gids.contains(n);
        let gid = Some(uid).filter(free).or_else(|| allowed().find(free));
        let gid = gid.ok_or(full)?;
        append(&mut self.group, &format!("{name}:x:{gid}:"));
        if let Some(gshadow) = &mut self.gshadow {
            append(gshadow, &format!("{name}:!::"));
        }
        // `*` is no hash, so that no password fits. A `!` in front would make sshd refuse keys too where it
        // does not ask PAM.
        let password = match &mut self.shadow {
            Some(shadow) => {
                append(shadow, &format!("{name}:*:{days}:0:99999:7:::"));
                "x"
            }
            None => "*",
        };
        let home = format!("home/{name}");
        append(
            &mut self.passwd,
            &format!("{name}:{password}:{uid}:{gid}::/{home}:{shell}"),
        );
        for sub in [&mut self.subuid, &mut self.subgid].into_iter().flatten() {
            delegate(sub, name, defaults);
        }
        Ok(Account { uid, gid, home })
    }
}

/// Lines without their ends.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&b| b == b'\n').filter(|l| !l.is_empty())
}

/// The first line of `name`, as getpwnam(3) finds it.
fn find<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    lines(text).find(|l| l.split(|&b| b == b':').next() == Some(name))
}

/// The third field.
fn number(line: &[u8]) -> Option<u32> {
    let field = line.split(|&b| b == b':').nth(2)?;
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn numbers(text: &[u8]) -> BTreeSet<u32> {
    lines(text).filter_map(number).collect()
}

/// Whose number it is.
fn owner(text: &[u8], wanted: u32) -> Option<String> {
    let line = lines(text).find(|l| number(l) == Some(wanted))?;
    let name = line.split(|&b| b == b':').next()?;
    Some(String::from_utf8_lossy(name).into_owned())
}

/// Adds a line for a name. What an account that is gone left behind, a password, does not come back.
fn append(text: &mut Vec<u8>, line: &str) {
    let name = line.split(':').next().unwrap_or_default().as_bytes();
    let mut new = Vec::new();
    let mut done = false;
    for old in text.split_inclusive(|&b| b == b'\n') {
        if !done && matches!(old.first(), Some(b'+' | b'-')) {
            new.extend_from_slice(line.as_bytes());
            new.push(b'\n');
            done = true;
        }
        if old
            .strip_suffix(b"\n")
            .unwrap_or(old)
            .split(|&b| b == b':')
            .next()
            != Some(name)
        {
            new.extend_from_slice(old);
        }
    }
    if !done {
        if new.last().is_some_and(|&b| b != b'\n') {
            new.push(b'\n');
        }
        new.extend_from_slice(line.as_bytes());
        new.push(b'\n');
    }
    *text = new;
}

/// Puts `user` into the fourth field of the line of `group`, unless it is there.
fn join(text: &mut Vec<u8>, group: &str, user: &str) {
    let Some(line) = find(text, group.as_bytes()) else {
        return;
    };
    let mut fields: Vec<&[u8]> = line.split(|&b| b == b':').collect();
    fields.resize(fields.len().max(4), b"");
    if fields[3]
        .split(|&b| b == b',')
        .any(|m| m == user.as_bytes())
    {
        return;
    }
    let members = match fields[3] {
        b"" => user.as_bytes().to_vec(),
        members => [members, b",", user.as_bytes()].concat(),
    };
    fields[3] = &members;
    let joined = fields.join(&b':');
    let mut done = false;
    let whole: Vec<&[u8]> = text
        .split(|&b| b == b'\n')
        .map(|l| {
            // Of several lines of a group the first counts.
            if !done && l == line {
                done = true;
                &joined[..]
            } else {
                l
            }
        })
        .collect();
    *text = whole.join(&b'\n');
}

/// The next free range of subordinate numbers.
fn delegate(text: &mut Vec<u8>, name: &str, defaults: &Defaults) {
    if find(text, name.as_bytes()).is_some() {
        return;
    }
    let ends = lines(text).filter_map(|l| {
        let mut fields = l.split(|&b| b == b':').skip(1);
        let mut next = || -> Option<u64> { std::str::from_utf8(fields.next()?).ok()?.parse().ok() };
        let start = next()?;
        start.checked_add(next()?)
    });
    let start = ends.max().unwrap_or(0).max(defaults.sub_min);
    // Numbers of 32 bits, the last of which is nobody's.
    let end = start.saturating_add(defaults.sub_count);
    if end < u32::MAX.into() {
        append(text, &format!("{name}:{start}:{}", defaults.sub_count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn user(name: &str, uid: Option<u32>, groups: &[&str]) -> User {
        User {
            name: name.into(),
            uid,
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        }
    }

    fn debian() -> Databases {
        Databases {
            passwd: b"root:x:0:0:root:/root:/bin/bash\nwww:x:33:33::/var/www:/bin/false\n".into(),
            group: b"root:x:0:\nsudo:x:27:\nadm:x:4:syslog\n".into(),
            shadow: Some(b"root:*:1:0:99999:7:::\n".into()),
            gshadow: Some(b"root:*::\nsudo:*::\nadm:*::syslog\n".into()),
            subuid: Some(Vec::new()),
            subgid: None,
        }
    }

    fn add(db: &mut Databases, user: &User) -> Result<Account, Refused> {
        db.add(user, &Defaults::read(b""), "/bin/bash", 19_000)
    }

    #[test]
    fn a_user_gets_a_line_in_every_file() {
        let mut db = debian();
        let account = add(&mut db, &user("lisa", None, &["sudo", "adm"])).unwrap();
        assert_eq!(
            (account.uid, account.gid, account.home.as_str()),
            (1000, 1000, "home/lisa")
        );
        let text = |t: &[u8]| String::from_utf8(t.to_vec()).unwrap();
        assert!(text(&db.passwd).ends_with("\nlisa:x:1000:1000::/home/lisa:/bin/bash\n"));
        assert_eq!(
            text(&db.group),
            "root:x:0:\nsudo:x:27:lisa\nadm:x:4:syslog,lisa\nlisa:x:1000:\n"
        );
        assert!(text(&db.shadow.unwrap()).ends_with("\nlisa:*:19000:0:99999:7:::\n"));
        assert_eq!(
            text(&db.gshadow.unwrap()),
            "root:*::\nsudo:*::lisa\nadm:*::syslog,lisa\nlisa:!::\n"
        );
        assert_eq!(text(&db.subuid.unwrap()), "lisa:100000:65536\n");
        assert_eq!(db.subgid, None);
    }

    #[test]
    fn who_is_there_joins_groups_and_keeps_the_rest() {
        let mut db = debian();
        add(&mut db, &user("www", None, &["sudo"])).unwrap();
        assert_eq!(db.passwd, debian().passwd);
        assert_eq!(db.group, b"root:x:0:\nsudo:x:27:www\nadm:x:4:syslog\n");
        let once = db.clone();
        add(&mut db, &user("www", Some(33), &["sudo"])).unwrap();
        assert_eq!(db, once);
        assert_eq!(
            add(&mut db, &user("www", Some(34), &[])),
            Err(Refused::Other(33))
        );
        assert_eq!(
            add(&mut db, &user("x", Some(33), &[])),
            Err(Refused::Taken(33, "www".into()))
        );
        assert_eq!(
            add(&mut db, &user("x", None, &["wheel"])),
            Err(Refused::Group("wheel".into()))
        );
        assert_eq!(db, once);
    }

    #[test]
    fn a_new_user_inherits_nothing_of_one_who_is_gone() {
        let mut db = debian();
        db.passwd.extend_from_slice(b"+::::::\n");
        db.shadow = Some(b"lisa:$y$old:1::::::\nroot:*:1:0:99999:7:::\n".into());
        add(&mut db, &user("lisa", None, &[])).unwrap();
        assert!(
            db.passwd
                .ends_with(b"\nlisa:x:1000:1000::/home/lisa:/bin/bash\n+::::::\n")
        );
        assert_eq!(
            db.shadow.as_deref(),
            Some(&b"root:*:1:0:99999:7:::\nlisa:*:19000:0:99999:7:::\n"[..])
        );
        let before = db.clone();
        assert_eq!(
            add(&mut db, &user("sudo", None, &[])),
            Err(Refused::OwnGroup)
        );
        assert_eq!(db, before);
    }

    #[test]
    fn login_defs_says_which_numbers_and_which_mode() {
        let defaults =
            Defaults::read(b"# UID_MIN 5\nUID_MIN\t\t 500\nUID_MAX 501\nHOME_MODE 0750\n");
        assert_eq!(
            (defaults.uid_min, defaults.uid_max, defaults.home_mode),
            (500, 501, 0o750)
        );
        let mut db = debian();
        for name in ["a", "b"] {
            db.add(&user(name, None, &[]), &defaults, "/bin/sh", 1)
                .unwrap();
        }
        let full = db.add(&user("c", None, &[]), &defaults, "/bin/sh", 1);
        assert_eq!(full, Err(Refused::Full(500, 501)));
    }

    proptest! {
        /// Whatever the files hold, lines keep their place and their bytes, but for members of a group; a
        /// second time changes nothing; numbers are unique.
        #[test]
        fn lines_keep_their_place(
            passwd in "([a-c]{1,2}:x:[0-9]{1,4}:[0-9]{1,2}::/h:/s\n|#?\n|[:+x\u{e9}]{0,4}\n){0,6}[a-z]{0,3}",
            group in "([a-d]{1,2}:x:[0-9]{1,4}:[a-c,]{0,3}\n|[:+]{0,2}\n){0,6}",
            name in "[a-e]{1,2}",
            joins in proptest::collection::vec("[a-d]", 0..3),
            uid in proptest::option::of(0_u32..2000),
        ) {
            let joins: Vec<&str> = joins.iter().map(String::as_str).collect();
            let wanted = user(&name, uid, &joins);
            let before = Databases {
                passwd: passwd.into_bytes(),
                group: group.into_bytes(),
                shadow: Some(Vec::new()),
                gshadow: None,
                subuid: Some(b"x:100000:65536\n".into()),
                subgid: Some(Vec::new()),
            };
            let mut db = before.clone();
            let Ok(account) = add(&mut db, &wanted) else {
                prop_assert_eq!(before, db);
                return Ok(());
            };
            prop_assert_eq!(db.account(&name), Some(account));
            let is_new = |text: &[u8], l: &[u8]| {
                find(text, name.as_bytes()).is_none() && l.split(|&b| b == b':').next() == Some(name.as_bytes())
            };
            let kept = |old: &[u8], new: &[u8]| -> Vec<Vec<u8>> {
                lines(new).filter(|l| !is_new(old, l)).map(<[u8]>::to_vec).collect()
            };
            let old: Vec<_> = lines(&before.passwd).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(kept(&before.passwd, &db.passwd), old);
            let old: Vec<_> = lines(&before.group).collect();
            for (old, new) in old.iter().zip(kept(&before.group, &db.group)) {
                let is_joined = joins.iter().any(|j| old.split(|&b| b == b':').next() == Some(j.as_bytes()));
                prop_assert!(*old == new || (is_joined && new.starts_with(old.split_last().map_or(&[], |s| s.1))));
            }
            let once = db.clone();
            add(&mut db, &wanted).unwrap();
            prop_assert_eq!(once, db);
        }
    }
}
