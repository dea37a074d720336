//! What is wrong with a policy, where it stands and what to do about it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::kind::Kind;

/// One policy file as it was read.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name as errors print it.
    pub name: Arc<str>,
    /// Its text.
    pub text: Arc<str>,
}

/// A place in a policy: bytes of one of its files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Which file, by its number in [`Diagnostics::sources`].
    pub file: u16,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    pub(super) fn new(file: u16, range: &Range<usize>) -> Self {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { file, start: offset(range.start), end: offset(range.end) }
    }

    fn range(self, text: &str) -> Range<usize> {
        let start = (self.start as usize).min(text.len());
        start..(self.end as usize).clamp(start, text.len())
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The policy is not used.
    Error,
    /// The policy is used; somebody should look.
    Warning,
}

impl Severity {
    /// The word of reports, which is also that of SARIF.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// What sort of thing.
    pub kind: Kind,
    /// Where.
    pub at: Span,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What the caret says.
    pub label: String,
    /// Another place that belongs to it, and why.
    pub related: Option<(Span, String)>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    pub(super) fn error(at: Span, message: impl Into<String>) -> Self {
        let (message, label, kind) = (short(message.into()), String::new(), Kind::BadValue);
        Self { severity: Severity::Error, kind, at, message, label, related: None, help: None }
    }

    pub(super) fn warning(kind: Kind, at: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, kind, ..Self::error(at, message) }
    }

    pub(super) fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    pub(super) fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn related(mut self, at: Span, why: impl Into<String>) -> Self {
        self.related = Some((at, why.into()));
        self
    }
}

/// A message quotes what somebody wrote, which may be megabytes: its beginning and its end are enough.
fn short(message: String) -> String {
    const MOST: usize = 400;
    if message.chars().nth(MOST).is_none() {
        return message;
    }
    let start: String = message.chars().take(MOST / 2).collect();
    let tail: Vec<char> = message.chars().rev().take(MOST / 4).collect();
    format!("{start}...{}", tail.iter().rev().collect::<String>())
}

/// Everything that one reading of a policy found, in the order of the files.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    /// The files, for the lines that are quoted.
    pub sources: Arc<[Source]>,
    /// What was found.
    pub list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Whether the policy cannot be used.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(Diagnostic::is_error)
    }

    /// Name of the file, line and column, both from 1, of a place.
    #[must_use]
    pub fn place(&self, at: Span) -> Place<'_> {
        place(&self.sources, at)
    }

    /// The same of a place's end: the column behind its last character.
    #[must_use]
    pub fn end(&self, at: Span) -> Place<'_> {
        place(&self.sources, Span { start: at.end.max(at.start), ..at })
    }

    /// How many errors, and how many warnings.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let errors = self.list.iter().filter(|diagnostic| diagnostic.is_error()).count();
        (errors, self.list.len() - errors)
    }

    /// The text for people: message, file, line, column, the line itself with a caret, and what to do.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let lines: Vec<Lines<'_>> = self.sources.iter().map(Lines::of).collect();
        let mut text = String::new();
        for diagnostic in &self.list {
            text.push_str(&renderer.render(&report(diagnostic, &lines)));
            text.push_str("\n\n");
        }
        text
    }
}

fn report<'a>(diagnostic: &'a Diagnostic, lines: &[Lines<'a>]) -> Vec<Group<'a>> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(&*diagnostic.message));
    // Two places of one file are one snippet; of two files, two.
    let here = |at: &Span| at.file == diagnostic.at.file;
    let (near, far): (Vec<_>, Vec<_>) = diagnostic.related.iter().partition(|(at, _)| here(at));
    let own = (diagnostic.at, AnnotationKind::Primary, &*diagnostic.label);
    let context = |(at, why): &'a (Span, String)| (*at, AnnotationKind::Context, &**why);
    let near = [own].into_iter().chain(near.into_iter().map(context)).collect();
    for places in [near, far.into_iter().map(context).collect()] {
        group = group.elements(snippet(lines, places));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(&**help));
    }
    vec![group]
}

/// The lines around some places of one file, with what is to be said of them.
fn snippet<'a>(
    lines: &[Lines<'a>],
    places: Vec<(Span, AnnotationKind, &'a str)>,
) -> Option<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    let lines = lines.get(usize::from(places.first()?.0.file)).filter(|lines| !lines.source.text.is_empty())?;
    let ranges: Vec<Range<usize>> = places.iter().map(|(at, ..)| at.range(&lines.source.text)).collect();
    let (first, last) = (ranges.iter().map(|range| range.start).min()?, ranges.iter().map(|range| range.end).max()?);
    let (number, begin, text) = lines.around(first, last);
    let annotations = places.iter().zip(ranges).map(|((_, kind, label), range)| {
        let annotation = kind.span(range.start - begin..range.end - begin);
        if label.is_empty() { annotation } else { annotation.label(*label) }
    });
    Some(Snippet::source(text).line_start(number).path(&*lines.source.name).annotations(annotations))
}

/// A file with where its lines begin: a long one is not read again for each place of it that is shown.
struct Lines<'a> {
    source: &'a Source,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(source: &'a Source) -> Self {
        let after = source.text.match_indices('\n').map(|(at, _)| at + 1);
        Self { source, starts: std::iter::once(0).chain(after).collect() }
    }

    /// The whole lines from one place to another: the number of the first, where it begins, and the text.
    fn around(&self, first: usize, last: usize) -> (usize, usize, &'a str) {
        let until = |place: usize| self.starts.partition_point(|start| *start <= place);
        let number = until(first).max(1);
        let begin = self.starts.get(number - 1).copied().unwrap_or(0);
        let end = self.starts.get(until(last)).copied().unwrap_or(self.source.text.len());
        (number, begin, self.source.text.get(begin..end).unwrap_or_default())
    }
}

/// `file:line:column: message (help)`, one a line: for logs and for tests.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.list {
            let severity = diagnostic.severity.text();
            write!(f, "{}: {severity}: {}", self.place(diagnostic.at), diagnostic.message)?;
            if let Some((at, why)) = &diagnostic.related {
                write!(f, "; {why} at {}", self.place(*at))?;
            }
            if let Some(help) = &diagnostic.help {
                write!(f, " ({help})")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// A place as an editor finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The file.
    pub file: &'a str,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

pub(super) fn place(sources: &[Source], at: Span) -> Place<'_> {
    let Some(source) = sources.get(usize::from(at.file)) else {
        return Place { file: "policy", line: 1, column: 1 };
    };
    let before = source.text.get(..at.range(&source.text).start).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).map_or(0, |text| text.chars().count()) + 1;
    Place { file: &source.name, line: before.matches('\n').count() + 1, column }
}

/// The known word that somebody who wrote `wrong` most likely meant: at most a third of its letters differ.
pub(super) fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (wrong.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|word| (distance(&wrong.to_lowercase(), &word.to_lowercase()), word))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, word)| word)
}

/// Edits that turn one word into the other: insert, delete, replace, swap neighbours (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions() {
        for (wrong, want) in [
            ("cel-b", Some("cell-b")),
            ("form", Some("from")),
            ("Cell-B", Some("cell-b")),
            ("x", None),
            ("telephone", None),
        ] {
            assert_eq!(did_you_mean(wrong, ["cell-a", "cell-b", "from"]), want, "{wrong}");
        }
    }
}
