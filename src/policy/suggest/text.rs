//! A plan as TOML: every line with its evidence, every name from the wire made harmless.

use std::fmt::Write as _;

use super::zones::DraftZone;
use super::{Act, Caution, DraftConduit, Plan, Seen, Table, Talk};
use crate::address::Address;
use crate::flow::key::Initiator;
use crate::ledger::Evidence;
use crate::policy::is_id;

/// Hosts that a comment names; what is more is counted.
const NAMED: usize = 24;

/// The draft of a policy: valid, not approved, and the same text for the same observations.
#[must_use]
pub fn draft(seen: &Seen, site: &str) -> String {
    let plan = Plan::new(seen);
    let mut out = String::new();
    head(&mut out, &plan, site);
    for (number, zone) in plan.zones.iter().enumerate() {
        zone_text(&mut out, &plan, zone, plan.inside.get(&number).map_or(&[], Vec::as_slice));
    }
    if !plan.conduits.is_empty() {
        out.push_str(
            "# ---------------------------------------------------------------- conduits: `from` opens, `to` answers\n",
        );
    }
    for (number, conduit) in (1..).zip(&plan.conduits) {
        conduit_text(&mut out, &plan, number, conduit);
    }
    withheld(&mut out, &plan);
    out
}

fn head(out: &mut String, plan: &Plan<'_>, site: &str) {
    let seen = plan.seen;
    let first = seen.talks.iter().map(|talk| talk.first.at).min().unwrap_or_default();
    let last = seen.talks.iter().map(|talk| talk.last.at).max().unwrap_or_default();
    let site = if is_id(site) { site } else { "draft" };
    let _ = writeln!(
        out,
        "# Draft of zones and conduits, from traffic between {first} and {last}.
#
# This is what was seen, not what is right. Somebody who knows the plant has to read every line: name the zones, set
# sl_t, write an owner and a reason to each conduit, take out what should not be. Until [site] says approved = true,
# whatever this file allows is given the verdict `review`.
# Above each right stand the messages that it was made from: how many, when first and last, capture and frame.
# What must not be approved unseen stands at the end as comments: {} entries.
#
# Captures:",
        plan.withheld.len()
    );
    for name in &seen.captures {
        let _ = writeln!(out, "#   {}", plain(name));
    }
    let _ = writeln!(
        out,
        "schema = 1

[site]
id       = {}
timezone = \"UTC\" # write the plant's own, like \"Europe/Stockholm\": windows and dates are in it
approved = false
",
        quoted(site)
    );
}

fn zone_text(out: &mut String, plan: &Plan<'_>, zone: &DraftZone, inside: &[Table]) {
    let _ = writeln!(out, "# ---------------------------------------------------------------- zone {}", zone.id);
    let subnet = zone.key.subnet.map_or_else(|| "no IP address".to_owned(), |net| net.to_string());
    let vlan = zone.key.vlan.map(|vlan| format!(", VLAN {vlan}")).unwrap_or_default();
    let _ = writeln!(out, "# {subnet}{vlan}: {} hosts were seen.", zone.members.len());
    for (address, number) in zone.members.iter().take(NAMED) {
        let node = number.and_then(|number| plan.seen.nodes.get(number));
        let name = node.map(|node| plain(&node.name)).filter(|name| *name != address.to_string());
        let role = node.map_or("was only spoken to", |node| node.role.unwrap_or("role not known"));
        let _ = writeln!(out, "#   {address} {role}{}", name.map(|name| format!(", {name}")).unwrap_or_default());
    }
    if let Some(more) = zone.members.len().checked_sub(NAMED).filter(|more| *more > 0) {
        let _ = writeln!(out, "#   and {more} more");
    }
    if zone.key.safety {
        out.push_str("# Safety systems are a zone of their own.\n");
    }
    if zone.key.public {
        out.push_str("# Apart because of their contact with public addresses.\n");
    }
    let _ = writeln!(out, "[[zone]]\nid      = {}", quoted(&zone.id));
    if let Some(kind) = zone.key.kind() {
        let _ = writeln!(out, "kind    = \"{}\"", kind.text());
    }
    if let Some(level) = zone.key.level {
        let _ = match level % 10 {
            0 => writeln!(out, "level   = {} # from the roles of its hosts", level / 10),
            tenth => writeln!(out, "level   = {}.{tenth} # from the roles of its hosts", level / 10),
        };
    }
    if zone.key.safety {
        out.push_str("safety  = true\n");
    }
    out.push_str("members = [\n");
    if let Some(net) = zone.net {
        let _ = writeln!(out, "  {{ cidr = \"{net}\" }}, # all of the subnet: narrow it if the real one is smaller");
    }
    for (address, _) in &zone.members {
        let inside = address.ip().is_some_and(|ip| zone.net.is_some_and(|net| net.contains(&ip)));
        if !inside {
            let key = if address.as_mac().is_some() { "mac" } else { "ip" };
            let _ = writeln!(out, "  {{ {key} = \"{address}\" }},");
        }
    }
    out.push_str("]\n");
    if inside.is_empty() {
        out.push_str("inside  = { default = \"listed\" } # nothing was seen between its hosts\n\n");
        return;
    }
    out.push_str("[zone.inside]\ndefault = \"listed\"\nallow   = [\n");
    for table in inside {
        proof(out, plan.seen, "  ", table);
        let _ = writeln!(out, "  {},", table.text());
    }
    out.push_str("]\n\n");
}

