//! The ends of rules: names, groups and literal addresses.

use crate::address::Mac;
use crate::policy::diagnostic::Diagnostic;
use crate::policy::file::GroupMember;
use crate::policy::kind::Kind;
use crate::policy::membership::Interval;
use crate::policy::model::{AssetId, End, ZoneId};
use crate::policy::read::At;

use super::load::Located;
use super::{Compiler, Name};

impl Compiler<'_> {
    pub(super) fn ends(&mut self, words: &[At<String>]) -> Vec<End> {
        words.iter().flat_map(|word| self.end(word)).collect()
    }

    /// `from` or `to`, which every rule has.
    pub(super) fn side(&mut self, what: &str, rule: &impl Located, words: Option<&At<Vec<At<String>>>>) -> Vec<End> {
        match words {
            Some(words) if !words.value.is_empty() => self.ends(&words.value),
            _ if rule.told(what) => Vec::new(),
            _ => {
                let error =
                    Diagnostic::error(words.map_or(rule.at(), |words| words.at), format!("\"{what}\" names nobody"))
                        .kind(Kind::MissingKey);
                self.reader
                    .found
                    .push(error.help(format!("write {what} = [...] with zones, assets, groups or addresses")));
                Vec::new()
            }
        }
    }

    pub(super) fn end(&mut self, word: &At<String>) -> Vec<End> {
        let reserved = |from_last: usize| {
            End::Zone(ZoneId(u16::try_from(self.zones.len().saturating_sub(from_last)).unwrap_or(u16::MAX)))
        };
        match word.value.as_str() {
            "any" => return vec![End::Any],
            "external" => return vec![reserved(2)],
            "unknown" => return vec![reserved(1)],
            _ => {}
        }
        match self.names.get(&word.value) {
            Some((Name::Zone(zone), _)) => vec![End::Zone(*zone)],
            Some((Name::Asset(asset), _)) => vec![End::Asset(*asset)],
            Some((Name::Group(group), _)) => self.group(*group),
            None => self.literal(word).into_iter().collect(),
        }
    }

    pub(super) fn literal(&mut self, word: &At<String>) -> Option<End> {
        if let Ok(mac) = word.value.parse::<Mac>() {
            return Some(End::Mac(mac));
        }
        match Interval::parse(&word.value) {
            Ok(net) => Some(End::Net(net)),
            Err(mistake) if word.value.contains(['/', ':']) => {
                self.reader.found.push(mistake.at(word.at));
                None
            }
            Err(_) => {
                self.dangling("zone, asset or group", word);
                None
            }
        }
    }

    pub(super) fn group(&mut self, number: usize) -> Vec<End> {
        let Some(group) = self.groups.get(number).cloned() else { return Vec::new() };
        let mut ends = Vec::new();
        for member in &group.members {
            match member {
                GroupMember::Name(word) => match self.names.get(&word.value) {
                    Some((Name::Asset(asset), _)) => ends.push(End::Asset(*asset)),
                    Some(_) => {
                        let error = Diagnostic::error(word.at, "a group holds assets, addresses and queries");
                        self.reader.found.push(error.help("name zones in from and to themselves"));
                    }
                    None => ends.extend(self.literal(word)),
                },
                GroupMember::Query(query) => {
                    ends.extend(query.zone.as_ref().and_then(|word| self.zone_named(word)).map(End::Zone));
                    if let Some(tag) = &query.tag {
                        let tagged = |tags: &[String]| tags.contains(&tag.value);
                        let zones = (0..).zip(&self.zone_tags).filter(|(_, tags)| tagged(tags));
                        ends.extend(zones.map(|(number, _)| End::Zone(ZoneId(number))));
                        let assets = (0..).zip(&self.assets).filter(|(_, asset)| tagged(&asset.tags));
                        ends.extend(assets.map(|(number, _)| End::Asset(AssetId(number))));
                    }
                    if query.role.is_some() || query.vendor.is_some() {
                        ends.push(End::Query { vendor: query.vendor.clone(), role: query.role.clone() });
                    }
                }
            }
        }
        ends
    }
}
