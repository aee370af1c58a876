//! What was asked for, key by key: flags, the spec file's keys and defaults come to one list.

use clap::{ArgAction, ArgMatches, Command};
use serde_json::{Map, Value};

/// Flags that say where things go or what is told, and shape no byte of an image.
const NOT_OF_THE_IMAGE: [&str; 15] = [
    "bmap",
    "builder-id",
    "force",
    "help",
    "json",
    "manifest",
    "map-file",
    "output",
    "provenance",
    "quiet",
    "sbom",
    "sha256",
    "spec",
    "sync",
    "version",
];

/// The keys that shape an image, as a spec file takes them, by name.
pub(super) fn of(verb: &Command, matches: &ArgMatches) -> Value {
    let mut keys = Map::new();
    for arg in verb.get_arguments() {
        let Some(name) = arg
            .get_long()
            .filter(|name| !NOT_OF_THE_IMAGE.contains(name))
        else {
            continue;
        };
        let Ok(Some(values)) = matches.try_get_raw(arg.get_id().as_str()) else {
            continue;
        };
        let mut values: Vec<Value> = values.map(|v| v.to_string_lossy().into()).collect();
        let value = match arg.get_action() {
            ArgAction::SetTrue => Value::Bool(matches.get_flag(arg.get_id().as_str())),
            ArgAction::Append => Value::Array(values),
            _ => values.pop().unwrap_or_default(),
        };
        keys.insert(name.into(), value);
    }
    Value::Object(keys)
}
