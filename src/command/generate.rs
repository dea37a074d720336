use clap_complete::Shell;

use super::{Done, Outcome};
use crate::cli::{self, Generate, Generated};

pub(super) fn run(options: &Generate) -> Outcome {
    let Generate { what, folder } = options;
    let wrong = |error: std::io::Error| format!("cannot write into {}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(wrong)?;
    match what {
        Generated::Man => clap_mangen::generate_to(cli::declaration(), folder).map_err(wrong)?,
        Generated::Completions => {
            for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
                clap_complete::generate_to(shell, &mut cli::declaration(), "zonewatch", folder).map_err(wrong)?;
            }
        }
    }
    Ok(Done::Clean)
}
