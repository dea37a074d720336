//! Every capture of the corpus, analysed once by the binary; the parts of the output that the questions are about.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::support::{self, Run, for_each};
use crate::truth;

#[derive(Debug, Deserialize)]
pub(crate) struct Analysis {
    pub(crate) coverage: Coverage,
    pub(crate) assets: Vec<Asset>,
    pub(crate) flows: Vec<Flow>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Coverage {
    pub(crate) frames: u64,
    pub(crate) decoded: u64,
    pub(crate) not_decoded: BTreeMap<String, u64>,
    pub(crate) frames_of_no_flow: u64,
    pub(crate) dissector_failures: u64,
    pub(crate) protocols: BTreeMap<String, Protocol>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Protocol {
    pub(crate) pdus: u64,
    pub(crate) messages: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Asset {
    pub(crate) id: String,
    pub(crate) ips: Vec<String>,
    pub(crate) macs: Vec<String>,
    pub(crate) facts: Vec<Fact>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Fact {
    pub(crate) attribute: String,
    pub(crate) value: String,
    pub(crate) method: String,
    pub(crate) first: Evidence,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Evidence {
    pub(crate) frame: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Flow {
    pub(crate) client: End,
    pub(crate) server: End,
    pub(crate) transport: String,
    pub(crate) protocol: Option<String>,
    pub(crate) initiator: String,
    pub(crate) connections: u64,
    pub(crate) frames_to_server: u64,
    pub(crate) frames_to_client: u64,
    pub(crate) bytes_to_server: u64,
    pub(crate) bytes_to_client: u64,
    pub(crate) copies: Copies,
    pub(crate) operations: Vec<Operation>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct End {
    pub(crate) ip: Option<String>,
    pub(crate) mac: Option<String>,
    pub(crate) port: Option<u16>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Copies {
    pub(crate) frames_to_server: u64,
    pub(crate) frames_to_client: u64,
    pub(crate) bytes_to_server: u64,
    pub(crate) bytes_to_client: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Operation {
    pub(crate) code: String,
    pub(crate) component: Option<String>,
    pub(crate) requests: u64,
    pub(crate) answered: u64,
    pub(crate) refused: u64,
}

impl End {
    /// Its address: IP where there is one, else MAC.
    pub(crate) fn address(&self) -> &str {
        self.ip.as_deref().or(self.mac.as_deref()).unwrap_or("")
    }
}

impl Flow {
    /// Frames and bytes as they lie in the capture: to the server, then to the client, copies by mirrors included.
    pub(crate) fn counts(&self) -> [u64; 4] {
        [
            self.frames_to_server + self.copies.frames_to_server,
            self.bytes_to_server + self.copies.bytes_to_server,
            self.frames_to_client + self.copies.frames_to_client,
            self.bytes_to_client + self.copies.bytes_to_client,
        ]
    }
}

/// What came of one capture.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
    /// `None` when nothing was printed, or no JSON.
    pub(crate) analysis: Option<Analysis>,
}

/// Every capture with its outcome, by name.
pub(crate) fn outcomes(corpus: &Path) -> &'static BTreeMap<String, Outcome> {
    static OUTCOMES: OnceLock<BTreeMap<String, Outcome>> = OnceLock::new();
    OUTCOMES.get_or_init(|| {
        let names = truth::captures(corpus);
        let outcomes = for_each(&names, |name| outcome(analyze(&corpus.join("captures").join(name), &[])));
        names.into_iter().zip(outcomes).collect()
    })
}

/// Every capture that could be analysed.
pub(crate) fn analyses(corpus: &Path) -> impl Iterator<Item = (&'static str, &'static Analysis)> {
    outcomes(corpus).iter().filter_map(|(name, outcome)| Some((name.as_str(), outcome.analysis.as_ref()?)))
}

/// Runs the analysis of one capture.
pub(crate) fn analyze(path: &Path, options: &[&str]) -> Run {
    let mut args =
        vec!["analyze".into(), "--format".into(), "json".into(), "--quiet".into(), path.as_os_str().to_owned()];
    args.extend(options.iter().map(Into::into));
    support::run(args)
}

/// The parts of a run that the questions are about.
pub(crate) fn outcome(run: Run) -> Outcome {
    let analysis = serde_json::from_slice(&run.stdout).ok();
    Outcome { code: run.code, stderr: run.stderr, analysis }
}
