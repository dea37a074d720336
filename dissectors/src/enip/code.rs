//! Operation codes: their numbers, texts, names and classes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use super::encap::{COMMANDS, Command};
use super::pccc;
use crate::{Class, OperationName, table};

/// Object classes that the dissector itself knows. CIP Vol. 1, table 5-1.1; 0x64 and up: the maker's.
pub(super) mod class {
    pub(in super::super) const IDENTITY: u32 = 0x01;
    pub(in super::super) const MESSAGE_ROUTER: u32 = 0x02;
    pub(in super::super) const CONNECTION_MANAGER: u32 = 0x06;
    pub(in super::super) const MODBUS: u32 = 0x44;
    pub(in super::super) const PCCC: u32 = 0x67;
    pub(in super::super) const SYMBOL: u32 = 0x6B;
    pub(in super::super) const TEMPLATE: u32 = 0x6C;
    pub(in super::super) const TCP_IP_INTERFACE: u32 = 0xF5;
    pub(in super::super) const ETHERNET_LINK: u32 = 0xF6;
}

/// Service codes, without the reply bit. CIP Vol. 1, appendix A; from 0x4B: per class.
pub(super) mod service {
    pub(in super::super) const GET_ATTRIBUTES_ALL: u8 = 0x01;
    pub(in super::super) const GET_ATTRIBUTE_LIST: u8 = 0x03;
    pub(in super::super) const SET_ATTRIBUTE_LIST: u8 = 0x04;
    pub(in super::super) const CREATE: u8 = 0x08;
    pub(in super::super) const DELETE: u8 = 0x09;
    pub(in super::super) const MULTIPLE_SERVICE_PACKET: u8 = 0x0A;
    pub(in super::super) const GET_ATTRIBUTE_SINGLE: u8 = 0x0E;
    pub(in super::super) const SET_ATTRIBUTE_SINGLE: u8 = 0x10;
    pub(in super::super) const SET_MEMBER: u8 = 0x19;
    pub(in super::super) const EXECUTE_PCCC: u8 = 0x4B;
    pub(in super::super) const EXECUTE_DH_PLUS: u8 = 0x4C;
    pub(in super::super) const FORWARD_CLOSE: u8 = 0x4E;
    pub(in super::super) const MODBUS_PASSTHROUGH: u8 = 0x51;
    pub(in super::super) const UNCONNECTED_SEND: u8 = 0x52;
    pub(in super::super) const FORWARD_OPEN: u8 = 0x54;
    pub(in super::super) const LARGE_FORWARD_OPEN: u8 = 0x5B;
}

/// An operation code: what kind in the top byte, the protocol's own numbers below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(u64);

const KIND: u32 = 56;
const CIP: u64 = 0;
const CIP_OF_UNKNOWN_CLASS: u64 = 1;
const PCCC: u64 = 2;
const MODBUS: u64 = 3;
const COMMAND: u64 = 4;

impl Code {
    /// A CIP service, without its reply bit, of an object class if that is known.
    pub(super) fn cip(service: u8, class: Option<u32>) -> Self {
        let service = u64::from(service & 0x7F);
        match class {
            Some(class) => Self(CIP << KIND | u64::from(class) << 8 | service),
            None => Self(CIP_OF_UNKNOWN_CLASS << KIND | service),
        }
    }

    /// A PCCC command, with its function if it has one.
    pub(super) fn pccc(command: u8, function: Option<u8>) -> Self {
        Self(PCCC << KIND | function.map_or(0, |f| 0x1_0000 | u64::from(f)) | u64::from(command) << 8)
    }

    /// A Modbus function inside a CIP Modbus passthrough.
    pub(super) fn modbus(function: u8) -> Self {
        Self(MODBUS << KIND | u64::from(function))
    }

    /// An encapsulation command that is an operation by itself.
    pub(super) fn command(command: Command) -> Self {
        Self(COMMAND << KIND | u64::from(command.0))
    }

    /// The number that observations carry.
    pub(super) fn number(self) -> u64 {
        self.0
    }

