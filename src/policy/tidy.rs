//! Conduits for a time that has passed: where they stand in their files, and the files without them.

use std::ops::Range;

use super::Policy;
use crate::time::Timestamp;

/// A just-in-time conduit that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its id.
    pub id: String,
    /// The change that made it.
    pub ticket: Option<String>,
    /// First instant at which it held no more.
    pub until: Timestamp,
    /// The number of its file among the policy's, and its line there, from 1.
    pub place: (usize, usize),
    /// Its bytes there with the comment above it; none when it does not stand under a header of its own.
    pub text: Option<Range<usize>>,
}

impl Policy {
    /// The just-in-time conduits that have ended at that time, in the order in which they stand.
    #[must_use]
    pub fn ended(&self, at: Timestamp) -> Vec<Ended> {
        let rules = self.rules.iter().filter(|rule| rule.ephemeral);
        let ended = rules.filter_map(|rule| Some((rule, rule.valid_until().filter(|until| *until <= at)?)));
        let mut list: Vec<Ended> = ended
            .map(|(rule, until)| {
                let file = usize::from(rule.at.file);
                let text = self.sources.get(file).map_or("", |source| &source.text);
                let start = (rule.at.start as usize).min(text.len());
                Ended {
                    id: rule.id.clone(),
                    ticket: rule.ticket.clone(),
                    until,
                    place: (file, self.warnings.place(rule.at).line),
                    text: block(text, start),
                }
            })
            .collect();
        list.sort_by_key(|ended| (ended.place, ended.id.clone()));
        list
    }
}

/// The text without those of them that stand under a header of their own; none when it would lose anything else.
#[must_use]
pub fn without(text: &str, ended: &[&Ended]) -> Option<String> {
    let cut = || ended.iter().filter_map(|ended| Some((&ended.id, ended.text.as_ref()?)));
    let (mut kept, mut from) = (String::new(), 0);
    for (_, part) in cut() {
        kept.push_str(text.get(from..part.start)?);
        from = part.end;
    }
    kept.push_str(text.get(from..)?);
    // Where a table ends was told by its lines: what is left must say what all of it said but for these.
    let mut wanted: toml::Table = toml::from_str(text).ok()?;
    if let Some(list) = wanted.get_mut("conduit").and_then(toml::Value::as_array_mut) {
        list.retain(|conduit| !cut().any(|(id, _)| conduit.get("id").and_then(toml::Value::as_str) == Some(id)));
        if list.is_empty() {
            wanted.remove("conduit");
        }
    }
    (toml::from_str::<toml::Table>(&kept).ok()? == wanted).then_some(kept)
}

/// The table of a conduit in which a byte stands: from the comment above its header to the next header that is not below
/// its own.
fn block(text: &str, at: usize) -> Option<Range<usize>> {
    let mut lines = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        lines.push((start, line.trim()));
        start += line.len();
    }
    let here = lines.iter().rposition(|(start, _)| *start <= at)?;
    let header = lines.get(..=here)?.iter().rposition(|(_, line)| line.starts_with('['))?;
    let bare = |line: &'_ str| line.split('#').next().map_or(0, |line| line.trim_end().len());
    let own = lines.get(header)?.1;
    if own.get(..bare(own)) != Some("[[conduit]]") {
        return None;
    }
    let is_comment = |line: &str| line.starts_with('#');
    let above = lines.get(..header)?.iter().rev().take_while(|(_, line)| is_comment(line)).count();
    let first = header - above;
    let is_below = |line: &str| line.starts_with("[conduit.") || line.starts_with("[[conduit.");
    let ends = |line: &str| {
        line.starts_with('[') && !is_below(line) && line.get(..bare(line)).is_some_and(|line| line.ends_with(']'))
    };
    let next = lines.iter().skip(header + 1).position(|(_, line)| ends(line)).map(|after| header + 1 + after);
    let end = match next {
        // What is said above the next header belongs to that.
        Some(next) => {
            let above = lines.get(..next)?.iter().rev().take_while(|(_, line)| is_comment(line)).count();
            lines.get(next - above)?.0
        }
        None => text.len(),
    };
    Some(lines.get(first)?.0..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_a_table_with_its_comment() {
        let text = "[site]\nid = \"p\"\n\n# For a day.\n[[conduit]]\nid = \"X\"\nallow = [\n  1,\n]\n[[conduit.allow]]\n\n# Next.\n\
                    [[conduit]]\nid = \"Y\"\n";
        for (id, want) in [
            ("\"X\"", "# For a day.\n[[conduit]]\nid = \"X\"\nallow = [\n  1,\n]\n[[conduit.allow]]\n\n"),
            ("\"Y\"", "# Next.\n[[conduit]]\nid = \"Y\"\n"),
        ] {
            assert_eq!(&text[block(text, text.find(id).unwrap()).unwrap()], want);
        }
        assert_eq!(block(text, 8), None, "another table");
        assert_eq!(block("conduit = [ { id = \"X\" } ]", 12), None, "a list in one line");
        let two = "[[conduit]]\nid = \"X\"\n[[deny]] # Stays.\nid = \"D\"\n[[conduit]]\nid = \"Y\"\n";
        let ended = |text: Range<usize>| Ended {
            id: "X".to_owned(),
            ticket: None,
            until: Timestamp::default(),
            place: (0, 2),
            text: Some(text),
        };
        let own = block(two, 13).unwrap();
        assert_eq!(without(two, &[&ended(own.clone())]).as_deref(), Some(&two[own.end..]));
        assert_eq!(
            without(two, &[&ended(0..two.find("[[conduit]]\nid = \"Y").unwrap())]),
            None,
            "the deny would go as well"
        );
        assert_eq!(without(two, &[&ended(0..two.len())]), None, "two, not one");
    }
}