fn conduit_text(out: &mut String, plan: &Plan<'_>, number: usize, conduit: &DraftConduit) {
    let zone =
        |zone: Option<usize>| zone.and_then(|zone| plan.zones.get(zone)).map_or("unknown", |zone| zone.id.as_str());
    let (from, to) = (zone(conduit.zones.0), zone(conduit.zones.1));
    let ends =
        |addresses: &[Address]| addresses.iter().map(|it| quoted(&it.to_string())).collect::<Vec<_>>().join(", ");
    for note in &conduit.notes {
        let _ = writeln!(out, "# {note}");
    }
    let _ = writeln!(
        out,
        "[[conduit]]\nid    = \"C-{number:03}\"\nname  = {}\nfrom  = [{}]\nto    = [{}]\nallow = [",
        quoted(&format!("{} from {from} to {to}", conduit.service)),
        ends(&conduit.from),
        ends(&conduit.to),
    );
    for table in &conduit.tables {
        proof(out, plan.seen, "  ", table);
        let _ = writeln!(out, "  {},", table.text());
    }
    out.push_str("]\n\n");
}

fn proof(out: &mut String, seen: &Seen, indent: &str, table: &Table) {
    let says = plain(&table.says());
    let says = if says.is_empty() { String::new() } else { format!("{says}: ") };
    let what = if table.says().is_empty() { "frames" } else { "messages" };
    let _ = writeln!(
        out,
        "{indent}# {says}{} {what}, {}",
        table.proof.count,
        span(seen, table.proof.first, table.proof.last)
    );
    if table.partial {
        let _ = writeln!(out, "{indent}# more objects were seen than were kept: this list is not whole");
    }
}

fn span(seen: &Seen, first: Evidence, last: Evidence) -> String {
    let name =
        |evidence: Evidence| plain(seen.captures.get(usize::from(evidence.capture())).map_or("", String::as_str));
    format!(
        "first {} ({} frame {}), last {} ({} frame {})",
        first.at,
        name(first),
        first.frame(),
        last.at,
        name(last),
        last.frame()
    )
}

/// A conversation, or some of its operations, in one line.
pub(super) fn told(seen: &Seen, talk: &Talk, acts: &[&Act]) -> String {
    let mut names: Vec<String> =
        acts.iter().map(|act| format!("{} ({}, {})", plain(&act.name), plain(&act.code), act.class.text())).collect();
    names.sort_unstable();
    names.dedup();
    let more = names.len().saturating_sub(6);
    names.truncate(6);
    let mut what = names.join(", ");
    if more > 0 {
        let _ = write!(what, " and {more} more");
    }
    let (count, unit) = match acts.iter().map(|act| act.count).sum() {
        0 => (talk.frames, "frames"),
        count => (count, "messages"),
    };
    let first = acts.iter().map(|act| act.first).min().unwrap_or(talk.first);
    let last = acts.iter().map(|act| act.last).max().unwrap_or(talk.last);
    let what = if what.is_empty() { String::new() } else { format!(": {what}") };
    format!("{} -> {} {}{what}; {count} {unit}, {}", talk.client, talk.server, talk.service(), span(seen, first, last))
}

/// What one client tried to no avail, in one line.
pub(super) fn tried(seen: &Seen, talks: &[&Talk]) -> String {
    let Some(one) = talks.first() else { return String::new() };
    let servers: Vec<String> = talks.iter().take(4).map(|talk| talk.server.to_string()).collect();
    let more = match talks.len().saturating_sub(servers.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let first = talks.iter().map(|talk| talk.first).min().unwrap_or(one.first);
    let last = talks.iter().map(|talk| talk.last).max().unwrap_or(one.last);
    let frames: u64 = talks.iter().map(|talk| talk.frames).sum();
    format!(
        "{} -> {}{more} {}; {frames} frames, {}",
        one.client,
        servers.join(", "),
        one.service(),
        span(seen, first, last)
    )
}

/// What a reader should know of a conversation besides its rights.
pub(super) fn notes(talk: &Talk) -> Vec<String> {
    let mut notes = Vec::new();
    match talk.initiator {
        Initiator::Seen => {}
        Initiator::Inferred => notes.push("Who opens was inferred for some: the start was not captured.".to_owned()),
        Initiator::Unknown => notes.push("Who opens could not be told for some: check the direction.".to_owned()),
    }
    if let Some(protection) = &talk.protection {
        notes.push(format!("Protection seen: {}. Write security = {{ ... }} to keep it.", plain(protection)));
    }
    notes
}

fn withheld(out: &mut String, plan: &Plan<'_>) {
    if plan.withheld.is_empty() {
        return;
    }
    out.push_str(
        "# ---------------------------------------------------------------- not drafted: each needs a decision
# Declare it by hand if it is right, as a conduit or, with an end and a risk owner, as an exception.\n",
    );
    let mut last: Option<Caution> = None;
    for entry in &plan.withheld {
        if last != Some(entry.caution) {
            let _ = writeln!(out, "#\n# {}", entry.caution.text());
            last = Some(entry.caution);
        }
        let _ = writeln!(out, "#   {}", entry.text);
    }
}

/// A TOML basic string. What is not plain text is escaped, so that neither a file nor a terminal is broken by it.
pub(in crate::policy) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            c if c.is_alphanumeric() => out.push(c),
            c => {
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}

/// Text from the wire for a comment: one line, without anything that a terminal or an editor acts on.
fn plain(text: &str) -> String {
    text.chars().map(|c| if (' '..='~').contains(&c) || c.is_alphanumeric() { c } else { '?' }).collect()
}
