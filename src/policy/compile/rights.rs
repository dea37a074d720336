//! Allow tables.

use dissectors::{Mode, Token};

use crate::flow::key::Transport;
use crate::policy::diagnostic::{Diagnostic, did_you_mean};
use crate::policy::file::{self, InsideItem, ModeWord, TokenWord};
use crate::policy::kind::Kind;
use crate::policy::marking::Markings;
use crate::policy::matching::{CodePattern, ObjectPattern, UnitPattern};
use crate::policy::model::{Allow, Carried, InsideRules, Minimum};
use crate::policy::protocol::{self, PRESETS};
use crate::policy::read::At;
use crate::policy::word::{Classes, MAX_VLAN};

use super::Compiler;

impl Compiler<'_> {
    pub(super) fn inside(&mut self, table: &file::InsideTable) -> InsideRules {
        let mut list = |items: &[InsideItem]| {
            items
                .iter()
                .filter_map(|item| match item {
                    InsideItem::Table(table) => self.allow(table),
                    InsideItem::Name(word) => self.allow_all(word),
                })
                .collect()
        };
        let (allow, deny) = (list(&table.allow), list(&table.deny));
        for item in &table.deny {
            if let InsideItem::Table(entry) = item {
                self.unconditional(entry);
            }
        }
        InsideRules { default: table.default, allow, deny }
    }

    /// A bare protocol name: all its operations.
    pub(super) fn allow_all(&mut self, word: &At<String>) -> Option<Allow> {
        let (protocol, codes) = self.carried(word)?;
        Some(Allow {
            protocol,
            ports: None,
            any_port: true,
            classes: codes.is_none().then_some(Classes::ALL),
            codes,
            units: None,
            objects: None,
            security: None,
            max_rate: None,
            max_bytes: None,
            vlan: None,
            dscp: None,
        })
    }

    /// A protocol, a transport, or a named set with its codes.
    pub(super) fn carried(&mut self, word: &At<String>) -> Option<(Carried, Option<Vec<CodePattern>>)> {
        let name = word.value.as_str();
        if let Some((protocol, functions)) = PRESETS.get(name) {
            let number = self.protocol_numbers.get(protocol)?;
            let all = functions.iter().any(|code| code == "*");
            let codes = (!all).then(|| functions.iter().map(|code| CodePattern::new(code)).collect());
            return Some((Carried::Protocol(*number), codes));
        }
        if let Some(number) = self.protocol_numbers.get(name) {
            return Some((Carried::Protocol(*number), None));
        }
        if let Some((transport, 0)) = protocol::carrier(name) {
            return Some((Carried::Transport(transport), None));
        }
        let known = self.protocol_numbers.keys().chain(PRESETS.keys()).map(String::as_str).chain(["tcp", "udp"]);
        let mut known: Vec<&str> = known.collect();
        known.sort_unstable();
        let error =
            Diagnostic::error(word.at, format!("there is no protocol called \"{name}\"")).kind(Kind::UnknownName);
        self.reader.found.push(match did_you_mean(name, known) {
            Some(near) => error.label(format!("did you mean \"{near}\"?")),
            None => error.label("unknown protocol").help(
                "declare it with [[protocol]], or write tcp or udp with ports; \
                 `zonewatch protocols` lists those that are known",
            ),
        });
        None
    }

    pub(super) fn protocol_number(&mut self, word: &At<String>) -> Option<u32> {
        match self.carried(word)? {
            (Carried::Protocol(number), None) => Some(number),
            _ => {
                self.error(word.at, format!("\"{}\" is not a single protocol", word.value));
                None
            }
        }
    }

    pub(super) fn allow(&mut self, entry: &file::Allow) -> Option<Allow> {
        let Some(word) = &entry.protocol else {
            // A misspelt key has been told already.
            let told = self.reader.found.iter().any(|other| entry.at.contains(other.at));
            if !told {
                let error = Diagnostic::error(entry.at, "this allow table has no protocol");
                self.reader.found.push(error.kind(Kind::MissingKey));
            }
            return None;
        };
        let (carried, preset) = self.carried(word)?;
        let name = &word.value;
        let is_preset = PRESETS.contains_key(name);
        let code_lists = [&entry.functions, &entry.services];
        let lists = usize::from(entry.ops.is_some())
            + code_lists.iter().filter(|list| list.is_some()).count()
            + usize::from(is_preset);
        if lists > 1 {
            let error = Diagnostic::error(entry.at, "this allow table says its operations in two ways")
                .kind(Kind::ConflictingKeys);
            self.reader
                .found
                .push(error.help("write one of ops, functions or services, and a second table for the rest"));
        }
        if let Carried::Transport(transport) = carried
            && matches!(transport, Transport::Tcp | Transport::Udp)
            && entry.ports.as_ref().is_none_or(Vec::is_empty)
        {
            let error = Diagnostic::error(word.at, format!("{name} without ports would allow everything on it"))
                .kind(Kind::PortsMissing);
            self.reader.found.push(error.help("write ports = [5140], or name a protocol"));
        }
        if let Some(vlan) = entry.vlan.as_ref().filter(|vlan| vlan.value > MAX_VLAN) {
            self.error(vlan.at, "a VLAN is a number from 0 to 4094");
        }
        if let Some(dscp) = &entry.dscp {
            self.marking(dscp, carried, name);
        }
        let decoded = match carried {
            Carried::Protocol(number) => {
                self.protocols.get(number as usize).is_some_and(|protocol| protocol.operations)
            }
            Carried::Transport(_) => false,
        };
        if decoded && lists == 0 {
            let error =
                Diagnostic::error(word.at, format!("{name} without operations would allow writing and programming"))
                    .kind(Kind::OperationsMissing);
            self.reader.found.push(error.label("which operations?").help(
                "write ops = [\"observe\"], functions = [3, 4], or ops = [\"all\"] to allow everything on purpose",
            ));
        }
        let codes =
            code_lists.into_iter().flatten().flatten().map(|code| CodePattern::new(&code.0)).collect::<Vec<_>>();
        let by_codes = code_lists.iter().any(|list| list.is_some());
        let classes = entry.ops.as_ref().map(|list| list.iter().fold(Classes::default(), |a, b| a.or(*b)));
        let everything = is_preset && preset.is_none();
        let objects = entry
            .objects
            .as_ref()
            .map(|list| list.iter().filter_map(|object| ObjectPattern::new(object, self.reader)).collect());
        Some(Allow {
            protocol: carried,
            ports: entry.ports.clone(),
            any_port: false,
            classes: if everything { Some(Classes::ALL) } else { classes },
            codes: if by_codes { Some(codes) } else { preset },
            units: entry.units.as_ref().map(|list| list.iter().map(|unit| UnitPattern(unit.0.clone())).collect()),
            objects,
            security: entry.security.as_ref().map(minimum),
            max_rate: entry.max_rate,
            max_bytes: entry.max_bytes,
            vlan: entry.vlan.as_ref().map(|vlan| vlan.value),
            dscp: entry.dscp.as_ref().map(|dscp| dscp.value),
        })
    }
}