    /// The code as reports write it, and its name.
    pub(super) fn describe(number: u64) -> OperationName {
        let low = number as u8;
        let second = (number >> 8) as u8;
        match number >> KIND {
            CIP => {
                let class = (number >> 8) as u32;
                OperationName { code: format!("{low:#04x}:{class:#04x}"), name: name(low, Some(class)) }
            }
            CIP_OF_UNKNOWN_CLASS => OperationName { code: format!("{low:#04x}"), name: name(low, None) },
            PCCC => {
                let function = (number & 0x1_0000 != 0).then_some(low);
                OperationName { code: pccc::code(second, function), name: pccc::name(second, function) }
            }
            MODBUS => OperationName {
                code: format!("modbus/{low}"),
                name: Cow::Owned(format!("Modbus_Passthrough function {low}")),
            },
            _ => {
                let command = Command(number as u16);
                let known = COMMANDS.iter().find(|(known, _)| *known == command);
                OperationName {
                    code: format!("encap/{:#06x}", command.0),
                    name: known.map_or(Cow::Borrowed("encapsulation command"), |(_, name)| Cow::Borrowed(name)),
                }
            }
        }
    }
}

/// What kind of operation a service is. `service` without its reply bit; the class of the object that it goes to, if
/// that is known. Containers have no class and are not asked for.
pub(super) fn kind(service: u8, class: Option<u32>) -> Class {
    let index = usize::from(service & 0x7F);
    let row = match class {
        Some(class @ 0..=0xFF) => CLASSES.get(1 + class as usize),
        Some(class) => return SERVICES.kind(service & 0x7F, Some(class)),
        None => CLASSES.first(),
    };
    row.and_then(|row| row.get(index)).copied().unwrap_or(Class::Unknown)
}

/// The class of a Modbus function. MODBUS Application Protocol 1.1b3, section 6.
pub(super) fn modbus_kind(function: u8) -> Class {
    match function {
        1..=4 | 20 | 24 => Class::Read,
        5 | 6 | 15 | 16 | 21..=23 => Class::Write,
        7 | 8 | 11 | 12 => Class::Diagnostic,
        17 | 43 => Class::Discovery,
        _ => Class::Unknown,
    }
}

/// Class of each service: the first row for an unknown object class, then one for each of 0x00 to 0xFF.
static CLASSES: LazyLock<Vec<[Class; 128]>> = LazyLock::new(|| {
    std::iter::once(None)
        .chain((0..=0xFF).map(Some))
        .map(|class| std::array::from_fn(|service| SERVICES.kind(service as u8, class)))
        .collect()
});

static SERVICES: LazyLock<Services> = LazyLock::new(Services::read);

/// Object class names with their groups.
static CLASS_NAMES: LazyLock<HashMap<u32, (String, String)>> = LazyLock::new(|| {
    table::records(include_str!("cip_classes.csv"))
        .filter_map(|row| {
            let [number, name, group] = row.as_slice() else { return None };
            Some((u32::try_from(table::number(number)?).ok()?, (name.clone(), group.clone())))
        })
        .collect()
});

fn is_in_group(class: u32, group: &str) -> bool {
    CLASS_NAMES.get(&class).is_some_and(|(_, is)| is == group)
}

/// Objects of the maker's engineering tools: programs, tasks, routines, edit locks.
fn is_engineering(class: u32) -> bool {
    is_in_group(class, "engineering (vendor)")
}

#[derive(Debug)]
struct Known {
    name: String,
    /// `None`: a container.
    class: Option<Class>,
}

/// The operation table, by what a row applies to.
#[derive(Debug, Default)]
struct Services {
    common: HashMap<u8, Known>,
    engineering: HashMap<u8, Known>,
    of_class: HashMap<(u32, u8), Known>,
    any_of_class: HashMap<u32, Known>,
}

impl Services {
    fn read() -> Self {
        let mut services = Self::default();
        for row in table::records(include_str!("ops_cip.csv")) {
            let [applies_to, codes, names, class, ..] = row.as_slice() else { continue };
            let class = Class::parse(class);
            let object = match applies_to.split(' ').next().unwrap_or("") {
                "tag" => Some(u64::from(class::SYMBOL)),
                word => table::number(word),
            };
            let object = object.and_then(|object| u32::try_from(object).ok());
            if let (Some(object), "any") = (object, codes.as_str()) {
                services.any_of_class.insert(object, Known { name: names.clone(), class });
                continue;
            }
            let count = codes.split('/').count();
            for (i, code) in codes.split('/').enumerate() {
                let Some(service) = table::number(code).and_then(|code| u8::try_from(code).ok()) else { continue };
                // `0x08/0x09,Create/Delete` are two services; `Authentication handshake` is the name of both.
                let name = if names.split('/').count() == count { names.split('/').nth(i) } else { None };
                let known = Known { name: name.unwrap_or(names).to_owned(), class };
                match (object, applies_to.as_str()) {
                    (Some(object), _) => services.of_class.insert((object, service), known),
                    (None, "common") => services.common.insert(service, known),
                    (None, _) => services.engineering.insert(service, known),
                };
            }
        }
        services
    }

