//! The acceptance cases of the policy model: verdict, reason, reference, severity, score, terms and qualifiers.
//!
//! They lie beside the repository, in `../shared/policy` or below `ZONEWATCH_SHARED`. Without them the test says so and
//! passes.

use std::path::PathBuf;

use zonewatch::policy::{Case, Difference, Policy};

fn shared() -> Option<PathBuf> {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("ZONEWATCH_SHARED").map_or_else(default, PathBuf::from).join("policy");
    if folder.is_dir() {
        return Some(folder);
    }
    #[allow(clippy::print_stderr)] // A skipped test must be loud.
    {
        eprintln!("SKIPPED: no acceptance cases in {}; set ZONEWATCH_SHARED", folder.display());
    }
    None
}

#[test]
fn plant() {
    check("policy-example.toml", "cases.json", 66);
}

#[test]
fn nesting() {
    check("policy-nested.toml", "cases-nested.json", 7);
}

/// What the acceptance cases leave out of the model's sections 3 to 6.
#[test]
fn further() {
    let policy = Policy::parse("further.toml", include_str!("policy/further.toml"));
    let policy = policy.unwrap_or_else(|error| panic!("{}", error.render(false)));
    compare(&policy, &Case::list(include_str!("policy/further.json")).unwrap());
}

fn check(policy: &str, cases: &str, count: usize) {
    let Some(folder) = shared() else { return };
    let policy = Policy::load(&[folder.join(policy)]).unwrap_or_else(|error| panic!("{}", error.render(false)));
    let cases = Case::list(&std::fs::read_to_string(folder.join(cases)).unwrap()).unwrap();
    assert_eq!(cases.len(), count);
    compare(&policy, &cases);
}

fn compare(policy: &Policy, cases: &[Case]) {
    let count = cases.len();
    let wrong: Vec<String> = cases.iter().flat_map(|case| differs(policy, case)).collect();
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn differs(policy: &Policy, case: &Case) -> Vec<String> {
    let found = case.differences(policy).unwrap();
    let line = |Difference { what, want, got }| format!("{} {}: {what} is {got}, not {want}", case.id, case.title);
    found.into_iter().map(line).collect()
}
