//! Scripts of the repository that need neither a database nor nginx: what they refuse, and what they do beside a Docker that only notes
//! what it is asked.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use sha2::{Digest as _, Sha256};

use crate::containers::compose::repository;
use crate::support::{Run, Scratch};

/// A script with this environment alone.
fn script(path: &str, environment: &[(&str, &str)]) -> Run {
    let mut command = Command::new(repository(path));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(environment.iter().copied());
    Run::of(command.stdin(Stdio::null()).output().unwrap())
}

/// A program that a script finds before the real one.
fn program(dir: &Path, name: &str, text: &str) {
    let file = dir.join(name);
    fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_production_lacks_is_named_at_once() {
    let never = ("LOOPCTL_BINARY", "/bin/false");
    let nothing = script("deploy/bin/server", &[never]);
    for variable in ["DATABASE_URL", "SECRET_KEY_BASE", "CLOAK_KEY"] {
        assert!(nothing.failure(1).contains(&format!("{variable} is missing")), "{nothing:?}");
    }
    // Compose hands on what is not set as an empty text.
    let empty = script(
        "deploy/bin/server",
        &[never, ("DATABASE_URL", ""), ("SECRET_KEY_BASE", ""), ("CLOAK_KEY", "")],
    );
    assert_eq!(empty.failure(1), nothing.failure(1));

    let long = "s".repeat(64);
    for (key, secret, named) in [
        ("AAAAAAAAAAAAAAAAAAAAAA==", long.as_str(), "CLOAK_KEY is no key"),
        ("hunter2", long.as_str(), "CLOAK_KEY is no key"),
        ("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", &long[1..], "SECRET_KEY_BASE is too short"),
    ] {
        let environment =
            [never, ("DATABASE_URL", "postgres://db/x"), ("CLOAK_KEY", key), ("SECRET_KEY_BASE", secret)];
        let refused = script("deploy/bin/server", &environment);
        let said = refused.failure(1);
        assert!(said.contains(named) && said.lines().count() == 1, "{refused:?}");
        assert!(!said.contains(key) && !said.contains(secret), "{refused:?}");
    }
}

/// Its URL is the database's, whatever the password is made of; and the parts are not handed on.
#[test]
fn parts_of_a_url_become_one() {
    let dir = Scratch::new();
    fs::create_dir(dir.path()).unwrap();
    program(dir.path(), "loopctl", "echo \"$DATABASE_URL $ADMIN_DATABASE_URL $*\"; env | grep PASSWORD");
    let binary = dir.path().join("loopctl");
    let named = |name: &'static str, value: &'static str| (name, value);
    let mut environment = vec![
        ("LOOPCTL_BINARY", binary.to_str().unwrap()),
        named("DB_HOST", "db"),
        named("DB_APP_PASSWORD", "a@/:%ü"),
        named("DB_ADMIN_PASSWORD", "'\""),
    ];
    let user = |name: &str| name.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let (app, admin, database) = (user("loopctl_app"), user("loopctl_admin"), user("loopctl"));
    let made = script("deploy/bin/loopctl", &environment);
    assert_eq!(
        made.stdout.trim(),
        format!(
            "postgres://{app}:%61%40%2f%3a%25%c3%bc@db:5432/{database} postgres://{admin}:%27%22@db:5432/{database}"
        )
    );
    // One that is there goes before them.
    environment.push(named("DATABASE_URL", "postgres://elsewhere/x"));
    assert_eq!(script("deploy/bin/loopctl", &environment).stdout.trim(), "postgres://elsewhere/x");
}

/// What `deploy.sh` asked of Docker, and how it ended.
fn deploy(dir: &Path, environment: &[(&str, &str)]) -> (Run, String) {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir(dir).unwrap();
    program(
        dir,
        "docker",
        "echo \"$*\" >> \"$NOTES/asked\"
         case \"$*\" in
           'image inspect'*) [ -n \"${HAS_IMAGE:-}\" ] ;;
           'compose build'*) [ -z \"${BUILD_FAILS:-}\" ] ;;
           'compose run'*) [ -z \"${MIGRATION_FAILS:-}\" ] || exit 1
             printf '{\\n  \"migrations_applied\": [%s],\\n  \"articles_written\": 0\\n}\\n' \"${MIGRATED:-}\" ;;
         esac",
    );
    // The image from before is well in any case.
    program(dir, "curl", "grep -q 'tag loopctl:previous' \"$NOTES/asked\" || [ -z \"${UNWELL:-}\" ]");
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
    let notes = dir.to_str().unwrap();
    let mut all =
        vec![("PATH", path.as_str()), ("NOTES", notes), ("BACKUP", "none"), ("HEALTH_SECONDS", "1")];
    all.extend_from_slice(environment);
    let run = script("deploy/deploy.sh", &all);
    (run, fs::read_to_string(dir.join("asked")).unwrap())
}

#[test]
fn a_deploy_migrates_before_it_exchanges_and_comes_back_when_the_new_one_is_not_well() {
    let scratch = Scratch::new();
    let dir = scratch.path();
    let at = |asked: &str, what: &str| asked.find(what).unwrap_or_else(|| panic!("{what} in {asked}"));

    let (run, asked) = deploy(dir, &[("HAS_IMAGE", "1")]);
    run.success();
    let migrated = at(&asked, "compose run --rm --no-deps -T app /app/bin/migrate");
    assert!(
        at(&asked, "compose build --pull") < migrated && migrated < at(&asked, "up -d --force-recreate app")
    );
    assert!(!asked.contains("tag loopctl:previous"), "{asked}");

    // Nothing was exchanged: the old one goes on.
    for failure in ["BUILD_FAILS", "MIGRATION_FAILS"] {
        let (run, asked) = deploy(dir, &[("HAS_IMAGE", "1"), (failure, "1")]);
        assert!(run.failure(1).contains("nothing was exchanged"), "{run:?}");
        assert!(!asked.contains("force-recreate"), "{asked}");
        assert!(asked.contains("tag loopctl:previous loopctl:latest"), "{asked}");
    }

    // The image from before is back.
    let (run, asked) = deploy(dir, &[("HAS_IMAGE", "1"), ("UNWELL", "1")]);
    assert!(run.failure(1).ends_with("the image from before is back, and well"), "{run:?}");
    assert!(
        at(&asked, "tag loopctl:previous loopctl:latest")
            < asked.rfind("up -d --force-recreate app").unwrap()
    );
    assert_eq!(asked.matches("up -d --force-recreate app").count(), 2, "{asked}");

    // It could not start on another schema.
    let (run, asked) = deploy(dir, &[("HAS_IMAGE", "1"), ("UNWELL", "1"), ("MIGRATED", "\"V99__new\"")]);
    assert!(run.failure(1).contains("deploy/restore.sh --replace"), "{run:?}");
    assert_eq!(asked.matches("up -d --force-recreate app").count(), 1, "{asked}");
}

#[test]
fn what_is_installed_is_what_was_released() {
    let dir = Scratch::new();
    let mirror = dir.path().join("mirror");
    let latest = mirror.join("latest/download");
    fs::create_dir_all(&latest).unwrap();
    let uname =
        |option: &str| Run::of(Command::new("uname").arg(option).output().unwrap()).stdout.trim().to_owned();
    let target = match (uname("-s").as_str(), uname("-m").as_str()) {
        ("Darwin", "arm64") => "aarch64-apple-darwin".to_owned(),
        ("Darwin", cpu) => format!("{cpu}-apple-darwin"),
        (_, cpu) => format!("{cpu}-unknown-linux-gnu"),
    };
    program(dir.path(), "built", "echo 'loopctl 9.8.7'");
    let built = dir.path().join("built");
    let packed = Command::new(repository("bin/release-archive"))
        .args([built.as_path(), Path::new(&target), latest.as_path()])
        .output()
        .unwrap();
    let archive = Run::of(packed).stdout.trim().to_owned();
    assert!(archive.ends_with(&format!("/loopctl-9.8.7-{target}.tar.gz")), "{archive}");
    let sum: String =
        Sha256::digest(fs::read(&archive).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
    let name = Path::new(&archive).file_name().unwrap().to_str().unwrap();
    let sums = format!("{}  loopctl-9.8.7-other.tar.gz\n{sum}  {name}\n", "0".repeat(64));
    fs::write(latest.join("SHA256SUMS"), &sums).unwrap();

    let home = dir.path().join("home");
    let releases = format!("file://{}", mirror.display());
    let to = home.join(".local/bin");
    let environment =
        [("LOOPCTL_RELEASES", releases.as_str()), ("LOOPCTL_INSTALL_DIR", to.to_str().unwrap())];
    let installed = script("install.sh", &environment);
    installed.success();
    assert!(installed.stderr.contains("loopctl 9.8.7 is in"), "{installed:?}");
    let program = Command::new(to.join("loopctl")).output().unwrap();
    assert_eq!(Run::of(program).stdout, "loopctl 9.8.7\n");

    // A file that was exchanged on the way; what is there stays.
    fs::write(latest.join("SHA256SUMS"), sums.replace(&sum, &"1".repeat(64))).unwrap();
    fs::write(to.join("loopctl"), "as it was").unwrap();
    let refused = script("install.sh", &environment);
    assert!(refused.failure(1).contains("nothing was installed"), "{refused:?}");
    assert_eq!(fs::read_to_string(to.join("loopctl")).unwrap(), "as it was");
    // One that was never released.
    let none = script("install.sh", &[environment[0], environment[1], ("LOOPCTL_VERSION", "0.0.1")]);
    assert!(none.failure(1).contains("/download/v0.0.1/SHA256SUMS cannot be fetched"), "{none:?}");
}

/// What loopctl needs of an installation, in the places in which its programs look for it; and nothing of one that cannot be moved.
#[test]
fn postgresql_is_packed_with_what_lies_beside_it() {
    let dir = Scratch::new();
    let from = dir.path().join("wheel/embedded/pginstall");
    for part in ["bin", "lib", "share/extension", "share/doc", "../../embedded.libs"] {
        fs::create_dir_all(from.join(part)).unwrap();
    }
    let archive = dir.path().join("postgresql.tar.gz");
    let pack = || {
        let packed = Command::new(repository("bin/postgres-archive")).args([&from, &archive]).output();
        Run::of(packed.unwrap())
    };
    assert!(pack().failure(1).contains("there is no program postgres in "));
    for name in ["postgres", "initdb", "pg_dump", "pg_restore", "pgbench"] {
        program(&from.join("bin"), name, "echo 'postgres (PostgreSQL) 18.1'");
    }
    let package = pack();
    assert!(package.failure(1).contains("a distribution's package"), "{package:?}");
    assert!(!archive.exists());
    let files = ["lib/plpgsql.so", "lib/bloom.so", "share/postgres.bki", "share/doc/index.html"];
    for file in files.into_iter().chain(["../../embedded.libs/libpq-1.so.5"]) {
        fs::write(from.join(file), "").unwrap();
    }
    for extension in ["plpgsql", "pg_trgm", "pg_stat_statements"] {
        fs::write(from.join(format!("share/extension/{extension}.control")), "").unwrap();
    }
    pack().success();
    let listed = Run::of(Command::new("tar").arg("tzf").arg(&archive).output().unwrap()).stdout;
    let mut files: Vec<&str> = listed.lines().filter(|name| !name.ends_with('/')).collect();
    files.sort_unstable();
    let expected = [
        "./embedded.libs/libpq-1.so.5",
        "./postgresql/installation/bin/initdb",
        "./postgresql/installation/bin/pg_dump",
        "./postgresql/installation/bin/pg_restore",
        "./postgresql/installation/bin/postgres",
        "./postgresql/installation/lib/plpgsql.so",
        "./postgresql/installation/share/extension/pg_stat_statements.control",
        "./postgresql/installation/share/extension/pg_trgm.control",
        "./postgresql/installation/share/extension/plpgsql.control",
        "./postgresql/installation/share/postgres.bki",
    ];
    assert_eq!(files, expected);
}
