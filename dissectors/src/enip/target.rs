//! What a request addresses, in words: parsed once for each distinct address, then found again by its bytes.
//!
//! A poll asks for the same few paths for months, and a panel asks all its controllers for the same. Tag names and component
//! texts are built the first time and shared from then on by all conversations of a thread, so that the steady state does
//! not allocate, and what is asked often stays in the cache.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::Arc;

use super::epath::{self, Key, Link, Segment};
use super::{code::class, pccc};
use crate::{Component, Item, Object, Reader};

/// The address of a request.
#[derive(Debug, Default)]
pub(super) struct Target {
    /// Hops from the device at the other end of the conversation: `1,0`, further ones behind a `/`. Empty: itself.
    route: Box<str>,
    /// The last object class of the path; a symbol is one of class 0x6B.
    pub(super) class: Option<u32>,
    pub(super) instance: Option<u32>,
    pub(super) attribute: Option<u32>,
    /// A tag (`Motor[3].Speed`) or a data table address (`N7:0`).
    name: Box<str>,
    /// The object space of `name`.
    space: &'static str,
    /// Expectations about the devices on the way, each with the length of the route up to it.
    keys: Vec<(usize, Key)>,
    /// What is wrong with the path, and at which byte of it.
    pub(super) fault: Option<(usize, &'static str)>,
}

impl Target {
    /// The module behind the device, if the path leads to one.
    pub(super) fn component(&self) -> Option<Component<'_>> {
        component(&self.route)
    }

    /// See [`find`].
    pub(super) fn route(&self) -> &str {
        &self.route
    }

    pub(super) fn is_named(&self) -> bool {
        !self.name.is_empty()
    }

    /// What is read, written or called, if the address says.
    pub(super) fn object(&self) -> Option<Object<'_>> {
        if self.is_named() {
            return Some(Object { space: self.space, item: Item::Name(&self.name) });
        }
        let instance = u64::from(self.instance?);
        Some(Object { space: "instance", item: Item::Range(instance, instance) })
    }

    /// The electronic keys with the components that they are about.
    pub(super) fn keys(&self) -> impl Iterator<Item = (Option<Component<'_>>, &Key)> {
        self.keys.iter().map(|(hops, key)| (component(self.route.get(..*hops).unwrap_or(&self.route)), key))
    }

    fn path(via: &str, path: &[u8], text_limit: usize) -> Self {
        let (mut route, mut name, mut keys) = (via.to_owned(), String::new(), Vec::new());
        let mut target = Self { space: "tag", ..Self::default() };
        let mut r = Reader::new(path);
        let mut elements = 0;
        while !r.is_empty() {
            let at = r.at();
            let segment = match epath::segment(&mut r) {
                Ok(segment) => segment,
                Err(bad) => {
                    target.fault = Some((at, bad.0));
                    break;
                }
            };
            // `Motor[1,2].Speed`: elements join the symbol before them.
            elements = if matches!(segment, Segment::Member(_)) { elements + 1 } else { 0 };
            match segment {
                Segment::Port { port, link } => hop(&mut route, port, link),
                Segment::Class(class) => {
                    target = Self { class: Some(class), space: target.space, ..Self::default() };
                    name.clear();
                }
                Segment::Instance(instance) => target.instance = Some(instance),
                Segment::Attribute(attribute) => target.attribute = Some(attribute),
                Segment::Key(key) => keys.push((route.len(), key)),
                Segment::Symbol(symbol) => {
                    target.class = Some(class::SYMBOL);
                    if !name.is_empty() {
                        name.push('.');
                    }
                    name.push_str(&String::from_utf8_lossy(symbol));
                }
                Segment::Member(member) if !name.is_empty() => {
                    if elements > 1 && name.pop().is_some() {
                        let _ = write!(name, ",{member}]"); // Writing to a String cannot fail.
                    } else {
                        let _ = write!(name, "[{member}]");
                    }
                }
                Segment::Member(_) | Segment::Other => {}
            }
        }
        truncate(&mut name, text_limit);
        truncate(&mut route, text_limit);
        Self { route: route.into(), name: name.into(), keys, ..target }
    }

    fn data_table(via: &str, address: &[u8]) -> Self {
        Self {
            route: via.into(),
            class: Some(class::PCCC),
            name: pccc::address(address).unwrap_or_default().into(),
            space: "data-table",
            ..Self::default()
        }
    }
}

