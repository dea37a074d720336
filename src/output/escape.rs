//! Text from the wire, made harmless for where it is shown.

use std::borrow::Cow;
use std::fmt::Write as _;

/// For a terminal or a log: control characters, and those that reorder or hide text, become `\u{..}`.
#[must_use]
pub fn terminal(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_unsafe(c) {
            let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// For a spreadsheet: as for a terminal, and a text that would be a formula starts with an apostrophe (OWASP, "CSV
/// Injection").
#[must_use]
pub fn csv(text: &str) -> Cow<'_, str> {
    let safe = terminal(text);
    if safe.starts_with(['=', '+', '-', '@', '\t', '\r']) { Cow::Owned(format!("'{safe}")) } else { safe }
}

/// For HTML, in text and in quoted attributes: as for a terminal, and nothing is markup.
#[must_use]
pub fn html(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    for c in terminal(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// Control characters (C0, C1), line and paragraph separators, zero-width and bidirectional format characters, byte
/// order marks, tags, and private or unassigned noise that terminals act on.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}' | '\u{061C}' | '\u{180E}' | '\u{AD}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_markup() {
        let text = "<b onclick='x(\"&\")'>\u{202e}";
        assert_eq!(html(text), "&lt;b onclick=&#39;x(&quot;&amp;&quot;)&#39;&gt;\\u{202e}");
    }

    #[test]
    fn nothing_reaches_a_terminal_or_a_sheet_as_itself() {
        for (text, on_terminal, in_csv) in [
            ("1756-L61/B LOGIX5561", "1756-L61/B LOGIX5561", "1756-L61/B LOGIX5561"),
            ("\u{1b}[31mred\u{7}", "\\u{1b}[31mred\\u{7}", "\\u{1b}[31mred\\u{7}"),
            ("a\nb", "a\\u{a}b", "a\\u{a}b"),
            ("\u{202e}fdp", "\\u{202e}fdp", "\\u{202e}fdp"),
            ("=cmd|' /C calc'!A0", "=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("-1+1", "-1+1", "'-1+1"),
            ("Ångström 10 °C", "Ångström 10 °C", "Ångström 10 °C"),
        ] {
            assert_eq!((&*terminal(text), &*csv(text)), (on_terminal, in_csv), "{text:?}");
        }
    }
}
