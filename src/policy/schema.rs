//! The language as a JSON Schema (draft 7, which TOML language servers read): made from the tables of `file`, so that
//! it cannot differ from what is read.
//!
//! It says what an editor can know of one file: keys, types, words, and what must be there. Names, dates and what
//! belongs together are told by the loader.

use std::collections::BTreeMap;

use dissectors::Class;
use serde_json::{Map, Value as Json, json};

use super::file::{File, GroupMember, InsideItem, Numbers, TextOrList};
use super::marking::Markings;
use super::protocol::{PRESETS, PROTOCOLS};
use super::read::At;
use super::window::Window;
use super::word::{
    Classes, Code, FOUNDATIONAL, GROUPS, Id, Level, MAX_STATION, MAX_VLAN, Ports, Rate, SecurityLevels, Span, When,
};
use crate::address::{Address, Mac};

/// The schema of one policy file.
#[must_use]
pub fn schema() -> Json {
    let mut definitions = Definitions::default();
    let root = File::describe(&mut definitions);
    let mut whole = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "zonewatch zone and conduit declaration",
        "allOf": [root],
        "definitions": definitions.0,
    });
    // What one table is used for in two ways.
    let only_exceptions: Map<String, Json> =
        ["risk_owner", "approved_by", "overrides"].map(|key| (key.to_owned(), Json::Bool(false))).into_iter().collect();
    let file = &mut whole["definitions"]["File"]["properties"];
    let conduit = file["conduit"]["items"].take();
    file["conduit"]["items"] = json!({ "allOf": [conduit, { "properties": only_exceptions }] });
    file["exception"]["items"] = json!({ "allOf": [conduit, { "required": ["valid_until"] }] });
    whole["definitions"]["Allow"]["properties"]["protocol"] = protocol();
    whole["definitions"]["Allow"]["allOf"] = rights();
    // Numbers that have fewer bits than their types.
    let (dscp, vlan, station) = (Markings::HIGHEST.into(), MAX_VLAN, MAX_STATION);
    let narrow = [
        ("Allow", "dscp", dscp),
        ("Allow", "vlan", vlan),
        ("Selector", "vlan", vlan),
        ("Selector", "dnp3_link", station),
    ];
    for (table, key, most) in narrow {
        whole["definitions"][table]["properties"][key]["maximum"] = most.into();
    }
    whole
}

/// Known words for completion; private protocols have others.
fn protocol() -> Json {
    let known: Vec<&str> =
        PROTOCOLS.keys().chain(PRESETS.keys()).map(String::as_str).chain(["tcp", "udp", "icmp"]).collect();
    json!({
        "description": "A protocol, a named set of functions, or tcp or udp with ports.",
        "anyOf": [{ "enum": known }, { "type": "string" }],
    })
}

/// A protocol whose operations are told apart says which, in one way; a transport says its ports.
fn rights() -> Json {
    let decoded: Vec<&str> =
        PROTOCOLS.values().filter(|protocol| protocol.operations).map(|protocol| protocol.name.as_str()).collect();
    let when = |names: &[&str]| json!({ "properties": { "protocol": { "enum": names } }, "required": ["protocol"] });
    let ways = ["ops", "functions", "services"].map(|key| json!({ "required": [key] }));
    json!([
        { "if": when(&decoded), "then": { "oneOf": ways } },
        { "if": when(&["tcp", "udp"]), "then": { "required": ["ports"] } },
    ])
}

