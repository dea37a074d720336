//! A policy as somebody writes it: an error with its place, or a policy of which every tool around it makes something whole.

use zonewatch::policy::{Policy, exchange, firewall};

/// Checks a text.
///
/// # Panics
/// When a promise is broken.
pub fn check(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let policy = match Policy::parse("policy.toml", text) {
        Ok(policy) => policy,
        Err(wrong) => {
            assert!(wrong.has_errors(), "refused without an error");
            return plain(&wrong.render(false));
        }
    };
    plain(&policy.warnings.render(false));
    assert!(policy.changes(&policy).is_empty(), "it differs from itself");
    let proposal = firewall::proposal(&policy);
    plain(&firewall::table(&policy, &proposal));
    plain(&firewall::nftables(&policy, &proposal));
    if let Ok(sheets) = exchange::export(&policy) {
        let (again, bad) = exchange::import(&sheets).unwrap_or_else(|bad| panic!("its own sheets are bad: {bad:?}"));
        let bad: Vec<_> = bad.iter().filter(|cell| !cell.warning).collect();
        assert!(bad.is_empty(), "its own sheets have bad cells: {bad:?}");
        let again =
            Policy::parse("again.toml", &again).unwrap_or_else(|wrong| panic!("its own sheets: {wrong}\n{again}"));
        let changes = policy.changes(&again);
        assert!(changes.is_empty(), "its own sheets say something else: {changes:?}");
    }
}

fn plain(text: &str) {
    let steers = |c: char| c.is_control() && c != '\n';
    assert!(!text.contains(steers), "{:?} is shown as it came", text.chars().find(|c| steers(*c)));
}
