//! Words of a kernel command line, of a GRUB script and of a shell: three ways to quote.

use super::GrubError;

/// Refuses a text with a character for which `bad` is true, and control characters in any case.
pub(crate) fn forbid(
    what: &'static str,
    value: &str,
    bad: impl Fn(char) -> bool,
    why: &'static str,
) -> Result<(), GrubError> {
    let error = |why| {
        Err(GrubError::Text {
            what,
            value: value.to_owned(),
            why,
        })
    };
    if value.contains(char::is_control) {
        return error("has a control character");
    }
    if value.contains(bad) {
        error(why)
    } else {
        Ok(())
    }
}

/// `text` in single quotes, as GRUB's script language and POSIX shells both read it.
pub(crate) fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// `word` as one word of a GRUB script: bare where no character of it means anything there.
pub(crate) fn script_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:=,+-@%^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        single_quoted(word)
    }
}

/// The parameters of a kernel command line, split as the kernel splits them (`lib/cmdline.c`
/// `next_arg`): at blanks that no `"` encloses, quotes dropped.
///
/// GRUB puts quotes around an argument with a blank by itself, and escapes `\`, `'` and `"` with a
/// backslash, which the kernel would not undo: these are refused.
pub(crate) fn kernel_parameters(cmdline: &str) -> Result<Vec<String>, GrubError> {
    let what = "kernel command line";
    forbid(
        what,
        cmdline,
        |c| c == '\\' || c == '\'',
        r"has a `\` or `'`, which GRUB cannot pass on",
    )?;
    let mut parameters = Vec::new();
    let (mut word, mut quoted) = (String::new(), false);
    for c in cmdline.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => {
                if !word.is_empty() {
                    parameters.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if quoted {
        let value = cmdline.to_owned();
        return Err(GrubError::Text {
            what,
            value,
            why: "has an unbalanced `\"`",
        });
    }
    if !word.is_empty() {
        parameters.push(word);
    }
    Ok(parameters)
}

/// A kernel command line as the arguments of GRUB's `linux` command.
pub(crate) fn script_arguments(cmdline: &str) -> Result<String, GrubError> {
    let parameters = kernel_parameters(cmdline)?;
    Ok(parameters
        .iter()
        .map(|p| script_word(p))
        .collect::<Vec<_>>()
        .join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_only_where_they_must_be() {
        assert_eq!(
            script_word("console=ttyS0,115200n8"),
            "console=ttyS0,115200n8"
        );
        assert_eq!(script_word("a;b"), "'a;b'");
        assert_eq!(script_word("$x"), "'$x'");
        assert_eq!(script_word(""), "''");
        assert_eq!(single_quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn parameters_are_split_as_the_kernel_does() {
        assert_eq!(
            kernel_parameters("  quiet dyndbg=\"file a.c +p\"  ro ").unwrap(),
            ["quiet", "dyndbg=file a.c +p", "ro"]
        );
        assert_eq!(
            script_arguments("a dyndbg=\"b c\"").unwrap(),
            "a 'dyndbg=b c'"
        );
        for bad in ["a\nb", "a\\b", "it's", "x=\"y"] {
            assert!(kernel_parameters(bad).is_err(), "{bad}");
        }
    }
}
