//! Takes the files of Swagger UI that its page needs out of the archive that it comes in, and compresses them as they are sent; and the
//! recorded examples, which are a tenth of their size then.

use std::fs::File;
use std::io::{Cursor, Read, copy};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

const EXAMPLES: &str = "src/discovery/examples.json";

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    println!("cargo::rerun-if-changed=build.rs");
    let into = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    for name in ["swagger-ui-bundle.js", "swagger-ui.css"] {
        let below = format!("/dist/{name}");
        let mut names = archive.file_names().filter_map(|file| Some(file.ok()?.into_owned()));
        let found = names.find(|file| file.ends_with(&below));
        let found = found.ok_or_else(|| format!("there is no {below} in Swagger UI's archive"))?;
        drop(names);
        compress(&mut archive.by_name(&found)?, &into.join(format!("{name}.gz")))?;
    }
    println!("cargo::rerun-if-changed={EXAMPLES}");
    compress(&mut File::open(EXAMPLES)?, &into.join("examples.json.gz"))
}

fn compress(from: &mut impl Read, to: &Path) -> Outcome {
    let mut compressed = GzEncoder::new(File::create(to)?, Compression::best());
    copy(from, &mut compressed)?;
    compressed.finish()?;
    Ok(())
}