    /// The row of a service, and whether it is one of the services that mean the same on every object.
    fn find(&self, service: u8, class: Option<u32>) -> Option<(&Known, bool)> {
        let own = class.and_then(|class| {
            self.of_class
                .get(&(class, service))
                .or_else(|| self.any_of_class.get(&class))
                .or_else(|| self.engineering.get(&service).filter(|_| is_engineering(class)))
        });
        own.map(|known| (known, false)).or_else(|| self.common.get(&service).map(|known| (known, true)))
    }

    fn kind(&self, service: u8, class: Option<u32>) -> Class {
        let Some((known, is_common)) = self.find(service, class) else { return Class::Unknown };
        let class = class.filter(|_| is_common);
        match (service, class) {
            (service::GET_ATTRIBUTES_ALL | service::GET_ATTRIBUTE_SINGLE, Some(class::IDENTITY)) => Class::Discovery,
            (service::SET_ATTRIBUTE_LIST | service::SET_ATTRIBUTE_SINGLE | service::SET_MEMBER, Some(class))
                if is_in_group(class, "process data") =>
            {
                Class::Write
            }
            (service::CREATE | service::DELETE, Some(class))
                if is_engineering(class) || matches!(class, class::SYMBOL | class::TEMPLATE) =>
            {
                Class::Program
            }
            _ => known.class.unwrap_or(Class::Unknown),
        }
    }
}

/// `Get_Attribute_Single Identity`, `Read_Tag`, `service 0x4b Class 0x72`.
fn name(service: u8, class: Option<u32>) -> Cow<'static, str> {
    let object = class.map(|class| match CLASS_NAMES.get(&class) {
        Some((name, _)) => name.clone(),
        None => format!("class {class:#04x}"),
    });
    let object = object.map_or(String::new(), |object| format!(" {object}"));
    match SERVICES.find(service, class) {
        Some((known, false)) => Cow::Borrowed(&known.name),
        Some((known, true)) => Cow::Owned(format!("{}{object}", known.name)),
        None => Cow::Owned(format!("service {service:#04x}{object}")),
    }
}

