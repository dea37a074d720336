//! Why: an asset, an attribute, a flow or a finding, down to capture and frame.
//!
//! Reads the machine-readable analysis, so that a saved one explains itself as well as a fresh one.

use std::fmt::Write as _;

use serde_json::Value;

use super::escape::terminal;

/// What is said of a subject.
///
/// # Errors
/// Nothing of that name is there: a text that says so and what there is instead.
pub fn explain(analysis: &Value, subject: &str) -> Result<String, String> {
    let (head, rest) = subject.split_once('/').map_or((subject, None), |(head, rest)| (head, Some(rest)));
    if let Some(finding) = list(analysis, "findings").find(|f| text(f, "id") == subject) {
        return Ok(finding_text(analysis, finding));
    }
    if let Some(flow) = list(analysis, "flows").find(|f| text(f, "id") == subject) {
        return Ok(flow_text(flow));
    }
    match list(analysis, "assets").find(|asset| is_called(asset, head)) {
        Some(asset) => asset_text(analysis, asset, rest),
        None => Err(not_found(analysis, subject)),
    }
}

fn not_found(analysis: &Value, subject: &str) -> String {
    let near: Vec<_> = list(analysis, "assets")
        .map(|asset| text(asset, "name"))
        .filter(|name| name.to_lowercase().contains(&subject.to_lowercase()))
        .take(3)
        .collect();
    let hint = if near.is_empty() {
        "give an id (A-…, F-…, V-…, K-…), a name, an IP or a MAC address; --format json lists them".to_owned()
    } else {
        format!("did you mean {}?", near.join(", "))
    };
    format!("nothing here is called \"{}\"\n  hint: {hint}", terminal(subject))
}

fn is_called(asset: &Value, name: &str) -> bool {
    let among = |key| strings(asset, key).any(|value| value.eq_ignore_ascii_case(name));
    text(asset, "id") == name || text(asset, "name") == name || among("ips") || among("macs") || among("hostnames")
}

fn asset_text(analysis: &Value, asset: &Value, what: Option<&str>) -> Result<String, String> {
    let facts: Vec<&Value> = list(asset, "facts").filter(|fact| what.is_none_or(|what| is_about(fact, what))).collect();
    let mut out = String::new();
    let _ = writeln!(out, "{} ({})", line(asset, "name"), line(asset, "id"));
    if let Some(what) = what {
        if facts.is_empty() && what != "role" {
            let mut known: Vec<_> = list(asset, "facts").map(|fact| text(fact, "attribute")).collect();
            known.sort_unstable();
            known.dedup();
            return Err(format!(
                "nothing is known of \"{}\" of {}\n  hint: there is {}",
                terminal(what),
                line(asset, "name"),
                if known.is_empty() { "no fact about it".to_owned() } else { known.join(", ") }
            ));
        }
        facts_text(&mut out, &facts);
        if what == "role" {
            role_text(&mut out, asset);
        }
        return Ok(out);
    }
    for (label, key) in [("addresses", "ips"), ("MAC", "macs"), ("host names", "hostnames")] {
        let values: Vec<_> = strings(asset, key).map(|v| terminal(v).into_owned()).collect();
        if !values.is_empty() {
            let _ = writeln!(out, "  {label}: {}", values.join(", "));
        }
    }
    for key in ["vendor", "product", "model", "firmware", "serial", "mac_vendor", "zone"] {
        if let Some(value) = asset.get(key).and_then(Value::as_str) {
            let _ = writeln!(out, "  {}: {}", key.replace('_', " "), terminal(value));
        }
    }
    if let Some(level) = asset.get("level").filter(|level| !level.is_null()) {
        let _ = writeln!(out, "  level: {} (from {})", level["value"], text(level, "source"));
    }
    let _ = writeln!(out, "  seen: {} to {}", line(asset, "first_seen"), line(asset, "last_seen"));
    role_text(&mut out, asset);
    if !facts.is_empty() {
        let _ = writeln!(out, "Facts:");
        facts_text(&mut out, &facts);
    }
    let id = text(asset, "id");
    let flows: Vec<_> = list(analysis, "flows")
        .filter(|flow| text(&flow["client"], "asset") == id || text(&flow["server"], "asset") == id)
        .collect();
    if !flows.is_empty() {
        let _ = writeln!(out, "Flows:");
        flows.iter().for_each(|flow| {
            let _ = writeln!(out, "  {}  {}", text(flow, "id"), flow_line(flow));
        });
    }
    let findings: Vec<_> = list(analysis, "findings")
        .filter(|f| text(&f["src"], "asset") == id || text(&f["dst"], "asset") == id)
        .collect();
    if !findings.is_empty() {
        let _ = writeln!(out, "Findings:");
        findings.iter().for_each(|f| {
            let _ = writeln!(out, "  {}  {}  {}", text(f, "id"), text(&f["severity"], "band"), line(f, "what"));
        });
    }
    Ok(out)
}

