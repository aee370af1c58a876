//! What a unit file says about being enabled: systemd.unit(5), "[INSTALL] SECTION OPTIONS".

/// The section `[Install]`, specifiers not resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Install {
    pub(super) wanted_by: Vec<String>,
    pub(super) required_by: Vec<String>,
    pub(super) upheld_by: Vec<String>,
    pub(super) alias: Vec<String>,
    pub(super) also: Vec<String>,
    pub(super) default_instance: Option<String>,
}

impl Install {
    /// Adds what a unit file, or a drop-in of it, says.
    pub(super) fn read(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        let mut inside = false;
        let mut whole = String::new();
        for line in text.lines() {
            // A comment may stand between the parts of a line.
            let comment = line.trim_start().starts_with(['#', ';']);
            if comment {
                continue;
            }
            if let Some(part) = line.strip_suffix('\\') {
                whole.push_str(part);
                whole.push(' ');
                continue;
            }
            whole.push_str(line);
            let line = std::mem::take(&mut whole);
            let line = line.trim();
            if line.starts_with('[') {
                inside = line == "[Install]";
            } else if let Some((key, value)) = line.split_once('=').filter(|_| inside) {
                self.set(key.trim(), value.trim());
            }
        }
    }

    fn set(&mut self, key: &str, value: &str) {
        let list = match key {
            "WantedBy" => &mut self.wanted_by,
            "RequiredBy" => &mut self.required_by,
            "UpheldBy" => &mut self.upheld_by,
            "Alias" => &mut self.alias,
            "Also" => &mut self.also,
            "DefaultInstance" => {
                self.default_instance = Some(value.to_owned()).filter(|v| !v.is_empty());
                return;
            }
            _ => return,
        };
        if value.is_empty() {
            list.clear();
        }
        list.extend(value.split_ascii_whitespace().map(str::to_owned));
    }

    /// Whether there is nothing to enable.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The name of a unit: `prefix[@[instance]].suffix`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name<'a> {
    pub(super) prefix: &'a str,
    /// `None` without an `@`, empty for a template.
    pub(super) instance: Option<&'a str>,
    pub(super) suffix: &'a str,
}

/// Kinds of units that can be enabled.
const SUFFIXES: [&str; 9] = [
    "service",
    "socket",
    "target",
    "timer",
    "path",
    "mount",
    "automount",
    "swap",
    "slice",
];

impl<'a> Name<'a> {
    /// Splits a whole name.
    pub(super) fn parse(name: &'a str) -> Option<Self> {
        let legal = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        let (stem, suffix) = name.rsplit_once('.')?;
        let (prefix, instance) = match stem.split_once('@') {
            Some((prefix, instance)) => (prefix, Some(instance)),
            None => (stem, None),
        };
        let known = SUFFIXES.contains(&suffix) && name.len() < 256;
        (known && !prefix.is_empty() && name.chars().all(legal)).then_some(Self {
            prefix,
            instance,
            suffix,
        })
    }

    /// The name of the template that it is an instance of, or that it is.
    pub(super) fn template(self) -> Option<String> {
        self.instance?;
        Some(format!("{}@.{}", self.prefix, self.suffix))
    }

    /// Resolves the specifiers that systemd knows in this section; `None` for one that depends on the host.
    pub(super) fn resolve(self, whole: &str, text: &str) -> Option<String> {
        let mut out = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match chars.next()? {
                '%' => out.push('%'),
                'n' => out.push_str(whole),
                'N' => out.push_str(whole.strip_suffix(self.suffix)?.strip_suffix('.')?),
                'p' => out.push_str(self.prefix),
                'i' => out.push_str(self.instance.unwrap_or_default()),
                'j' => out.push_str(self.prefix.rsplit('-').next()?),
                _ => return None,
            }
        }
        Some(out)
    }
}

/// With `.service` where no kind is named, as systemctl has it.
pub(super) fn with_suffix(name: &str) -> String {
    match Name::parse(name) {
        Some(_) => name.to_owned(),
        None => format!("{name}.service"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_read_as_systemd_reads_it() {
        let text = b"[Unit]\nAlias=no.service\n[Install]\n# WantedBy=x.target\nWantedBy = a.target b.target\n\
            WantedBy=c.target\\\n  ; in between\n d.target\nRequiredBy=gone.target\nRequiredBy=\nAlias=z.service\n\
            DefaultInstance=tty1\n[X-Other]\nAlso=no.socket\n";
        let mut install = Install::default();
        install.read(text);
        assert_eq!(
            install.wanted_by,
            ["a.target", "b.target", "c.target", "d.target"]
        );
        assert_eq!(install.required_by, Vec::<String>::new());
        assert_eq!(
            (install.alias, install.also),
            (vec!["z.service".to_owned()], vec![])
        );
        assert_eq!(install.default_instance.as_deref(), Some("tty1"));
    }

    #[test]
    fn names_have_a_prefix_an_instance_and_a_kind() {
        let name = |text| Name::parse(text).unwrap();
        assert_eq!(name("a.service").template(), None);
        assert_eq!(
            name("a-b@x.y.timer").template().as_deref(),
            Some("a-b@.timer")
        );
        let unit = "a-b@x.service";
        for (text, value) in [
            ("%p-%i.target", Some("a-b-x.target")),
            ("%n %N %j %%", Some("a-b@x.service a-b@x b %")),
            ("%H", None),
            ("%", None),
        ] {
            assert_eq!(name(unit).resolve(unit, text).as_deref(), value, "{text}");
        }
        for bad in [
            "a",
            "a.unknown",
            ".service",
            "@x.service",
            "a/b.service",
            "a b.service",
        ] {
            assert_eq!(Name::parse(bad), None, "{bad}");
        }
        assert_eq!(with_suffix("ssh"), "ssh.service");
        assert_eq!(with_suffix("fstrim.timer"), "fstrim.timer");
    }
}