fn component(route: &str) -> Option<Component<'_>> {
    (!route.is_empty()).then(|| Component::path("cip", route))
}

fn hop(route: &mut String, port: u16, link: Link<'_>) {
    if !route.is_empty() {
        route.push('/');
    }
    // Writing to a String cannot fail.
    let _ = match link {
        Link::Number(number) => write!(route, "{port},{number}"),
        Link::Extended(text) => {
            write!(route, "{port},{}", String::from_utf8_lossy(text).trim_end_matches('\0'))
        }
    };
}

fn truncate(text: &mut String, limit: usize) {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

/// How the bytes of an address are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A CIP path.
    Path,
    /// A PCCC data table address.
    DataTable,
}

#[derive(Debug)]
struct Slot {
    hash: u64,
    kind: Kind,
    text_limit: usize,
    via: Box<str>,
    bytes: Box<[u8]>,
    target: Arc<Target>,
}

impl Slot {
    /// What it takes in memory; never more once it is made.
    fn bytes(&self) -> usize {
        let Target { route, name, keys, .. } = &*self.target;
        let texts = self.via.len() + self.bytes.len() + route.len() + name.len();
        size_of::<Self>() + size_of::<Target>() + texts + keys.capacity() * size_of::<(usize, Key)>()
    }
}

/// The target with this address, behind the route `via` of what carried it. What is known of it depends on nothing else.
pub(super) fn find(kind: Kind, via: &str, bytes: &[u8], text_limit: usize) -> Arc<Target> {
    TARGETS.with_borrow_mut(|targets| targets.get(kind, via, bytes, text_limit))
}

thread_local! {
    static TARGETS: RefCell<Targets> = const { RefCell::new(Targets { slots: Vec::new(), bytes: 0 }) };
}

/// Targets, found by the bytes of their address. A full neighbourhood makes the table grow, and at its limit the slot is
/// taken over. Whoever makes its targets long makes it start anew.
#[derive(Debug, Default)]
struct Targets {
    slots: Vec<Option<Slot>>,
    /// Memory of what is in the slots.
    bytes: usize,
}

/// Slots that are looked at before the table grows.
const PROBES: usize = 8;
/// Slots at first.
const FEW: usize = 4;
/// Slots at most. Must be a power of two, as [`FEW`]. A target with its texts is 200 to 400 bytes nearly always.
const MANY: usize = 8192;
/// Bytes of all of them at most: twice what so many take in a plant.
const MOST: usize = MANY * 512;

impl Targets {
    fn get(&mut self, kind: Kind, via: &str, bytes: &[u8], text_limit: usize) -> Arc<Target> {
        let hash = hash(kind, text_limit, via, bytes);
        let found = self.window(hash).find_map(|i| {
            let slot = self.slots.get(i)?.as_ref()?;
            let is_same = slot.hash == hash
                && (slot.kind, slot.text_limit) == (kind, text_limit)
                && same(&slot.bytes, bytes)
                && same(slot.via.as_bytes(), via.as_bytes());
            is_same.then_some(&slot.target)
        });
        if let Some(target) = found {
            return Arc::clone(target);
        }
        let target = Arc::new(match kind {
            Kind::Path => Target::path(via, bytes, text_limit),
            Kind::DataTable => Target::data_table(via, bytes),
        });
        let slot = Slot { hash, kind, text_limit, via: via.into(), bytes: bytes.into(), target: Arc::clone(&target) };
        self.insert(slot);
        target
    }

