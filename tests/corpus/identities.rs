//! Identities: what a frame says of its sender stands on the sender's asset, with that frame or an earlier one as
//! evidence, and on no other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::analysis::{Analysis, Asset, Fact, Outcome};
use crate::differences::Differences;
use crate::truth::{Identity, identities};

/// Compares the identities of the protocols that are dissected.
pub(crate) fn compare(corpus: &Path, outcomes: &BTreeMap<String, Outcome>, out: &mut Differences) {
    let mut told = BTreeMap::<(String, String), BTreeSet<String>>::new();
    for row in identities(corpus) {
        let Some(analysis) = outcomes.get(&row.file).and_then(|outcome| outcome.analysis.as_ref()) else { continue };
        for (what, value) in values(&row) {
            let owner = owner(analysis, &row, &value);
            let place = format!("{} frame {} {what}", row.protocol, row.frame);
            let found = match owner {
                Some(asset) if knows(asset, &value, row.frame) => value.clone(),
                Some(_) => "not known".to_owned(),
                None => "no asset".to_owned(),
            };
            out.compare(&row.file, place, found, &value);
            if let Some(asset) = owner {
                told.entry((row.file.clone(), value)).or_default().insert(asset.id.clone());
            }
        }
    }
    for ((file, value), owners) in told {
        let Some(analysis) = outcomes.get(&file).and_then(|outcome| outcome.analysis.as_ref()) else { continue };
        for asset in analysis.assets.iter().filter(|asset| !owners.contains(&asset.id)) {
            if asset.facts.iter().any(|fact| fact.method != "third-party" && is(fact, &value)) {
                out.compare(&file, format!("\"{value}\" elsewhere"), asset.ips.join(" "), "");
            }
        }
    }
}

/// The asset that sent the frame. Where only its MAC is told there may be several with it, and where nothing is told
/// (IPv6 on a loopback) it may be any: the one that knows the value.
fn owner<'a>(analysis: &'a Analysis, row: &Identity, value: &str) -> Option<&'a Asset> {
    let mut assets = analysis.assets.iter();
    if !row.ip.is_empty() {
        return assets.find(|asset| asset.ips.contains(&row.ip));
    }
    let has_mac = |asset: &Asset| {
        let told = |fact: &Fact| fact.attribute == "mac" && fact.value == row.mac;
        row.mac.is_empty() || asset.macs.contains(&row.mac) || asset.facts.iter().any(told)
    };
    assets.find(|asset| has_mac(asset) && knows(asset, value, row.frame))
}

fn knows(asset: &Asset, value: &str, frame: u64) -> bool {
    asset.facts.iter().any(|fact| fact.first.frame <= frame && is(fact, value))
}

/// Equal but for case, blanks and punctuation: a serial number is written `0x00524d8e` there and `00524D8E` here. Raw
/// identities and lists may say more.
fn is(fact: &Fact, value: &str) -> bool {
    let (fact_value, value) = (squeezed(&fact.value), squeezed(value));
    match fact.attribute.as_str() {
        "raw-identity" | "certificate-subject" => fact_value.contains(&value),
        _ => fact_value == value,
    }
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// What a row says, one by one.
fn values(row: &Identity) -> Vec<(&'static str, String)> {
    let mut values = Vec::new();
    let mut add = |what, value: &str| {
        if !value.is_empty() {
            values.push((what, value.to_owned()));
        }
    };
    let protocol = row.protocol.as_str();
    match protocol {
        "ENIP ListIdentity" | "CIP Identity object" | "CIP Forward Open originator" => {
            // `Name (0x0001)`; a vendor without a name is its number.
            let (name, number) = row.vendor.split_once(" (").unwrap_or((&row.vendor, ""));
            let unknown = format!("vendor {}", number.trim_end_matches(')'));
            add("vendor", if name == "?" { &unknown } else { name });
            add("product", &row.product);
            add("revision", &row.revision);
            add("serial", &row.serial);
        }
        "Modbus FC43/14" | "Modbus FC17 Report Server ID" | "UMAS (Modbus FC90) text" if row.role == "device" => {
            add("vendor", &row.vendor);
            add("product", &row.product);
            add("revision", &row.revision);
        }
        "OPC UA application description" => {
            add("name", &row.name);
            add("product uri", &row.product);
            let uri = row.other.split("; ").find_map(|part| part.strip_prefix("ApplicationUri="));
            add("application uri", uri.unwrap_or_default());
        }
        "OPC UA X.509 opn.senderCertificate" | "OPC UA X.509 serverCertificate" | "OPC UA X.509 clientCertificate" => {
            let name = row.product.split(',').find_map(|part| part.strip_prefix("CN="));
            add("subject", name.unwrap_or_default());
        }
        _ => {}
    }
    values
}
