//! The command line as types: no behaviour. Help texts are the doc comments.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::config::Size;

/// What is on a control network, and does it stay inside its zones?
///
/// zonewatch reads what passes a mirror port or lies in a capture file, and never sends a packet. It finds the devices,
/// who talks to whom with which operations, and what crosses zones outside the declared IEC 62443 conduits.
#[derive(Debug, Parser)]
#[command(name = "zonewatch", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read capture files and print what is there
    ///
    /// Reads pcap, pcapng and snoop, plain, gzip or zstd. Several captures are read in the order of their time, and overlapping
    /// ones are merged. The result does not depend on the number of workers or the order of the arguments.
    #[command(after_help = EXIT_CODES)]
    Analyze(Analyze),
    /// Watch interfaces until stopped (the service runs this)
    ///
    /// Listens on mirror ports and never sends a frame. Shows new devices and findings as they come; with a configuration
    /// it keeps them, serves metrics and an API, and tells a SIEM. SIGHUP loads policy and configuration again, SIGTERM
    /// and Ctrl-C end it.
    #[cfg(all(feature = "live", feature = "sensor"))]
    #[command(after_help = WATCH_EXAMPLE)]
    Watch(Watch),
    /// List the interfaces that can be watched
    #[cfg(feature = "live")]
    Interfaces(Interfaces),
    /// The devices that a sensor knows, from its store or while it runs
    #[cfg(all(feature = "live", feature = "sensor"))]
    #[command(after_help = ASK_EXAMPLE)]
    Assets(Ask),
    /// The conversations that a sensor knows, from its store or while it runs
    #[cfg(all(feature = "live", feature = "sensor"))]
    #[command(after_help = ASK_EXAMPLE)]
    Flows(Ask),
    /// The findings of a sensor with how they stand, from its store or while it runs
    #[cfg(all(feature = "live", feature = "sensor"))]
    #[command(after_help = ASK_EXAMPLE)]
    Findings(Ask),
    /// What came, changed and went between two times or two stores
    ///
    /// A and B are times, of which the store knows what was known then; or a store or analysis.json each.
    #[cfg(all(feature = "live", feature = "sensor"))]
    #[command(after_help = DIFF_TIMES_EXAMPLE)]
    Diff(Diff),
    /// Write a report for people: scope, zones, crossings, conduits, devices, evidence by requirement
    ///
    /// One HTML file that opens offline and prints, of captures, a saved analysis, a store or a sensor that runs; its tables
    /// also for a spreadsheet. Of a store or a sensor it has trends.
    #[command(after_help = REPORT_EXAMPLE)]
    Report(Report),
    /// Why: an asset, an attribute of it, a flow or a finding, down to capture and frame
    ///
    /// SUBJECT is an id (A-…, F-…, V-…, K-…), a declared name, an IP or MAC address, or an asset with an attribute or
    /// component: 10.20.2.10/firmware, 10.20.2.10/role, 10.20.2.10/modbus/17.
    Explain(Explain),
    /// Check a zone and conduit declaration
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// What is dissected: carriers, port hints, operations and their classes
    Protocols(Protocols),
    /// Write man pages or shell completions into a folder, for packages
    #[command(hide = true)]
    Generate(Generate),
    /// The main job on a bundled capture and policy
    ///
    /// A small plant of two cells, supervision and a DMZ, with an office host that breaks the rules, a scan and an
    /// engineering download. The capture and its policy are part of the program.
    Demo(Demo),
}

#[cfg(all(feature = "live", feature = "sensor"))]
const WATCH_EXAMPLE: &str = "\
Example:
  sudo zonewatch watch -i eth1
  sudo zonewatch watch -i eth1 -i eth2 --policy plant.toml --for 10m --out first-look
  zonewatch watch --config /etc/zonewatch/zonewatch.toml

Exit codes: 0 stopped as told; 2 could not do it.";
#[cfg(all(feature = "live", feature = "sensor"))]
const ASK_EXAMPLE: &str = "\
Example:
  zonewatch assets zone=cell-b                              the store of /etc/zonewatch/zonewatch.toml
  zonewatch flows verdict=violation --store z.db --format csv
  zonewatch findings severity=high state=open --url http://127.0.0.1:9470
  zonewatch assets --at 2026-11-16T10:15:00Z

