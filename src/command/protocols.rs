use std::fmt::Write as _;

use dissectors::{Carrier, Protocol, REGISTRY};
use serde_json::json;

use super::{Done, Failure, Outcome, for_people, print};
use crate::cli::{Protocols, TableOrJson};
use crate::output::escape::terminal;

pub(super) fn run(options: &Protocols) -> Outcome {
    let chosen: Vec<&dyn Protocol> = REGISTRY
        .iter()
        .copied()
        .filter(|p| options.protocol.as_deref().is_none_or(|name| p.info().name == name))
        .collect();
    if let (Some(name), true) = (&options.protocol, chosen.is_empty()) {
        let names: Vec<_> = REGISTRY.iter().map(|p| p.info().name).collect();
        return Err(Failure(format!(
            "no protocol is called \"{}\"\n  hint: there are {}",
            terminal(name),
            names.join(", ")
        )));
    }
    let format = options.format.unwrap_or(if for_people() { TableOrJson::Table } else { TableOrJson::Json });
    match format {
        TableOrJson::Json => print(&format!("{:#}\n", json!(chosen.iter().map(|p| view(*p)).collect::<Vec<_>>())))?,
        TableOrJson::Table => print(&table(&chosen, options.protocol.is_some()))?,
    }
    Ok(Done::Clean)
}

fn carriers(protocol: &dyn Protocol) -> impl Iterator<Item = (&'static str, &'static [u16])> {
    let word = |carrier: &Carrier| if *carrier == Carrier::Tcp { "tcp" } else { "udp" };
    protocol.info().carriers.iter().map(move |(carrier, ports)| (word(carrier), *ports))
}

fn view(protocol: &dyn Protocol) -> serde_json::Value {
    let info = protocol.info();
    let operations: Vec<_> = (info.operations)()
        .into_iter()
        .map(|(code, name, class)| json!({ "code": code, "name": name, "class": class.text() }))
        .collect();
    let carriers: Vec<_> =
        carriers(protocol).map(|(carrier, ports)| json!({ "carrier": carrier, "ports": ports })).collect();
    json!({ "name": info.name, "title": info.title, "spec": info.spec, "carriers": carriers, "operations": operations })
}

fn table(chosen: &[&dyn Protocol], whole: bool) -> String {
    let mut out = String::new();
    for protocol in chosen {
        let info = protocol.info();
        let carriers: Vec<_> = carriers(*protocol)
            .map(|(carrier, ports)| {
                let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
                format!("{carrier}/{}", ports.join(","))
            })
            .collect();
        let _ = writeln!(out, "{:<12} {} ({}, and by content on any port)", info.name, info.title, carriers.join(" "));
        let _ = writeln!(out, "             {}", info.spec);
        let operations = (info.operations)();
        if whole {
            for (code, name, class) in operations {
                let _ = writeln!(out, "  {code:<14} {:<15} {name}", class.text());
            }
        } else {
            let _ = writeln!(
                out,
                "             {} operations; zonewatch protocols {} lists them",
                operations.len(),
                info.name
            );
        }
    }
    out
}
