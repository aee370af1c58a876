//! Parameters of Systems Manager.

use super::ebs::error;
use super::http::{Request, Response};
use super::state::State;
use serde_json::{Value, json};

pub fn operation(target: &str) -> &'static str {
    match target {
        "AmazonSSM.GetParameter" => "GetParameter",
        "AmazonSSM.PutParameter" => "PutParameter",
        "AmazonSSM.DeleteParameter" => "DeleteParameter",
        _ => "?",
    }
}

pub fn answer(operation: &str, request: &Request, state: &mut State) -> Response {
    let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
    let key = (request.region().to_owned(), text("Name"));
    let answer = match (operation, state.parameters.get(&key)) {
        ("PutParameter", Some(_)) if asked["Overwrite"] != true => {
            return error(400, "ParameterAlreadyExists", "it is there");
        }
        ("PutParameter", _) => {
            let known = state
                .amis()
                .iter()
                .any(|a| a.id == text("Value") && a.region == key.0);
            if text("DataType") != "aws:ec2:image" || text("Type") != "String" || !known {
                return error(400, "ValidationException", "no AMI");
            }
            state.parameters.insert(key, text("Value"));
            json!({ "Version": 1 })
        }
        (_, None) => return error(400, "ParameterNotFound", ""),
        ("DeleteParameter", _) => {
            state.parameters.remove(&key);
            json!({})
        }
        (_, Some(value)) => json!({ "Parameter": { "Name": key.1, "Value": value } }),
    };
    Response::json(200, &answer)
}
