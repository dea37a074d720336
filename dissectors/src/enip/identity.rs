//! Who a device says it is: ListIdentity, the Identity object and its neighbours, electronic keys, originators.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use super::code::{class, service};
use super::cpf::{self, item};
use super::epath::Key;
use super::target::Target;
use crate::{Attribute, Component, Identity, Method, Observation, ParseError, Reader, Sink, attribute, table};

static VENDORS: LazyLock<HashMap<u16, String>> = LazyLock::new(|| names(include_str!("cip_vendors.csv"), 0, 1));
static DEVICE_TYPES: LazyLock<HashMap<u16, String>> =
    LazyLock::new(|| names(include_str!("cip_device_types.csv"), 1, 2));

fn names(csv: &'static str, number: usize, name: usize) -> HashMap<u16, String> {
    table::records(csv).filter_map(|row| Some((row.get(number)?.parse().ok()?, row.get(name)?.clone()))).collect()
}

/// The vendor's name; an unknown id is kept as a number.
fn vendor(id: u16) -> Cow<'static, str> {
    VENDORS.get(&id).map_or_else(|| format!("vendor {id:#06x}").into(), |name| name.as_str().into())
}

fn device_type(id: u16) -> Cow<'static, str> {
    DEVICE_TYPES.get(&id).map_or_else(|| format!("device type {id:#06x}").into(), |name| name.as_str().into())
}

/// The role that a device type means, with its probability in per cent and the reason.
fn role(device_type: u16) -> Option<(&'static str, u8, &'static str)> {
    Some(match device_type {
        0x02 => ("drive", 95, "CIP device type 0x02"),
        0x03 => ("motor-starter", 90, "CIP device type 0x03"),
        0x07 => ("remote-io", 85, "CIP device type 0x07"),
        0x0A => ("remote-io", 85, "CIP device type 0x0A"),
        0x0C => ("remote-io", 85, "CIP device type 0x0C"),
        0x0E => ("plc", 95, "CIP device type 0x0E"),
        0x13 => ("drive", 95, "CIP device type 0x13"),
        0x15 => ("motor-starter", 90, "CIP device type 0x15"),
        0x16 => ("motor-starter", 90, "CIP device type 0x16"),
        0x17 => ("motor-starter", 90, "CIP device type 0x17"),
        0x18 => ("hmi", 95, "CIP device type 0x18"),
        0x1A => ("instrument", 85, "CIP device type 0x1A"),
        0x1C => ("instrument", 85, "CIP device type 0x1C"),
        0x23 => ("safety-controller", 80, "CIP device type 0x23"),
        0x24 => ("instrument", 85, "CIP device type 0x24"),
        0x25 => ("drive", 95, "CIP device type 0x25"),
        0x27 => ("instrument", 85, "CIP device type 0x27"),
        0x29 => ("gateway", 95, "CIP device type 0x29"),
        0x2A => ("safety-controller", 80, "CIP device type 0x2A"),
        0x2C => ("switch", 95, "CIP device type 0x2C"),
        0x2D => ("drive", 95, "CIP device type 0x2D"),
        0x2E => ("drive", 95, "CIP device type 0x2E"),
        0x30 => ("drive", 95, "CIP device type 0x30"),
        0x31 => ("remote-io", 85, "CIP device type 0x31"),
        0x34 => ("instrument", 85, "CIP device type 0x34"),
        0x35 => ("instrument", 85, "CIP device type 0x35"),
        _ => return None,
    })
}

/// Says things about the sender or one of its components.
pub(super) struct Teller<'a, 'o> {
    pub(super) component: Option<Component<'a>>,
    pub(super) out: &'o mut dyn Sink,
    /// Bytes of one text that are kept.
    pub(super) text_limit: usize,
    /// Whether it is certain who is meant. It is not when a connection's Forward Open was not captured: the connection
    /// may lead to a module behind the sender.
    pub(super) is_certain: bool,
}

/// Probability in per cent that a device which answers on a connection of unknown route speaks of itself.
const UNCERTAIN: u8 = 60;

