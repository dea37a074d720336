//! Where a declared asset is not what its device says it is. Neither overwrites the other: somebody has to look.

use dissectors::{Attribute, Method, attribute};

use super::Analysis;
use crate::address::{Address, Host, Realm};
use crate::inventory::{Asset, AssetFact, Claim};
use crate::policy::{self, Policy, Span};

/// A declared identity and another one that was observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The id of the declared asset.
    pub asset: String,
    /// What differs, by the word of the declaration.
    pub attribute: Attribute,
    /// What the policy says; of several values all.
    pub declared: String,
    /// What was observed.
    pub observed: Claim,
    /// Which protocol told it.
    pub protocol: &'static str,
    /// At which address.
    pub host: Host,
    /// In which part of the device, if not the whole.
    pub component: Option<Box<str>>,
    /// Where the asset is declared.
    pub at: Span,
}

/// Whether a declared value and an observed one may be the same.
type Agree = fn(&str, &str) -> bool;

impl Analysis {
    /// All differences, in the order of the declaration: one for each asset and attribute. None without a policy.
    #[must_use]
    pub fn differences(&self) -> Vec<Difference> {
        let Some(policy) = self.policy.as_deref() else { return Vec::new() };
        let mut found = Vec::new();
        for declared in &policy.assets {
            found.extend(self.mac(policy, declared));
            if let Some(asset) = self.inventory.assets.iter().find(|asset| *asset.id == *declared.id) {
                told(declared, asset, &mut found);
            }
        }
        found
    }

    /// A declared address that another MAC address has than those declared.
    fn mac(&self, policy: &Policy, declared: &policy::Asset) -> Option<Difference> {
        if declared.macs.is_empty() {
            return None;
        }
        // Where frames come through a boundary device they carry its address.
        let at_boundary = |mac| policy.assets.iter().any(|it| !it.boundary_of.is_empty() && it.macs.contains(mac));
        let seen = declared.ips.iter().find_map(|address| {
            let host = Host { realm: Realm::default(), address: *address };
            let asset = self.inventory.at(host)?;
            let is_same = asset.macs.iter().any(|mac| declared.macs.contains(mac) || at_boundary(mac));
            let own = |fact: &&AssetFact| {
                fact.host == host
                    && fact.attribute == attribute::MAC
                    && asset.macs.iter().any(|mac| Address::from(*mac).to_string() == *fact.known.value)
            };
            (!is_same).then(|| asset.facts.iter().filter(own).max_by_key(|fact| rank(fact)))?
        });
        let declared_macs: Vec<String> = declared.macs.iter().map(ToString::to_string).collect();
        seen.map(|fact| difference(declared, attribute::MAC, &declared_macs.join(", "), fact))
    }
}

/// What a device, or a part of it, told otherwise than it is declared. One claim that agrees is enough: a chassis tells
/// of its modules, a computer of its programs.
fn told(declared: &policy::Asset, asset: &Asset, found: &mut Vec<Difference>) {
    use attribute::{FIRMWARE, HOSTNAME, MODEL, PRODUCT, SERIAL, VENDOR};
    let rows: [(&Option<String>, &[Attribute], Agree); 5] = [
        (&declared.serial, &[SERIAL], same_serial),
        (&declared.vendor, &[VENDOR], one_in_other),
        (&declared.model, &[MODEL, PRODUCT], one_in_other),
        (&declared.hostname, &[HOSTNAME], same_name),
        (&declared.expected_firmware, &[FIRMWARE], same_version),
    ];
    for (wanted, attributes, agree) in rows {
        let Some(wanted) = wanted.as_deref().filter(|wanted| wanted.chars().any(char::is_alphanumeric)) else {
            continue;
        };
        let good = || asset.facts.iter().filter(|fact| is_good(fact));
        let claims = || good().filter(|fact| attributes.contains(&fact.attribute));
        // The maker of the device may be the maker of its card, where the words are those of a program on it.
        let by_card = attributes.contains(&VENDOR) && asset.mac_vendor.as_deref().is_some_and(|it| agree(wanted, it));
        // An order number may stand in a description, and a host name in a certificate; a version is in too many texts.
        let mentioned =
            || !attributes.contains(&FIRMWARE) && good().any(|fact| plain(&fact.known.value).contains(&plain(wanted)));
        if by_card || claims().any(|fact| agree(wanted, &fact.known.value)) || mentioned() {
            continue;
        }
        let best = claims().max_by_key(|fact| rank(fact));
        found.extend(best.zip(attributes.first()).map(|(fact, key)| difference(declared, *key, wanted, fact)));
    }
}

/// Least probability, in per cent, of a claim that can contradict a declaration.
const GOOD: u8 = 80;

/// The device's own word, and a clear one.
fn is_good(fact: &AssetFact) -> bool {
    let known = &fact.known;
    matches!(known.method, Method::SelfReport | Method::Announcement)
        && known.support.weight >= GOOD
        && known.value.chars().any(char::is_alphanumeric)
}

