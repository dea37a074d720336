//! The zones by their levels, joined where anything was exchanged, in the colour of the gravest verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::matrix::gravest;
use super::{Page, Report, safe, zones};
use crate::output::view::FlowView;

/// Zones that a drawing may have and still be read.
const ZONES: usize = 40;

/// A box, and the room that it takes; in pixels.
const BOX: (usize, usize) = (130, 30);
const ROOM: (usize, usize) = (160, 84);
/// Room on the left for the name of the level.
const LEFT: usize = 70;

pub(super) fn drawing(page: &mut Page, report: &Report<'_>) {
    let mut pairs: BTreeMap<(&str, &str), Vec<&FlowView>> = BTreeMap::new();
    for flow in report.view.flows.iter().filter(|flow| zones(flow).0 != zones(flow).1) {
        let (from, to) = zones(flow);
        pairs.entry((from.min(to), from.max(to))).or_default().push(flow);
    }
    let talks: BTreeSet<&str> = pairs.keys().flat_map(|(one, other)| [*one, *other]).collect();
    let shown = report.view.zones.iter().filter(|zone| talks.contains(zone.id.as_str()) || !zone.assets.is_empty());
    // In tenths, so that they have an order; those without a level stand below.
    let mut levels: BTreeMap<Option<i64>, Vec<&str>> = BTreeMap::new();
    for zone in shown {
        let tenths = zone.level.map(|level| (level * 10.0).round() as i64);
        levels.entry(tenths).or_default().push(&zone.id);
    }
    let count: usize = levels.values().map(Vec::len).sum();
    if !(2..=ZONES).contains(&count) {
        return;
    }
    let widest = levels.values().map(Vec::len).max().unwrap_or(0);
    let mut middles: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut boxes = String::new();
    for (row, (level, ids)) in levels.iter().rev().enumerate() {
        let y = row * ROOM.1 + ROOM.1 / 2;
        if let Some(tenths) = level {
            let (whole, rest) = (tenths / 10, tenths % 10);
            let level = if rest == 0 { whole.to_string() } else { format!("{whole}.{rest}") };
            let _ = write!(boxes, "<text class=\"level\" x=\"0\" y=\"{}\">level {level}</text>", y + 5);
        }
        // Rows of fewer zones stand in the middle.
        let indent = LEFT + (widest - ids.len()) * ROOM.0 / 2;
        for (place, id) in ids.iter().enumerate() {
            let x = indent + place * ROOM.0 + ROOM.0 / 2;
            middles.insert(id, (x, y));
            let (left, top) = (x - BOX.0 / 2, y - BOX.1 / 2);
            let _ = write!(
                boxes,
                "<rect x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{}\" rx=\"4\"/><text x=\"{x}\" y=\"{}\">{}</text>",
                BOX.0,
                BOX.1,
                y + 5,
                safe(&short(id))
            );
        }
    }
    let mut lines = String::new();
    for ((one, other), flows) in &pairs {
        let (Some((x1, y1)), Some((x2, y2))) = (middles.get(one), middles.get(other)) else { continue };
        // A bow, so that it does not run behind the boxes of its row.
        let (cx, cy) = ((x1 + x2) / 2 + 12, if y1 == y2 { y1 + ROOM.1 / 2 } else { (y1 + y2) / 2 });
        let _ = write!(
            lines,
            "<path class=\"{}\" d=\"M{x1} {y1}Q{cx} {cy} {x2} {y2}\"><title>{} – {}: {} conversations</title></path>",
            gravest(flows).unwrap_or_default(),
            safe(one),
            safe(other),
            flows.len()
        );
    }
    let (width, height) = (LEFT + widest * ROOM.0, levels.len() * ROOM.1);
    let _ = write!(
        page.html,
        "<div class=\"wide\"><svg class=\"map\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"zones\">{lines}{boxes}</svg></div>"
    );
}

/// A name that fits into a box.
fn short(id: &str) -> String {
    const MOST: usize = 17;
    match id.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", id.get(..end).unwrap_or(id)),
        None => id.to_owned(),
    }
}
