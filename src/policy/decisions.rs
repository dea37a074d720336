//! What people decided about conduits in a review: the file that one review ends with and the next one starts from.
//!
//! ```toml
//! site = "north-mill"
//! from = "2026-07-01T00:00:00.000000000Z"
//! to   = "2026-09-30T23:59:59.000000000Z"
//!
//! [[conduit]]
//! id       = "C-031"
//! state    = "unused"      # as it was then
//! decision = "keep"        # keep, narrow, remove, ask; empty: nobody has decided
//! by       = "Operations"
//! on       = "2026-10-02"
//! note     = "Needed in winter"
//! ```

use std::fmt::Write as _;

use serde::Deserialize;

use super::model::Policy;
use super::review::{Row, State, Watched};

/// What was decided about one conduit or exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// It stays as it is.
    Keep,
    /// It is to be narrowed.
    Narrow,
    /// It is to be taken out.
    Remove,
    /// Somebody has to be asked.
    Ask,
    /// Nobody has decided.
    #[serde(rename = "")]
    Open,
}

impl Choice {
    /// The word of the file.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Narrow => "narrow",
            Self::Remove => "remove",
            Self::Ask => "ask",
            Self::Open => "",
        }
    }
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The conduit or exception.
    pub id: String,
    /// What had become of it then: [`State::word`].
    #[serde(default)]
    pub state: String,
    /// What was decided.
    #[serde(default = "open")]
    pub decision: Choice,
    /// Who decided.
    #[serde(default)]
    pub by: String,
    /// When.
    #[serde(default)]
    pub on: String,
    /// Why.
    #[serde(default)]
    pub note: String,
}

fn open() -> Choice {
    Choice::Open
}

/// The decisions of one review.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decisions {
    /// The site.
    #[serde(default)]
    site: String,
    /// The policy's hash then.
    #[serde(default)]
    pub policy_sha256: String,
    /// First packet then.
    #[serde(default)]
    pub from: String,
    /// Last packet then.
    #[serde(default)]
    pub to: String,
    /// Who signed.
    #[serde(default)]
    pub reviewed_by: String,
    /// By conduit.
    #[serde(default, rename = "conduit")]
    pub list: Vec<Decision>,
}

impl Decisions {
    /// Reads the file of a review.
    ///
    /// # Errors
    /// What is wrong with it, with its line; also when it is of another site, or somebody has decided without a name.
    pub fn parse(text: &str, policy: &Policy) -> Result<Self, String> {
        let read: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        if !read.site.is_empty() && read.site != policy.site {
            return Err(format!("it is about the site {}, and the policy about {}", read.site, policy.site));
        }
        for (place, decision) in read.list.iter().enumerate() {
            let id = &decision.id;
            if decision.decision != Choice::Open && decision.by.trim().is_empty() {
                return Err(format!("{id} is decided by nobody: write a name in \"by\""));
            }
            if read.list.iter().take(place).any(|other| other.id == *id) {
                return Err(format!("{id} is decided twice"));
            }
        }
        Ok(read)
    }

    /// What was decided about a conduit.
    #[must_use]
    pub fn of(&self, id: &str) -> Option<&Decision> {
        self.list.iter().find(|decision| decision.id == id && decision.decision != Choice::Open)
    }
}

impl Decision {
    /// Nothing has changed since somebody decided to keep it.
    #[must_use]
    pub fn settles(&self, state: State) -> bool {
        self.decision == Choice::Keep && self.state == state.word()
    }

    /// What came of it, when that is not what was decided.
    #[must_use]
    pub fn follow_up(&self, row: &Row<'_>) -> Option<&'static str> {
        match self.decision {
            Choice::Remove => Some("it was to be removed, and is still in the policy"),
            Choice::Narrow if !row.unused.is_empty() => {
                Some("it was to be narrowed, and still has rights that nobody used")
            }
            Choice::Ask => Some("somebody was to be asked, and no answer is recorded"),
            Choice::Keep if self.state != row.state.word() => Some("it was kept in another state than it has now"),
            _ => None,
        }
    }
}

/// The file of the next review, to be filled in: what needs a decision first, each with what was decided last.
#[must_use]
pub fn draft(policy: &Policy, watched: &Watched, rows: &[Row<'_>]) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut text = format!(
        "# Decisions of the conduit review. For each write keep, narrow, remove or ask, and who decided when.\n\
         site          = {}\npolicy_sha256 = {}\nfrom          = {}\nto            = {}\nreviewed_by   = \"\"\n",
        quoted(&policy.site),
        quoted(&policy.sha256),
        quoted(&watched.first.to_string()),
        quoted(&watched.last.to_string()),
    );
    for row in rows {
        let _ =
            write!(text, "\n[[conduit]]\nid       = {}\nstate    = {}", quoted(&row.rule.id), quoted(row.state.word()));
        let _ = writeln!(text, "  # {}", row.state.text());
        // A comment is one line whatever a name holds.
        let comment = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        for unused in &row.unused {
            let _ = writeln!(text, "# never used: {}", comment(unused));
        }
        if let Some(follow_up) = row.follow_up {
            let _ = writeln!(text, "# {follow_up}");
        }
        let kept = row.decision.filter(|decision| decision.settles(row.state));
        if let (Some(decision), None) = (row.decision, kept) {
            let Decision { decision, by, on, note, .. } = decision;
            let line = format!("last time: {}, {by}, {on}, {note}", decision.text());
            let _ = writeln!(text, "# {}", comment(&line));
        }
        let field = |of: fn(&Decision) -> &str| quoted(kept.map_or("", of));
        let _ = writeln!(
            text,
            "decision = {}\nby       = {}\non       = {}\nnote     = {}",
            field(|kept| kept.decision.text()),
            field(|kept| &kept.by),
            field(|kept| &kept.on),
            field(|kept| &kept.note),
        );
    }
    text
}
