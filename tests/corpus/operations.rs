//! Operations: what was asked and answered, by the protocol's own codes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::analysis::{Analysis, Operation};
use crate::differences::Differences;
use crate::truth::{Truth, opcua_services};

type Counts = BTreeMap<String, u64>;

fn add(counts: &mut Counts, key: String, count: u64) {
    if count > 0 {
        *counts.entry(key).or_default() += count;
    }
}

fn compare(capture: &str, ours: &Counts, theirs: &Counts, out: &mut Differences) {
    let keys: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let count = |counts: &Counts, key: &String| counts.get(key).copied().unwrap_or_default();
    keys.into_iter().for_each(|key| out.compare(capture, key, count(ours, key), count(theirs, key)));
}

/// The operations of a protocol's flows.
fn of<'a>(analysis: &'a Analysis, protocol: &'a str) -> impl Iterator<Item = &'a Operation> {
    let flows = analysis.flows.iter().filter(move |flow| flow.protocol.as_deref() == Some(protocol));
    flows.flat_map(|flow| &flow.operations)
}

/// Modbus: by unit and function; requests, answers and exceptions.
pub(crate) fn modbus(capture: &str, analysis: &Analysis, truth: &Truth, out: &mut Differences) {
    let key = |what: &str, unit: &str, function: &str| format!("{what} unit {unit} function {function}");
    let mut ours = Counts::new();
    for operation in of(analysis, "modbus") {
        let unit = operation.component.as_deref().and_then(|c| c.strip_prefix("modbus/")).unwrap_or("-");
        let function = operation.code.split('/').next().unwrap_or_default();
        add(&mut ours, key("request", unit, function), operation.requests);
        add(&mut ours, key("answer", unit, function), operation.answered);
        add(&mut ours, key("exception", unit, function), operation.refused);
    }
    let mut theirs = Counts::new();
    for row in truth.counts.iter().filter(|row| row.proto == "modbus") {
        // Units 0 and 255 are the device itself.
        let unit = match row.side.trim_start_matches("unit=") {
            "0" | "255" => "-",
            unit => unit,
        };
        let what = match (row.what.as_str(), row.detail.is_empty()) {
            ("request", _) => "request",
            ("response", true) => "answer",
            ("response", false) => "exception",
            (other, _) => other,
        };
        add(&mut theirs, key(what, unit, row.value.trim_start_matches("fc=")), row.count);
    }
    compare(capture, &ours, &theirs, out);
}

/// EtherNet/IP: encapsulation commands, and CIP services by request and response.
pub(crate) fn enip(capture: &str, analysis: &Analysis, truth: &Truth, out: &mut Differences) {
    /// Multiple Service Packet, which we count as what it carries.
    const CONTAINER: &str = "0x0a";
    let (mut ours, mut theirs) = (Counts::new(), Counts::new());
    if let Some(protocol) = analysis.coverage.protocols.get("enip") {
        protocol.messages.iter().for_each(|(code, n)| add(&mut ours, format!("command {code}"), *n));
    }
    for row in truth.counts("enip", "command") {
        add(&mut theirs, format!("command {}", row.value), row.count);
    }
    let mut refused = 0;
    for operation in of(analysis, "enip").filter(|o| !o.code.starts_with("encap/")) {
        let service = match operation.code.split(':').next().unwrap_or_default() {
            // Execute PCCC, which we count as the command that it carries.
            pccc if pccc.starts_with("pccc/") => "0x4b",
            service => service,
        };
        add(&mut ours, format!("request {service}"), operation.requests);
        add(&mut ours, format!("response {service}"), operation.answered + operation.refused);
        refused += operation.refused;
    }
    for row in truth.counts("cip", "service").filter(|row| row.value != CONTAINER) {
        add(&mut theirs, format!("{} {}", row.side, row.value), row.count);
    }
    // A status of 6 says that there is more to come.
    let bad = truth.counts("cip", "general_status").filter(|row| !matches!(&*row.value, "0x00" | "0x06"));
    add(&mut ours, "refused".to_owned(), refused);
    add(&mut theirs, "refused".to_owned(), bad.map(|row| row.count).sum());
    compare(capture, &ours, &theirs, out);
}

/// OPC UA: messages by type, and services by request and response.
pub(crate) fn opcua(capture: &str, analysis: &Analysis, truth: &Truth, corpus: &Path, out: &mut Differences) {
    let services = opcua_services(corpus);
    let (mut ours, mut theirs) = (Counts::new(), Counts::new());
    if let Some(protocol) = analysis.coverage.protocols.get("opcua") {
        for (code, n) in &protocol.messages {
            let (kind, _) = code.split_at_checked(3).unwrap_or((code, ""));
            add(&mut ours, format!("message {kind}"), *n);
        }
    }
    for row in truth.counts("opcua", "message_type") {
        add(&mut theirs, format!("message {}", row.value), row.count);
    }
    // Which service a fault answers the reply alone does not say; they have no name for it either.
    let faults: u64 = truth.counts("opcua", "service_nodeid").filter(|r| r.value == "397").map(|r| r.count).sum();
    let response = |service: &str| match faults {
        0 => format!("response {service}"),
        _ => "responses with faults".to_owned(),
    };
    for operation in of(analysis, "opcua") {
        add(&mut ours, format!("request {}", operation.code), operation.requests);
        add(&mut ours, response(&operation.code), operation.answered + operation.refused);
    }
    for row in truth.counts("opcua", "service_nodeid") {
        match services.get(&row.value) {
            Some((service, true)) => add(&mut theirs, format!("request {service}"), row.count),
            Some((service, false)) => add(&mut theirs, response(service), row.count),
            None => add(&mut theirs, format!("type id {}", row.value), row.count),
        }
    }
    compare(capture, &ours, &theirs, out);
}