impl Teller<'_, '_> {
    fn tell<'v>(&mut self, attribute: Attribute, value: impl Into<Cow<'v, str>>) {
        let value: Cow<'v, str> = value.into();
        self.observe(Identity::told(self.component, attribute, &*value));
    }

    fn observe(&mut self, mut identity: Identity<'_>) {
        if !self.is_certain {
            identity.weight = identity.weight.min(UNCERTAIN);
        }
        self.out.observe(Observation::Identity(identity));
    }

    /// Wire text, without padding; nothing when nothing is left.
    fn text(&mut self, attribute: Attribute, bytes: &[u8]) {
        let bytes = bytes.get(..self.text_limit).unwrap_or(bytes);
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        if !text.is_empty() {
            self.tell(attribute, text);
        }
    }

    fn vendor(&mut self, id: u16) {
        self.tell(attribute::VENDOR, vendor(id));
    }

    fn device_type(&mut self, id: u16) {
        self.tell(attribute::DEVICE_TYPE, device_type(id));
        if let Some((role, weight, basis)) = role(id) {
            self.role(role, weight, basis);
        }
    }

    fn role(&mut self, role: &'static str, weight: u8, basis: &'static str) {
        self.observe(Identity::role(self.component, role, weight, basis));
    }

    fn address(&mut self, address: [u8; 4]) {
        if address != [0; 4] {
            let [a, b, c, d] = address;
            self.tell(attribute::OWN_ADDRESS, format!("{a}.{b}.{c}.{d}"));
        }
    }

    /// One attribute of the Identity object. CIP Vol. 1, table 5A-2.1.
    fn identity_attribute(&mut self, number: u32, r: &mut Reader<'_>) -> Result<(), ParseError> {
        match number {
            1 => {
                let id = r.le16("vendor id")?;
                self.vendor(id);
            }
            2 => {
                let id = r.le16("device type")?;
                self.device_type(id);
            }
            3 => {
                let code = r.le16("product code")?;
                self.tell(attribute::PRODUCT_CODE, code.to_string());
            }
            4 => {
                let [major, minor] = r.array("revision")?;
                self.tell(attribute::FIRMWARE, format!("{major}.{minor}"));
            }
            5 => {
                let status = r.le16("status")?;
                self.tell(attribute::STATUS, format!("{status:#06x}"));
            }
            6 => {
                let serial = r.le32("serial number")?;
                self.serial(serial);
            }
            7 => {
                let length = usize::from(r.u8("product name length")?);
                let name = r.bytes("product name", length)?;
                self.text(attribute::PRODUCT, name);
            }
            _ => {}
        }
        Ok(())
    }

    fn serial(&mut self, serial: u32) {
        self.tell(attribute::SERIAL, format!("{serial:#010x}"));
    }

    /// The first seven attributes, one behind the other: Get_Attributes_All and ListIdentity.
    fn identity_object(&mut self, r: &mut Reader<'_>) -> Result<(), ParseError> {
        (1..=7).try_for_each(|number| self.identity_attribute(number, r))
    }

    /// Data of a positive reply to a request for `target`, where that is an object that knows who the device is.
    ///
    /// # Errors
    /// [`ParseError`] when it ends early; what was there has been told.
    pub(super) fn reply(&mut self, service: u8, target: &Target, mut r: Reader<'_>) -> Result<(), ParseError> {
        let Some(class) = target.class else { return Ok(()) };
        // Instance 0 is the class itself; further instances of Identity are parts of the device, not the device.
        let is_device = matches!((class, target.instance), (class::IDENTITY, Some(1) | None))
            || matches!((class, target.instance), (class::TCP_IP_INTERFACE | class::ETHERNET_LINK, Some(1..)));
        if !is_device {
            return Ok(());
        }
        match (service, class) {
            (service::GET_ATTRIBUTES_ALL, class::IDENTITY) => self.identity_object(&mut r),
            (service::GET_ATTRIBUTES_ALL, class::TCP_IP_INTERFACE) => {
                r.bytes("status, capability, control", 12)?;
                let words = usize::from(r.le16("physical link path size")?);
                r.bytes("physical link path", 2 * words)?;
                self.attribute(class, 5, &mut r)?;
                self.attribute(class, 6, &mut r)
            }
            (service::GET_ATTRIBUTES_ALL, class::ETHERNET_LINK) => {
                r.bytes("speed and flags", 8)?;
                self.attribute(class, 3, &mut r)
            }
            (service::GET_ATTRIBUTE_SINGLE, _) => match target.attribute {
                Some(number) => self.attribute(class, number, &mut r),
                None => Ok(()),
            },
            (service::GET_ATTRIBUTE_LIST, _) => self.attribute_list(class, &mut r),
            _ => Ok(()),
        }
    }

    /// Count, then for each attribute its number, a status, and when that is 0 its value.
    fn attribute_list(&mut self, class: u32, r: &mut Reader<'_>) -> Result<(), ParseError> {
        for _ in 0..r.le16("attribute count")? {
            let number = r.le16("attribute number")?;
            if r.le16("attribute status")? != 0 {
                continue;
            }
            // The sizes of other attributes are not known: what is behind them cannot be found.
            if !matches!(
                (class, number),
                (class::IDENTITY, 1..=7) | (class::TCP_IP_INTERFACE, 5 | 6) | (class::ETHERNET_LINK, 3)
            ) {
                break;
            }
            self.attribute(class, number.into(), r)?;
        }
        Ok(())
    }

    fn attribute(&mut self, class: u32, number: u32, r: &mut Reader<'_>) -> Result<(), ParseError> {
        match (class, number) {
            (class::IDENTITY, _) => self.identity_attribute(number, r),
            // Interface configuration: address, mask, gateway and two name servers, least significant byte first; domain.
            (class::TCP_IP_INTERFACE, 5) => {
                let mut address: [u8; 4] = r.array("own address")?;
                address.reverse();
                self.address(address);
                r.bytes("mask, gateway, name servers", 16)?;
                string(r, "domain name").map(|_| ())
            }
            (class::TCP_IP_INTERFACE, 6) => {
                let name = string(r, "host name")?;
                self.text(attribute::HOSTNAME, name);
                Ok(())
            }
            (class::ETHERNET_LINK, 3) => {
                let [a, b, c, d, e, f] = r.array("physical address")?;
                self.tell(attribute::MAC, format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The items of a ListIdentity reply. CIP Vol. 2, table 2-4.4.
    ///
    /// # Errors
    /// [`ParseError`] when it ends early; what was there has been told.
    pub(super) fn list_identity(&mut self, items: Reader<'_>) -> Result<(), ParseError> {
        for item in cpf::Items::read(items)? {
            let cpf::Item { kind, data: mut r, .. } = item?;
            match kind {
                item::LIST_IDENTITY => {
                    r.bytes("version, socket family, port", 6)?;
                    let address = r.array("socket address")?;
                    self.address(address);
                    r.bytes("socket padding", 8)?;
                    self.identity_object(&mut r)?;
                }
                item::CIP_SECURITY => self.tell(attribute::OFFERED_SECURITY, "CIP Security"),
                _ => {}
            }
        }
        Ok(())
    }

    /// The sender opens a connection, or asks a PCCC processor, and says who it is.
    pub(super) fn originator(&mut self, vendor: u16, serial: u32) {
        self.vendor(vendor);
        self.serial(serial);
    }

    /// The sender opens cyclic data with a device that it expects to be I/O or an adapter.
    pub(super) fn scanner(&mut self) {
        let role = Identity::role(self.component, "plc", 80, "originates CIP I/O");
        self.observe(Identity { method: Method::Behaviour, ..role });
    }

    /// A PCCC processor answered Diagnostic status.
    pub(super) fn pccc_processor(&mut self, catalogue_number: Option<&[u8]>) {
        if let Some(number) = catalogue_number {
            self.text(attribute::PRODUCT, number);
        }
        self.role("plc", 85, "PCCC diagnostic status answer");
    }
}

/// What the sender of a Forward Open expects the receiver, or a module behind it, to be.
pub(super) fn expectation(component: Option<Component<'_>>, key: &Key, out: &mut dyn Sink) {
    let mut tell = |attribute, value: Cow<'_, str>| {
        let identity = Identity::told(component, attribute, &*value).by(Method::ThirdParty).of_receiver();
        out.observe(Observation::Identity(identity));
    };
    if key.vendor != 0 {
        tell(attribute::VENDOR, vendor(key.vendor));
    }
    if key.device_type != 0 {
        tell(attribute::DEVICE_TYPE, device_type(key.device_type));
    }
    if key.product_code != 0 {
        tell(attribute::PRODUCT_CODE, key.product_code.to_string().into());
    }
    // Minor 0: any minor revision will do.
    if key.major != 0 && key.minor != 0 {
        tell(attribute::FIRMWARE, format!("{}.{}", key.major, key.minor).into());
    }
}

/// STRING: a 16-bit length and so many characters, padded to even. CIP Vol. 1, appendix C-5.2.
fn string<'a>(r: &mut Reader<'a>, item: &'static str) -> Result<&'a [u8], ParseError> {
    let length = usize::from(r.le16(item)?);
    let bytes = r.bytes(item, length)?;
    if length % 2 == 1 && !r.is_empty() {
        r.u8("pad")?;
    }
    Ok(bytes)
}
