//! A policy far larger than any plant: how long it takes to load, what a first judgement costs, and what a repeated one.
#![allow(missing_docs)]

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dissectors::{Class, Item, Object};
use zonewatch::address::Address;
use zonewatch::flow::key::{Initiator, Transport};
use zonewatch::policy::{Cast, Ends, Judgement, Member, Policy, Request, Verdict};
use zonewatch::time::Timestamp;

/// Zones, and as many conduits: each zone has a /28 of its own and is polled from the one before it.
const ZONES: u32 = 10_000;

fn text() -> String {
    let mut text = "schema = 1\n[site]\nid = \"large\"\ntimezone = \"UTC\"\n".to_owned();
    for n in 0..ZONES {
        let (a, b, c) = (n >> 12, n >> 4 & 255, (n & 15) << 4);
        let _ = write!(
            text,
            "[[zone]]\nid = \"z{n}\"\nlevel = 1\nsl_t = {{ all = 1 }}\nowner = \"Operations\"\n\
             members = [ {{ cidr = \"10.{a}.{b}.{c}/28\" }} ]\n"
        );
    }
    for n in 0..ZONES {
        let from = (n + ZONES - 1) % ZONES;
        let _ = write!(
            text,
            "[[conduit]]\nid = \"C-{n}\"\nowner = \"Operations\"\nfrom = [\"z{from}\"]\nto = [\"z{n}\"]\n\
             allow = [ {{ protocol = \"modbus\", functions = [3], objects = [ {{ table = \"holding\", from = 0, to = 99 }} ] }} ]\n"
        );
    }
    text
}

/// The fifth host of a zone.
fn host(zone: u32) -> Address {
    let zone = zone % ZONES;
    Address::v4([10, (zone >> 12) as u8, (zone >> 4) as u8, ((zone & 15) << 4) as u8 + 5])
}

fn ends(zone: u32) -> Ends<'static> {
    let member = |zone| Member::at(host(zone));
    Ends {
        transport: Transport::Tcp,
        port: 502,
        initiator: Initiator::Seen,
        cast: Cast::Unicast,
        ..Ends::between(member(zone), member(zone + 1))
    }
}

/// Reads ten registers; from 95 on they lie outside of the conduit's range.
fn judge(policy: &Policy, zone: u32, from: u64) -> Judgement {
    let objects = [Object { space: "holding", item: Item::Range(from, from + 9) }];
    let request = Request {
        protocol: Some("modbus"),
        class: Some(Class::Read),
        code: "3",
        objects: &objects,
        ..Request::at(Timestamp::from_nanos(1_794_823_200_000_000_000))
    };
    policy.conversation(&ends(zone)).judge(policy, &request)
}

fn load(c: &mut Criterion) {
    let text = text();
    let mut group = c.benchmark_group("policy");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("load 10,000 zones and 10,000 conduits", |b| {
        b.iter(|| {
            let policy = Policy::parse("large.toml", &text).expect("it is right");
            assert_eq!((policy.zones.len(), policy.rules.len()), (ZONES as usize + 2, ZONES as usize));
            black_box(policy)
        });
    });
    group.finish();
}

fn judgements(c: &mut Criterion) {
    let policy = Policy::parse("large.toml", &text()).expect("it is right");
    let mut group = c.benchmark_group("policy");
    group.throughput(Throughput::Elements(1));
    let mut zone = 0;
    for (name, from, want) in [
        ("first judgement of a flow, allowed", 10, Verdict::Allow),
        ("first judgement of a flow, violation", 95, Verdict::Violation),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                zone = (zone + 7919) % ZONES;
                let judgement = judge(&policy, zone, from);
                assert_eq!(judgement.verdict, want);
                judgement
            });
        });
    }
    group.finish();
}

/// What a repeated operation of a known flow costs with the large policy: the docket's cache, as the worker asks it.
fn repeated(c: &mut Criterion) {
    use dissectors::{Operation, Outcome, REGISTRY};
    use zonewatch::config::Limits;
    use zonewatch::flow::connection::{ConnectionKey, Orientation, Side};
    use zonewatch::flow::docket::{Case, Docket, Parties};
    use zonewatch::flow::watch::Watch;
    use zonewatch::ledger::Evidence;

    let policy = Policy::parse("large.toml", &text()).expect("it is right");
    let key = ConnectionKey {
        a: host(0),
        b: host(1),
        ports: [49_500, 502],
        transport: Transport::Tcp,
        realm: Default::default(),
    };
    let paths: [zonewatch::flow::path::Paths; 2] = Default::default();
    let parties = Parties { key: &key, paths };
    let objects = [Object { space: "holding", item: Item::Range(10, 19) }];
    let operation =
        Operation { class: Class::Read, code: 3, component: None, objects: &objects, outcome: Outcome::Asked };
    let at = |n: u64| Evidence::new(Timestamp::from_nanos(1_794_823_200_000_000_000), 0, n);
    let case = Case {
        policy: &policy,
        protocol: *REGISTRY.first().expect("there are protocols"),
        protection: Default::default(),
        orientation: Orientation { client: Side::A, how: Initiator::Seen },
        sender: Side::A,
        at: at(1),
    };
    let mut docket = Docket::default();
    let mut watch = Watch::new(Some(&policy), Limits::default().meters);
    docket.operation(7, &operation, &case, &parties, &mut watch.meters);
    let mut group = c.benchmark_group("policy");
    group.throughput(Throughput::Elements(1));
    let mut frame = 1;
    group.bench_function("repeated operation of a known flow", |b| {
        b.iter(|| {
            frame += 1;
            assert!(docket.known(black_box(7), Outcome::Asked, at(frame), &mut watch.meters));
        });
    });
    group.finish();
    let [entry] = &*docket.entries else { panic!("one judgement") };
    assert_eq!((entry.judgement().verdict, entry.tally.requests), (Verdict::Allow, frame));
}

criterion_group!(benches, load, judgements, repeated);
criterion_main!(benches);
