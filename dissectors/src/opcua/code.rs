use std::borrow::Cow;
use std::sync::LazyLock;

use super::codec::{Identifier, NodeId};
use crate::{Class, OperationName, table};

/// A service by the id of its request's binary encoding in namespace 0; [`Service::FAULT`] by that of its response.
/// OPC 10000-6, annex A.3; the ids are those of the OPC Foundation's NodeIds.csv.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Service(pub(super) u32);

impl Service {
    pub(super) const FAULT: Self = Self(397);
    pub(super) const FIND_SERVERS: Self = Self(422);
    pub(super) const GET_ENDPOINTS: Self = Self(428);
    pub(super) const REGISTER_SERVER: Self = Self(437);
    pub(super) const OPEN_SECURE_CHANNEL: Self = Self(446);
    pub(super) const CLOSE_SECURE_CHANNEL: Self = Self(452);
    pub(super) const CREATE_SESSION: Self = Self(461);
    pub(super) const ACTIVATE_SESSION: Self = Self(467);
    pub(super) const CLOSE_SESSION: Self = Self(473);
    pub(super) const ADD_NODES: Self = Self(488);
    pub(super) const ADD_REFERENCES: Self = Self(494);
    pub(super) const DELETE_NODES: Self = Self(500);
    pub(super) const DELETE_REFERENCES: Self = Self(506);
    pub(super) const BROWSE: Self = Self(527);
    pub(super) const BROWSE_NEXT: Self = Self(533);
    pub(super) const TRANSLATE_BROWSE_PATHS: Self = Self(554);
    pub(super) const REGISTER_NODES: Self = Self(560);
    pub(super) const UNREGISTER_NODES: Self = Self(566);
    pub(super) const READ: Self = Self(631);
    pub(super) const HISTORY_READ: Self = Self(664);
    pub(super) const WRITE: Self = Self(673);
    pub(super) const HISTORY_UPDATE: Self = Self(700);
    pub(super) const CALL: Self = Self(712);
    pub(super) const CREATE_MONITORED_ITEMS: Self = Self(751);
    pub(super) const MODIFY_MONITORED_ITEMS: Self = Self(763);
    pub(super) const SET_MONITORING_MODE: Self = Self(769);
    pub(super) const DELETE_MONITORED_ITEMS: Self = Self(781);
    pub(super) const SET_PUBLISHING_MODE: Self = Self(799);
    pub(super) const PUBLISH: Self = Self(826);
    pub(super) const TRANSFER_SUBSCRIPTIONS: Self = Self(841);
    pub(super) const DELETE_SUBSCRIPTIONS: Self = Self(847);
    pub(super) const REGISTER_SERVER_2: Self = Self(12211);

    /// The class that the service has by itself; what it writes or calls may raise it.
    pub(super) fn class(self) -> Class {
        SERVICES.entry(self.0).map_or(Class::Unknown, |(_, class)| class)
    }
}

/// What the type id at the start of a message body says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Request(Service),
    Response(Service),
}

impl Kind {
    /// The kind of message with this type id, when it is a known service.
    #[inline]
    pub(super) fn of(id: &NodeId<'_>) -> Option<Self> {
        Self::of_number(id.standard()?)
    }

    /// The same for the number of an id in namespace 0.
    #[inline]
    pub(super) fn of_number(id: u32) -> Option<Self> {
        SERVICES.entry(id).map(|(kind, _)| kind)
    }
}

struct Row {
    service: Service,
    name: String,
    class: Class,
}

struct Services {
    rows: Vec<Row>,
    /// By type id: one step for each message.
    kinds: Vec<Option<(Kind, Class)>>,
}

impl Services {
    #[inline]
    fn entry(&self, id: u32) -> Option<(Kind, Class)> {
        self.kinds.get(usize::try_from(id).ok()?).copied().flatten()
    }
}

static SERVICES: LazyLock<Services> = LazyLock::new(|| {
    let (mut rows, mut kinds) = (Vec::new(), Vec::new());
    for record in table::records(include_str!("services.csv")) {
        let [name, request, response, class, ..] = record.as_slice() else { continue };
        let id = |text: &str| table::number(text).and_then(|id| u32::try_from(id).ok());
        let Some(service) = id(request).or(id(response)).map(Service) else { continue };
        let class = Class::parse(class).unwrap_or(Class::Unknown);
        for (id, kind) in [(id(request), Kind::Request(service)), (id(response), Kind::Response(service))] {
            let Some(at) = id.and_then(|id| usize::try_from(id).ok()) else { continue };
            if kinds.len() <= at {
                kinds.resize(at + 1, None);
            }
            if let Some(slot) = kinds.get_mut(at) {
                *slot = Some((kind, class));
            }
        }
        rows.push(Row { service, name: name.clone(), class });
    }
    Services { rows, kinds }
});