    fn window(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let mask = self.slots.len().wrapping_sub(1);
        (0..PROBES).map(move |probe| (hash as usize).wrapping_add(probe) & mask)
    }

    fn insert(&mut self, slot: Slot) {
        self.bytes += slot.bytes();
        if self.bytes > MOST {
            *self = Self { slots: Vec::new(), bytes: slot.bytes() };
        }
        loop {
            if self.slots.is_empty() {
                self.slots.resize_with(FEW, || None);
            }
            let free = self.window(slot.hash).find(|i| matches!(self.slots.get(*i), Some(None)));
            let place = match free {
                Some(place) => place,
                None if self.slots.len() < MANY => {
                    self.grow();
                    continue;
                }
                None => self.window(slot.hash).next().unwrap_or(0),
            };
            if let Some(place) = self.slots.get_mut(place)
                && let Some(before) = place.replace(slot)
            {
                self.bytes -= before.bytes();
            }
            return;
        }
    }

    fn grow(&mut self) {
        let double = self.slots.len() * 2;
        let old = std::mem::take(&mut self.slots);
        self.slots.resize_with(double, || None);
        for slot in old.into_iter().flatten() {
            // One that finds no place is forgotten, and parsed again when it is asked for.
            let free = self.window(slot.hash).find(|i| matches!(self.slots.get(*i), Some(None)));
            match free.and_then(|i| self.slots.get_mut(i)) {
                Some(place) => *place = Some(slot),
                None => self.bytes -= slot.bytes(),
            }
        }
    }
}

/// Equality of short slices. Measured: for these, the call of the library's `memcmp` cost more than all the rest of the
/// look-up.
fn same(a: &[u8], b: &[u8]) -> bool {
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    a.len() == b.len()
        && a_tail.len() == b_tail.len()
        && a.iter().zip(b).all(|(a, b)| u64::from_ne_bytes(*a) == u64::from_ne_bytes(*b))
        && a_tail.iter().zip(b_tail).all(|(a, b)| a == b)
}

