//! Parameters of Systems Manager.

use super::ebs::error;
use super::http::{Request, Response};
use super::state::State;
use serde_json::{Value, json};

pub fn operation(target: &str) -> &'static str {
    match target {
        "AmazonSSM.GetParameter" => "GetParameter",
        "AmazonSSM.GetParameters" => "GetParameters",
        "AmazonSSM.DescribeParameters" => "DescribeParameters",
        "AmazonSSM.PutParameter" => "PutParameter",
        "AmazonSSM.DeleteParameter" => "DeleteParameter",
        _ => "?",
    }
}

pub fn answer(operation: &str, request: &Request, state: &mut State) -> Response {
    let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
    let key = (request.region().to_owned(), text("Name"));
    let here = |(of, _): &(&(String, String), &String)| of.0 == request.region();
    match operation {
        "DescribeParameters" => {
            let filter = &asked["ParameterFilters"][0];
            assert_eq!(filter["Key"], "Type");
            assert_eq!(filter["Values"], json!(["String", "StringList"]));
            // One to a page.
            let at: usize = text("NextToken").parse().unwrap_or(0);
            let all: Vec<_> = state.parameters.iter().filter(here).collect();
            let page = all
                .get(at)
                .map(|(of, _)| json!({ "Name": of.1, "DataType": "text" }));
            let page: Vec<_> = page.into_iter().collect();
            let more = (at + 1 < all.len()).then(|| (at + 1).to_string());
            return Response::json(200, &json!({ "Parameters": page, "NextToken": more }));
        }
        "GetParameters" => {
            let names = asked["Names"].as_array().unwrap();
            if names.len() > 10 {
                return error(400, "ValidationException", "more than 10 names");
            }
            let some = state.parameters.iter().filter(here);
            let some = some.filter(|(of, _)| names.iter().any(|n| *n == of.1));
            let some = some.map(|(of, value)| json!({ "Name": of.1, "Value": value }));
            let some: Vec<_> = some.collect();
            return Response::json(200, &json!({ "Parameters": some }));
        }
        _ => {}
    }
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
