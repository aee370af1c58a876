//! SPDX 2.3 as JSON (spdx.github.io/spdx-spec/v2.3, clauses 6, 7 and 11).

use super::time::rfc3339;
use super::{HOME, Sbom, TOOL, VERSION};
use crate::packages::Package;
use serde_json::{Value, json};
use uuid::Uuid;

/// "No claim is made": clause 7.15.
const NO_ASSERTION: &str = "NOASSERTION";

pub(super) fn document(sbom: &Sbom<'_>, uuid: Uuid) -> Value {
    let os = &sbom.inventory.os;
    let root = "SPDXRef-OperatingSystem";
    let mut packages = vec![json!({
        "SPDXID": root,
        "name": sbom.system(),
        "versionInfo": os.version_id.as_deref().unwrap_or_default(),
        "description": os.pretty_name.as_deref().unwrap_or_default(),
        "primaryPackagePurpose": "OPERATING-SYSTEM",
        "downloadLocation": NO_ASSERTION,
        "filesAnalyzed": false,
        "licenseConcluded": NO_ASSERTION,
        "licenseDeclared": NO_ASSERTION,
        "copyrightText": NO_ASSERTION,
    })];
    let mut relations = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", root)];
    for (nr, package) in sbom.inventory.packages.iter().enumerate() {
        // Numbers: identifiers know neither `+` nor `_`, and two architectures may have one name.
        let id = format!("SPDXRef-Package-{}", nr + 1);
        relations.push(relation(root, "CONTAINS", &id));
        packages.push(describe(sbom, package, &id));
    }
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("{}-packages", sbom.system()),
        "documentNamespace": format!("{HOME}/spdx/{uuid}"),
        "creationInfo": {
            "created": rfc3339(sbom.time),
            "creators": [format!("Tool: {TOOL}-{VERSION}")],
        },
        "packages": packages,
        "relationships": relations,
    })
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({
        "spdxElementId": from,
        "relationshipType": kind,
        "relatedSpdxElement": to,
    })
}

fn describe(sbom: &Sbom<'_>, package: &Package, id: &str) -> Value {
    let mut value = json!({
        "SPDXID": id,
        "name": package.name,
        "versionInfo": package.version,
        "downloadLocation": NO_ASSERTION,
        "filesAnalyzed": false,
        "licenseConcluded": NO_ASSERTION,
        // The words of a database are no SPDX expression: they go to the comment.
        "licenseDeclared": NO_ASSERTION,
        "copyrightText": NO_ASSERTION,
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": package.purl(&sbom.inventory.os),
        }],
    });
    let mut add = |key: &str, text: Option<String>| {
        if let Some(text) = text {
            value[key] = text.into();
        }
    };
    add("homepage", package.homepage.clone().filter(|h| is_uri(h)));
    add("supplier", package.maintainer.as_deref().map(supplier));
    add("licenseComments", package.licence.clone());
    let source = package
        .source
        .as_ref()
        .map(|(name, version)| match version {
            Some(version) => format!("built from {name} {version}"),
            None => format!("built from {name}"),
        });
    add("sourceInfo", source);
    value
}

/// `Organization: NAME (address)`: clause 7.5. Lists and teams look after packages as often as people do.
fn supplier(maintainer: &str) -> String {
    let (name, address) = match maintainer.split_once('<') {
        Some((name, rest)) => (name.trim(), rest.trim_end().strip_suffix('>')),
        None => (maintainer.trim(), None),
    };
    let name = name.trim_matches('"');
    let plain = |t: &&str| !t.is_empty() && !t.contains(['(', ')', '<', '>']);
    match (Some(name).filter(plain), address.filter(plain)) {
        (Some(name), Some(address)) => format!("Organization: {name} ({address})"),
        (Some(name), None) => format!("Organization: {name}"),
        _ => NO_ASSERTION.into(),
    }
}

/// Whether it is one that a validator of URIs takes.
pub(super) fn is_uri(text: &str) -> bool {
    let web = text
        .strip_prefix("https://")
        .or(text.strip_prefix("http://"));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#@!$&'()*+,;=%".contains(&b);
    web.is_some_and(|rest| rest.len() > 2 && rest.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suppliers_have_a_name_and_an_address_or_nothing() {
        for (maintainer, text) in [
            ("A Team <a@x.invalid>", "Organization: A Team (a@x.invalid)"),
            ("\"B, C\" <b@x.invalid>", "Organization: B, C (b@x.invalid)"),
            ("Nobody", "Organization: Nobody"),
            ("D (E) <d@x.invalid>", NO_ASSERTION),
            ("<d@x.invalid>", NO_ASSERTION),
            ("", NO_ASSERTION),
        ] {
            assert_eq!(supplier(maintainer), text, "{maintainer}");
        }
    }

    #[test]
    fn home_pages_are_uris_or_left_out() {
        assert!(is_uri("https://www.gnu.org/software/bash/"));
        assert!(!is_uri("www.x.invalid"));
        assert!(!is_uri("https://x.invalid/a b"));
        assert!(!is_uri("https://"));
    }
}