/// Multiply and rotate, eight bytes at a time. Who makes collisions only loses sharing: see [`PROBES`].
fn hash(kind: Kind, text_limit: usize, via: &str, bytes: &[u8]) -> u64 {
    const K: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut hash = kind as u64 ^ (bytes.len() as u64) << 8 ^ (text_limit as u64) << 32;
    for part in [via.as_bytes(), bytes] {
        let (words, rest) = part.as_chunks::<8>();
        for word in words {
            hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(K).rotate_left(29);
        }
        let tail = rest.iter().fold(0, |tail, byte| tail << 8 | u64::from(*byte));
        hash = (hash ^ tail).wrapping_mul(K).rotate_left(29);
    }
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::hex;

    fn text(target: &Target) -> String {
        let component = target.component().map_or(String::new(), |c| format!("{c} "));
        let class = target.class.map_or(String::new(), |c| format!("class {c:#04x} "));
        let attribute = target.attribute.map_or(String::new(), |a| format!(" attribute {a}"));
        let object = target.object().map_or(String::new(), |o| match o.item {
            Item::Name(name) => format!("{} {name}", o.space),
            Item::Range(from, _) => format!("{} {from}", o.space),
        });
        let keys: String = target
            .keys()
            .map(|(c, k)| {
                let of = c.map_or("itself".to_owned(), |c| c.to_string());
                format!(" key of {of} {}/{}/{} {}.{}", k.vendor, k.device_type, k.product_code, k.major, k.minor)
            })
            .collect();
        let fault = target.fault.map_or(String::new(), |(at, what)| format!(" fault@{at} {what}"));
        format!("{component}{class}{object}{attribute}{keys}{fault}").replace("  ", " ").trim().to_owned()
    }

    #[test]
    fn paths() {
        let cases = [
            ("8-bit class, instance, attribute", "20F5 2401 3005", "class 0xf5 instance 1 attribute 5"),
            ("16-bit class and instance", "21003803 25003412", "class 0x338 instance 4660"),
            ("32-bit instance", "206B 2600 78563412", "class 0x6b instance 305419896"),
            ("two classes: the last counts", "208E 2401 2074 2401", "class 0x74 instance 1"),
            ("symbol", "9105 4D6F746F7200", "class 0x6b tag Motor"),
            (
                "symbol with element and member",
                "9105 4D6F746F7200 2803 9105 5370656564 00",
                "class 0x6b tag Motor[3].Speed",
            ),
            ("two dimensions", "9102 4142 2801 2900 0002", "class 0x6b tag AB[1,512]"),
            ("program scope", "910C 50726F6772616D3A4D61696E 9101 5800", "class 0x6b tag Program:Main.X"),
            ("backplane slot", "0103 2001 2401", "cip/1,3 class 0x01 instance 1"),
            ("two hops, the second an IP address", "0102 120A 31302E3132332E342E35 0105", "cip/1,2/2,10.123.4.5/1,5"),
            (
                "odd extended address has a pad",
                "1107 312E322E332E34 00 2001 2401 3007",
                "cip/1,1.2.3.4 class 0x01 instance 1 attribute 7",
            ),
            ("extended port", "0F 1200 04", "cip/18,4"),
            (
                "key of a module",
                "0105 3404 0100 0E00 3600 9014 2004 2403",
                "cip/1,5 class 0x04 instance 3 key of cip/1,5 1/14/54 16.20",
            ),
            ("key before any hop", "3404 0100 0C00 3A00 0403 0105", "cip/1,5 key of itself 1/12/58 4.3"),
            ("connection points and network segments", "4320 2004 2403 2C64 2C65", "class 0x04 instance 3"),
            ("safety network segment", "5002 01020304 2004 2401", "class 0x04 instance 1"),
            ("configuration data", "2004 2401 8001 AABB", "class 0x04 instance 1"),
            ("unknown segment", "2001 2401 E000", "class 0x01 instance 1 fault@4 path segment of unknown type"),
            (
                "symbol longer than the path",
                "2001 9120 4142",
                "class 0x01 fault@2 path segment is longer than the path",
            ),
        ];
        for (case, path, want) in cases {
            assert_eq!(text(&Target::path("", &hex(path), 256)), want, "{case}");
        }
    }

    #[test]
    fn one_address_is_parsed_once_and_the_table_is_bounded() {
        let mut targets = Targets::default();
        let first = targets.get(Kind::Path, "", &hex("2001 2401"), 256);
        assert!(Arc::ptr_eq(&first, &targets.get(Kind::Path, "", &hex("2001 2401"), 256)));
        let routed = targets.get(Kind::Path, "1,3", &hex("2001 2401"), 256);
        assert_eq!(routed.component().map(|c| c.to_string()), Some("cip/1,3".to_owned()));
        for i in 0..100_000u32 {
            let path = [&hex("206B 2600")[..], &i.to_le_bytes()].concat();
            assert_eq!(targets.get(Kind::Path, "", &path, 256).instance, Some(i));
        }
        assert_eq!(targets.slots.len(), MANY);
    }

    #[test]
    fn long_ones_take_no_more_room_than_many_short_ones() {
        let key = hex("3404 0100 0E00 3600 9014");
        let mut targets = Targets::default();
        for number in 0..4 * MANY as u32 {
            let mut path = key.repeat(40);
            path.extend([0x26, 0]);
            path.extend(number.to_le_bytes());
            let target = targets.get(Kind::Path, "1,0", &path, 64);
            assert_eq!((target.instance, target.keys().count()), (Some(number), 40));
            assert!(targets.bytes <= MOST);
        }
        let counted: usize = targets.slots.iter().flatten().map(Slot::bytes).sum();
        assert_eq!(counted, targets.bytes);
        assert!(targets.slots.len() > FEW);
    }
}
