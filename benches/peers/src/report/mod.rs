//! The page and its pictures, from the results alone.

mod page;
mod plot;

use std::path::Path;

pub use page::page;

use crate::results::Results;

/// Writes docs/benchmarks.md and its pictures into the repository.
pub fn write(results: &Results, repository: &Path) -> Result<(), String> {
    let write = |path: &str, text: String| {
        let path = repository.join(path);
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    };
    for (name, picture) in plot::pictures(results) {
        write(&format!("docs/pictures/{name}.svg"), picture)?;
    }
    write("docs/benchmarks.md", page(results))
}