/// `firmware`, `modbus/17`, `modbus/17/firmware`.
fn is_about(fact: &Value, what: &str) -> bool {
    let attribute = text(fact, "attribute");
    match fact.get("component").and_then(Value::as_str) {
        Some(component) => what == component || what == format!("{component}/{attribute}"),
        None => what == attribute,
    }
}

fn role_text(out: &mut String, asset: &Value) {
    let role = &asset["role"];
    let confidence = role["confidence"].as_f64().unwrap_or_default();
    match role["value"].as_str() {
        Some(value) => {
            let _ = writeln!(out, "  role: {value} ({confidence:.2})");
        }
        None => {
            let _ = writeln!(out, "  role: not known");
        }
    }
    for candidate in list(role, "candidates") {
        let reasons: Vec<_> = strings(candidate, "reasons").map(|reason| terminal(reason).into_owned()).collect();
        let confidence = candidate["confidence"].as_f64().unwrap_or_default();
        let _ = writeln!(out, "    {} {confidence:.2}: {}", text(candidate, "value"), reasons.join("; "));
    }
}

fn facts_text(out: &mut String, facts: &[&Value]) {
    for fact in facts {
        let component = fact.get("component").and_then(Value::as_str).map_or(String::new(), |c| format!("{c} "));
        let _ = writeln!(
            out,
            "  {component}{}: {}\n      {} by {}, {}",
            text(fact, "attribute"),
            line(fact, "value"),
            text(fact, "method"),
            text(fact, "protocol"),
            seen(&fact["count"], evidence(&fact["first"]), evidence(&fact["last"])),
        );
    }
}

/// `once, frame 12 at ...`, `3 times, first ..., last ...`.
fn seen(count: &Value, first: String, last: String) -> String {
    if first == last {
        format!("{}, {first}", times(count))
    } else {
        format!("{}, first {first}, last {last}", times(count))
    }
}

fn times(count: &Value) -> String {
    match count.as_u64() {
        Some(1) => "once".to_owned(),
        _ => format!("{count} times"),
    }
}

fn evidence(evidence: &Value) -> String {
    format!("{} frame {} at {}", line(evidence, "capture"), evidence["frame"], text(evidence, "time"))
}

fn flow_line(flow: &Value) -> String {
    let end = |end: &Value| {
        let name = ["ip", "mac"].into_iter().find_map(|key| end[key].as_str()).unwrap_or("?");
        name.to_owned()
    };
    let port = flow["server"]["port"].as_u64().map_or(String::new(), |port| format!("/{port}"));
    let name = flow["protocol"].as_str().or(flow["service"].as_str()).unwrap_or("");
    let verdict = flow["verdict"].as_str().map_or(String::new(), |verdict| format!(": {verdict}"));
    format!("{} -> {} {}{port} {name}{verdict}", end(&flow["client"]), end(&flow["server"]), text(flow, "transport"))
}

