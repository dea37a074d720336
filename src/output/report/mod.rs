//! The report on how well a network is segmented, for people who have to decide about it: one HTML file that opens
//! offline, prints, and says the same whenever it is made from the same analysis; and each of its tables for a
//! spreadsheet or a program.

mod annex;
mod conduits;
mod devices;
mod findings;
mod matrix;
mod model;
mod plan;
mod requirements;
mod safety;
mod scope;
mod sight;
mod table;
mod trends;

use std::fmt::Write as _;

use super::escape::html as safe;
use super::html::STYLE;
use super::view::{AnalysisView, FlowView};
use crate::policy::Policy;

pub use plan::Plan;
pub use sight::{Sight, Sights};
pub use table::Table;
pub use trends::History;

const PRINT: &str = include_str!("report.css");

/// What a report is made from.
pub struct Report<'a> {
    /// What was analysed.
    pub view: &'a AnalysisView,
    /// The declaration, for what an analysis does not repeat of it: owners, approvals, taps.
    pub policy: Option<&'a Policy>,
    /// Where each conversation was seen, where that is known.
    pub sights: Option<&'a Sights>,
    /// What a store knows of the time before.
    pub history: Option<&'a History>,
    /// What was to be tested.
    pub plan: Option<&'a Plan>,
}

/// The finished report.
pub struct Page {
    /// The HTML.
    pub html: String,
    /// Its tables, whole.
    pub tables: Vec<Table>,
}

/// Writes a part of the report.
type Part = fn(&mut Page, &Report<'_>);

/// Parts, with the names that links lead to.
const PARTS: [(&str, Part); 17] = [
    ("Scope and coverage", scope::scope),
    ("Declared model", model::model),
    ("Who asks whom", matrix::matrix),
    ("Verdicts", matrix::verdicts),
    ("Crossings without a conduit", findings::crossings),
    ("Conduits", conduits::conduits),
    ("Exceptions", model::exceptions),
    ("The boundary at work", findings::boundary),
    ("Structural faults", findings::structure),
    ("Safety zones", safety::safety),
    ("Levels passed over", findings::levels),
    ("Test record", plan::record),
    ("Other findings", findings::others),
    ("Devices", devices::devices),
    ("Trends", trends::trends),
    ("Evidence by requirement", requirements::requirements),
    ("Not assessed, and how this was made", annex::annex),
];

impl Report<'_> {
    /// Makes the report.
    #[must_use]
    pub fn page(&self) -> Page {
        let site = self.view.policy.as_ref().map_or("no policy", |policy| &policy.site);
        let site = safe(site);
        let html = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
             <title>Segmentation report: {site}</title><style>{STYLE}{PRINT}</style></head><body>\
             <h1>Segmentation report: {site}</h1>"
        );
        let mut page = Page { html, tables: Vec::new() };
        scope::head(&mut page, self);
        let links =
            PARTS.iter().enumerate().map(|(n, (name, _))| format!("<a href=\"#p{n}\">{n}. {name}</a> ", n = n + 1));
        let _ = write!(page.html, "<nav>{}</nav>", links.collect::<String>());
        for (n, (name, part)) in PARTS.iter().enumerate() {
            let _ = write!(page.html, "<h2 id=\"p{n}\">{n}. {name}</h2>", n = n + 1);
            part(&mut page, self);
        }
        page.html.push_str("</body></html>\n");
        page
    }
}

impl Page {
    /// A paragraph, which is HTML already.
    fn say(&mut self, text: &str) {
        let _ = write!(self.html, "<p>{text}</p>");
    }

    fn table(&mut self, table: Table) {
        table.show(&mut self.html);
        self.tables.push(table);
    }

    /// A table, or what is to be said when it is empty. Its sheets are written all the same.
    fn table_or(&mut self, table: Table, nothing: &str) {
        match table.is_empty() {
            true => {
                self.say(nothing);
                self.tables.push(table);
            }
            false => self.table(table),
        }
    }
}

/// A part of a whole as per cent with one digit.
fn share(part: u64, whole: u64) -> String {
    let tenths = part.saturating_mul(1000).checked_div(whole).unwrap_or(0);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// From the zone of the client to that of the server.
fn zones(flow: &FlowView) -> (&str, &str) {
    (flow.client.zone.as_deref().unwrap_or("no zone"), flow.server.end.zone.as_deref().unwrap_or("no zone"))
}

/// What the conversation speaks, as well as that is known.
fn service(flow: &FlowView) -> String {
    match (flow.protocol.or(flow.service), flow.server.port) {
        (Some(name), _) => name.to_owned(),
        (None, Some(port)) => format!("{}/{port}", flow.transport),
        (None, None) => flow.transport.clone(),
    }
}
