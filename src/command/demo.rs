use std::fs;
use std::path::Path;

use super::{Done, Failure, Outcome, analyze, note};
use crate::analysis::{self, Options};
use crate::cli::Demo;
use crate::policy::Policy;
use crate::source::set::Captures;

/// The plant of the demo: made by fixtures/make, see fixtures/plant/README.md.
const CAPTURE: &[u8] = include_bytes!("../../fixtures/plant/capture.pcap");
const POLICY: &str = include_str!("../../fixtures/plant/plant.toml");

pub(super) fn run(options: &Demo) -> Outcome {
    if let Some(folder) = &options.save {
        save(folder)?;
    }
    let policy = Policy::parse("plant.toml", POLICY).map_err(|diagnostics| diagnostics.render(false))?;
    let mut captures = Captures::stream("plant.pcap", Box::new(CAPTURE))?;
    let settings = Options { policy: Some(std::sync::Arc::new(policy)), ..Options::default() };
    let analysis = analysis::run(&mut captures, |c, b| c.fill(b), &settings);
    let sha256s = captures.sha256s(captures.hash())?;
    analyze::show(&analysis.view(&captures.summaries(), &sha256s), analyze::format(options.format))?;
    Ok(Done::Clean)
}

/// Writes the capture and the policy. Somebody's own plant.toml may stand there: it is never written over.
fn save(folder: &Path) -> Result<(), Failure> {
    let files =
        [("plant.pcap", CAPTURE), ("plant.toml", POLICY.as_bytes())].map(|(name, bytes)| (folder.join(name), bytes));
    if let Some((path, _)) = files.iter().find(|(path, bytes)| fs::read(path).is_ok_and(|there| there != *bytes)) {
        let path = path.display();
        return Err(Failure(format!(
            "{path} is there already and is not the demo's: rename it, or save to another folder"
        )));
    }
    let name = |error| Failure(format!("cannot write to {}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(name)?;
    for (path, bytes) in files {
        fs::write(path, bytes).map_err(name)?;
    }
    note(&format!("wrote plant.pcap and plant.toml to {}", folder.display()));
    Ok(())
}
