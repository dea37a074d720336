//! Where a command knows from what it shows: captures, a saved analysis, a store, or a sensor that runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Failure, analyze};
use crate::analysis::{self, Options};
use crate::cli::Origin;
use crate::output::report::{History, Sights};
use crate::output::view::AnalysisView;
use crate::policy::Policy;

/// What is known there, and what a report says besides.
pub(super) struct Known {
    pub(super) view: AnalysisView,
    pub(super) policy: Option<Arc<Policy>>,
    pub(super) sights: Option<Sights>,
    pub(super) history: Option<History>,
}

/// What is known there.
pub(super) fn view(origin: &Origin, inputs: &[PathBuf]) -> Result<AnalysisView, Failure> {
    known(origin, inputs, false).map(|known| known.view)
}

/// What is known there; for a report with the hashes of captures, which are read for it once more, and where each
/// conversation was seen.
pub(super) fn known(origin: &Origin, inputs: &[PathBuf], for_report: bool) -> Result<Known, Failure> {
    match inputs {
        [] => live::known(origin),
        [saved] if saved.extension().is_some_and(|extension| extension == "json") => {
            let (view, policy) = (load(saved)?, analyze::load_policy(&origin.policy, true)?);
            let judged_by = view.policy.as_ref().map(|policy| policy.sha256.as_str());
            if policy.as_ref().is_some_and(|policy| judged_by != Some(&policy.sha256)) {
                return Err(Failure(format!(
                    "{} was not judged by that declaration\n  hint: leave out --policy, or analyze the captures again with it",
                    saved.display()
                )));
            }
            Ok(Known { view, policy, sights: None, history: None })
        }
        captures => {
            let policy = analyze::load_policy(&origin.policy, false)?;
            let mut captures = analyze::open(captures)?;
            let options = Options { policy, ..Options::default() };
            let hashing = for_report.then(|| captures.hash());
            let analysis = analysis::run(&mut captures, |c, b| c.fill(b), &options);
            let sha256s = hashing.map(|hashing| captures.sha256s(hashing)).transpose()?.unwrap_or_default();
            let summaries = captures.summaries();
            let sights = for_report.then(|| analysis.sights(&summaries));
            Ok(Known { view: analysis.view(&summaries, &sha256s), policy: options.policy, sights, history: None })
        }
    }
}

/// A saved analysis.
pub(super) fn load(path: &Path) -> Result<AnalysisView, Failure> {
    let name = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read {name}: {error}"))?;
    AnalysisView::read(text).map_err(|why| {
        Failure(format!("{name} is no analysis of this version: {why}\n  hint: make one with zonewatch analyze --out"))
    })
}

#[cfg(not(all(feature = "live", feature = "sensor")))]
mod live {
    use super::*;

    pub(super) fn known(_: &Origin) -> Result<Known, Failure> {
        Err(Failure(
            "there is nothing to read\n  hint: name captures or an analysis.json; this build has no sensor".to_owned(),
        ))
    }
}

#[cfg(all(feature = "live", feature = "sensor"))]
pub(super) use live::{list, stored, time};

#[cfg(all(feature = "live", feature = "sensor"))]
mod live {
    use super::*;
    use crate::config::File;
    use crate::output::http::ask::Place;
    use crate::output::list::Item;
    use crate::output::view::FindingView;
    use crate::pipeline::Observed;
    use crate::policy::life::{Ledger, Pace};
    use crate::store::Store;
    use crate::time::Timestamp;

    /// The configuration of the service.
    const CONFIG: &str = "/etc/zonewatch/zonewatch.toml";

    /// Items on a page that a sensor is asked for: as many as it gives.
    const PAGE: usize = 1000;

    /// What a sensor knows.
    pub(super) fn known(origin: &Origin) -> Result<Known, Failure> {
        if let Some(url) = &origin.url {
            let text = asked(origin, url, |place| place.get("/api/v1/snapshot"))?;
            let view = AnalysisView::read(text)
                .map_err(|why| Failure(format!("the answer from {url} cannot be used: {why}")))?;
            return Ok(Known { view, policy: None, sights: None, history: Some(History::default()) });
        }
        let at = origin.at.as_deref().map(time).transpose()?;
        kept(origin, None, at)
    }

