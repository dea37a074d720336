use std::path::Path;

use super::Failure;
use crate::evidence::{Claim, Due, Recorder, Room, Shelf};
use crate::output::view::FindingView;
use crate::source::Batch;

/// Bytes of all files together, of one, and of what is remembered while the captures are read: the sensor's defaults.
const MOST: u64 = 256 << 20;
const ROOM: Room = Room { context: 16 << 20, file: 256 << 10 };

/// Keeps the frames of findings, in a second reading of their captures, and names the files in the findings. Says what it
/// did.
pub(super) fn keep(
    folder: &Path,
    captures: Vec<String>,
    findings: &mut [FindingView],
    mut fill: impl FnMut(&mut Batch) -> bool,
) -> Result<String, Failure> {
    let wrong = |error| Failure(format!("cannot keep evidence in {}: {error}", folder.display()));
    let mut shelf = Shelf::open(folder, MOST).map_err(wrong)?;
    let mut recorder = Recorder::new(ROOM, captures);
    for finding in findings.iter() {
        let (cited, all) = finding.cited();
        if let Some((best, others)) = cited.split_first() {
            let others = if all { others.to_vec() } else { Vec::new() };
            recorder.expect(*best, Claim { id: finding.id.clone(), what: finding.what.clone() }, others);
        }
    }
    let mut write = |recorder: &mut Recorder, which| {
        recorder.due(which).into_iter().try_for_each(|(id, bytes)| shelf.put(&id, &bytes)).map_err(wrong)
    };
    let mut batch = Batch::default();
    while fill(&mut batch) {
        recorder.batch(&batch);
        // Cases that wait for more frames make room for others where there are many.
        let which = if recorder.is_full() { Due::Last } else { Due::Closed };
        write(&mut recorder, which)?;
    }
    write(&mut recorder, Due::Last)?;
    let names = shelf.names();
    for finding in findings.iter_mut() {
        finding.evidence = Some(Shelf::name(&finding.id)).filter(|name| names.contains(name));
    }
    let kept = findings.iter().filter(|finding| finding.evidence.is_some()).count();
    let removed = match shelf.removed {
        0 => String::new(),
        count => format!("; {count} older ones went, since all together may be {} MiB", MOST >> 20),
    };
    Ok(format!("kept the frames of {kept} of {} findings in {}{removed}", findings.len(), folder.display()))
}
