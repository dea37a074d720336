//! The corpus and what is known of it: real captures, and beside each what another dissector counted.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The folder with the corpus: `$ZONEWATCH_SHARED/corpus`, else beside the repository. `None`, loudly, when there is none.
pub(crate) fn corpus() -> Option<&'static Path> {
    static CORPUS: OnceLock<Option<PathBuf>> = OnceLock::new();
    CORPUS
        .get_or_init(|| {
            let shared = std::env::var_os("ZONEWATCH_SHARED")
                .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
            let corpus = shared.join("corpus");
            if corpus.join("captures").is_dir() {
                return Some(corpus);
            }
            eprintln!("\n**** SKIPPED: no corpus at {}; set ZONEWATCH_SHARED ****\n", corpus.display());
            None
        })
        .as_deref()
}

/// Every capture of the corpus as `owner__repo/file`, in order.
pub(crate) fn captures(corpus: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for folder in list(&corpus.join("captures")) {
        for file in list(&folder) {
            let leaf = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
            names.push(format!("{}/{}", leaf(&folder), leaf(&file)));
        }
    }
    names.sort();
    names
}

fn list(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// A table with a head line, as maps from column to text. Empty when there is no such table.
fn table(path: &Path) -> Vec<BTreeMap<String, String>> {
    let Ok(bytes) = fs::read(path) else { return Vec::new() };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut lines = text.lines();
    let head: Vec<_> = lines.next().unwrap_or_default().split('\t').map(str::to_owned).collect();
    lines.map(|line| head.iter().cloned().zip(line.split('\t').map(str::to_owned)).collect()).collect()
}

/// One conversation: both directions joined, client ports folded.
#[derive(Clone, Debug)]
pub(crate) struct Conversation {
    pub(crate) client: String,
    pub(crate) server: String,
    pub(crate) port: String,
    pub(crate) proto: String,
    /// Frames and bytes to the server, then to the client.
    pub(crate) counts: [u64; 4],
    /// A SYN says who asks; else it is a guess.
    pub(crate) sure: bool,
}

/// One count of operations: what, which side, its value, details.
#[derive(Clone, Debug)]
pub(crate) struct Count {
    pub(crate) proto: String,
    pub(crate) what: String,
    pub(crate) side: String,
    pub(crate) value: String,
    pub(crate) detail: String,
    pub(crate) count: u64,
}

/// One identity that a frame carries.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) file: String,
    pub(crate) frame: u64,
    pub(crate) protocol: String,
    pub(crate) mac: String,
    pub(crate) ip: String,
    pub(crate) role: String,
    pub(crate) vendor: String,
    pub(crate) product: String,
    pub(crate) revision: String,
    pub(crate) serial: String,
    pub(crate) name: String,
    pub(crate) other: String,
}

/// What is known of one capture; `None` for those that nobody counted.
pub(crate) struct Truth {
    pub(crate) conversations: Vec<Conversation>,
    pub(crate) counts: Vec<Count>,
}

impl Truth {
    /// Of `owner__repo/file`.
    pub(crate) fn of(corpus: &Path, capture: &str) -> Option<Self> {
        let stem = corpus.join("truth").join(capture.replace('/', "__"));
        let path = |kind: &str| PathBuf::from(format!("{}.{kind}.tsv", stem.display()));
        let number = |row: &BTreeMap<String, String>, key: &str| row[key].parse::<u64>().unwrap();
        let counts: Vec<_> = table(&path("ops"))
            .iter()
            .map(|row| Count {
                proto: row["proto"].clone(),
                what: row["what"].clone(),
                side: row["side"].clone(),
                value: row["value"].clone(),
                detail: row["detail"].clone(),
                count: number(row, "count"),
            })
            .collect();
        let conversations = table(&path("convs"))
            .iter()
            .map(|row| Conversation {
                client: row["client"].clone(),
                server: row["server"].clone(),
                port: row["server_port"].clone(),
                proto: row["proto"].clone(),
                counts: ["pkts_c2s", "bytes_c2s", "pkts_s2c", "bytes_s2c"].map(|key| number(row, key)),
                sure: row["basis"] == "syn",
            })
            .collect();
        (!counts.is_empty()).then_some(Self { conversations, counts })
    }

    /// The counts of one kind.
    pub(crate) fn counts<'a>(&'a self, proto: &'a str, what: &'a str) -> impl Iterator<Item = &'a Count> {
        self.counts.iter().filter(move |row| row.proto == proto && row.what == what)
    }
}

/// Identities that frames carry, over all captures.
pub(crate) fn identities(corpus: &Path) -> Vec<Identity> {
    let rows = table(&corpus.join("identity.tsv"));
    let text = |row: &BTreeMap<String, String>, key: &str| row.get(key).cloned().unwrap_or_default();
    rows.iter()
        .map(|row| Identity {
            file: text(row, "file"),
            frame: text(row, "frame").parse().unwrap(),
            protocol: text(row, "protocol"),
            mac: text(row, "src_mac"),
            ip: text(row, "src_ip"),
            role: text(row, "role"),
            vendor: text(row, "vendor"),
            product: text(row, "product"),
            revision: text(row, "revision"),
            serial: text(row, "serial"),
            name: text(row, "name"),
            other: text(row, "other"),
        })
        .collect()
}

/// OPC UA services by the numbers of their messages' type ids: name, and whether it is the request's.
pub(crate) fn opcua_services(corpus: &Path) -> BTreeMap<String, (String, bool)> {
    let path = corpus.join("../protocols/tables/ops_opcua.csv");
    let mut services = BTreeMap::new();
    for line in fs::read_to_string(&path).unwrap().lines().skip(1) {
        let [name, request, response, ..] = line.split(',').collect::<Vec<_>>()[..] else { continue };
        for (id, asks) in [(request, true), (response, false)] {
            if !id.is_empty() {
                services.insert(id.to_owned(), (name.to_owned(), asks));
            }
        }
    }
    services
}
