//! Fields of the partition table and of superblocks that differ.

use crate::inspect::info::Info;
use serde::Serialize;
use serde_json::Value;

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Where it is, as in the JSON of `info`: `partitions[0].filesystem.uuid`.
    pub field: String,
    /// What it is in the first; nothing where the first lacks it.
    pub from: Option<String>,
    /// What it is in the second.
    pub to: Option<String>,
}

/// The fields of two disks that differ.
pub(super) fn compare(a: &Info, b: &Info) -> Vec<Field> {
    let value = |info| serde_json::to_value(info).unwrap_or_default();
    let mut list = Vec::new();
    walk(&value(a), &value(b), "", &mut list);
    list
}

fn walk(a: &Value, b: &Value, at: &str, list: &mut Vec<Field>) {
    const NULL: Value = Value::Null;
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let alone = y.keys().filter(|key| !x.contains_key(*key));
            for key in x.keys().chain(alone) {
                let dot = if at.is_empty() { "" } else { "." };
                let (a, b) = (x.get(key).unwrap_or(&NULL), y.get(key).unwrap_or(&NULL));
                walk(a, b, &format!("{at}{dot}{key}"), list);
            }
        }
        (Value::Array(x), Value::Array(y)) if x.iter().chain(y).any(Value::is_object) => {
            for n in 0..x.len().max(y.len()) {
                let (a, b) = (x.get(n).unwrap_or(&NULL), y.get(n).unwrap_or(&NULL));
                walk(a, b, &format!("{at}[{n}]"), list);
            }
        }
        _ if a != b => list.push(Field {
            field: at.to_owned(),
            from: text(a),
            to: text(b),
        }),
        _ => {}
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(list) => {
            let words: Vec<String> = list.iter().filter_map(text).collect();
            Some(words.join(" "))
        }
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_named_by_where_they_stand() {
        let a = json!({"size": 1, "p": [{"start": 8, "f": ["x"]}], "same": [1, 2]});
        let b =
            json!({"size": 2, "p": [{"start": 8, "f": ["x", "y"]}, {"start": 9}], "same": [1, 2]});
        let mut list = Vec::new();
        walk(&a, &b, "", &mut list);
        let shown: Vec<String> = list
            .iter()
            .map(|f| format!("{} {:?} {:?}", f.field, f.from, f.to))
            .collect();
        let expected = [
            r#"p[0].f Some("x") Some("x y")"#,
            r#"p[1] None Some("{\"start\":9}")"#,
            r#"size Some("1") Some("2")"#,
        ];
        assert_eq!(shown, expected);
    }
}