/// Of several claims the one about the whole device speaks, then the one most trusted, then the latest.
fn rank(fact: &AssetFact) -> impl Ord + use<> {
    let known = &fact.known;
    (fact.component.is_none(), known.method.weight(), known.support.last, std::cmp::Reverse(known.value.clone()))
}

fn difference(declared: &policy::Asset, attribute: Attribute, value: &str, fact: &AssetFact) -> Difference {
    let AssetFact { host, component, known, .. } = fact;
    Difference {
        asset: declared.id.clone(),
        attribute,
        declared: value.to_owned(),
        observed: Claim::new(known.value.clone(), &known.support),
        protocol: known.protocol,
        host: *host,
        component: component.clone(),
        at: declared.at,
    }
}

/// Letters and digits, in upper case: what of a name is not a matter of spelling.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect()
}

/// `Rockwell` and `Rockwell Automation/Allen-Bradley`, `1756-L83E` and `1756-L83E/B`.
fn one_in_other(declared: &str, observed: &str) -> bool {
    let (one, other) = (plain(declared), plain(observed));
    one.contains(&other) || other.contains(&one)
}

/// `0x00C0FFEE` and `00c0ffee`, or the same number in decimal.
fn same_serial(declared: &str, observed: &str) -> bool {
    let bare = |text: &str| {
        let text = text.trim();
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        plain(digits).trim_start_matches('0').to_owned()
    };
    let (one, other) = (bare(declared), bare(observed));
    let decimal = |hex: &str| u64::from_str_radix(hex, 16).ok().map(|number| number.to_string());
    // A number of zeros is none.
    one == other || other.is_empty() || decimal(&other).is_some_and(|other| other == one)
}

/// `SCADA1` and `scada1.plant.example`; NetBIOS keeps 15 characters.
fn same_name(declared: &str, observed: &str) -> bool {
    const NETBIOS: usize = 15;
    let first = |text: &str| text.trim().split('.').next().unwrap_or_default().to_uppercase();
    let (one, other) = (first(declared), first(observed));
    let cut = |text: &str| text.chars().take(NETBIOS).collect::<String>();
    one == other || (other.chars().count() == NETBIOS && cut(&one) == other)
}

/// `33.11` and `33.011`, `V2.9` and `2.9.4`: the one may be less precise than the other.
fn same_version(declared: &str, observed: &str) -> bool {
    let (one, other) = (version(declared), version(observed));
    if one.is_empty() || other.is_empty() {
        return one_in_other(declared, observed);
    }
    let common = one.len().min(other.len());
    one.iter().take(common).eq(other.iter().take(common))
}

/// The numbers and letters of a version from its first number on: `V2.09b` is 2, 9, B.
fn version(text: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut before = None;
    for c in text.chars().skip_while(|c| !c.is_ascii_digit()) {
        let kind = c.is_alphanumeric().then_some(c.is_ascii_digit());
        if kind.is_some() {
            match parts.last_mut().filter(|_| kind == before) {
                Some(part) => part.extend(c.to_uppercase()),
                None => parts.push(c.to_uppercase().collect()),
            }
        }
        before = kind;
    }
    let bare = |part: String| match part.trim_start_matches('0') {
        "" => "0".to_owned(),
        bare => bare.to_owned(),
    };
    parts.into_iter().map(bare).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_identity_agree_and_two_identities_do_not() {
        for (case, agree, declared, observed, want) in [
            ("serial: case, prefix and zeros", same_serial as Agree, "0x00c0ffee", "C0FFEE", true),
            ("serial: blanks and dashes", same_serial, "S C-X4U421302009", "SC-X4U421302009", true),
            ("serial: decimal", same_serial, "12648430", "0x00c0ffee", true),
            ("serial: none given", same_serial, "12648430", "0x00000000", true),
            ("serial: another", same_serial, "0x00c0ffee", "0x00c0ffef", false),
            ("serial: part of it", same_serial, "00c0ff", "00c0ffee", false),
            ("vendor: the longer", one_in_other, "Rockwell", "Rockwell Automation/Allen-Bradley", true),
            ("vendor: the shorter", one_in_other, "SIEMENS AG", "Siemens", true),
            ("vendor: another", one_in_other, "Siemens", "Schneider Electric", false),
            ("model: with its series", one_in_other, "1756-L83E", "1756-L83E/B", true),
            ("model: another", one_in_other, "1756-L83E", "1756-L81E/B", false),
            ("name: case and domain", same_name, "SCADA1.plant.example", "scada1", true),
            ("name: of NetBIOS", same_name, "engineering-station-1", "ENGINEERING-STA", true),
            ("name: another", same_name, "scada1", "scada11", false),
            ("version: zeros", same_version, "33.11", "33.011", true),
            ("version: less precise", same_version, "V2.9", "2.9.4", true),
            ("version: more precise", same_version, "2.9.4", "Rev 2.9", true),
            ("version: other digits", same_version, "2.1", "2.11", false),
            ("version: letters", same_version, "4.1a", "4.1b", false),
            ("version: a word", same_version, "golden", "Golden build", true),
        ] {
            assert_eq!(agree(declared, observed), want, "{case}: {declared} and {observed}");
        }
    }
}
