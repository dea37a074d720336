//! A table of the report: shown on the page, and written whole as CSV and JSON.

use std::io::{self, Write};

use serde::{Serialize, Serializer};

use crate::output::escape::{csv, html};
use crate::output::html as page;

/// Rows that the page shows of a table; its sheet has all.
const ROWS: usize = 500;

/// One table. Its name is that of its sheets.
pub struct Table {
    /// Lower case, with hyphens.
    pub name: &'static str,
    heads: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// A cell: what it says, and how the page shows it if not just so.
pub(super) struct Cell {
    text: String,
    html: Option<String>,
}

impl Cell {
    /// Text that the page shows in its own way.
    pub(super) fn shown(text: impl Into<String>, html: String) -> Self {
        Self { text: text.into(), html: Some(html) }
    }

    /// Text in the page's colour of a class.
    pub(super) fn class(text: &str, class: &str) -> Self {
        Self::shown(text, format!("<span class=\"{}\">{}</span>", html(class), html(text)))
    }

    /// A time, which the page shows to the second.
    pub(super) fn time(text: &str) -> Self {
        Self::shown(text, moment(text))
    }

    /// A time, or never.
    pub(super) fn last(text: Option<&str>) -> Self {
        text.map_or_else(|| Self::shown("", "never".to_owned()), Self::time)
    }

    fn html(&self) -> String {
        self.html.clone().unwrap_or_else(|| html(&self.text))
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), html: None }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, html: None }
    }
}

impl From<Option<&str>> for Cell {
    fn from(text: Option<&str>) -> Self {
        text.unwrap_or_default().into()
    }
}

impl From<&Option<String>> for Cell {
    fn from(text: &Option<String>) -> Self {
        text.as_deref().into()
    }
}

impl From<u64> for Cell {
    fn from(count: u64) -> Self {
        count.to_string().into()
    }
}

impl From<usize> for Cell {
    fn from(count: usize) -> Self {
        count.to_string().into()
    }
}

/// A time on the page, which is not broken into lines.
pub(super) fn moment(text: &str) -> String {
    format!("<span class=\"moment\">{}</span>", html(&seconds(text)))
}

/// A time of the contract to the second, as people read it.
pub(super) fn seconds(text: &str) -> String {
    text.get(..19).map_or(text.to_owned(), |text| text.replace('T', " "))
}

impl Table {
    /// A head that begins with `#` is one of numbers; with `-`, of a column that only the sheets have.
    pub(super) fn new<const N: usize>(
        name: &'static str,
        heads: [&'static str; N],
        rows: impl IntoIterator<Item = [Cell; N]>,
    ) -> Self {
        Self { name, heads: heads.to_vec(), rows: rows.into_iter().map(Vec::from).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn show(&self, out: &mut String) {
        let on_page: Vec<usize> =
            self.heads.iter().enumerate().filter(|(_, head)| !head.starts_with('-')).map(|(place, _)| place).collect();
        let heads: Vec<&str> = on_page.iter().filter_map(|place| self.heads.get(*place).copied()).collect();
        let shown = |row: &Vec<Cell>| on_page.iter().filter_map(|place| Some(row.get(*place)?.html())).collect();
        page::table(out, heads, self.rows.iter().take(ROWS).map(|row| -> Vec<String> { shown(row) }));
        if self.rows.len() > ROWS {
            let (all, name) = (self.rows.len(), self.name);
            out.push_str(&format!("<p class=\"dim\">{ROWS} of {all}; all stand in {name}.csv (--tables).</p>"));
        }
    }

    /// The name of a column in the sheets.
    fn key(head: &str) -> String {
        let words: Vec<String> =
            head.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
        words.join("_")
    }

    /// Writes the table for a spreadsheet; nothing in it is a formula.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn csv(&self, out: impl Write) -> io::Result<()> {
        let mut sheet = ::csv::Writer::from_writer(out);
        sheet.write_record(self.heads.iter().map(|head| Self::key(head)))?;
        for row in &self.rows {
            sheet.write_record(row.iter().map(|cell| csv(&cell.text).into_owned()))?;
        }
        sheet.flush()
    }

    /// Writes the table as a list of objects, a row each. What is not known is `null`.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn json(&self, mut out: impl Write) -> io::Result<()> {
        use serde_json::Value;
        let value = |head: &str, cell: &Cell| match cell.text.as_str() {
            "" => Value::Null,
            text => {
                let number = head.starts_with('#').then(|| text.parse::<u64>().ok()).flatten();
                number.map_or_else(|| text.into(), Value::from)
            }
        };
        let fields = |row: &'_ Vec<Cell>| -> Vec<(String, Value)> {
            self.heads.iter().zip(row).map(|(head, cell)| (Self::key(head), value(head, cell))).collect()
        };
        let rows: Vec<Row> = self.rows.iter().map(|row| Row(fields(row))).collect();
        serde_json::to_writer_pretty(&mut out, &rows)?;
        out.write_all(b"\n")
    }
}

/// An object whose keys stand in the order of the columns.
struct Row(Vec<(String, serde_json::Value)>);

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_table_on_the_page_and_in_sheets() {
        let rows = [["=1+1".into(), 7usize.into(), "why".into()], ["<b>".into(), "".into(), "".into()]];
        let table = Table::new("test", ["what it is", "#count", "-first frame"], rows);
        let (mut html, mut csv, mut json) = (String::new(), Vec::new(), Vec::new());
        table.show(&mut html);
        table.csv(&mut csv).unwrap();
        table.json(&mut json).unwrap();
        assert!(html.contains("<td>&lt;b&gt;</td>") && !html.contains("why"), "{html}");
        assert_eq!(String::from_utf8(csv).unwrap(), "what_it_is,count,first_frame\n'=1+1,7,why\n<b>,,\n");
        let rows: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let want = serde_json::json!([
            { "what_it_is": "=1+1", "count": 7, "first_frame": "why" },
            { "what_it_is": "<b>", "count": null, "first_frame": null }
        ]);
        assert_eq!(rows, want);
    }
}