Words: zone, protocol and q (any text) for all; role for assets; asset, verdict and finding for flows; asset, verdict,
severity (this or graver), reason, state and kind for findings. They are those of the API.";
#[cfg(all(feature = "live", feature = "sensor"))]
const DIFF_TIMES_EXAMPLE: &str = "\
Example:
  zonewatch diff 2026-11-16 2026-11-17
  zonewatch diff 2026-11-16T10:15:00Z 2026-11-16T11:00:00Z --store z.db --format json
  zonewatch diff before.db after.db";
const REPORT_EXAMPLE: &str = "\
Example:
  zonewatch report plant.pcapng --policy plant.toml --out report.html --tables tables
  zonewatch report --store z.db --at 2026-11-16 --out report.html       with trends
  zonewatch report result/analysis.json > report.html
  zonewatch report test.pcapng --policy plant.toml --test-plan plan.csv --out report.html

A test plan, of which from, to and expected (passes or blocked) are needed:
  id,from,to,protocol,operation,expected,tester,time,note
  T1,10.10.0.77,plc-b1,tcp/445,,blocked,shift lead,2026-11-16 10:15,file share
  T2,scada-1,plc-b1,modbus,read,passes,shift lead,2026-11-16 10:20,

from and to are addresses, names of devices, or zones; protocol is a name or tcp/445; operation is a class, a code or a name;
time is UTC and may have until beside it.";
const EXPLAIN_EXAMPLE: &str = "\
Example:
  zonewatch policy explain scada-1 plc-b1 modbus 16 holding 100-119 unit 1 --policy plant.toml
  zonewatch policy explain 10.10.0.77 10.20.2.10 tcp/445 --at '2026-11-16 10:15' --policy plant.toml";
const TEST_EXAMPLE: &str = "\
Example:
  zonewatch policy test plant.toml cases.json capture.pcap --junit results.xml

