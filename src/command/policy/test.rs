use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::analysis::{self, Options};
use crate::cli::PolicyTest;
use crate::command::{Done, Failure, Outcome, analyze, print};
use crate::output::diagnostics::counted;
use crate::output::escape::terminal;
use crate::output::expect::Expectation;
use crate::output::junit::{Tested, junit};
use crate::policy::{Case, Difference, Policy};

pub(super) fn run(options: &PolicyTest) -> Outcome {
    let policy = analyze::load_policy(std::slice::from_ref(&options.policy), true)?.ok_or("test needs a policy")?;
    let mut suites = Vec::new();
    for input in &options.inputs {
        let tested = if is_json(input) { cases(&policy, input) } else { capture(&policy, input) }?;
        suites.push((input.display().to_string(), tested));
    }
    if let Some(path) = &options.junit {
        fs::write(path, junit(&suites)).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    let mut text = String::new();
    let (mut all, mut bad) = (0, 0);
    for (name, tested) in &suites {
        let failed: Vec<&Tested> = tested.iter().filter(|case| !case.differences.is_empty()).collect();
        (all, bad) = (all + tested.len(), bad + failed.len());
        for case in failed {
            let _ = writeln!(text, "FAILED {}: {}", terminal(name), terminal(&case.name));
            case.differences.iter().for_each(|line| {
                let _ = writeln!(text, "  {}", terminal(line));
            });
        }
    }
    let _ = writeln!(text, "{}, {} as expected, {bad} not", counted(all, "case"), all - bad);
    print(&text)?;
    Ok(if bad == 0 { Done::Clean } else { Done::Findings })
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("json"))
}

fn read(path: &Path) -> Result<String, Failure> {
    Ok(fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?)
}

fn cases(policy: &Policy, path: &Path) -> Result<Vec<Tested>, Failure> {
    let located = |why: String| Failure(format!("{}: {}", path.display(), terminal(&why)));
    let cases = Case::list(&read(path)?).map_err(located)?;
    let tested = |case: &Case| {
        let line = |Difference { what, want, got }| format!("{what} is {got}, not {want}");
        let differences = case.differences(policy).map_err(located)?.into_iter().map(line).collect();
        Ok(Tested { name: format!("{} {}", case.id, case.title).trim_end().to_owned(), differences })
    };
    cases.iter().map(tested).collect()
}

fn capture(policy: &Arc<Policy>, path: &Path) -> Result<Vec<Tested>, Failure> {
    let beside = expectation(path);
    let text = read(&beside).map_err(|Failure(why)| {
        Failure(format!(
            "{why}\n  hint: a capture is tested against the expectation beside it; zonewatch policy test --help shows one"
        ))
    })?;
    let expectation = Expectation::read(&text).map_err(|why| format!("{}: {}", beside.display(), terminal(&why)))?;
    let mut captures = analyze::open(&[path.to_owned()])?;
    let settings = Options { policy: Some(Arc::clone(policy)), ..Options::default() };
    let analysis = analysis::run(&mut captures, |c, b| c.fill(b), &settings);
    Ok(expectation.compare(&analysis.view(&captures.summaries(), &[])))
}

/// `capture.expect.json` beside `capture.pcap` or `capture.pcap.gz`.
fn expectation(capture: &Path) -> PathBuf {
    let name = capture.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = [".pcapng", ".pcap", ".cap", ".snoop"].into_iter().find_map(|end| Some(&name[..name.find(end)?]));
    capture.with_file_name(format!("{}.expect.json", stem.unwrap_or(&name)))
}
