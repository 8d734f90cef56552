//! Takes the files of Swagger UI that its page needs out of the archive that it comes in, and compresses them as they are sent; and the
//! recorded examples, which are a tenth of their size then.

use std::fs::File;
use std::io::{Cursor, copy};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

const EXAMPLES: &str = "src/discovery/examples.json";

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    println!("cargo::rerun-if-changed=build.rs");
    let into = std::env::var("OUT_DIR")?;
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    for name in ["swagger-ui-bundle.js", "swagger-ui.css"] {
        let below = format!("/dist/{name}");
        let mut names = archive.file_names().filter_map(|file| Some(file.ok()?.into_owned()));
        let found = names.find(|file| file.ends_with(&below));
        let found = found.ok_or_else(|| format!("there is no {below} in Swagger UI's archive"))?;
        drop(names);
        let to = File::create(Path::new(&into).join(format!("{name}.gz")))?;
        let mut compressed = GzEncoder::new(to, Compression::best());
        copy(&mut archive.by_name(&found)?, &mut compressed)?;
        compressed.finish()?;
    }
    println!("cargo::rerun-if-changed={EXAMPLES}");
    let to = File::create(Path::new(&into).join("examples.json.gz"))?;
    let mut compressed = GzEncoder::new(to, Compression::best());
    copy(&mut File::open(EXAMPLES)?, &mut compressed)?;
    compressed.finish()?;
    Ok(())
}
