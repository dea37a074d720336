//! A capture, through everything: nothing panics, every frame is accounted for, the same is told at any pace and by any number
//! of workers, and what is told cannot steer a terminal, a page or a table.

use std::io::Cursor;
use std::sync::{Arc, LazyLock};

use zonewatch::analysis::{self, Analysis, Options};
use zonewatch::config::Limits;
use zonewatch::flow::table::FlowLimits;
use zonewatch::output::report::Report;
use zonewatch::output::view::AnalysisView;
use zonewatch::output::{sheet, text};
use zonewatch::policy::Policy;
use zonewatch::source::set::Captures;
use zonewatch::source::{Batch, FrameRef};

static POLICY: LazyLock<Arc<Policy>> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/plant/plant.toml");
    let nearer = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/plant/plant.toml");
    let paths = [path, nearer].map(std::path::PathBuf::from);
    let path = paths.into_iter().find(|path| path.exists()).expect("the fixtures are there");
    Arc::new(Policy::load(&[path]).unwrap_or_else(|wrong| panic!("{wrong}")))
});

/// Tables in which nearly everything has to make room.
fn crowded() -> Limits {
    let flows = FlowLimits { flows: 64, glimpses: 32, per_pair: 2 };
    Limits { connections: 1, links: 16, meters: 16, timings: 4, flows, ..Limits::default() }
}

fn run(capture: &[u8], limits: Limits, workers: usize, one_by_one: bool) -> Option<(Analysis, AnalysisView)> {
    let mut captures = Captures::stream("fuzz.pcap", Box::new(Cursor::new(capture.to_vec()))).ok()?;
    let options = Options { workers, policy: Some(Arc::clone(&POLICY)), limits, ..Options::default() };
    let (mut block, mut next) = (Batch::default(), 0);
    let fill = |captures: &mut Captures, batch: &mut Batch| {
        if !one_by_one {
            return captures.fill(batch);
        }
        batch.clear();
        while next >= block.frames.len() {
            next = 0;
            if !captures.fill(&mut block) {
                return false;
            }
        }
        let frame = block.frames[next];
        next += 1;
        let bytes = block.frame(&frame).map(|frame| frame.bytes).unwrap_or_default();
        batch.frames.push(FrameRef { offset: 0, ..frame });
        batch.bytes.extend_from_slice(bytes);
        true
    };
    let analysis = analysis::run(&mut captures, fill, &options);
    let view = analysis.view(&captures.summaries(), &[]);
    Some((analysis, view))
}

/// No text that comes from a capture may steer what it is shown on.
fn harmless(what: &str, text: &str, styled: bool) {
    let mut rest = text;
    if styled {
        // Our own styles, and nothing else of that kind.
        while let Some((before, after)) = rest.split_once("\u{1b}[") {
            plain(what, before);
            let end = after.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(after.len());
            assert!(after[end..].starts_with('m'), "{what}: an escape sequence that is no style");
            rest = &after[end + 1..];
        }
    }
    plain(what, rest);
}

fn plain(what: &str, text: &str) {
    let steers =
        |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!text.contains(steers), "{what}: {:?}", text.chars().find(|c| steers(*c)));
}

/// Checks a capture: by a policy, and one of three things that take long, by what stands in it.
///
/// # Panics
/// When a promise is broken.
pub fn check(capture: &[u8]) {
    let turn = capture.iter().fold(0_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)) >> 8;
    let limits = if turn.is_multiple_of(2) { Limits::default() } else { crowded() };
    let Some((_, view)) = run(capture, limits, 1, false) else { return };
    let coverage = &view.coverage;
    let counted: u64 = coverage.not_decoded.values().sum();
    assert_eq!(coverage.frames, coverage.decoded + counted, "a frame is missing");
    assert_eq!(coverage.dissector_failures, 0, "a dissector failed");
    match turn % 3 {
        0 => {
            let (_, slow) = run(capture, limits, 2, true).expect("as before");
            let [told, slow] = [&view, &slow].map(|view| serde_json::to_string(view).expect("it can be told"));
            assert!(told == slow, "something else is told at another pace");
        }
        1 => {
            harmless("table", &text::render(&view, 80), true);
            let mut csv = Vec::new();
            sheet::assets(&view.assets, &mut csv).and_then(|()| sheet::flows(&view.flows, &mut csv)).expect("a table");
            sheet::findings(&view.findings, &mut csv).expect("a table");
            let csv = String::from_utf8(csv).expect("text");
            harmless("csv", &csv.replace('\r', ""), false);
        }
        _ => {
            let report = Report { view: &view, policy: Some(&**POLICY), sights: None, history: None, plan: None };
            harmless("report", &report.page().html, false);
        }
    }
}
