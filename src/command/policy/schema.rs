use crate::command::{Done, Outcome, print};
use crate::policy;

pub(super) fn run() -> Outcome {
    print(&format!("{:#}\n", policy::schema()))?;
    Ok(Done::Clean)
}