fn flow_text(flow: &Value) -> String {
    let mut out = format!("{} {}\n", text(flow, "id"), flow_line(flow));
    for (label, side) in [("client", &flow["client"]), ("server", &flow["server"])] {
        let zone = side["zone"].as_str().unwrap_or("-");
        let _ = writeln!(out, "  {label}: asset {}, zone {zone}", side["asset"].as_str().unwrap_or("-"));
    }
    let _ = writeln!(
        out,
        "  initiator {}, {} connections, {} frames to the server, {} to the client, {} to {}",
        text(flow, "initiator"),
        flow["connections"],
        flow["frames_to_server"],
        flow["frames_to_client"],
        text(flow, "first_seen"),
        text(flow, "last_seen")
    );
    if let Some(rule) = flow["rule"].as_str() {
        let _ = writeln!(out, "  verdict {} by rule {}", text(flow, "verdict"), terminal(rule));
    }
    for operation in list(flow, "operations") {
        let objects: Vec<_> = list(operation, "objects").map(object_text).collect();
        let component = operation["component"].as_str().map_or(String::new(), |c| format!(" {}", terminal(c)));
        let _ = writeln!(
            out,
            "  {} {} ({}){component}{}{}\n      asked {}, answered {}, refused {}, first {}, last {}",
            line(operation, "code"),
            line(operation, "name"),
            text(operation, "class"),
            if objects.is_empty() { "" } else { " " },
            objects.join(", "),
            operation["requests"],
            operation["answered"],
            operation["refused"],
            text(operation, "first"),
            text(operation, "last")
        );
    }
    for finding in strings(flow, "findings") {
        let _ = writeln!(out, "  finding {finding}");
    }
    out
}

fn object_text(object: &Value) -> String {
    match object["name"].as_str() {
        Some(name) => format!("{} {}", line(object, "space"), terminal(name)),
        None if object["from"] == object["to"] => format!("{} {}", line(object, "space"), object["from"]),
        None => format!("{} {}–{}", line(object, "space"), object["from"], object["to"]),
    }
}

fn finding_text(analysis: &Value, finding: &Value) -> String {
    let mut out =
        format!("{} {} {}\n", text(finding, "id"), text(&finding["reason"], "code"), text(&finding["reason"], "name"));
    let _ = writeln!(out, "  {}\n  {}", line(finding, "what"), line(finding, "why"));
    if let Some(rule) = finding["conduit"]["id"].as_str() {
        let stage = finding["conduit"]["stage"].as_str().map_or(String::new(), |stage| format!(", failed at {stage}"));
        let _ = writeln!(out, "  nearest rule: {}{stage}", terminal(rule));
    }
    let severity = &finding["severity"];
    let _ = writeln!(out, "  severity {} {}:", severity["score"], text(severity, "band"));
    for term in list(severity, "terms") {
        let _ = writeln!(out, "    {:>4}  {}", term["points"].as_i64().unwrap_or_default(), line(term, "term"));
    }
    for (label, key) in [("What to do:", "do_next"), ("Details:", "details")] {
        let lines: Vec<_> = strings(finding, key).collect();
        if !lines.is_empty() {
            let _ = writeln!(out, "  {label}");
            lines.iter().for_each(|step| {
                let _ = writeln!(out, "    - {}", terminal(step));
            });
        }
    }
    let _ = writeln!(
        out,
        "  seen {}, {} to {}",
        times(&finding["count"]),
        text(&finding["time"], "first"),
        text(&finding["time"], "last")
    );
    let _ = writeln!(out, "  Frames:");
    for sample in list(finding, "samples") {
        let _ = writeln!(out, "    {}", evidence(sample));
    }
    if let Some(name) = finding["evidence"].as_str() {
        let _ = writeln!(out, "  kept with what was around them: {}", terminal(name));
    } else if let Some(why) = finding["no_evidence"].as_str() {
        let _ = writeln!(out, "  none kept: {}", terminal(why));
    }
    let id = text(finding, "id");
    for flow in list(analysis, "flows").filter(|flow| strings(flow, "findings").any(|f| f == id)) {
        let _ = writeln!(out, "  flow {}  {}", text(flow, "id"), flow_line(flow));
    }
    out
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn strings<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    list(value, key).filter_map(Value::as_str)
}

/// A word of ours.
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

/// A text that may be from the wire.
fn line(value: &Value, key: &str) -> String {
    terminal(text(value, key)).into_owned()
}