A case:
  [ { \"id\": \"T01\", \"title\": \"SCADA reads the boiler\",
      \"flow\": { \"time\": \"2026-11-16T10:15:00+01:00\", \"src\": \"10.60.0.10\", \"dst\": \"10.20.2.10\",
                \"proto\": \"modbus\", \"dport\": 502, \"op\": { \"class\": \"read\", \"function\": 3, \"unit\": 1 } },
      \"expect\": { \"verdict\": \"allow\", \"ref\": \"C-031\" } } ]

capture.expect.json:
  { \"flows\": [ { \"client\": \"10.10.0.77\", \"server\": \"10.20.2.10\", \"port\": 502, \"verdict\": \"violation\" } ],
    \"rest\": [\"allow\", \"ignore\"] }

Exit codes: 0 all as expected; 1 something differs; 2 could not do it.";
const SCHEMA_EXAMPLE: &str = "\
Example:
  zonewatch policy schema > plant.schema.json

and as the first line of the declaration, for language servers such as taplo:
  #:schema ./plant.schema.json";
const DIFF_EXAMPLE: &str = "\
Example:
  zonewatch policy diff plant.toml plant-new.toml
  zonewatch policy diff plant.toml plant-new.toml last-week.pcap";
const CHECK_EXAMPLE: &str = "\
Example:
  zonewatch policy check plant.toml
  zonewatch policy check policy.d --format sarif > policy.sarif

Exit codes: 0 it can be used, perhaps with warnings; 2 it has errors.";
const EXIT_CODES: &str = "Exit codes: 0 done; 1 done, and findings at or above --fail-on; 2 could not do it.";

/// Options of `analyze`.
#[derive(Debug, Args)]
pub struct Analyze {
    /// Capture files, folders of them, or '-' for stdin
    #[arg(value_name = "CAPTURE", required = true)]
    pub captures: Vec<PathBuf>,
    /// Zone and conduit declaration: a file, or a folder of *.toml (repeatable)
    #[arg(long, value_name = "FILE")]
    pub policy: Vec<PathBuf>,
    /// What to print [default: table on a terminal, json otherwise]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Write analysis.json, assets.csv, flows.csv, findings.ndjson and report.html there
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write the frames of each finding there, as a small pcapng (the captures are read a second time)
    #[arg(long, value_name = "DIR")]
    pub evidence: Option<PathBuf>,
    /// Worker threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Option<u16>,
    /// Memory for all tables together; at the limit the oldest idle state goes, and that is counted
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    pub memory: Size,
    /// Exit with 1 when a finding is at least so severe
    #[arg(long, value_enum, value_name = "BAND", default_value_t = FailOn::Never)]
    pub fail_on: FailOn,
    /// Public networks that are ours, comma separated: their hosts are not external
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub home_nets: Vec<ipnet::IpNet>,
    /// Only frames that match this filter, in the language of tcpdump
    #[cfg(feature = "live")]
    #[arg(long, value_name = "BPF")]
    pub filter: Option<String>,
    /// Makers of MAC addresses from this file in the IEEE's CSV format, instead of the bundled registry
    #[arg(long, value_name = "FILE")]
    pub oui_file: Option<PathBuf>,
    /// No progress bar and no notes on stderr; errors are still told
    #[arg(long, short)]
    pub quiet: bool,
}

/// Options of `watch`.
#[cfg(all(feature = "live", feature = "sensor"))]
#[derive(Debug, Args)]
pub struct Watch {
    /// Interface to watch, such as eth1 (repeatable)
    #[arg(long, short, value_name = "NAME")]
    pub interface: Vec<String>,
    /// Configuration of the service; what is given here as well wins
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Zone and conduit declaration: a file, or a folder of *.toml (repeatable)
    #[arg(long, value_name = "FILE")]
    pub policy: Vec<PathBuf>,
    /// Only frames that match this filter, in the language of tcpdump
    #[arg(long, value_name = "BPF")]
    pub filter: Option<String>,
    /// Stop after so long, such as 90s, 10m or 2h
    #[arg(long = "for", value_name = "TIME")]
    pub duration: Option<crate::config::Seconds>,
    /// At the end write analysis.json, assets.csv, flows.csv, findings.ndjson and report.html there
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where metrics, API and web page are served, such as 127.0.0.1:9470 (repeatable)
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Vec<std::net::SocketAddr>,
    /// Worker threads
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub workers: Option<u16>,
    /// Nothing on stdout but what is asked for; errors and troubles are still told on stderr
    #[arg(long, short)]
    pub quiet: bool,
}

/// Options of `interfaces`.
#[cfg(feature = "live")]
#[derive(Debug, Args)]
pub struct Interfaces {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Where something is known from.
#[derive(Debug, Default, Args)]
pub struct Origin {
    /// Store of a sensor, which may be running [default: the one in the configuration]
    #[cfg(all(feature = "live", feature = "sensor"))]
    #[arg(long, value_name = "FILE")]
    pub store: Option<PathBuf>,
    /// A sensor that runs, such as http://127.0.0.1:9470
    #[cfg(all(feature = "live", feature = "sensor"))]
    #[arg(long, value_name = "URL", conflicts_with_all = ["store", "at", "policy"])]
    pub url: Option<String>,
    /// File with the token that the sensor wants
    #[cfg(all(feature = "live", feature = "sensor"))]
    #[arg(long, value_name = "FILE", requires = "url")]
    pub token_file: Option<PathBuf>,
    /// PEM file with the authority of the sensor's certificate
    #[cfg(all(feature = "live", feature = "sensor"))]
    #[arg(long, value_name = "FILE", requires = "url")]
    pub ca: Option<PathBuf>,
    /// Configuration that names the store [default: /etc/zonewatch/zonewatch.toml]
    #[cfg(all(feature = "live", feature = "sensor"))]
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What the store knew at that time, such as 2026-11-16 or 2026-11-16T10:15:00Z
    #[cfg(all(feature = "live", feature = "sensor"))]
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Zone and conduit declaration (repeatable); of a store, instead of the one that was in force
    #[arg(long, value_name = "FILE")]
    pub policy: Vec<PathBuf>,
}

/// Options of `assets`, `flows` and `findings`.
#[cfg(all(feature = "live", feature = "sensor"))]
#[derive(Debug, Args)]
pub struct Ask {
    /// Only those for which all of this holds: zone=cell-b, protocol=modbus, q=10.20.
    #[arg(value_name = "WORD=VALUE")]
    pub filters: Vec<String>,
    /// What to print [default: table on a terminal, json otherwise]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Where it is known from.
    #[command(flatten)]
    pub origin: Origin,
}

/// Options of `diff`.
#[cfg(all(feature = "live", feature = "sensor"))]
#[derive(Debug, Args)]
pub struct Diff {
    /// A time, a store or an analysis.json
    #[arg(value_name = "A")]
    pub before: String,
    /// What it is compared with
    #[arg(value_name = "B")]
    pub after: String,
    /// What to print [default: table on a terminal, json otherwise]
    #[arg(long, value_enum)]
    pub format: Option<DiffFormat>,
    /// Where it is known from.
    #[command(flatten)]
    pub origin: Origin,
}

/// Output formats of `diff`.
#[cfg(all(feature = "live", feature = "sensor"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DiffFormat {
    /// For people
    Table,
    /// One object
    Json,
}

/// Options of `report`.
#[derive(Debug, Args)]
pub struct Report {
    /// Capture files to read, or one saved analysis.json [default: a store]
    #[arg(value_name = "CAPTURE")]
    pub inputs: Vec<PathBuf>,
    /// Write it there instead of to stdout
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write each of its tables there as well, whole: crossings.csv, crossings.json and so on
    #[arg(long, value_name = "DIR")]
    pub tables: Option<PathBuf>,
    /// What was to be tried at the boundaries, as CSV: it says of each row what was seen, and where
    #[arg(long, value_name = "FILE")]
    pub test_plan: Option<PathBuf>,
    /// Where it is known from.
    #[command(flatten)]
    pub origin: Origin,
}

/// Options of `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// What to explain
    pub subject: String,
    /// Capture files to read, or one saved analysis.json [default: a store]
    #[arg(value_name = "CAPTURE")]
    pub inputs: Vec<PathBuf>,
    /// Where it is known from.
    #[command(flatten)]
    pub origin: Origin,
}

/// The commands on policies.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Load a declaration and tell every error and warning in it
    ///
    /// Everything that is wrong is told in one run, with file, line, column and a way out. Warnings are what a good
    /// declaration should not have; it can be used with them.
    #[command(after_help = CHECK_EXAMPLE)]
    Check(PolicyCheck),
    /// Compare a declaration with what its author expects of it
    ///
    /// An argument that ends in .json is a list of cases: flows with the verdict that is expected. Anything else is a
    /// capture, with its expectation beside it: capture.pcap has capture.expect.json, which lists flows by client,
    /// server and port with their verdict (and rule), and under "rest" the verdicts that all others may have.
    #[command(after_help = TEST_EXAMPLE)]
    Test(PolicyTest),
    /// Say in words what changed between two declarations
    ///
    /// Rules that were added, removed, widened or narrowed, zones and assets that moved. With captures also which of
    /// their flows are judged otherwise now.
    #[command(after_help = DIFF_EXAMPLE)]
    Diff(PolicyDiff),
    /// Print the JSON Schema of the declaration language, for editors
    ///
    /// With it an editor completes keys and words, explains them, and marks what does not belong there.
    #[command(after_help = SCHEMA_EXAMPLE)]
    Schema,
    /// Why a flow is allowed, or is not: every stage of the evaluation
    ///
    /// SRC and DST are addresses or declared assets. PROTOCOL is a name, or tcp/445 for what no protocol is known of.
    /// OP is an operation class (read, write, program), or a function by code or name (16, 0x4c, Read); behind it may
    /// stand what it touches (holding 100-119, tag Line1.Speed) and on which unit (unit 1).
    #[command(after_help = EXPLAIN_EXAMPLE)]
    Explain(Box<PolicyExplain>),
    /// The declaration as tables for a spreadsheet, or its conduits as a firewall proposal
    Export(PolicyExport),
    /// Tables of a spreadsheet back to a declaration
    ///
    /// Reads what `policy export --format csv` writes: zones.csv, assets.csv, conduits.csv and so on, any of them. Every
    /// bad cell is told with file, row and column.
    Import(PolicyImport),
    /// What became of each conduit: used clean, with violations, unused, never seen, not observable, expired
    ///
    /// With who used it, which of its rights nobody used, and the narrower text that would have been enough. Days are
    /// those of the captures: the last packet is today.
    Review(PolicyReview),
    /// Draft a least-privilege declaration from traffic
    ///
    /// Each line stands below its evidence. What must not be approved unseen (programming, the outside, clear-text
    /// passwords, office to process) is a comment, never a rule. The draft loads, and allows nothing until a person
    /// has read it and written approved = true.
    Suggest(PolicySuggest),
    /// Take just-in-time conduits that have ended out of a declaration
    ///
    /// Lists the conduits with ephemeral = true whose valid_until has passed. With --write they are taken out of their
    /// files, comments above them included, and kept in FILE.history beside each; nothing else in a file changes.
    Tidy(PolicyTidy),
}

/// Options of `policy check`.
#[derive(Debug, Args)]
pub struct PolicyCheck {
    /// Files, or folders of *.toml
    #[arg(value_name = "POLICY", required = true)]
    pub policy: Vec<PathBuf>,
    /// What to print; sarif shows each error on its line of a pull request
    #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
    pub format: CheckFormat,
}

/// Options of `policy test`.
#[derive(Debug, Args)]
pub struct PolicyTest {
    /// Zone and conduit declaration: a file, or a folder of *.toml
    #[arg(value_name = "POLICY")]
    pub policy: PathBuf,
    /// Lists of cases (*.json), and captures with an expectation beside them
    #[arg(value_name = "CASES|CAPTURE", required = true)]
    pub inputs: Vec<PathBuf>,
    /// Write the results there as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// Options of `policy diff`.
#[derive(Debug, Args)]
pub struct PolicyDiff {
    /// The declaration as it was: a file, or a folder of *.toml
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// The declaration as it is now
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// Captures whose flows are judged by both
    #[arg(value_name = "CAPTURE")]
    pub captures: Vec<PathBuf>,
}

/// Options of `policy explain`.
#[derive(Debug, Args)]
pub struct PolicyExplain {
    /// Who opens the session
    #[arg(value_name = "SRC")]
    pub source: String,
    /// Who answers
    #[arg(value_name = "DST")]
    pub destination: String,
    /// What they speak
    #[arg(value_name = "PROTOCOL")]
    pub protocol: String,
    /// What is done, on what; several with + between them
    #[arg(value_name = "OP")]
    pub operation: Vec<String>,
    /// The server's port [default: the protocol's own]
    #[arg(long, value_name = "N")]
    pub port: Option<u16>,
    /// What carries it: tcp, udp, l2, l2:0x88a4 [default: the protocol's own]
    #[arg(long, value_name = "NAME")]
    pub transport: Option<String>,
    /// When, with an offset or in the time of the site [default: now]
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// How it is protected: sign-and-encrypt/Basic256Sha256/certificate, or ///1.2 for a version alone
    #[arg(long, value_name = "MODE[/POLICY[/TOKEN[/VERSION]]]")]
    pub security: Option<String>,
    /// The payload is encrypted or not read
    #[arg(long)]
    pub opaque: bool,
    /// What became of it: answered, refused, request-only, none
    #[arg(long, value_name = "WORD")]
    pub outcome: Option<String>,
    /// Operations in a time: 80/s, 600/m
    #[arg(long, value_name = "N/TIME")]
    pub rate: Option<String>,
    /// Bytes in a time: 50MB/h
    #[arg(long, value_name = "N/TIME")]
    pub byte_rate: Option<String>,
    /// Source MAC of a frame on the segment of one side
    #[arg(long, value_name = "MAC")]
    pub src_mac: Option<String>,
    /// Destination MAC of it: the boundary device's, when it goes there
    #[arg(long, value_name = "MAC")]
    pub dst_mac: Option<String>,
    /// The boundary device that it passes, instead of --dst-mac
    #[arg(long, value_name = "ASSET", conflicts_with = "dst_mac")]
    pub via: Option<String>,
    /// The VLAN it was seen on
    #[arg(long, value_name = "N")]
    pub vlan: Option<u16>,
    /// How its packets are marked: a DSCP from 0 to 63
    #[arg(long, value_name = "N")]
    pub dscp: Option<u8>,
    /// How the initiator is known: seen, inferred, unknown
    #[arg(long, value_name = "WORD")]
    pub initiator: Option<String>,
    /// To how many it goes: unicast, multicast, broadcast
    #[arg(long, value_name = "WORD")]
    pub cast: Option<String>,
    /// Zones of the tap that saw what goes to many (repeatable)
    #[arg(long, value_name = "ZONE")]
    pub seen_in: Vec<String>,
    /// Nobody approved one of the two assets
    #[arg(long)]
    pub unapproved: bool,
    /// Zone and conduit declaration (repeatable)
    #[arg(long, value_name = "FILE", required = true)]
    pub policy: Vec<PathBuf>,
}

/// Output formats of `policy check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// For people
    Text,
    /// One object
    Json,
    /// SARIF 2.1.0, for code review and CI
    Sarif,
}

/// Options of `policy export`.
#[derive(Debug, Args)]
pub struct PolicyExport {
    /// Files, or folders of *.toml
    #[arg(value_name = "POLICY", required = true)]
    pub policy: Vec<PathBuf>,
    /// What to make of it
    #[arg(long, value_enum, default_value_t = ExportFormat::Csv)]
    pub format: ExportFormat,
    /// Write there: a folder for csv, else a file [default: stdout, which csv cannot be written to]
    #[arg(long, value_name = "PATH", required_if_eq("format", "csv"))]
    pub out: Option<PathBuf>,
}

/// What a policy can be exported as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One table a kind of entry, for a spreadsheet
    Csv,
    /// The conduits as firewall rules, as text: a proposal
    Firewall,
    /// The same as a ruleset of nftables: a proposal
    Nftables,
}

