//! The table of metrics. The code fills no others, and `docs/metrics.md` is made from it.

use std::fmt::Write;

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, and starts again at zero with the sensor.
    Counter,
    /// As it is now.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// A metric with all its labels.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// The names of its labels. Their values come from bounded sets.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

macro_rules! families {
    ($($family:ident: $kind:ident $name:literal [$($label:literal)*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub(super) const $family: Family =
                Family { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };
        )*
        /// Every metric, in the order of the page.
        pub const FAMILIES: &[Family] = &[$($family),*];
    };
}

families! {
    BUILD_INFO: Gauge "zonewatch_build_info" ["version" "schema"] "Always 1; the labels say which program this is.";
    START_TIME: Gauge "zonewatch_start_time_seconds" [] "When the sensor started, in seconds since 1970.";
    TRANSMITS: Gauge "zonewatch_transmits_on_capture" [] "Frames that this program can send on a watched interface: always 0, since no code path holds a sending handle.";
    FLUSHES: Counter "zonewatch_flushes_total" [] "How often what the workers learned was gathered.";
    LAST_FLUSH: Gauge "zonewatch_last_flush_timestamp_seconds" [] "When that was last done, in seconds since 1970.";
    FLUSH_INTERVAL: Gauge "zonewatch_flush_interval_seconds" [] "How often it is to be done.";

    INTERFACE_UP: Gauge "zonewatch_interface_up" ["interface"] "1 when the interface is being watched, 0 when it cannot be.";
    INTERFACE_OPENED: Counter "zonewatch_interface_opened_total" ["interface"] "How often the interface was opened; more than once means that it went away.";
    INTERFACE_FRAMES: Counter "zonewatch_interface_frames_total" ["interface"] "Frames read.";
    INTERFACE_BYTES: Counter "zonewatch_interface_bytes_total" ["interface"] "Bytes on the wire of the frames read.";
    INTERFACE_RECEIVED: Counter "zonewatch_interface_received_total" ["interface"] "Frames that the kernel had for the sensor, lost ones included.";
    INTERFACE_DROPPED_KERNEL: Counter "zonewatch_interface_dropped_by_kernel_total" ["interface"] "Frames lost because the kernel's ring was full.";
    INTERFACE_DROPPED_CARD: Counter "zonewatch_interface_dropped_by_card_total" ["interface"] "Frames lost by the network card or its driver.";
    INTERFACE_TRUNCATED: Counter "zonewatch_interface_truncated_total" ["interface"] "Frames cut by the snap length.";
    INTERFACE_OVERSIZED: Counter "zonewatch_interface_oversized_total" ["interface"] "Frames longer than the MTU: joined by the card, so not what was on the wire.";
    INTERFACE_CONVERSATIONS: Gauge "zonewatch_interface_tcp_conversations" ["interface" "directions"] "TCP conversations with payload at the last flush that had three or more, by whether both directions of them were seen or one alone.";
    INTERFACE_LAST_FRAME: Gauge "zonewatch_interface_last_frame_timestamp_seconds" ["interface"] "Time of the last frame, in seconds since 1970.";

    DROPPED_FRAMES: Counter "zonewatch_dropped_frames_total" [] "Frames dropped by the sensor because its workers were too slow.";
    QUEUE_BATCHES: Gauge "zonewatch_queue_batches" [] "Batches of frames that wait in the longest queue of a worker.";
    STORE_OK: Gauge "zonewatch_store_ok" [] "0 when what was learned could not be written to the store; it is tried again.";
    WORKER_FAILED: Gauge "zonewatch_worker_failed" [] "1 when a worker has failed and its share of the traffic is not seen any more.";

    OUTPUT_CONNECTED: Gauge "zonewatch_output_connected" ["output"] "1 when the file or the connection of an output is open.";
    OUTPUT_DELIVERED: Counter "zonewatch_output_delivered_events_total" ["output"] "Events that the other side has for certain.";
    OUTPUT_QUEUED: Gauge "zonewatch_output_queued_events" ["output"] "Events that wait, or were sent but may not have arrived yet.";
    OUTPUT_QUEUED_BYTES: Gauge "zonewatch_output_queued_bytes" ["output"] "Their bytes.";
    OUTPUT_IN_MEMORY: Gauge "zonewatch_output_unwritten_events" ["output"] "Of the queued events those that a kill of the process would lose, because the disk did not take them.";
    OUTPUT_OLDEST: Gauge "zonewatch_output_oldest_event_timestamp_seconds" ["output"] "Time of the oldest queued event, in seconds since 1970; 0 when none waits.";
    OUTPUT_DROPPED: Counter "zonewatch_output_dropped_events_total" ["output" "severity"] "Events that were dropped, because the queue was full or the disk damaged them.";
    OUTPUT_SHORTENED: Counter "zonewatch_output_shortened_events_total" ["output"] "Events that were cut to fit into a datagram.";
    OUTPUT_RECONNECTS: Counter "zonewatch_output_reconnects_total" ["output"] "Attempts to connect, or to open the file, after a failure.";

    EVIDENCE_OK: Gauge "zonewatch_evidence_ok" [] "0 when the last file of evidence could not be written.";
    EVIDENCE_FILES: Gauge "zonewatch_evidence_files" [] "Files of evidence there are.";
    EVIDENCE_BYTES: Gauge "zonewatch_evidence_bytes" [] "Their bytes.";
    EVIDENCE_WRITTEN: Counter "zonewatch_evidence_written_files_total" [] "Files of evidence written.";
    EVIDENCE_REMOVED: Counter "zonewatch_evidence_removed_files_total" [] "Files of evidence that went for younger ones.";
    EVIDENCE_MISSED: Counter "zonewatch_evidence_missed_findings_total" [] "Findings without evidence: their frames were gone, there were too many at once, or the file could not be written.";
    EVIDENCE_PASSED: Counter "zonewatch_evidence_passed_frames_total" [] "Frames that evidence was not looked for in, because its recorder was behind.";

    FRAMES: Counter "zonewatch_frames_total" [] "Frames analysed.";
    FRAME_BYTES: Counter "zonewatch_frame_bytes_total" [] "Their bytes on the wire.";
    DECODED: Counter "zonewatch_decoded_frames_total" [] "Frames that were decoded.";
    NOT_DECODED: Counter "zonewatch_not_decoded_frames_total" ["reason"] "Frames that were not decoded; with the decoded ones they add up to all frames.";
    DUPLICATES: Counter "zonewatch_duplicate_frames_total" [] "Frames that a mirror port made a second time.";
    FRAGMENTS: Counter "zonewatch_fragments_total" [] "IP fragments.";
    NO_FLOW: Counter "zonewatch_forgotten_flow_frames_total" [] "Frames of flows that were forgotten at a limit.";
    LIMITS_HIT: Counter "zonewatch_limits_hit_total" ["limit"] "How often a limit of memory was reached.";
    DISSECTOR_FAILURES: Counter "zonewatch_dissector_failures_total" [] "Connections given up because a dissector failed: a bug each.";

    PROTOCOL_PDUS: Counter "zonewatch_protocol_pdus_total" ["protocol"] "Whole protocol messages read.";
    PROTOCOL_BYTES: Counter "zonewatch_protocol_bytes_total" ["protocol"] "Their bytes.";
    PROTOCOL_SKIPPED: Counter "zonewatch_protocol_skipped_bytes_total" ["protocol"] "Bytes that belong to no message: remains of lost ones, and what made no sense.";
    PROTOCOL_ANOMALIES: Counter "zonewatch_protocol_anomalies_total" ["protocol"] "Out-of-specification events.";
    PROTOCOL_OPAQUE: Counter "zonewatch_protocol_opaque_total" ["protocol"] "Messages whose meaning is hidden, by encryption for one, or not known.";

    ASSETS: Gauge "zonewatch_assets" ["zone" "role"] "Devices known.";
    NEW_ASSETS: Gauge "zonewatch_new_assets" ["zone"] "Devices first seen within the last 24 hours.";
    FLOWS: Gauge "zonewatch_flows" ["verdict"] "Conversations known, by what the policy says of them.";
    OPERATIONS: Counter "zonewatch_operations_total" ["src_zone" "dst_zone" "class"] "Operations requested from one zone of another. It starts again when the policy is loaded again.";
    POLL_INTERVAL: Histogram "zonewatch_poll_interval_seconds" ["src_zone" "dst_zone" "protocol"] "Time between two equal requests, or two messages that want no answer, of a connection.";
    RESPONSE_TIME: Histogram "zonewatch_response_time_seconds" ["src_zone" "dst_zone" "protocol"] "Time between a request and its answer.";
    FINDINGS: Gauge "zonewatch_findings" ["severity" "code" "reason"] "Findings known.";

    CONDUIT_LAST_SEEN: Gauge "zonewatch_conduit_last_seen_timestamp_seconds" ["conduit"] "When a conduit was last used, in seconds since 1970; 0 when it never was.";
    CONDUIT_OPERATIONS: Counter "zonewatch_conduit_operations_total" ["conduit"] "Operations that a conduit carried.";
    CONDUIT_SESSIONS: Counter "zonewatch_conduit_sessions_total" ["conduit"] "Connections that used a conduit.";

    POLICY_INFO: Gauge "zonewatch_policy_info" ["site" "sha256"] "1 for the policy in force; no series without a policy.";
    POLICY_LOADED: Gauge "zonewatch_policy_loaded_timestamp_seconds" [] "When the policy in force was loaded, in seconds since 1970.";
    RELOAD_OK: Gauge "zonewatch_policy_reload_ok" [] "0 when the last attempt to load the policy failed and the one before it is still in force.";

    HTTP_REQUESTS: Counter "zonewatch_http_requests_total" ["path" "code"] "Requests answered.";
    HTTP_DURATION: Histogram "zonewatch_http_request_duration_seconds" ["path"] "Time until the answer began.";
    HTTP_REFUSED: Counter "zonewatch_http_refused_total" ["why"] "Requests and connections refused.";
    HTTP_CONNECTIONS: Gauge "zonewatch_http_connections" [] "Open connections.";
    EVENT_READERS: Gauge "zonewatch_http_event_readers" [] "Open streams of events.";
    AUDIT_FAILURES: Counter "zonewatch_http_audit_failures_total" [] "Lines of the audit log that could not be written.";
}

/// `docs/metrics.md`.
#[must_use]
pub fn page() -> String {
    let mut text = "# Metrics\n\n\
        What `GET /metrics` of `zonewatch watch` says. This page is made from the table in `src/output/metrics/family.rs`; \
        after a change there, `BLESS=1 cargo test --lib metrics` writes it again.\n\n\
        Labels have values from bounded sets only: names of the policy (zones, conduits), of the configuration \
        (interfaces, outputs), and of the program (protocols, roles, classes, reasons, limits). At most 1024 pairs of zones are told \
        apart, in histograms 256 with a protocol; what is beyond has the zone `other`. Where there is no zone, role or verdict, the label says `none`. \
        Besides, there are the `process_` metrics that every Prometheus client has.\n\n\
        | Metric | Kind | Labels | Meaning |\n|---|---|---|---|\n"
        .to_owned();
    for family in FAMILIES {
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let kind = format!("{:?}", family.kind).to_lowercase();
        let _ = writeln!(text, "| `{}` | {kind} | {} | {} |", family.name, labels.join(" "), family.help);
    }
    text
}
