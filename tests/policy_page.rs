//! docs/policy.md says what is so: its blocks load, its commands run, and what it says of the traffic is what the binary
//! says.

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{root, run_in};

/// The fenced blocks of the page: language and text, in order.
fn blocks() -> Vec<(String, String)> {
    let page = fs::read_to_string(root().join("docs/policy.md")).unwrap();
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text))) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    blocks
}

#[test]
fn the_page_is_true() {
    let folder = tempfile::tempdir().unwrap();
    let mut policy = String::new();
    let (mut loaded, mut claims) = (0, 0);
    for (language, text) in blocks() {
        match language.as_str() {
            "toml" => {
                policy += &format!("{text}\n");
                fs::write(folder.path().join("mine.toml"), &policy).unwrap();
                let check = run_in(folder.path(), ["policy", "check", "mine.toml"]);
                assert_eq!(check.code, Some(0), "{}\n{text}", check.stderr);
                loaded += 1;
            }
            "sh" => {
                for line in text.lines() {
                    let words: Vec<&str> = line.split_whitespace().collect();
                    let ["zonewatch", args @ ..] = words.as_slice() else { panic!("{line}") };
                    let run = run_in(folder.path(), args);
                    assert_eq!(run.code, Some(0), "{line}: {}", run.stderr);
                }
            }
            "verdicts" => {
                let args = ["analyze", "--quiet", "--policy", "mine.toml", "--format", "json", "plant.pcap"];
                let analysis = run_in(folder.path(), args).json();
                text.lines().for_each(|claim| holds(&analysis, claim));
                claims += text.lines().count();
            }
            other => panic!("a block of {other}"),
        }
    }
    assert!(loaded > 5 && claims > 10, "{loaded} blocks, {claims} claims");
    again(folder.path());
}

/// `client -> server service: verdict, class reason`.
fn holds(analysis: &Value, claim: &str) {
    let (ends, said) = claim.split_once(": ").unwrap();
    let words: Vec<&str> = ends.split_whitespace().collect();
    let [client, "->", server, service] = words[..] else { panic!("{claim}") };
    let (verdict, finding) = said.split_once(", ").unwrap_or((said, ""));
    let list = |key: &str| analysis[key].as_array().unwrap();
    let flow = list("flows")
        .iter()
        .find(|flow| {
            flow["client"]["ip"] == client
                && flow["server"]["ip"] == server
                && (flow["protocol"] == service || flow["service"] == service)
        })
        .unwrap_or_else(|| panic!("{claim}: there is no such flow"));
    let findings: Vec<String> = list("findings")
        .iter()
        .filter(|finding| flow["findings"].as_array().unwrap().contains(&finding["id"]))
        .map(|finding| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            format!("{} {}", text(&finding["operation"]["class"]), text(&finding["reason"]["code"]))
        })
        .collect();
    assert_eq!(flow["verdict"], verdict, "{claim}: {findings:?}");
    assert!(
        finding.is_empty() && findings.is_empty() || findings.iter().any(|f| f == finding),
        "{claim}: {findings:?}"
    );
}

/// What came back from the spreadsheet judges as what went there.
fn again(folder: &Path) {
    let judged = |policy: &str| {
        let analysis =
            run_in(folder, ["analyze", "--quiet", "--policy", policy, "--format", "json", "plant.pcap"]).json();
        let flows = analysis["flows"].as_array().unwrap().clone();
        flows
            .into_iter()
            .map(|flow| (flow["id"].clone(), flow["verdict"].clone(), flow["rule"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(judged("mine.toml"), judged("again.toml"));
    // A draft allows nothing, and objects to nothing that it was made from but what it left out.
    let draft = judged("draft.toml");
    assert!(draft.iter().all(|(_, verdict, _)| verdict != "allow" && verdict != "exception"), "{draft:?}");
    assert!(draft.iter().any(|(_, verdict, _)| verdict == "review"));
}