/// Options of `policy tidy`.
#[derive(Debug, Args)]
pub struct PolicyTidy {
    /// Files, or folders of *.toml
    #[arg(value_name = "POLICY", required = true)]
    pub policy: Vec<PathBuf>,
    /// As if it were that time: 2026-11-22, or with 14:00 behind it, in the site's time zone [default: now]
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Change the files
    #[arg(long)]
    pub write: bool,
}

/// Options of `policy import`.
#[derive(Debug, Args)]
pub struct PolicyImport {
    /// The folder with the tables
    #[arg(long, value_name = "DIR")]
    pub csv: PathBuf,
    /// Write the policy there instead of to stdout
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Options of `policy review`.
#[derive(Debug, Args)]
pub struct PolicyReview {
    /// A file, or a folder of *.toml
    #[arg(value_name = "POLICY")]
    pub policy: PathBuf,
    /// Capture files, or folders of them
    #[arg(value_name = "CAPTURE", required = true)]
    pub captures: Vec<PathBuf>,
    /// The decisions of the last review, which this one starts from
    #[arg(long, value_name = "FILE")]
    pub decisions: Option<PathBuf>,
    /// Write the draft of this review's decisions, to be filled in and signed
    #[arg(long, value_name = "FILE")]
    pub draft: Option<PathBuf>,
    /// What to print [default: table on a terminal, json otherwise]
    #[arg(long, value_enum)]
    pub format: Option<TableOrJson>,
}

/// Options of `policy suggest`.
#[derive(Debug, Args)]
pub struct PolicySuggest {
    /// Capture files, or folders of them
    #[arg(value_name = "CAPTURE", required = true)]
    pub captures: Vec<PathBuf>,
    /// Write the draft there instead of to stdout
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Id of the site in the draft
    #[arg(long, value_name = "ID", default_value = "draft")]
    pub site: String,
    /// Draft from the time before, and report how often the draft would have fired on the rest: the last PERCENT of the
    /// time, or all from a time on (2026-11-16T12:00:00Z)
    #[arg(long, value_name = "PERCENT|TIME")]
    pub hold_out: Option<String>,
    /// Public networks that are ours, comma separated: their hosts are not external
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    pub home_nets: Vec<ipnet::IpNet>,
}

/// Options of `protocols`.
#[derive(Debug, Args)]
pub struct Protocols {
    /// Only this protocol, with all its operations
    pub protocol: Option<String>,
    /// What to print [default: table on a terminal, json otherwise]
    #[arg(long, value_enum)]
    pub format: Option<TableOrJson>,
}

/// The command line as it is declared, to describe it elsewhere.
#[must_use]
pub fn declaration() -> clap::Command {
    Cli::command()
}

/// Options of `generate`.
#[derive(Debug, Args)]
pub struct Generate {
    /// What to write
    #[arg(value_enum)]
    pub what: Generated,
    /// The folder to write into
    pub folder: PathBuf,
}

/// What is made from the declaration of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Generated {
    /// One page for each command
    Man,
    /// For bash, zsh and fish
    Completions,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// What to print [default: table on a terminal, json otherwise]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Write the capture and the policy there, to try the other commands on them
    #[arg(long, value_name = "DIR")]
    pub save: Option<PathBuf>,
}

/// Output formats of an analysis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// One object, the whole contract
    Json,
    /// One object a line: coverage, assets, flows, findings
    Ndjson,
    /// The assets, for a spreadsheet; --out also writes the flows
    Csv,
}

/// Output formats of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TableOrJson {
    /// For people
    Table,
    /// For machines
    Json,
}

/// From which severity on the exit code is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[allow(missing_docs)] // The names are the documentation.
pub enum FailOn {
    Low,
    Medium,
    High,
    Critical,
    Never,
}
