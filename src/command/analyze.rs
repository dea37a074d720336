use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Done, Failure, Outcome, columns, evidence, for_people, note, print, written};
use crate::analysis::{self, Options};
use crate::cli::{Analyze, FailOn, Format};
use crate::config::Limits;
use crate::output::escape::terminal;
use crate::output::report::Report;
use crate::output::view::{AnalysisView, CaptureView, CoverageView, FindingView};
use crate::output::{lines, sheet, text};
use crate::policy::Policy;
use crate::source::Batch;
#[cfg(feature = "live")]
use crate::source::filter::Filter;
use crate::source::set::Captures;

pub(super) fn run(options: &Analyze) -> Outcome {
    let policy = load_policy(&options.policy, options.quiet)?;
    let oui = load_oui(options.oui_file.as_deref())?;
    #[cfg(feature = "live")]
    let mut filter = options.filter.as_deref().map(Filter::new).transpose().map_err(|error| {
        format!("--filter: {error}\n  hint: it is in the language of pcap-filter(7), such as 'tcp port 502 or vlan'")
    })?;
    if options.evidence.is_some() && options.captures.iter().any(|path| path.as_os_str() == "-") {
        return Err(Failure("--evidence reads the captures twice, and '-' cannot be: give it a file".to_owned()));
    }
    let mut captures = open(&options.captures)?;
    let workers = options.workers.map_or_else(|| thread::available_parallelism().map_or(1, usize::from), usize::from);
    let (home_nets, limits) = (options.home_nets.clone(), Limits::within(options.memory.0));
    let settings = Options { workers, policy, oui, home_nets, limits };
    // What is kept names the bytes it was made from.
    let is_kept = options.out.is_some() || format(options.format) == Format::Json;
    let hashing = is_kept.then(|| captures.hash());
    let progress = Progress::new(!options.quiet);
    let stop = stop_on_signals()?;
    let mut fill = |captures: &mut Captures, batch: &mut Batch| {
        let more = !stop.load(Ordering::Relaxed) && captures.fill(batch);
        progress.show(captures);
        #[cfg(feature = "live")]
        if let Some(filter) = &mut filter {
            filter.retain(batch);
        }
        more
    };
    let analysis = analysis::run(&mut captures, &mut fill, &settings);
    progress.finish();
    let sha256s = hashing.map(|hashing| captures.sha256s(hashing)).transpose()?.unwrap_or_default();
    let shows_flows = options.out.is_some() || format(options.format) != Format::Csv;
    let summaries = captures.summaries();
    let mut told = match shows_flows {
        true => analysis.tell(&summaries),
        false => analysis.tell_without_flows(&summaries),
    };
    if let (Some(folder), false) = (&options.evidence, stop.load(Ordering::Relaxed)) {
        let mut again = Captures::open(&options.captures).0;
        let names = summaries.iter().map(|summary| summary.name.clone()).collect();
        let kept = evidence::keep(folder, names, told.findings_mut(), |batch| fill(&mut again, batch))?;
        if !options.quiet {
            note(&kept);
        }
    }
    let done = judged(told.findings(), options.fail_on);
    let format = format(options.format);
    if options.out.is_none() && matches!(format, Format::Json | Format::Ndjson) {
        // Flows are many times what is known of them when they are said all at once.
        let whole = told.whole(&analysis, &summaries, &sha256s);
        if !options.quiet {
            tell_damage(&whole.captures, &whole.coverage);
        }
        let out = &mut io::stdout().lock();
        written(match format {
            Format::Json => json(&whole, out),
            _ => ndjson(&whole.coverage, told.assets(&analysis), told.flows(&analysis), told.findings(), out),
        })?;
        std::mem::forget(whole);
        std::mem::forget(told);
    } else {
        let view = analysis.view_of(told, &summaries, &sha256s);
        if !options.quiet {
            tell_damage(&view.captures, &view.coverage);
        }
        if let Some(folder) = &options.out {
            save(folder, &view, settings.policy.as_deref())?;
            if !options.quiet {
                note(&format!("wrote {}", folder.display()));
            }
        }
        show(&view, format)?;
        std::mem::forget(view);
    }
    // The program ends here: to give back a million strings one by one would only delay that.
    std::mem::forget(analysis);
    if stop.load(Ordering::Relaxed) {
        return Err(Failure("stopped by a signal: what is shown is only what was read before it".to_owned()));
    }
    Ok(done)
}

/// The first SIGINT or SIGTERM stops the reading, and what was read is shown; a second one ends the program at once.
pub(super) fn stop_on_signals() -> Result<Arc<AtomicBool>, Failure> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 2, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// Opens captures; those that cannot be read are told. Nothing to read at all is a failure.
pub(super) fn open(paths: &[std::path::PathBuf]) -> Result<Captures, Failure> {
    let (captures, unreadable) = Captures::open(paths);
    let fatal = captures.is_empty();
    for bad in &unreadable {
        let text = format!("cannot read {}: {}", terminal(&bad.name), bad.error);
        if fatal || !bad.in_folder { super::error(&text) } else { note(&text) }
    }
    if fatal {
        return Err(Failure(
            "there is no capture to read\n  hint: give pcap, pcapng or snoop files (plain, .gz, .zst), a folder of them, or '-' for stdin"
                .to_owned(),
        ));
    }
    Ok(captures)
}

