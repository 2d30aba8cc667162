//! A file that rolls, and what is left in its directory.
//!
//! ```text
//! cargo run --example rotation
//! cargo run --example rotation --features gzip
//! ```

use std::time::Duration;

use treering::handler::{File, Rotation};
use treering::{error, info};

#[expect(clippy::print_stdout, reason = "what the example is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::temp_dir().join(format!("treering-rotation-{}", std::process::id()));
    let path = directory.join("app.log");

    // A new file each quarter of an hour, at 4 KiB, and when asked; the five newest of the old ones are kept.
    let rotation = Rotation::new().every(Duration::from_mins(15)).at_bytes(4096).keep_files(5);
    #[cfg(feature = "gzip")]
    let rotation = rotation.compress(treering::handler::Compression::Gzip);
    let file = File::options()
        .create_directories(true)
        .header("#Software: rotation example")
        .rotate(rotation)
        .open(&path)?;
    let control = file.control(); // for a thread that waits for SIGHUP, or an endpoint for operators
    let guard = treering::builder().handler(file).init()?;
    for order in 0..200 {
        info!(order, venue = "XNAS", "filled");
    }
    guard.flush(Duration::from_secs(5))?; // or it rolls before some of them are written
    control.roll();
    error!("the first line of a new file");
    if cfg!(feature = "gzip") {
        std::thread::sleep(Duration::from_secs(5)); // one file after the other; a stop would not wait for it
    }
    guard.stop(Duration::from_secs(5))?;

    let mut entries = std::fs::read_dir(&directory)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        println!("{:5} {}", entry.metadata()?.len(), entry.file_name().display());
    }
    std::fs::remove_dir_all(directory)?;
    Ok(())
}
