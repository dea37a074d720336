//! Pieces of HTML that the page of the sensor and the report have in common.

use std::fmt::Write as _;

/// How everything looks.
pub(super) const STYLE: &str = include_str!("page.css");

/// A table: heads (a leading `#` makes a column of numbers), and rows whose cells are HTML already.
pub(super) fn table(
    page: &mut String,
    heads: impl AsRef<[&'static str]>,
    rows: impl IntoIterator<Item = impl AsRef<[String]>>,
) {
    let heads = heads.as_ref();
    let cell = |page: &mut String, tag: &str, head: &str, text: &str| {
        let class = if head.starts_with('#') { " class=\"n\"" } else { "" };
        let _ = write!(page, "<{tag}{class}>{text}</{tag}>");
    };
    page.push_str("<div class=\"wide\"><table><tr>");
    heads.iter().for_each(|head| cell(page, "th", head, head.trim_start_matches('#')));
    page.push_str("</tr>");
    for row in rows {
        page.push_str("<tr>");
        heads.iter().zip(row.as_ref()).for_each(|(head, text)| cell(page, "td", head, text));
        page.push_str("</tr>");
    }
    page.push_str("</table></div>");
}