/// Loads a policy; every error in it is told with file, line and column, and unless `quiet` what is odd about it.
pub(super) fn load_policy(
    paths: &[std::path::PathBuf],
    quiet: bool,
) -> Result<Option<std::sync::Arc<Policy>>, Failure> {
    if paths.is_empty() {
        return Ok(None);
    }
    let styled = io::stderr().is_terminal();
    match Policy::load(paths) {
        Ok(policy) => {
            if !quiet && !policy.warnings.list.is_empty() {
                let _ = write!(anstream::stderr().lock(), "{}", policy.warnings.render(styled));
            }
            Ok(Some(std::sync::Arc::new(policy)))
        }
        Err(diagnostics) => Err(Failure(diagnostics.render(styled).trim_end().to_owned())),
    }
}

pub(super) fn load_oui(path: Option<&Path>) -> Result<crate::inventory::Oui, Failure> {
    let Some(path) = path else { return Ok(crate::inventory::Oui::builtin()) };
    let file = File::open(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    crate::inventory::Oui::builtin().with_csv(file).map_err(|error| Failure(format!("{}: {error}", path.display())))
}

/// The wanted form: JSON for programs, unless something else is asked for.
pub(super) fn format(wanted: Option<Format>) -> Format {
    wanted.unwrap_or(if for_people() { Format::Table } else { Format::Json })
}

/// Prints an analysis in the wanted form.
pub(super) fn show(view: &AnalysisView, format: Format) -> Result<(), Failure> {
    match format {
        Format::Table => print(&text::render(view, columns())),
        Format::Json => written(json(view, &mut io::stdout().lock())),
        Format::Ndjson => {
            let AnalysisView { coverage, assets, flows, findings, .. } = view;
            written(ndjson(coverage, assets, flows, findings, &mut io::stdout().lock()))
        }
        Format::Csv => written(sheet::assets(&view.assets, io::stdout().lock()).map_err(io::Error::from)),
    }
}

fn json(view: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    serde_json::to_writer_pretty(&mut out, view)?;
    out.write_all(b"\n")?;
    out.flush()
}

fn ndjson(
    coverage: &CoverageView,
    assets: impl IntoIterator<Item: Serialize>,
    flows: impl IntoIterator<Item: Serialize>,
    findings: &[FindingView],
    out: &mut impl Write,
) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    lines::one(&mut out, "coverage", coverage)?;
    lines::all(&mut out, "asset", assets)?;
    lines::all(&mut out, "flow", flows)?;
    lines::all(&mut out, "finding", findings)?;
    out.flush()
}

pub(super) fn save(folder: &Path, view: &AnalysisView, policy: Option<&Policy>) -> Result<(), Failure> {
    let name = |error: io::Error| Failure(format!("cannot write to {}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(name)?;
    let file = |leaf: &str| File::create(folder.join(leaf)).map_err(name);
    json(view, &mut file("analysis.json")?).map_err(name)?;
    sheet::assets(&view.assets, file("assets.csv")?).map_err(|error| name(error.into()))?;
    sheet::flows(&view.flows, file("flows.csv")?).map_err(|error| name(error.into()))?;
    let mut findings = BufWriter::new(file("findings.ndjson")?);
    lines::all(&mut findings, "finding", &view.findings).and_then(|()| findings.flush()).map_err(name)?;
    let report = Report { view, policy, sights: None, history: None, plan: None };
    file("report.html")?.write_all(report.page().html.as_bytes()).map_err(name)
}

fn tell_damage(captures: &[CaptureView], coverage: &CoverageView) {
    for capture in captures {
        if let Some(damage) = &capture.damage {
            note(&format!("{} is damaged: {}; what stands before was read", terminal(&capture.name), terminal(damage)));
        }
        if let Some(one_way) = &capture.one_way {
            note(&format!("{}: {one_way}", terminal(&capture.name)));
        }
    }
    if coverage.dissector_failures > 0 {
        note(&format!(
            "a dissector failed on {} connections, which is a bug: please report it with the capture",
            coverage.dissector_failures
        ));
    }
}

fn judged(findings: &[FindingView], fail_on: FailOn) -> Done {
    let least = match fail_on {
        FailOn::Low => 20,
        FailOn::Medium => 40,
        FailOn::High => 60,
        FailOn::Critical => 80,
        FailOn::Never => return Done::Clean,
    };
    if findings.iter().any(|finding| finding.severity.score >= least) { Done::Findings } else { Done::Clean }
}

/// A bar on stderr for work that takes longer than a second, on a terminal only.
struct Progress {
    bar: Option<indicatif::ProgressBar>,
    started: Instant,
}

impl Progress {
    fn new(wanted: bool) -> Self {
        let bar = (wanted && io::stderr().is_terminal()).then(indicatif::ProgressBar::hidden);
        Self { bar, started: Instant::now() }
    }

    fn show(&self, captures: &Captures) {
        let Some(bar) = &self.bar else { return };
        if bar.is_hidden() && self.started.elapsed() > Duration::from_secs(1) {
            let template = "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
            if let Ok(style) = indicatif::ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_draw_target(indicatif::ProgressDrawTarget::stderr_with_hz(10));
        }
        let (read, total) = captures.progress();
        if let Some(total) = total {
            bar.set_length(total);
        }
        bar.set_position(read);
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
