//! Zones with what they inherit, assets, taps, and who is a member of what.

use std::collections::BTreeMap;

use crate::policy::diagnostic::{Diagnostic, Span};
use crate::policy::file::{self};
use crate::policy::kind::Kind;
use crate::policy::lint;
use crate::policy::membership::{AssetNames, Interval, Wanted};
use crate::policy::model::{Asset, AssetId, InsideRules, Zone, ZoneId};
use crate::policy::read::{At, Reader};
use crate::policy::tap::Tap;
use crate::policy::window::instant;
use crate::policy::word::{Id, MAX_STATION, MAX_VLAN};

use super::Compiler;

impl Compiler<'_> {
    pub(super) fn declare_zones(&mut self, entries: &[(At<Id>, file::Zone)]) {
        let parents: Vec<Option<ZoneId>> =
            entries.iter().map(|(_, zone)| zone.parent.as_ref().and_then(|parent| self.zone_named(parent))).collect();
        for (number, (id, entry)) in entries.iter().enumerate() {
            let mut chain = vec![ZoneId(u16::try_from(number).unwrap_or(u16::MAX))];
            let mut around = parents.get(number).copied().flatten();
            while let Some(zone) = around {
                if chain.contains(&zone) {
                    let at = entry.parent.as_ref().map_or(entry.at, |parent| parent.at);
                    self.error(at, format!("zone \"{}\" lies in itself", id.value.0));
                    break;
                }
                chain.push(zone);
                around = parents.get(usize::from(zone.0)).copied().flatten();
            }
            let line: Vec<&file::Zone> =
                chain.iter().filter_map(|zone| entries.get(usize::from(zone.0))).map(|(_, zone)| zone).collect();
            // The nearest zone around that says something says it for this one too.
            fn inherited<'a, T>(line: &[&'a file::Zone], field: impl Fn(&'a file::Zone) -> Option<T>) -> Option<T> {
                line.iter().find_map(|zone| field(zone))
            }
            self.zones.push(Zone {
                id: id.value.0.clone(),
                name: entry.name.clone().unwrap_or_else(|| id.value.0.clone()),
                parent: parents.get(number).copied().flatten(),
                kind: entry.kind,
                level: inherited(&line, |zone| zone.level).map(|level| level.0),
                sl_t: inherited(&line, |zone| zone.sl_t).unwrap_or_default(),
                sl_c: entry.sl_c,
                sl_a: entry.sl_a,
                consequence: inherited(&line, |zone| zone.consequence),
                criticality: inherited(&line, |zone| zone.criticality),
                safety: inherited(&line, |zone| zone.safety).unwrap_or(false),
                untrusted: inherited(&line, |zone| zone.untrusted).unwrap_or(false),
                owner: inherited(&line, |zone| zone.owner.clone()),
                at: Some(id.at),
                chain,
                inside: InsideRules::default(),
            });
            if let Some(purpose) = &entry.purpose {
                lint::purpose(purpose, &mut self.reader.found);
            }
            self.zone_tags.push(entry.tags.clone());
        }
        for (id, level) in [("external", Some(50)), ("unknown", None)] {
            let number = ZoneId(u16::try_from(self.zones.len()).unwrap_or(u16::MAX));
            self.zones.push(Zone { chain: vec![number], ..Zone::reserved(id, level) });
        }
    }

    pub(super) fn declare_assets(&mut self, entries: &[(At<Id>, file::Asset)]) -> AssetNames {
        let mut names = AssetNames::default();
        let mut seen = BTreeMap::<String, Span>::new();
        for (number, (id, entry)) in entries.iter().enumerate() {
            let asset = AssetId(u32::try_from(number).unwrap_or(u32::MAX));
            let mut once = |what: String, at: Span, reader: &mut Reader| match seen.get(&what) {
                Some(first) => {
                    let twice = Diagnostic::error(at, format!("two assets have the {what}"))
                        .kind(Kind::Duplicate)
                        .label("again here");
                    reader.found.push(twice.related(*first, "first here"));
                }
                None => {
                    seen.insert(what, at);
                }
            };
            for ip in entry.ip.iter().chain(&entry.represents) {
                once(format!("address {}", ip.value), ip.at, self.reader);
                names.ips.insert(ip.value, asset);
            }
            for mac in &entry.mac {
                once(format!("MAC address {}", mac.value), mac.at, self.reader);
                names.macs.insert(mac.value, asset);
            }
            if let Some(host) = &entry.hostname {
                once(format!("host name {}", host.value.to_ascii_lowercase()), host.at, self.reader);
                names.hosts.insert(host.value.to_ascii_lowercase(), asset);
            }
            if let Some(serial) = &entry.serial {
                once(format!("serial number {}", serial.value), serial.at, self.reader);
                names.serials.insert(serial.value.clone(), asset);
            }
            if let Some(key) = &entry.key_must_be {
                let warning =
                    Diagnostic::warning(Kind::NotEvaluated, key.at, "the position of key switches is not checked");
                self.reader
                    .found
                    .push(warning.help("it stands as documentation; mode changes are judged as operations"));
            }
            let retired = entry.retired_on.as_ref().and_then(|day| instant(day.value, false, &self.time_zone));
            let zone = entry.zone.as_ref().and_then(|word| self.zone_named(word));
            let boundary_of = entry.boundary_of.iter().filter_map(|word| self.zone_named(word)).collect();
            self.assets.push(Asset {
                id: id.value.0.clone(),
                name: entry.name.clone().unwrap_or_else(|| id.value.0.clone()),
                ips: entry.ip.iter().map(|ip| ip.value).collect(),
                macs: entry.mac.iter().map(|mac| mac.value).collect(),
                hostname: entry.hostname.as_ref().map(|host| host.value.clone()),
                serial: entry.serial.as_ref().map(|serial| serial.value.clone()),
                vendor: entry.vendor.clone(),
                model: entry.model.clone(),
                role: entry.role.clone(),
                zone,
                level: entry.level.map(|level| level.0),
                criticality: entry.criticality,
                crown_jewel: entry.crown_jewel,
                approved: entry.approved.unwrap_or(true),
                retired,
                owner: entry.owner.clone(),
                multi_homed: entry.multi_homed,
                boundary_of,
                engineering: entry.engineering,
                time_source: entry.time_source,
                expected_firmware: entry.expected_firmware.clone(),
                at: id.at,
                tags: entry.tags.clone(),
            });
        }
        names
    }

    pub(super) fn taps(&mut self, entries: &[file::Tap]) -> Vec<Tap> {
        let mut taps = Vec::new();
        for entry in entries {
            let Some(id) = &entry.id else {
                self.reader.found.push(Diagnostic::error(entry.at, "this tap has no id").kind(Kind::MissingKey));
                continue;
            };
            self.statement(id);
            let sees = entry.sees.iter().filter_map(|word| self.zone_named(word)).collect();
            for vlan in entry.vlans.iter().filter(|vlan| vlan.value > MAX_VLAN) {
                self.error(vlan.at, "a VLAN is a number from 0 to 4094");
            }
            let vlans = entry.vlans.iter().map(|vlan| vlan.value).collect();
            let direction = entry.direction.unwrap_or(file::TapDirection::Both);
            taps.push(Tap { id: id.value.0.clone(), sees, vlans, direction });
        }
        taps
    }

    pub(super) fn selector(&mut self, entry: &file::Selector, taps: &[Tap]) -> Option<Wanted> {
        let file::Selector {
            asset, mac, ip, cidr, range, hostname, vlan, subnet_of_tap, vendor, role, dnp3_link, ..
        } = entry;
        if let Some(vlan) = vlan.as_ref().filter(|vlan| vlan.value > MAX_VLAN) {
            self.error(vlan.at, "a VLAN is a number from 0 to 4094");
        }
        let words = [asset, cidr, range, hostname, subnet_of_tap];
        let given = words.iter().filter(|word| word.is_some()).count()
            + usize::from(mac.is_some())
            + usize::from(ip.is_some())
            + usize::from(dnp3_link.is_some())
            + usize::from(vendor.is_some() || role.is_some());
        let alone = (given == 1 && vlan.is_none()) || (given == 0 && vlan.is_some());
        let with_vlan = given == 1 && vlan.is_some() && cidr.is_some();
        if !alone && !with_vlan {
            // One with a value that means nothing has been told.
            if self.reader.found.iter().any(|other| entry.at.contains(other.at)) {
                return None;
            }
            let error = Diagnostic::error(entry.at, "this is not one selector").kind(Kind::ConflictingKeys);
            self.reader.found.push(error.help(
                "a member is one of asset, mac, ip, cidr, range, hostname, dnp3_link, vlan, vlan with cidr, \
                 subnet_of_tap, vendor and/or role; write the others as members of their own",
            ));
            return None;
        }
        if let Some(word) = asset {
            return self.asset_named(word).map(Wanted::Asset);
        }
        if let Some(word) = cidr.as_ref().or(range.as_ref()) {
            let net = self.interval(word)?;
            return Some(match vlan {
                Some(vlan) => Wanted::VlanNet(vlan.value, net),
                None => Wanted::Net(net),
            });
        }
        if let Some(word) = subnet_of_tap {
            if taps.iter().any(|tap| tap.id == word.value) {
                return Some(Wanted::Tap(word.value.clone()));
            }
            let error = Diagnostic::error(word.at, format!("no tap is called \"{}\"", word.value));
            self.reader.found.push(error.kind(Kind::UnknownName));
            return None;
        }
        if let Some(word) = hostname {
            return Some(Wanted::Host(word.value.to_ascii_lowercase()));
        }
        if let Some(link) = dnp3_link {
            if link.value > MAX_STATION {
                self.error(link.at, "the link address of a station is a number from 0 to 65519");
            }
            return Some(Wanted::Station(link.value));
        }
        let text = |word: &Option<At<String>>| word.as_ref().map(|word| word.value.clone());
        let simple = mac.as_ref().map(|mac| Wanted::Mac(mac.value));
        let simple = simple.or_else(|| ip.as_ref().map(|ip| Wanted::Ip(ip.value)));
        let simple = simple.or_else(|| vlan.as_ref().map(|vlan| Wanted::Vlan(vlan.value)));
        simple.or_else(|| Some(Wanted::Query { vendor: text(vendor), role: text(role) }))
    }

    pub(super) fn interval(&mut self, word: &At<String>) -> Option<Interval> {
        Interval::parse(&word.value).map_err(|mistake| self.reader.found.push(mistake.at(word.at))).ok()
    }
}
