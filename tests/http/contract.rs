//! The description of the API, against what is answered.

use serde_json::Value;
use zonewatch::output::http::OPENAPI;

use super::schema::check;
use super::{Running, guarded};

#[test]
fn every_path_answers_as_described() {
    let running = Running::start(&guarded());
    let client = running.client().with("Bearer secret");
    let description: Value = serde_json::from_str(OPENAPI).unwrap();
    assert_eq!(client.get("/api/v1/openapi.json").json(), description);
    let first = |list: &str| {
        let page = client.get(&format!("/api/v1/{list}?limit=1")).json();
        page[list][0]["id"].as_str().unwrap().to_owned()
    };
    let mut checked = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if path == "/api/v1/events" {
                continue; // It does not end; it has a test of its own.
            }
            let list = path.split('/').nth(3).unwrap_or_default();
            let concrete = if path.contains("{id}") { path.replace("{id}", &first(list)) } else { path.clone() };
            let answer = client.ask(&method.to_uppercase(), &concrete, "");
            let described = &operation["responses"][answer.status.to_string()];
            assert!(described.is_object(), "{method} {path}: {} is not described\n{}", answer.status, answer.body);
            assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.body);
            let kind = answer.header("content-type").unwrap().split(';').next().unwrap();
            let schema = &described["content"][kind]["schema"];
            assert!(schema.is_object(), "{method} {path}: {kind} is not described");
            if kind == "application/json" {
                let wrong = check(&description, schema, &answer.json(), path);
                assert!(wrong.is_empty(), "{:#?}", &wrong[..wrong.len().min(20)]);
                checked += 1;
            }
            // The same without a token, and with another method.
            if operation.get("security").is_none() {
                let refused = running.client().ask(&method.to_uppercase(), &concrete, "");
                assert_eq!(refused.status, 401, "{method} {path}");
                assert!(operation["responses"]["401"].is_object(), "{method} {path}");
            }
            assert_eq!(client.ask("PATCH", &concrete, "").status, 405, "{path}");
        }
    }
    assert!(checked >= 14, "{checked}");
}

#[test]
fn filters_are_described() {
    let running = Running::start(&super::loopback());
    let description: Value = serde_json::from_str(OPENAPI).unwrap();
    for list in ["assets", "flows", "findings", "zones", "conduits"] {
        let path = format!("/api/v1/{list}");
        let parameters = description["paths"][&path]["get"]["parameters"].as_array().unwrap();
        let described: Vec<&str> = parameters.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
        let told = running.get(&format!("{path}?bogus=1")).json();
        let known = told["detail"].as_str().unwrap().split("known are ").nth(1).unwrap().to_owned();
        assert_eq!(described.join(", "), known, "{list}");
    }
}