/// The tables that are described, by name.
#[derive(Debug, Default)]
pub(super) struct Definitions(BTreeMap<&'static str, Json>);

/// Key, documentation, and the schema of its value.
type Property = (&'static str, &'static str, Json);

impl Definitions {
    /// Describes a table once, and refers to it.
    pub(super) fn define(
        &mut self,
        name: &'static str,
        doc: &str,
        required: &[&str],
        properties: impl FnOnce(&mut Self) -> Vec<Property>,
    ) -> Json {
        if !self.0.contains_key(name) {
            let described = properties(self).into_iter().map(|(key, doc, mut value)| {
                // Beside a reference nothing else is read; the table has its own description.
                if value.get("$ref").is_none() && !doc.is_empty() {
                    value["description"] = doc.trim().into();
                }
                (key.to_owned(), value)
            });
            let properties: Map<String, Json> = described.collect();
            let table = json!({
                "type": "object",
                "description": doc.trim(),
                "properties": properties,
                "required": required,
                "additionalProperties": false,
            });
            self.0.insert(name, table);
        }
        json!({ "$ref": format!("#/definitions/{name}") })
    }
}

/// How a value is written, for a schema: the counterpart of `Read`.
pub(super) trait Describe {
    fn describe(definitions: &mut Definitions) -> Json;
}

/// A closed set of words, each with what it means.
pub(super) fn words(words: &[(&str, &str)]) -> Json {
    let (known, docs): (Vec<&str>, Vec<&str>) = words.iter().map(|(word, doc)| (*word, doc.trim())).unzip();
    json!({ "enum": known, "x-taplo": { "docs": { "enumValues": docs } } })
}

impl<T: Describe> Describe for Option<T> {
    fn describe(definitions: &mut Definitions) -> Json {
        T::describe(definitions)
    }
}

impl<T: Describe> Describe for At<T> {
    fn describe(definitions: &mut Definitions) -> Json {
        T::describe(definitions)
    }
}

impl<T: Describe> Describe for Vec<T> {
    fn describe(definitions: &mut Definitions) -> Json {
        json!({ "type": "array", "items": T::describe(definitions) })
    }
}

impl Describe for InsideItem {
    fn describe(definitions: &mut Definitions) -> Json {
        json!({ "anyOf": [protocol(), super::file::Allow::describe(definitions)] })
    }
}

impl Describe for GroupMember {
    fn describe(definitions: &mut Definitions) -> Json {
        json!({ "anyOf": [{ "type": "string" }, super::file::Query::describe(definitions)] })
    }
}

/// Types that need no table.
macro_rules! plain {
    ($($ty:ty => $json:expr),* $(,)?) => { $(
        impl Describe for $ty {
            fn describe(_: &mut Definitions) -> Json {
                $json
            }
        }
    )* };
}

fn integer(least: i64, most: u64) -> Json {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

fn pattern(pattern: &str) -> Json {
    json!({ "type": "string", "pattern": pattern })
}

plain! {
    String => json!({ "type": "string" }),
    bool => json!({ "type": "boolean" }),
    u8 => integer(0, u8::MAX.into()),
    u16 => integer(0, u16::MAX.into()),
    u32 => integer(0, u32::MAX.into()),
    u64 => json!({ "type": "integer", "minimum": 0 }),
    Id => pattern("^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"),
    Mac => pattern("^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$"),
    Address => pattern("^([0-9]{1,3}(\\.[0-9]{1,3}){3}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$"),
    Span => pattern("^[0-9]+ ?(ms|s|m|min|h|d)$"),
    Rate => pattern("^[0-9]+ ?(B|[kKMG]B)?/(s|m|min|h|d)$"),
    Window => pattern("^[A-Za-z,\\- ]+ [0-9]{1,2}:[0-9]{2} ?- ?[0-9]{1,2}:[0-9]{2}$"),
    When => pattern("^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.]+(Z|[+-][0-9:]+)?)?$"),
    Ports => json!({ "anyOf": [integer(0, u16::MAX.into()), pattern("^[0-9]+ ?(- ?[0-9]+)?$")] }),
    Level => json!({ "enum": [0, 1, 2, 3, 3.5, 4, 5] }),
    Code => json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string" }] }),
    TextOrList => json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] }),
    Numbers => json!({ "type": "object", "additionalProperties": { "type": "integer", "minimum": -100, "maximum": 100 } }),
    Classes => {
        let groups = GROUPS.iter().map(|(name, _)| *name);
        json!({ "enum": groups.chain(Class::ALL.into_iter().map(Class::text)).collect::<Vec<_>>() })
    },
    SecurityLevels => {
        let level = integer(0, 4);
        let each: Map<String, Json> =
            FOUNDATIONAL.into_iter().chain(["all"]).map(|key| (key.to_owned(), level.clone())).collect();
        json!({ "anyOf": [
            level,
            { "type": "array", "items": level, "minItems": 7, "maxItems": 7 },
            { "type": "object", "properties": each, "additionalProperties": false },
        ] })
    },
}
