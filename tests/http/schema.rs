//! As much of JSON Schema as the description of the API uses.

use serde_json::Value;

/// Complaints about a value that is not as its schema says, each with its place.
pub(crate) fn check(document: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#'));
        return check(document, target.unwrap_or_else(|| panic!("{reference} leads nowhere")), value, place);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let wrong: Vec<_> = choices.iter().map(|choice| check(document, choice, value, place)).collect();
        return if wrong.iter().any(Vec::is_empty) { Vec::new() } else { wrong.concat() };
    }
    let mut wrong = Vec::new();
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let is = |kind: &&str| match *kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    };
    if !types.is_empty() && !types.iter().any(is) {
        wrong.push(format!("{place}: {value} is no {types:?}"));
    }
    if schema["enum"].as_array().is_some_and(|known| !known.contains(value)) {
        wrong.push(format!("{place}: {value} is not listed"));
    }
    if schema["format"] == "date-time" && value.as_str().is_some_and(|text| !text.ends_with('Z')) {
        wrong.push(format!("{place}: {value} is no time"));
    }
    if let (Some(least), Some(number)) = (schema["minimum"].as_f64(), value.as_f64())
        && number < least
    {
        wrong.push(format!("{place}: {number} is too little"));
    }
    if let Some(items) = value.as_array().filter(|_| schema.get("items").is_some()) {
        let items = items.iter().enumerate();
        wrong.extend(items.flat_map(|(at, item)| check(document, &schema["items"], item, &format!("{place}/{at}"))));
    }
    if let Some(fields) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                wrong.push(format!("{place}: there is no {name}"));
            }
        }
        for (name, field) in fields {
            let place = format!("{place}/{name}");
            match (schema["properties"].get(name), &schema["additionalProperties"]) {
                (Some(schema), _) => wrong.extend(check(document, schema, field, &place)),
                (None, Value::Bool(false)) => wrong.push(format!("{place}: nobody knows it")),
                (None, schema @ Value::Object(_)) => wrong.extend(check(document, schema, field, &place)),
                (None, _) => {}
            }
        }
    }
    wrong
}

#[test]
fn the_checker_finds_what_is_wrong() {
    let document: Value = serde_json::json!({ "a": { "type": "object", "required": ["x"], "additionalProperties": false,
        "properties": { "x": { "type": ["integer", "null"], "minimum": 0 }, "y": { "enum": ["p"] } } } });
    let schema = serde_json::json!({ "$ref": "#/a" });
    for (text, want) in [
        (r#"{"x":1}"#, ""),
        (r#"{"x":null,"y":"p"}"#, ""),
        (r#"{}"#, "there is no x"),
        (r#"{"x":-1}"#, "too little"),
        (r#"{"x":"1"}"#, "is no"),
        (r#"{"x":1,"y":"q"}"#, "not listed"),
        (r#"{"x":1,"z":1}"#, "nobody knows it"),
        ("[]", "is no"),
    ] {
        let wrong = check(&document, &schema, &serde_json::from_str(text).unwrap(), "").join("; ");
        assert_eq!(wrong.is_empty(), want.is_empty(), "{text}: {wrong}");
        assert!(wrong.contains(want), "{text}: {wrong}");
    }
}
