//! The verdict of a boot as JUnit XML, which CI systems show: a test case for each `--expect`.

use diskwright::boot::{Outcome, PlainText, Verdict};
use std::cmp::Ordering;
use std::fmt::Write;
use std::path::Path;

/// Most bytes of the console that go into the report: its end, which tells what went wrong.
const CONSOLE: usize = 64 << 10;

/// The report of one run; `told` is what the command line says about it.
pub(super) fn xml(image: &Path, expected: &[String], outcome: &Outcome, told: &str) -> String {
    let good = matches!(
        outcome.verdict,
        Verdict::Matched | Verdict::Exited { waiting_for: None }
    );
    let names = match expected {
        [] => vec!["boot".to_owned()],
        all => all.iter().map(|e| format!("expect {e}")).collect(),
    };
    let failed = match good {
        true => names.len(),
        false => outcome.matched.min(names.len() - 1),
    };
    let counts = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{:.3}\"",
        names.len(),
        u8::from(!good),
        (names.len() - failed).saturating_sub(1),
        outcome.elapsed.as_secs_f64(),
    );
    let mut out = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n");
    let mut line = |text: String| writeln!(out, "{text}").expect("a String takes any text");
    let suite = escaped(&format!("diskwright boot {}", image.display()));
    line(format!("  <testsuite name=\"{suite}\" {counts}>"));
    let class = format!("{}.{}", outcome.arch.word(), outcome.firmware.word());
    for (nr, name) in names.iter().enumerate() {
        let name = escaped(name);
        let case = format!("    <testcase classname=\"{class}\" name=\"{name}\"");
        let told = escaped(told);
        line(match nr.cmp(&failed) {
            Ordering::Less => format!("{case}/>"),
            Ordering::Equal => format!("{case}><failure message=\"{told}\"/></testcase>"),
            Ordering::Greater => format!("{case}><skipped/></testcase>"),
        });
    }
    let console = escaped(&console(&outcome.log));
    line(format!("    <system-out>{console}</system-out>"));
    line("  </testsuite>\n</testsuites>".to_owned());
    out
}

/// The console's last text, without what only a terminal understands.
fn console(log: &[u8]) -> String {
    let mut plain = Vec::new();
    PlainText::new().decode(log, &mut plain);
    let start = plain.len().saturating_sub(CONSOLE);
    String::from_utf8_lossy(&plain[start..]).into_owned()
}

/// Text that stands in an element or attribute; what XML 1.0 §2.2 does not allow is replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use diskwright::boot::{Arch, Firmware};
    use std::time::Duration;

    #[test]
    fn the_first_pattern_that_did_not_come_fails_and_the_rest_is_skipped() {
        let outcome = Outcome {
            verdict: Verdict::TimedOut {
                waiting_for: Some("b<".into()),
            },
            matched: 1,
            arch: Arch::X86_64,
            firmware: Firmware::Uefi,
            screen: None,
            log: b"a\x1b[1m &\n".to_vec(),
            elapsed: Duration::from_millis(1500),
        };
        let expected = ["a", "b<", "c"].map(str::to_owned);
        let text = xml(Path::new("disk.img"), &expected, &outcome, "boot: stopped");
        expect_test::expect![[r#"
            <?xml version="1.0" encoding="UTF-8"?>
            <testsuites tests="3" failures="1" errors="0" skipped="1" time="1.500">
              <testsuite name="diskwright boot disk.img" tests="3" failures="1" errors="0" skipped="1" time="1.500">
                <testcase classname="x86_64.uefi" name="expect a"/>
                <testcase classname="x86_64.uefi" name="expect b&lt;"><failure message="boot: stopped"/></testcase>
                <testcase classname="x86_64.uefi" name="expect c"><skipped/></testcase>
                <system-out>a &amp;
            </system-out>
              </testsuite>
            </testsuites>
        "#]]
        .assert_eq(&text);
    }
}