impl Compiler<'_> {
    /// What forbids has no conditions that whoever is forbidden could choose not to meet.
    fn unconditional(&mut self, entry: &file::Allow) {
        let conditions = [
            ("dscp", entry.dscp.is_some()),
            ("security", entry.security.is_some()),
            ("max_rate", entry.max_rate.is_some()),
            ("max_bytes", entry.max_bytes.is_some()),
        ];
        for (key, _) in conditions.into_iter().filter(|(_, given)| *given) {
            let text = format!("{key} limits what is allowed, and this list forbids");
            let error = Diagnostic::error(entry.at, text).kind(Kind::ConflictingKeys);
            self.reader.found.push(error.help(format!("leave {key} out here, and write it in the allow list")));
        }
    }

    /// A marking that packets of that protocol can have.
    fn marking(&mut self, dscp: &At<u8>, carried: Carried, name: &str) {
        if dscp.value > Markings::HIGHEST {
            self.error(dscp.at, format!("a DSCP is a number from 0 to {}", Markings::HIGHEST));
        }
        let over_ip = |transport: &Transport| !matches!(transport, Transport::Ethertype(_) | Transport::Llc(_));
        let marked = match carried {
            Carried::Transport(transport) => over_ip(&transport),
            Carried::Protocol(number) => self.protocols.get(number as usize).is_none_or(|protocol| {
                protocol.carriers.is_empty() || protocol.carriers.iter().any(|(carrier, _)| over_ip(carrier))
            }),
        };
        if !marked {
            let error = Diagnostic::error(dscp.at, format!("{name} has no IP header, and so no DSCP"));
            self.reader.found.push(error.kind(Kind::ConflictingKeys).help("leave it out, or write vlan instead"));
        }
    }
}

fn minimum(entry: &file::Security) -> Minimum {
    Minimum {
        mode: entry.mode.map(|mode| match mode {
            ModeWord::None => Mode::None,
            ModeWord::Sign => Mode::Sign,
            ModeWord::SignAndEncrypt => Mode::SignAndEncrypt,
        }),
        policies: entry.policies.clone(),
        tokens: entry.tokens.as_ref().map(|tokens| {
            let token = |token: &TokenWord| match token {
                TokenWord::Anonymous => Token::Anonymous,
                TokenWord::Username => Token::Username,
                TokenWord::Certificate => Token::Certificate,
                TokenWord::Issued => Token::Issued,
            };
            tokens.iter().map(token).collect()
        }),
        version: entry.version.clone(),
        auth: entry.auth.unwrap_or(false),
    }
}
