//! Reads the small CSV tables that are embedded beside the code that uses them.

/// The records of an embedded CSV table without its header line; quoted fields may hold commas, `""` is a quote.
///
/// For tables of ours that are compiled in: no record spans lines, and a ragged line is a bug that the table's own
/// test finds.
pub fn records(csv: &'static str) -> impl Iterator<Item = Vec<String>> {
    csv.lines().skip(1).filter(|line| !line.trim().is_empty()).map(fields)
}

fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    fields.push(field);
    fields
}

/// A number as tables write it: `0x0E` or `14`.
#[must_use]
pub fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_fields_and_numbers() {
        let rows: Vec<_> = records("a,b\n1,\"x, \"\"y\"\"\"\n\n0x0E,z\n").collect();
        assert_eq!(rows, [vec!["1", "x, \"y\""], vec!["0x0E", "z"]]);
        assert_eq!((number("0x0E"), number("14"), number("x")), (Some(14), Some(14), None));
    }
}
