//! Test cases of a policy: flows with the verdict that its author expects, as a JSON list.
//!
//! ```json
//! [ { "id": "T01", "title": "SCADA reads the boiler",
//!     "flow": { "time": "2026-11-16T10:15:00+01:00", "src": "10.60.0.10", "dst": "10.20.2.10",
//!               "proto": "modbus", "dport": 502,
//!               "op": { "class": "read", "function": 3, "unit": 1, "table": "holding", "from": 0, "to": 9 } },
//!     "expect": { "verdict": "allow", "ref": "C-031" } } ]
//! ```
//!
//! Of `expect`, only what is written is compared: `verdict`, `reason`, `ref`, `severity`, `score`. Beside it, the
//! `qualifiers` and the `terms` of the score, where those that only lift it to a floor may be left out.

use serde_json::{Value as Json, json};

use super::model::Policy;
use super::question::Question;

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its id.
    pub id: String,
    /// What it is about.
    pub title: String,
    flow: Json,
    /// Key, as written, and value, in the order of the file.
    expect: Vec<(String, Json)>,
}

/// Where the policy does not say what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which part of the answer.
    pub what: String,
    /// What was expected.
    pub want: String,
    /// What the policy says.
    pub got: String,
}

/// Keys of `expect`, and those that stand beside it.
const EXPECT: [&str; 5] = ["verdict", "reason", "ref", "severity", "score"];
const BESIDE: [&str; 2] = ["qualifiers", "terms"];

impl Case {
    /// Reads a list of cases.
    ///
    /// # Errors
    /// What is not JSON, or not a case: each has a flow, and expects something.
    pub fn list(text: &str) -> Result<Vec<Self>, String> {
        let list: Vec<Json> = serde_json::from_str(text).map_err(|error| format!("not a list of cases: {error}"))?;
        let case = |(number, json): (usize, Json)| {
            let id = json["id"].as_str().map_or_else(|| format!("case {number}"), str::to_owned);
            Self::read(&id, json).map_err(|why| format!("{id}: {why}"))
        };
        (1..).zip(list).map(case).collect()
    }

    fn read(id: &str, json: Json) -> Result<Self, String> {
        let fields = json.as_object().ok_or("a case is an object")?;
        let mut expect = Vec::new();
        for (key, value) in fields {
            match key.as_str() {
                "id" | "title" | "flow" | "notes" => {}
                "expect" => {
                    for (key, value) in value.as_object().ok_or("expect is an object")? {
                        if !EXPECT.contains(&key.as_str()) {
                            return Err(format!("expect has no key \"{key}\"; it has {}", EXPECT.join(", ")));
                        }
                        expect.push((key.clone(), value.clone()));
                    }
                }
                key if BESIDE.contains(&key) => expect.push((key.to_owned(), value.clone())),
                key => return Err(format!("a case has no key \"{key}\"")),
            }
        }
        if expect.is_empty() {
            return Err("nothing is expected".to_owned());
        }
        let flow = fields.get("flow").cloned().ok_or("there is no flow")?;
        Ok(Self { id: id.to_owned(), title: json["title"].as_str().unwrap_or_default().to_owned(), flow, expect })
    }

    /// Asks the policy, and compares what is expected. Empty: as expected.
    ///
    /// # Errors
    /// What in the flow cannot be asked.
    pub fn differences(&self, policy: &Policy) -> Result<Vec<Difference>, String> {
        let question = Question::read(policy, &self.flow).map_err(|why| format!("{}: {why}", self.id))?;
        let answer = question.answer(policy);
        let (judgement, score) = (&answer.judgement, &answer.score);
        let qualifiers: Vec<&str> = judgement.qualifiers.iter().map(|qualifier| qualifier.text()).collect();
        let terms: Vec<Json> =
            score.iter().flat_map(|score| &score.terms).map(|(text, points)| json!([text, points])).collect();
        let got = |key: &str| match key {
            "verdict" => json!(judgement.verdict.text()),
            "reason" => json!(judgement.reason.map_or("", |reason| reason.code())),
            "ref" => json!(judgement.statement.map(|statement| policy.reference(statement)).unwrap_or_default()),
            "severity" => json!(score.as_ref().map_or("-", |score| score.band.text())),
            "score" => json!(score.as_ref().map_or(0, |score| score.value)),
            "qualifiers" => json!(qualifiers),
            _ => Json::Null,
        };
        // A floor need not be among the terms that are expected: the score tells it.
        let is_expected = |term: &Json, want: &Json| {
            let is_floor = term[0].as_str().is_some_and(|text| text.starts_with("floor "));
            !is_floor || want.as_array().is_some_and(|want| want.contains(term))
        };
        let differs = |(key, want): &(String, Json)| {
            let got = match key.as_str() {
                "terms" => terms.iter().filter(|term| is_expected(term, want)).cloned().collect(),
                key => got(key),
            };
            (got != *want).then(|| Difference { what: key.clone(), want: plain(want), got: plain(&got) })
        };
        Ok(self.expect.iter().filter_map(differs).collect())
    }
}

/// Text without its quotes, anything else as JSON.
fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