/// All operations that have a name, for people: code, name, class.
pub(super) fn operations() -> Vec<(String, String, Class)> {
    let describe = |code: Code, class| {
        let OperationName { code, name } = Code::describe(code.number());
        (code, name.into_owned(), class)
    };
    let commands = COMMANDS.iter().map(|(command, _)| describe(Code::command(*command), command.class()));
    let mut services: Vec<_> = SERVICES
        .common
        .iter()
        .filter(|(_, known)| known.class.is_some())
        .map(|(service, _)| (*service, None))
        .chain(SERVICES.of_class.iter().filter(|(_, known)| known.class.is_some()).map(|((c, s), _)| (*s, Some(*c))))
        .chain([
            (service::GET_ATTRIBUTES_ALL, Some(class::IDENTITY)),
            (service::GET_ATTRIBUTE_SINGLE, Some(class::IDENTITY)),
        ])
        .collect();
    services.sort_unstable_by_key(|(service, class)| (*class, *service));
    let services =
        services.into_iter().map(|(service, class)| describe(Code::cip(service, class), kind(service, class)));
    commands.chain(services).chain(pccc::operations()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_names() {
        for (case, service, class, want, text, name) in [
            ("identity at once", 0x01, Some(0x01), Class::Discovery, "0x01:0x01", "Get_Attributes_All Identity"),
            (
                "identity, one attribute",
                0x0E,
                Some(0x01),
                Class::Discovery,
                "0x0e:0x01",
                "Get_Attribute_Single Identity",
            ),
            (
                "an attribute elsewhere",
                0x0E,
                Some(0xF6),
                Class::Read,
                "0x0e:0xf6",
                "Get_Attribute_Single Ethernet Link",
            ),
            ("reset", 0x05, Some(0x01), Class::Restart, "0x05:0x01", "Reset Identity"),
            ("output data", 0x10, Some(0x04), Class::Write, "0x10:0x04", "Set_Attribute_Single Assembly"),
            ("network settings", 0x10, Some(0xF5), Class::Config, "0x10:0xf5", "Set_Attribute_Single TCP/IP Interface"),
            ("a tag", 0x4C, Some(0x6B), Class::Read, "0x4c:0x6b", "Read_Tag"),
            ("a long tag, not Unconnected_Send", 0x52, Some(0x6B), Class::Read, "0x52:0x6b", "Read_Tag_Fragmented"),
            ("write a tag", 0x4D, Some(0x6B), Class::Write, "0x4d:0x6b", "Write_Tag"),
            (
                "change bits of a tag, not Forward_Close",
                0x4E,
                Some(0x6B),
                Class::Write,
                "0x4e:0x6b",
                "Read_Modify_Write_Tag",
            ),
            ("tag list", 0x55, Some(0x6B), Class::Browse, "0x55:0x6b", "Get_Instance_Attribute_List"),
            ("template", 0x4C, Some(0x6C), Class::Browse, "0x4c:0x6c", "Read_Tag (template definition)"),
            ("close", 0x4E, Some(0x06), Class::Session, "0x4e:0x06", "Forward_Close"),
            ("stop the controller", 0x07, Some(0x64), Class::Mode, "0x07:0x64", "Stop"),
            ("engineering handshake", 0x4C, Some(0x64), Class::Session, "0x4c:0x64", "Authentication handshake"),
            ("new program", 0x08, Some(0x68), Class::Program, "0x08:0x68", "Create"),
            ("new module", 0x08, Some(0x69), Class::Config, "0x08:0x69", "Create"),
            ("new tag", 0x08, Some(0x6B), Class::Program, "0x08:0x6b", "Create Symbol (Rockwell)"),
            (
                "new instruction",
                0x08,
                Some(0x338),
                Class::Program,
                "0x08:0x338",
                "Create Add-on instruction (Rockwell private)",
            ),
            ("edit lock", 0x4C, Some(0x74), Class::Program, "0x4c:0x74", "Take or release edit lock"),
            ("wrapped change", 0x37, Some(0x8E), Class::Program, "0x37:0x8e", "Audited mutation wrapper"),
            ("the same number elsewhere", 0x37, Some(0x0F), Class::Unknown, "0x37:0x0f", "service 0x37 Parameter"),
            ("edit", 0x4F, Some(0xAC), Class::Program, "0x4f:0xac", "Edit step"),
            ("a maker's service", 0x4C, Some(0x72), Class::Unknown, "0x4c:0x72", "service 0x4c class 0x72"),
            ("a maker's class", 0x4B, Some(0x12345), Class::Unknown, "0x4b:0x12345", "service 0x4b class 0x12345"),
            (
                "a common service there",
                0x0E,
                Some(0x12345),
                Class::Read,
                "0x0e:0x12345",
                "Get_Attribute_Single class 0x12345",
            ),
            ("a reply alone", 0x0E, None, Class::Read, "0x0e", "Get_Attribute_Single"),
            ("a reply alone, per class", 0x4C, None, Class::Unknown, "0x4c", "service 0x4c"),
            ("safety", 0x4F, Some(0x39), Class::SafetyConfig, "0x4f:0x39", "Configure_Request"),
            ("lock, one service", 0x52, Some(0x39), Class::SafetyConfig, "0x52:0x39", "Configuration_Lock/Unlock"),
        ] {
            let described = Code::describe(Code::cip(service, class).number());
            assert_eq!((kind(service, class), &*described.code, &*described.name), (want, text, name), "{case}");
        }
    }

    #[test]
    fn other_codes() {
        for (code, text, name) in [
            (Code::pccc(0x0F, Some(0xA2)), "pccc/0x0f/0xa2", "Protected typed logical read, 3 address fields"),
            (Code::pccc(0x01, None), "pccc/0x01", "PCCC command 0x01"),
            (Code::command(Command(0x63)), "encap/0x0063", "ListIdentity"),
            (Code::modbus(3), "modbus/3", "Modbus_Passthrough function 3"),
        ] {
            let described = Code::describe(code.number());
            assert_eq!((&*described.code, &*described.name), (text, name));
        }
    }
}
