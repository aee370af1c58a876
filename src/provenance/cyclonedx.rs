//! CycloneDX 1.6 as JSON (cyclonedx.org/docs/1.6/json).

use super::spdx::is_uri;
use super::time::rfc3339;
use super::{HOME, Sbom, TOOL, VERSION};
use crate::packages::{Manager, Package};
use serde_json::{Value, json};
use uuid::Uuid;

pub(super) fn document(sbom: &Sbom<'_>, uuid: Uuid) -> Value {
    let os = &sbom.inventory.os;
    let root = "operating-system";
    let mut system = json!({
        "type": "operating-system",
        "bom-ref": root,
        "name": sbom.system(),
    });
    if let Some(version) = &os.version_id {
        system["version"] = version.as_str().into();
    }
    if let Some(name) = &os.pretty_name {
        system["description"] = name.as_str().into();
    }
    let packages = &sbom.inventory.packages;
    // Two packages of one purl differ in what it does not say; references must differ.
    let references: Vec<String> = (1..=packages.len())
        .map(|nr| format!("package-{nr}"))
        .collect();
    let components: Vec<Value> = packages
        .iter()
        .zip(&references)
        .map(|(package, reference)| component(sbom, package, reference))
        .collect();
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{uuid}"),
        "version": 1,
        "metadata": {
            "timestamp": rfc3339(sbom.time),
            "tools": {
                "components": [{
                    "type": "application",
                    "name": TOOL,
                    "version": VERSION,
                    "externalReferences": [{ "type": "website", "url": HOME }],
                }],
            },
            "component": system,
        },
        "components": components,
        "dependencies": [{ "ref": root, "dependsOn": references }],
    })
}

fn component(sbom: &Sbom<'_>, package: &Package, reference: &str) -> Value {
    let mut value = json!({
        "type": "library",
        "bom-ref": reference,
        "name": package.name,
        "version": package.version,
        "purl": package.purl(&sbom.inventory.os),
    });
    let mut properties = Vec::new();
    let manager = match package.manager {
        Manager::Dpkg => "dpkg",
        Manager::Apk => "apk",
    };
    let mut property = |name: &str, text: &str| {
        properties.push(json!({ "name": format!("{TOOL}:{manager}:{name}"), "value": text }));
    };
    property("architecture", &package.arch);
    if let Some((source, version)) = &package.source {
        property("source", source);
        if let Some(version) = version {
            property("source-version", version);
        }
    }
    value["properties"] = properties.into();
    if let Some(maintainer) = &package.maintainer {
        value["supplier"] = json!({ "name": maintainer });
    }
    if let Some(licence) = &package.licence {
        value["licenses"] = json!([{ "license": { "name": licence } }]);
    }
    if let Some(homepage) = package.homepage.as_ref().filter(|h| is_uri(h)) {
        value["externalReferences"] = json!([{ "type": "website", "url": homepage }]);
    }
    value
}
