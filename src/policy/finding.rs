//! What makes two findings the same one.

use dissectors::{Component, ComponentId, Item, Object};

use crate::id;

/// Everything that identifies a finding. No time, no ephemeral port and no exact register: the same fault has the same
/// id on every sensor and in every replay.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// Id of the site.
    pub site: &'a str,
    /// Reason code.
    pub reason: &'a str,
    /// Zone of the source.
    pub source_zone: &'a str,
    /// Zone of the destination.
    pub destination_zone: &'a str,
    /// Id of the source asset, declared or learned; else its address.
    pub source: &'a str,
    /// Id of the destination asset, declared or learned; else its address.
    pub destination: &'a str,
    /// The protocol, or `tcp/445`.
    pub service: &'a str,
    /// The operation class.
    pub class: &'a str,
    /// What kind of object it is about; see [`bucket`].
    pub bucket: &'a str,
    /// The conduit, exception or deny it refers to; else empty.
    pub reference: &'a str,
}

impl Identity<'_> {
    /// `V-` and 16 characters.
    #[must_use]
    pub fn id(&self) -> String {
        let Self { site, reason, source_zone, destination_zone, source, destination, .. } = self;
        let Self { service, class, bucket, reference, .. } = self;
        let lines =
            ["v1", site, reason, source_zone, destination_zone, source, destination, service, class, bucket, reference];
        format!("V-{}", id::base32(&lines.join("\n"), 16))
    }
}

/// The kind of object an operation is about, coarse enough that one fault stays one finding: the table and the unit
/// (`holding@1`), the class of objects (`0x6b`), the namespace (`ns=2`), else nothing.
#[must_use]
pub fn bucket(code: &str, component: Option<Component<'_>>, objects: &[Object<'_>]) -> String {
    // Service and class of objects: `0x0e:0x01`.
    if let Some((_, class)) = code.split_once(':') {
        return class.to_owned();
    }
    match objects.first() {
        Some(Object { space, item: Item::Range(..) }) => match component.map(|component| component.id) {
            Some(ComponentId::Number(number)) => format!("{space}@{number}"),
            Some(ComponentId::Path(path)) => format!("{space}@{path}"),
            None => (*space).to_owned(),
        },
        Some(Object { item: Item::Name(name), .. }) => match name.split_once(';') {
            Some((namespace, _)) if namespace.starts_with("ns=") => namespace.to_owned(),
            // A node of namespace 0 is written without it.
            _ if ["i=", "s=", "g=", "b="].iter().any(|kind| name.starts_with(kind)) => "ns=0".to_owned(),
            _ => String::new(),
        },
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        let known = Identity {
            site: "northfield-p2",
            reason: "ZC005",
            source_zone: "supervision",
            destination_zone: "cell-b",
            source: "scada-1",
            destination: "plc-b1",
            service: "modbus",
            class: "write",
            bucket: "holding@1",
            reference: "C-031",
        };
        assert_eq!(known.id(), "V-gkh2al3yyoxc5ymh");
        let undeclared = Identity {
            reason: "ZC001",
            source_zone: "enterprise",
            source: "10.1.5.5",
            class: "read",
            reference: "",
            ..known
        };
        assert_eq!(undeclared.id(), "V-gpcelfdafzozv5oz");
    }

    #[test]
    fn buckets() {
        let range = Object { space: "holding", item: Item::Range(0, 9) };
        let node = |name| Object { space: "node", item: Item::Name(name) };
        for (case, code, component, objects, want) in [
            ("register of a unit", "3", Some(Component::number("modbus", 1)), vec![range], "holding@1"),
            ("register of the device itself", "3", None, vec![range], "holding"),
            ("class of objects", "0x0e:0x01", None, vec![], "0x01"),
            ("node", "Read", None, vec![node("ns=2;s=Line1.Speed")], "ns=2"),
            ("standard node", "Read", None, vec![node("i=2259")], "ns=0"),
            ("file", "x", None, vec![node("a.csv")], ""),
            ("nothing", "", None, vec![], ""),
        ] {
            assert_eq!(bucket(code, component, &objects), want, "{case}");
        }
    }
}