/// Classes of the methods of namespace 0, by method id, sorted.
static METHODS: LazyLock<Vec<(u32, Class)>> = LazyLock::new(|| {
    let mut methods: Vec<_> = table::records(include_str!("methods.csv"))
        .filter_map(|record| {
            let [_, id, class, ..] = record.as_slice() else { return None };
            Some((u32::try_from(table::number(id)?).ok()?, Class::parse(class)?))
        })
        .collect();
    methods.sort_unstable();
    methods
});

/// The class of calling a method. One that is not of namespace 0 may move anything: control.
pub(super) fn method_class(method: &NodeId<'_>) -> Class {
    let known = method.standard().and_then(|id| {
        let at = METHODS.binary_search_by_key(&id, |row| row.0).ok()?;
        METHODS.get(at)
    });
    known.map_or(Class::Control, |row| row.1)
}

/// Set in an operation code when the type id was not a number and the code keeps only its namespace.
const NOT_NUMERIC: u64 = 1 << 48;

/// The operation code of a type id that is no known service: namespace above bit 32, number below.
pub(super) fn unknown(id: &NodeId<'_>) -> u64 {
    let namespace = u64::from(id.namespace) << 32;
    match id.id {
        Identifier::Numeric(number) => namespace | u64::from(number),
        _ => namespace | NOT_NUMERIC,
    }
}

/// The text of an operation code: the service's name, else the type id.
pub(super) fn name(code: u64) -> OperationName {
    let known = SERVICES.rows.iter().find(|row| u64::from(row.service.0) == code);
    if let Some(row) = known {
        return OperationName { code: row.name.clone(), name: row.name.clone().into() };
    }
    let mut text = String::new();
    let namespace = (code >> 32 & 0xffff) as u16;
    if code & NOT_NUMERIC == 0 {
        NodeId { namespace, id: Identifier::Numeric(code as u32) }.write(0, &mut text);
    } else {
        text = format!("ns={namespace}");
    }
    OperationName { code: text, name: Cow::Borrowed("unknown service") }
}

/// Every known service: code, name, class.
pub(super) fn operations() -> Vec<(String, String, Class)> {
    SERVICES.rows.iter().map(|row| (row.name.clone(), row.name.clone(), row.class)).collect()
}

/// The name of a security policy: what follows the `#` of its URI. OPC 10000-7, 6.6.
pub(super) fn policy_name(uri: &[u8]) -> &[u8] {
    uri.rsplit(|byte| *byte == b'#').next().unwrap_or(uri)
}

/// Bytes of the signature at the end of a chunk of this policy in mode Sign. OPC 10000-7, 6.6.
/// For an unknown policy, that of the common ones.
pub(super) fn signature_len(policy: &str) -> usize {
    match policy {
        "None" => 0,
        "Basic128Rsa15" | "Basic256" => 20,
        "ECC_nistP384" | "ECC_brainpoolP384r1" => 48,
        "ECC_curve25519" | "ECC_curve448" => 16,
        _ => 32,
    }
}

/// A StatusCode of severity Bad (bits 31 and 30 are 10). OPC 10000-4, 7.39.1.
#[inline]
pub(super) fn is_bad(status: u32) -> bool {
    status >> 30 == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_whole() {
        assert_eq!(table::records(include_str!("services.csv")).count(), SERVICES.rows.len());
        assert_eq!(table::records(include_str!("methods.csv")).count(), METHODS.len());
        for row in &SERVICES.rows {
            assert!(Kind::of_number(row.service.0).is_some(), "{}", row.name);
        }
        // Only the fault, and the service that carries another one, have no class.
        let without: Vec<_> =
            SERVICES.rows.iter().filter(|row| row.class == Class::Unknown).map(|row| row.name.as_str()).collect();
        assert_eq!(without, ["ServiceFault", "SessionlessInvoke"]);
    }

    #[test]
    fn codes_have_text() {
        for (code, want) in [(631, "Read"), (397, "ServiceFault"), (1234, "i=1234"), (3 << 32 | 77, "ns=3;i=77")] {
            assert_eq!(name(code).code, want);
        }
        let text = NodeId { namespace: 4, id: Identifier::Text(b"x") };
        assert_eq!(name(unknown(&text)).code, "ns=4");
    }

    #[test]
    fn method_classes() {
        for (namespace, id, want) in
            [(0, 12886, Class::Mode), (0, 11492, Class::Subscribe), (2, 12886, Class::Control), (0, 1, Class::Control)]
        {
            let method = NodeId { namespace, id: Identifier::Numeric(id) };
            assert_eq!(method_class(&method), want, "ns={namespace};i={id}");
        }
    }
}
