//! Metrics for Prometheus. What the sensor counts is put into a registry of its own when somebody asks, so that nothing
//! that sees packets knows of metrics; what the service itself does (requests, connections) is counted as it happens.

mod family;
mod timing;

use std::time::Duration;

use dissectors::REGISTRY;
use prometheus::core::Collector;
use prometheus::{
    CounterVec, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

use family::*;
pub use family::{FAMILIES, Family, Kind, page};

use super::VERSION;
use super::summary::Summary;
use super::view::{ConduitView, ProtocolCoverageView, SCHEMA};
use crate::event::health::OutputHealth;
use crate::policy::Band;
use crate::sensor::capture::InterfaceState;
use crate::sensor::recorder::EvidenceState;
use crate::sensor::shared::Health;
use crate::time::Timestamp;

/// Why a sheet could not be made; only a bug can be the cause.
pub type Error = prometheus::Error;

/// The media type of the sheet.
pub const MEDIA_TYPE: &str = prometheus::TEXT_FORMAT;

/// Conduits that are told apart.
const CONDUITS: usize = 4096;

/// Why requests and connections are refused: the credentials, the role, the name of the host, no room, no TLS, no patience.
const REFUSALS: [&str; 6] = ["token", "role", "host", "connections", "tls", "slow"];

/// What the service counts of itself.
pub struct Service {
    registry: Registry,
    requests: IntCounterVec,
    duration: HistogramVec,
    refused: IntCounterVec,
    connections: IntGauge,
    readers: IntGauge,
    audit_failures: IntCounter,
}

impl Service {
    /// Nothing happened yet.
    ///
    /// # Errors
    /// The table of metrics contradicts itself.
    pub fn new() -> Result<Self, Error> {
        let registry = Registry::new();
        let buckets = vec![0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0];
        let service = Self {
            requests: add(&registry, IntCounterVec::new(options(&HTTP_REQUESTS), HTTP_REQUESTS.labels)?)?,
            duration: add(
                &registry,
                HistogramVec::new(HistogramOpts::from(options(&HTTP_DURATION)).buckets(buckets), HTTP_DURATION.labels)?,
            )?,
            refused: add(&registry, IntCounterVec::new(options(&HTTP_REFUSED), HTTP_REFUSED.labels)?)?,
            connections: add(&registry, IntGauge::with_opts(options(&HTTP_CONNECTIONS))?)?,
            readers: add(&registry, IntGauge::with_opts(options(&EVENT_READERS))?)?,
            audit_failures: add(&registry, IntCounter::with_opts(options(&AUDIT_FAILURES))?)?,
            registry,
        };
        // An alert on the first of them needs the zero before it.
        for why in REFUSALS {
            service.refused.with_label_values(&[why]).inc_by(0);
        }
        // Only the global registry has these by itself.
        #[cfg(target_os = "linux")]
        service.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(service)
    }

    /// A request to one of the routes was answered.
    pub fn answered(&self, path: &'static str, code: u16, after: Duration) {
        self.requests.with_label_values(&[path, &code.to_string()]).inc();
        self.duration.with_label_values(&[path]).observe(after.as_secs_f64());
    }

    /// A request or a connection was refused.
    pub fn refused(&self, why: &'static str) {
        debug_assert!(REFUSALS.contains(&why), "{why}");
        self.refused.with_label_values(&[why]).inc();
    }

    /// So many connections are open.
    pub fn connections(&self, count: usize) {
        self.connections.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// So many streams of events are open.
    pub fn readers(&self, count: usize) {
        self.readers.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A line of the audit log could not be written.
    pub fn audit_failed(&self) {
        self.audit_failures.inc();
    }

    /// All metrics in the text format of Prometheus.
    ///
    /// # Errors
    /// The table of metrics contradicts itself.
    pub fn sheet(
        &self,
        health: &Health,
        outputs: &[OutputHealth],
        summary: &Summary,
        flush: Duration,
    ) -> Result<String, Error> {
        let sheet = Sheet(Registry::new());
        sheet.sensor(health, flush)?;
        sheet.interfaces(&health.interfaces)?;
        sheet.outputs(outputs)?;
        sheet.evidence(health.evidence.as_ref())?;
        sheet.coverage(summary)?;
        sheet.conclusions(summary)?;
        sheet.policy(health, summary)?;
        let mut families = sheet.0.gather();
        families.extend(timing::histograms(&summary.timings));
        families.extend(self.registry.gather());
        let mut text = String::new();
        TextEncoder::new().encode_utf8(&families, &mut text)?;
        Ok(text)
    }
}

fn options(family: &Family) -> Opts {
    Opts::new(family.name, family.help)
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> Result<C, Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// The metrics of one moment.
struct Sheet(Registry);

impl Sheet {
    /// One number without labels.
    fn one(&self, family: &Family, value: f64) -> Result<(), Error> {
        self.all(family, [([], value)])
    }

    /// A number for each set of labels.
    fn all<'a, const N: usize>(
        &self,
        family: &Family,
        rows: impl IntoIterator<Item = ([&'a str; N], f64)>,
    ) -> Result<(), Error> {
        match family.kind {
            Kind::Counter => {
                let metric = add(&self.0, CounterVec::new(options(family), family.labels)?)?;
                rows.into_iter().try_for_each(|(labels, value)| {
                    metric.get_metric_with_label_values(&labels)?.inc_by(value);
                    Ok(())
                })
            }
            Kind::Gauge | Kind::Histogram => {
                let metric = add(&self.0, GaugeVec::new(options(family), family.labels)?)?;
                rows.into_iter().try_for_each(|(labels, value)| {
                    metric.get_metric_with_label_values(&labels)?.set(value);
                    Ok(())
                })
            }
        }
    }

    fn sensor(&self, health: &Health, flush: Duration) -> Result<(), Error> {
        self.all(&BUILD_INFO, [([VERSION, SCHEMA], 1.0)])?;
        self.one(&START_TIME, seconds(health.started))?;
        self.one(&TRANSMITS, 0.0)?;
        self.one(&FLUSHES, float(health.flushes))?;
        self.one(&LAST_FLUSH, seconds(health.at))?;
        self.one(&FLUSH_INTERVAL, flush.as_secs_f64())?;
        self.one(&DROPPED_FRAMES, float(health.lost))?;
        self.one(&QUEUE_BATCHES, float(health.waiting as u64))?;
        self.one(&STORE_OK, flag(health.store_error.is_none()))?;
        self.one(&WORKER_FAILED, flag(health.broken))
    }

    fn interfaces(&self, interfaces: &[InterfaceState]) -> Result<(), Error> {
        type Value = fn(&InterfaceState) -> f64;
        let columns: [(&Family, Value); 10] = [
            (&INTERFACE_UP, |state| flag(state.trouble.is_none())),
            (&INTERFACE_OPENED, |state| float(state.opened)),
            (&INTERFACE_FRAMES, |state| float(state.frames)),
            (&INTERFACE_BYTES, |state| float(state.bytes)),
            (&INTERFACE_RECEIVED, |state| float(state.counts.received)),
            (&INTERFACE_DROPPED_KERNEL, |state| float(state.counts.dropped)),
            (&INTERFACE_DROPPED_CARD, |state| float(state.counts.dropped_by_interface)),
            (&INTERFACE_TRUNCATED, |state| float(state.truncated)),
            (&INTERFACE_OVERSIZED, |state| float(state.oversized)),
            (&INTERFACE_LAST_FRAME, |state| state.last.map_or(0.0, seconds)),
        ];
        // The same interface may stand in the configuration twice, with two filters.
        let mut named: Vec<&InterfaceState> = interfaces.iter().collect();
        named.sort_by(|a, b| a.name.cmp(&b.name));
        named.dedup_by(|a, b| a.name == b.name);
        columns.into_iter().try_for_each(|(family, value)| {
            self.all(family, named.iter().map(|state| ([state.name.as_str()], value(state))))
        })?;
        let ways = |state: &InterfaceState| [("both", state.ways.both), ("one", state.ways.one)];
        let rows = named.iter().flat_map(|state| ways(state).map(|(ways, n)| ([state.name.as_str(), ways], float(n))));
        self.all(&INTERFACE_CONVERSATIONS, rows)
    }

    fn outputs(&self, outputs: &[OutputHealth]) -> Result<(), Error> {
        type Value = fn(&OutputHealth) -> f64;
        let columns: [(&Family, Value); 8] = [
            (&OUTPUT_CONNECTED, |output| flag(output.connected)),
            (&OUTPUT_DELIVERED, |output| float(output.delivered)),
            (&OUTPUT_QUEUED, |output| float(output.queued)),
            (&OUTPUT_QUEUED_BYTES, |output| float(output.queued_bytes)),
            (&OUTPUT_IN_MEMORY, |output| float(output.in_memory)),
            (&OUTPUT_OLDEST, |output| output.oldest_waiting.map_or(0.0, seconds)),
            (&OUTPUT_SHORTENED, |output| float(output.shortened)),
            (&OUTPUT_RECONNECTS, |output| float(output.reconnects)),
        ];
        columns.into_iter().try_for_each(|(family, value)| {
            self.all(family, outputs.iter().map(|output| ([output.name.as_str()], value(output))))
        })?;
        let dropped = |output: &OutputHealth| Band::ALL.into_iter().zip(output.dropped);
        let rows = outputs.iter().flat_map(|output| {
            dropped(output).map(|(band, count)| ([output.name.as_str(), band.text()], float(count)))
        });
        self.all(&OUTPUT_DROPPED, rows)
    }

    fn evidence(&self, evidence: Option<&EvidenceState>) -> Result<(), Error> {
        let none = EvidenceState::default();
        let state = evidence.unwrap_or(&none);
        self.one(&EVIDENCE_OK, flag(state.error.is_none()))?;
        self.one(&EVIDENCE_FILES, float(state.files as u64))?;
        self.one(&EVIDENCE_BYTES, float(state.bytes))?;
        self.one(&EVIDENCE_WRITTEN, float(state.written))?;
        self.one(&EVIDENCE_REMOVED, float(state.removed))?;
        self.one(&EVIDENCE_MISSED, float(state.missed))?;
        self.one(&EVIDENCE_PASSED, float(state.passed))
    }

    fn coverage(&self, summary: &Summary) -> Result<(), Error> {
        let coverage = &summary.coverage;
        self.one(&FRAMES, float(coverage.frames))?;
        self.one(&FRAME_BYTES, float(coverage.bytes))?;
        self.one(&DECODED, float(coverage.decoded))?;
        self.all(&NOT_DECODED, coverage.not_decoded.iter().map(|(reason, count)| ([*reason], float(*count))))?;
        self.one(&DUPLICATES, float(coverage.duplicates))?;
        self.one(&FRAGMENTS, float(coverage.fragments))?;
        self.one(&NO_FLOW, float(coverage.frames_of_no_flow))?;
        self.all(&LIMITS_HIT, coverage.limits_hit.iter().map(|(limit, count)| ([*limit], float(*count))))?;
        self.one(&DISSECTOR_FAILURES, float(coverage.dissector_failures))?;

        type Value = fn(&ProtocolCoverageView) -> u64;
        let columns: [(&Family, Value); 5] = [
            (&PROTOCOL_PDUS, |of| of.pdus),
            (&PROTOCOL_BYTES, |of| of.bytes),
            (&PROTOCOL_SKIPPED, |of| of.skipped_bytes),
            (&PROTOCOL_ANOMALIES, |of| of.anomalies),
            (&PROTOCOL_OPAQUE, |of| of.opaque),
        ];
        // A protocol that was not seen has zeros: an alert on its first message needs them.
        let names = || REGISTRY.iter().map(|protocol| protocol.info().name);
        columns.into_iter().try_for_each(|(family, value)| {
            let rows = names().map(|name| ([name], coverage.protocols.get(name).map_or(0.0, |of| float(value(of)))));
            self.all(family, rows)
        })
    }

    fn conclusions(&self, summary: &Summary) -> Result<(), Error> {
        let assets = summary.assets.iter();
        self.all(&ASSETS, assets.map(|((zone, role), count)| ([zone.as_str(), role], float(*count))))?;
        let new = |zone| summary.new_assets.get(zone).map_or(0.0, |count| float(*count));
        self.all(&NEW_ASSETS, summary.assets.keys().map(|(zone, _)| ([zone.as_str()], new(zone))))?;
        let verdicts = summary.verdicts();
        self.all(&FLOWS, verdicts.iter().map(|(verdict, count)| ([*verdict], float(*count))))?;
        let operations = summary.operations.iter().flat_map(|((from, to), classes)| {
            classes.iter().map(move |(class, count)| ([from.as_str(), to.as_str(), class], float(*count)))
        });
        self.all(&OPERATIONS, operations)?;
        let findings = summary.findings.iter();
        self.all(&FINDINGS, findings.map(|((band, code, name), count)| ([*band, *code, *name], float(*count))))
    }

    fn policy(&self, health: &Health, summary: &Summary) -> Result<(), Error> {
        type Value = fn(&ConduitView) -> f64;
        let columns: [(&Family, Value); 3] = [
            (&CONDUIT_LAST_SEEN, |conduit| {
                conduit.used.last.as_deref().and_then(Timestamp::parse).map_or(0.0, seconds)
            }),
            (&CONDUIT_OPERATIONS, |conduit| float(conduit.used.operations)),
            (&CONDUIT_SESSIONS, |conduit| float(conduit.used.sessions)),
        ];
        columns.into_iter().try_for_each(|(family, value)| {
            let conduits = summary.conduits.iter().take(CONDUITS);
            self.all(family, conduits.map(|conduit| ([conduit.id.as_str()], value(conduit))))
        })?;
        let policy = summary.policy.iter();
        self.all(&POLICY_INFO, policy.map(|policy| ([policy.site.as_str(), policy.sha256.as_str()], 1.0)))?;
        self.one(&POLICY_LOADED, health.policy_loaded.map_or(0.0, seconds))?;
        self.one(&RELOAD_OK, flag(health.reload_error.is_none()))
    }
}

/// Prometheus counts in floats; what is beyond 2^53 loses its last digits.
fn float(count: u64) -> f64 {
    count as f64
}

fn flag(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

fn seconds(time: Timestamp) -> f64 {
    time.nanos() as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::flow::timing::Timing;

    #[test]
    fn names_are_as_prometheus_wants_them() {
        let mut names = BTreeSet::new();
        for family in FAMILIES {
            let name = family.name;
            assert!(names.insert(name), "{name} twice");
            assert!(name.starts_with("zonewatch_"), "{name}");
            assert_eq!(name.ends_with("_total"), family.kind == Kind::Counter, "{name}");
            assert!(family.help.ends_with('.') && !family.help.contains('\n'), "{name}");
        }
    }

    #[test]
    fn the_page_is_made_from_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), page(), "BLESS=1 writes it again");
    }

    #[test]
    fn every_metric_of_the_table_is_filled() {
        let service = Service::new().unwrap();
        service.answered("/metrics", 200, Duration::ZERO);
        service.refused("token");
        let interface = InterfaceState { name: "eth1".to_owned(), ..InterfaceState::default() };
        let health = Health { interfaces: vec![interface.clone(), interface], ..Health::default() };
        let conduit = ConduitView {
            id: "C-1".to_owned(),
            name: None,
            from: Vec::new(),
            to: Vec::new(),
            owner: None,
            used: super::super::view::UseView::default(),
        };
        let mut summary = Summary { conduits: vec![conduit], ..Summary::default() };
        let policy = super::super::view::PolicyView { files: Vec::new(), sha256: "0".into(), site: "s\"\n".into() };
        summary.policy = Some(policy);
        summary.coverage.not_decoded.insert("cut", 1);
        summary.coverage.limits_hit.insert("flows", 1);
        summary.assets.insert(("a".to_owned(), "plc"), 1);
        summary.operations.entry(("a".to_owned(), "b".to_owned())).or_default().insert("write", 2);
        summary.findings.insert(("high", "ZC004", "operation-not-listed"), 3);
        summary.timings.insert(("a".to_owned(), "b".to_owned(), "modbus"), Timing::default());
        let output = OutputHealth { name: "siem".to_owned(), ..OutputHealth::default() };
        let text = service.sheet(&health, &[output], &summary, Duration::from_secs(10)).unwrap();
        for family in FAMILIES {
            assert!(text.lines().any(|line| line.starts_with(family.name)), "{} has no series:\n{text}", family.name);
        }
        assert!(text.contains(r#"site="s\"\n""#), "{text}");
    }
}
