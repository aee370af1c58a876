//! `diskwright schema`: the spec file as a JSON Schema, made of the flags that its keys are.

use super::exit::{self, Code};
use super::{Cli, spec_file};
use clap::{Arg, ArgAction, Command, CommandFactory};
use serde_json::{Map, Value, json};

const EXAMPLES: &str = "\
Examples:
  diskwright schema >image.schema.json
  taplo check --schema file://$PWD/image.schema.json image.toml";

/// Print the JSON Schema of the spec file, for editors and validators
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> anyhow::Result<Code> {
    let command = Cli::command();
    let build = command.get_subcommands().find(|c| c.get_name() == "build");
    exit::print_json(&schema(build.expect("there is a verb build")))?;
    Ok(Code::Done)
}

/// The schema of a spec file of `verb`.
fn schema(verb: &Command) -> Value {
    let mut keys = Map::new();
    for (name, arg) in spec_file::keys(verb) {
        keys.insert(name.into(), key(arg));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": concat!(env!("CARGO_PKG_REPOSITORY"), "/image.schema.json"),
        "title": "Spec file of diskwright",
        "description": "Flags of `diskwright build` as keys; paths are relative to the file",
        "type": "object",
        "properties": keys,
        "additionalProperties": false,
    })
}

fn key(arg: &Arg) -> Value {
    let mut value = one(arg);
    if spec_file::is_list(arg) {
        value = json!({ "anyOf": [value, { "type": "array", "items": value }] });
    }
    if let Some(help) = arg.get_help() {
        value["description"] = help.to_string().replace('\n', " ").into();
    }
    if let [default] = arg.get_default_values()
        && let Some(default) = default.to_str()
        && spec_file::takes_value(arg)
    {
        value["default"] = default.into();
    }
    value
}

/// The values that one flag takes.
fn one(arg: &Arg) -> Value {
    let named = arg.get_possible_values();
    match arg.get_action() {
        ArgAction::SetTrue | ArgAction::SetFalse => json!({ "type": "boolean" }),
        _ if !named.is_empty() => {
            let names: Vec<_> = named.iter().map(|value| value.get_name()).collect();
            json!({ "enum": names })
        }
        _ if spec_file::is_no_number(arg) => json!({ "type": "string" }),
        _ => json!({ "type": ["string", "integer"] }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_types_that_the_spec_file_takes() {
        let command = Cli::command();
        let schema = schema(
            command
                .get_subcommands()
                .find(|c| c.get_name() == "build")
                .unwrap(),
        );
        let keys = &schema["properties"];
        assert_eq!(
            keys["scheme"]["enum"],
            json!(["auto", "mbr", "gpt", "none"])
        );
        // A number is a size, and a label as well; a path is none.
        for text in ["size", "label", "hostname"] {
            assert_eq!(keys[text]["type"], json!(["string", "integer"]), "{text}");
        }
        for path in ["output", "bmap"] {
            assert_eq!(keys[path]["type"], "string", "{path}");
        }
        assert_eq!(
            (&keys["size"]["default"], &keys["force"]["type"]),
            (&json!("fit"), &json!("boolean"))
        );
        assert_eq!(keys["rootfs"]["anyOf"][1]["type"], "array");
        assert_eq!((&keys["spec"], &keys["help"]), (&Value::Null, &Value::Null));
    }
}
