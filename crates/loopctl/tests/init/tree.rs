//! A folder with everything in it, and how one is written down: a line `--- PATH` before the lines of each file, `--- PATH -> TARGET`
//! for a link, `--- PATH/` for an empty folder. A line that ends with `␍` ends with CRLF; a text that ends with `␄` ends without a
//! newline.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Thing {
    Folder,
    File { content: Vec<u8>, mode: u32 },
    Link(String),
}

/// A folder with everything in it.
pub(crate) type Tree = BTreeMap<String, Thing>;

/// Reads a folder.
pub(crate) fn read(root: &Path) -> Tree {
    let mut tree = Tree::new();
    below(root, "", &mut tree);
    tree
}

fn below(folder: &Path, prefix: &str, tree: &mut Tree) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let (path, found) = (entry.path(), entry.metadata().unwrap());
        let thing = if found.is_symlink() {
            Thing::Link(std::fs::read_link(&path).unwrap().to_string_lossy().into_owned())
        } else if found.is_dir() {
            below(&path, &format!("{name}/"), tree);
            Thing::Folder
        } else {
            let mode = found.permissions().mode() & 0o777;
            Thing::File { content: std::fs::read(&path).unwrap(), mode }
        };
        tree.insert(name, thing);
    }
}

/// Makes a folder what was written down.
pub(crate) fn make(root: &Path, text: &str) {
    for part in text.split("--- ").skip(1) {
        let (head, lines) = part.split_once('\n').unwrap();
        let (path, target) = head.split_once(" -> ").map_or((head, None), |(path, to)| (path, Some(to)));
        let place = root.join(path);
        if path.ends_with('/') {
            std::fs::create_dir_all(place).unwrap();
            continue;
        }
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        match target {
            Some(target) => symlink(target, place).unwrap(),
            None => std::fs::write(place, lines.replace("␍\n", "\r\n").replace("␄\n", "")).unwrap(),
        }
    }
}

/// Writes a folder down.
pub(crate) fn written(tree: &Tree) -> String {
    let mut text = String::new();
    for (path, thing) in tree {
        match thing {
            Thing::Link(to) => text += &format!("--- {path} -> {to}\n"),
            Thing::Folder if tree.keys().any(|other| other.starts_with(&format!("{path}/"))) => {}
            Thing::Folder => text += &format!("--- {path}/\n"),
            Thing::File { content, .. } => {
                let content = String::from_utf8(content.clone()).unwrap();
                text += &format!("--- {path}\n{}", content.replace("\r\n", "␍\n"));
                if !content.is_empty() && !content.ends_with('\n') {
                    text += "␄\n";
                }
            }
        }
    }
    text
}
