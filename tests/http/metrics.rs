//! Metrics, as Prometheus and its tools see them.

use std::io::Write;
use std::process::{Command, Stdio};

use zonewatch::output::metrics::FAMILIES;

use super::{Running, loopback, program, support};

#[test]
fn metrics_are_those_of_the_table() {
    let running = Running::start(&loopback());
    let _ = running.get("/api/v1/assets");
    let answer = running.get("/metrics");
    assert!(answer.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let analysis = running.get("/api/v1/snapshot").json();
    let value = |name: &str| {
        let prefix = format!("{name} ");
        let line = answer.body.lines().find_map(|line| line.strip_prefix(&prefix));
        line.unwrap_or_else(|| panic!("no {name}\n{}", answer.body)).parse::<f64>().unwrap()
    };
    let sum = |name: &str| {
        let own = answer.body.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        own.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum::<f64>()
    };
    let count = |list: &str| analysis[list].as_array().unwrap().len() as f64;
    let coverage = |name: &str| analysis["coverage"][name].as_f64().unwrap();
    for (got, want, what) in [
        (value("zonewatch_frames_total"), coverage("frames"), "frames"),
        (
            value("zonewatch_decoded_frames_total") + sum("zonewatch_not_decoded_frames_total"),
            coverage("frames"),
            "frames decoded and not",
        ),
        (sum("zonewatch_assets"), count("assets"), "assets"),
        (sum("zonewatch_flows"), count("flows"), "flows"),
        (sum("zonewatch_findings"), count("findings"), "findings"),
        (value("zonewatch_transmits_on_capture"), 0.0, "sent"),
        (value("zonewatch_interface_dropped_by_kernel_total{interface=\"eth1\"}"), 2.0, "dropped"),
        (
            value("zonewatch_protocol_pdus_total{protocol=\"modbus\"}"),
            analysis["coverage"]["protocols"]["modbus"]["pdus"].as_f64().unwrap(),
            "PDUs of Modbus",
        ),
        (sum("zonewatch_conduit_last_seen_timestamp_seconds").min(1.0), 1.0, "conduits"),
        (sum("zonewatch_operations_total").min(1.0), 1.0, "operations"),
        (value("zonewatch_output_delivered_events_total{output=\"siem\"}"), 7.0, "events delivered"),
        (sum("zonewatch_response_time_seconds_count").min(1.0), 1.0, "answers that were timed"),
        (sum("zonewatch_poll_interval_seconds_count").min(1.0), 1.0, "polls that were timed"),
    ] {
        assert!((got - want).abs() < 0.5, "{what}: {got} for {want}");
    }
    for name in
        answer.body.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(|line| line.split(' ').next().unwrap())
    {
        assert!(name.starts_with("process_") || FAMILIES.iter().any(|family| family.name == name), "{name}");
    }
    assert!(answer.body.contains("process_resident_memory_bytes"));
}

/// What promtool says of something.
fn promtool(args: &[&str], input: &str) -> Option<(bool, String)> {
    let mut command = Command::new(program("promtool")?);
    command.args(args).current_dir(support::root().join("dashboards"));
    let mut tool = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _ = tool.stdin.take().unwrap().write_all(input.as_bytes());
    let output = tool.wait_with_output().unwrap();
    let says = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&says).into_owned()))
}

#[test]
fn promtool_has_nothing_to_say() {
    let running = Running::start(&loopback());
    let Some((good, says)) = promtool(&["check", "metrics"], &running.get("/metrics").body) else { return };
    assert!(good && says.is_empty(), "{says}");
    // It does complain of what is wrong.
    let (good, says) = promtool(&["check", "metrics"], "# TYPE x counter\nx 1\n").unwrap();
    assert!(!good && says.contains('x'), "{says}");
}

#[test]
fn rules_hold() {
    for args in [&["check", "rules", "rules.yml"][..], &["test", "rules", "rules.test.yml", "rules.slow.test.yml"]] {
        let Some((good, says)) = promtool(args, "") else { return };
        assert!(good, "{args:?}: {says}");
    }
}
