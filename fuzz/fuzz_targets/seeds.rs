//! `seeds TARGET FIXTURES FOLDER`: writes what a target starts from into a folder.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [target, fixtures, folder] = words.as_slice() else {
        eprintln!("seeds TARGET FIXTURES FOLDER");
        std::process::exit(2);
    };
    std::fs::create_dir_all(folder)?;
    let seeds = zonewatch_fuzz::seeds::of(target, Path::new(fixtures))?;
    for (number, seed) in seeds.iter().enumerate() {
        std::fs::write(Path::new(folder).join(format!("seed-{number:04}")), seed)?;
    }
    println!("{target}: {} seeds", seeds.len());
    Ok(())
}
