//! Laws that every protocol obeys. They run over the registry, so a new protocol is tested before its author writes a test.
#![allow(missing_docs)]

use proptest::prelude::*;
use zonewatch_dissectors::{Carrier, Direction, Framing, Limits, Pdu, REGISTRY, recognise, testkit};

fn direction(to_server: bool) -> Direction {
    if to_server { Direction::ToServer } else { Direction::ToClient }
}

proptest! {
    /// No bytes make a dissector panic, whole or through its framer; and where they are cut does not matter.
    #[test]
    fn any_bytes_in_any_cut(
        which in 0..REGISTRY.len(),
        turns in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..300)), 0..6),
        sizes in prop::collection::vec(1usize..40, 1..10),
    ) {
        let protocol = REGISTRY[which];
        let turns: Vec<_> = turns.iter().map(|(to_server, bytes)| (direction(*to_server), bytes.as_slice())).collect();
        let whole = testkit::feed(protocol, &turns);
        prop_assert_eq!(whole, testkit::feed(protocol, &testkit::cut(&turns, &sizes)));
        let mut session = protocol.session(&Limits::default());
        for (direction, bytes) in turns.into_iter().filter(|turn| !turn.1.is_empty()) {
            session.pdu(Pdu { bytes, direction, carrier: Carrier::Udp, cut: 0 }, &mut testkit::Lines::default());
            session.gap(direction);
            protocol.message_text(protocol.message(bytes));
        }
    }

    /// More bytes may turn a need into a PDU; they never change a PDU's length.
    #[test]
    fn framing_is_monotone(which in 0..REGISTRY.len(), bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let protocol = REGISTRY[which];
        let mut settled = None;
        for len in 0..=bytes.len() {
            match (protocol.frame(&bytes[..len]), settled) {
                (now @ Framing::Pdu(_), None) => settled = Some(now),
                (now, Some(before)) => prop_assert_eq!(now, before),
                (Framing::NeedAtLeast(need), None) => prop_assert!(need > len),
                (Framing::Desync, None) => settled = Some(Framing::Desync),
            }
        }
    }
}

/// Names are unique, ports are listed once, limits are sane, and every listed operation has a name.
#[test]
fn descriptions_are_complete() {
    let mut names: Vec<_> = REGISTRY.iter().map(|p| p.info().name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), REGISTRY.len(), "two protocols share a name");
    for protocol in REGISTRY {
        let info = protocol.info();
        assert!(!info.carriers.is_empty() && info.max_pdu > 0 && !info.spec.is_empty(), "{}", info.name);
        assert!(!(info.operations)().is_empty(), "{} lists no operations", info.name);
        for (code, name, _) in (info.operations)() {
            assert!(!code.is_empty() && !name.is_empty(), "{}: {code:?} {name:?}", info.name);
        }
    }
}

proptest! {
    /// No bytes make a recogniser panic, and random ones have no name.
    #[test]
    fn chance_is_not_recognised(
        one in prop::collection::vec(any::<u8>(), 0..200),
        other in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        for carrier in [Carrier::Tcp, Carrier::Udp] {
            prop_assert_eq!(recognise::recognise(carrier, &[&one, &other]), None);
        }
        prop_assert!(recognise::recognise_frame(0x8892, &one).is_none_or(|it| it.name.starts_with("profinet")));
    }
}
