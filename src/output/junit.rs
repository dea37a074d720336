//! Test results as JUnit XML, which every CI reads.

use std::fmt::Write as _;

/// What one case came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    /// Its name: id and title.
    pub name: String,
    /// Where it is not as expected, a line each. Empty: it is.
    pub differences: Vec<String>,
}

/// The results of some files, each a suite.
#[must_use]
pub fn junit(suites: &[(String, Vec<Tested>)]) -> String {
    let failed = |cases: &[Tested]| cases.iter().filter(|case| !case.differences.is_empty()).count();
    let all: usize = suites.iter().map(|(_, cases)| cases.len()).sum();
    let bad: usize = suites.iter().map(|(_, cases)| failed(cases)).sum();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(xml, "<testsuites name=\"zonewatch policy test\" tests=\"{all}\" failures=\"{bad}\">");
    for (name, cases) in suites {
        let name = escaped(name);
        let _ = writeln!(xml, "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{}\">", cases.len(), failed(cases));
        for case in cases {
            let _ = write!(xml, "    <testcase classname=\"{name}\" name=\"{}\"", escaped(&case.name));
            let Some(first) = case.differences.first() else {
                xml.push_str("/>\n");
                continue;
            };
            let _ = writeln!(
                xml,
                ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
                escaped(first),
                escaped(&case.differences.join("\n"))
            );
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// XML 1.0, section 2.4: five characters have names; what XML cannot hold is replaced.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&apos;"),
            '\n' | '\t' => safe.push(c),
            c if c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}') => safe.push('\u{FFFD}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_shown_and_nothing_breaks_out() {
        let case = |name: &str, differences: &[&str]| Tested {
            name: name.into(),
            differences: differences.iter().map(|text| (*text).to_owned()).collect(),
        };
        let xml = junit(&[("a&b.json".into(), vec![case("T1 good", &[]), case("T2 \"bad\"\u{1b}", &["<verdict>"])])]);
        let want = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuites name=\"zonewatch policy test\" tests=\"2\" failures=\"1\">
  <testsuite name=\"a&amp;b.json\" tests=\"2\" failures=\"1\">
    <testcase classname=\"a&amp;b.json\" name=\"T1 good\"/>
    <testcase classname=\"a&amp;b.json\" name=\"T2 &quot;bad&quot;\u{FFFD}\">
      <failure message=\"&lt;verdict&gt;\">&lt;verdict&gt;</failure>
    </testcase>
  </testsuite>
</testsuites>
";
        assert_eq!(xml, want);
    }
}
