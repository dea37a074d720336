//! A real Prometheus scrapes the sensor, and every query of the dashboards and of the alerts finds its metrics.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::client::Client;
use super::{Running, loopback, program, support};

/// A Prometheus that ends with the test.
struct Prometheus {
    process: Child,
    client: Client,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Prometheus {
    fn start(target: &str) -> Option<Self> {
        let name = program("prometheus")?;
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: zonewatch\n  static_configs:\n  - targets: ['{target}']\n"
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let process = Command::new(name)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={free}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        let client = Client::new(free);
        let ready = || std::net::TcpStream::connect(free).is_ok() && client.get("/-/ready").status == 200;
        while !ready() {
            assert!(began.elapsed() < Duration::from_secs(60), "Prometheus does not start");
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(Self { process, client, _folder: folder })
    }

    /// How many series a query has now.
    fn series(&self, query: &str) -> usize {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.client.get(&format!("/api/v1/query?query={encoded}"));
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        answer.json()["data"]["result"].as_array().unwrap().len()
    }
}

/// Every query in a dashboard, with the variables as they are when nothing is chosen.
fn queries(dashboard: &Value, found: &mut BTreeSet<String>) {
    match dashboard {
        Value::Object(fields) => {
            if let Some(query) = fields.get("expr").and_then(Value::as_str) {
                found.insert(query.replace("$__rate_interval", "1m").replace("$instance", ".*"));
            }
            fields.values().for_each(|field| queries(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| queries(item, found)),
        _ => {}
    }
}

/// The metrics that an alert looks at.
fn metrics(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("zonewatch_")).map(str::to_owned).collect()
}

#[test]
fn every_query_of_the_dashboards_finds_something() {
    let folder = support::root().join("dashboards");
    let mut asked = BTreeSet::new();
    let mut dashboards = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = std::fs::read_to_string(&path).unwrap();
            queries(&serde_json::from_str(&text).unwrap(), &mut asked);
            dashboards += 1;
        }
    }
    assert!(dashboards == 3 && asked.len() > 20, "{dashboards} dashboards with {} queries", asked.len());
    let rules = std::fs::read_to_string(folder.join("rules.yml")).unwrap();
    let exprs: String = rules.lines().filter(|line| line.trim_start().starts_with("expr:")).collect();
    asked.extend(metrics(&exprs));
    // No limit was reached in so small a capture; the rule's own test has one.
    assert!(asked.remove("zonewatch_limits_hit_total"));

    let running = Running::start(&loopback());
    let Some(prometheus) = Prometheus::start(&running.server.addresses[0].to_string()) else { return };
    let began = Instant::now();
    let mut left: Vec<&String> = asked.iter().collect();
    while !left.is_empty() && began.elapsed() < Duration::from_secs(30) {
        left.retain(|query| prometheus.series(query) == 0);
        std::thread::sleep(Duration::from_millis(300));
    }
    assert!(left.is_empty(), "these find nothing: {left:#?}");
}
