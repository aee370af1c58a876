//! Findings as SARIF 2.1.0 (OASIS), which code scanning of GitHub and others reads.

use diskwright::inspect::lint::{CATALOGUE, Finding, Rule, Severity};
use serde_json::{Value, json};

/// The log of one run.
pub(super) fn log(image: &str, findings: &[Finding]) -> Value {
    let results: Vec<Value> = findings.iter().map(|f| result(image, f)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": env!("CARGO_PKG_NAME"),
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": CATALOGUE.iter().map(rule).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "help": {"text": rule.mend},
        "defaultConfiguration": {"level": level(rule.severity)},
    })
}

fn result(image: &str, finding: &Finding) -> Value {
    let index = CATALOGUE.iter().position(|r| r.id == finding.rule);
    json!({
        "ruleId": finding.rule,
        "ruleIndex": index,
        "kind": if finding.judged { "fail" } else { "open" },
        "level": if finding.judged { level(finding.severity) } else { "none" },
        "message": {"text": format!("{}: {}", finding.place, finding.message)},
        "locations": [{
            "physicalLocation": {"artifactLocation": {"uri": uri(image)}},
            "logicalLocations": [{"fullyQualifiedName": finding.place}],
        }],
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// A path as a reference of RFC 3986.
fn uri(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