    /// A list of what a sensor knows.
    pub(in crate::command) fn list<I: Item>(
        origin: &Origin,
        filters: &[(&'static str, String)],
        of: fn(&mut AnalysisView) -> &mut Vec<I>,
    ) -> Result<Vec<I>, Failure> {
        if let Some(url) = &origin.url {
            return asked(origin, url, |place| place.list(filters, PAGE));
        }
        let mut view = known(origin)?.view;
        let mut items = std::mem::take(of(&mut view));
        items.retain(|item| filters.iter().all(|(word, value)| item.matches(word, value)));
        Ok(items)
    }

    fn asked<T>(origin: &Origin, url: &str, ask: impl FnOnce(&Place<'_>) -> Result<T, String>) -> Result<T, Failure> {
        let token = origin
            .token_file
            .as_ref()
            .map(|file| fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display())));
        let token = token.transpose()?;
        let place = Place { url, token: token.as_deref().map(str::trim), ca: origin.ca.as_deref() };
        ask(&place).map_err(|why| Failure(format!("no answer from {url}: {why}")))
    }

    /// What a store knows, the configured one unless it is named; as of now or of a time.
    pub(in crate::command) fn stored(
        origin: &Origin,
        named: Option<&Path>,
        at: Option<Timestamp>,
    ) -> Result<AnalysisView, Failure> {
        kept(origin, named, at).map(|known| known.view)
    }

    fn kept(origin: &Origin, named: Option<&Path>, at: Option<Timestamp>) -> Result<Known, Failure> {
        let config = match &origin.config {
            Some(path) => File::load(path)?,
            None if Path::new(CONFIG).exists() => File::load(Path::new(CONFIG)).unwrap_or_default(),
            None => File::default(),
        };
        let path = named.or(origin.store.as_deref()).unwrap_or(&config.store.path);
        if path.as_os_str().is_empty() {
            return Err(Failure(format!(
                "there is no store to read\n  hint: name one with --store, or in [store] of {CONFIG}, or a sensor that runs with --url"
            )));
        }
        let store = Store::look(path)?;
        let policy = match analyze::load_policy(&origin.policy, true)? {
            Some(policy) => Some(policy),
            None => store.policy()?.map(Arc::new),
        };
        let mut restored = match at {
            None => store.read(policy.as_deref())?,
            Some(at) => store.read_at(policy.as_deref(), at)?,
        };
        if restored.skipped > 0 {
            super::super::note(&format!(
                "{} rows of {} could not be understood and are left out",
                restored.skipped,
                path.display()
            ));
        }
        let mut life = Ledger::new(Pace { findings: usize::MAX, ..Pace::default() }, "");
        let mut gone = Vec::new();
        for kept in restored.findings {
            gone.extend(FindingView::read(kept.record));
            life.restore(kept.life);
        }
        restored.flows.sort_by_cached_key(|flow| flow.key);
        let (flows, ledger, coverage, watch) = (restored.flows, restored.ledger, restored.coverage, restored.watch);
        let observed = Observed { flows, ledger, coverage, watch, ..Observed::default() };
        let history = History { told: Some(store.told(at.unwrap_or(Timestamp::MAX))?), until: at };
        let options = Options { policy, home_nets: config.home_nets, ..Options::default() };
        let captures = restored.captures;
        let taps = analysis::taps(&captures, options.policy.as_deref());
        let lost = analysis::lost(&captures);
        let analysis = analysis::Analysis { taps, lost, ..analysis::conclude(observed, &options) };
        let (view, sights) = (analysis.view_living(&captures, &life, gone), Some(analysis.sights(&captures)));
        Ok(Known { view, policy: options.policy, sights, history: Some(history) })
    }

    /// A time in UTC: a day, or with hours, minutes and seconds, or as RFC 3339 has it.
    pub(in crate::command) fn time(text: &str) -> Result<Timestamp, Failure> {
        Timestamp::read(text).ok_or_else(|| {
            Failure(format!(
                "{} is no time\n  hint: write 2026-11-16, '2026-11-16 10:15' (UTC) or 2026-11-16T10:15:00+01:00",
                crate::output::escape::terminal(text)
            ))
        })
    }
}
