//! What Compose starts, as processes: a PostgreSQL that is somebody else's, with the roles that the init script makes; the server,
//! by the script of the image and with its environment; nginx, with the configuration of the image. Only addresses are others,
//! because there is no network of containers.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use tokio_postgres::{Client, Config, NoTls};

use super::compose::{Environment, environment, example, repository};
use crate::support::{Daemon, PATIENCE, Run, Scratch, run, wait_for};

/// What may stand in a password, and may not in a URL, in SQL, or in a shell.
const APP_PASSWORD: &str = r#"a@p:p/%25 'q' "d" \b $x `y` #ü"#;
const ADMIN_PASSWORD: &str = r#"ad@min:/?&=%'"\$(id);--"#;
const SUPERUSER_PASSWORD: &str = "super'user";
const CLOAK_KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// All of it. What is dropped first is stopped first.
pub(super) struct Stack {
    pub(super) server: Mutex<Option<Daemon>>,
    pub(super) nginx: Process,
    _postgres: Process,
    postgres_port: u16,
    /// PostgreSQL's programs.
    programs: PathBuf,
    /// What `.env` says.
    settings: Mutex<Environment>,
    pub(super) plain: u16,
    pub(super) tls: u16,
    dir: Scratch,
}

/// A process that is asked to end, and waited for.
pub(super) struct Process {
    child: Child,
    signal: Signal,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), self.signal);
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on. Not one of those that connections are made from: of these any may be taken the next moment.
fn free_port() -> u16 {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + u16::try_from(number % 22_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Where a program is, in the directories that the tests have and in one that only administrators have.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    dirs.map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// The newest PostgreSQL of this machine, or the one that the tests are to use.
fn postgresql() -> PathBuf {
    let has_all =
        |dir: &PathBuf| ["postgres", "initdb", "psql", "pg_dump"].iter().all(|name| dir.join(name).is_file());
    let told = std::env::var_os("LOOPCTL_PG_BIN").map(PathBuf::from);
    let on_path = find("postgres").and_then(|file| Some(file.parent()?.to_path_buf()));
    let packages = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut packages: Vec<_> = packages.map(|entry| entry.path().join("bin")).collect();
    packages.sort();
    let mut found = told.into_iter().chain(on_path).chain(packages.into_iter().rev());
    found.find(has_all).expect("PostgreSQL's programs, with psql and pg_dump: bin/prepare installs them")
}

/// An account that PostgreSQL runs as: it refuses to be root.
fn account() -> Option<User> {
    if !geteuid().is_root() {
        return None;
    }
    let named = |name| User::from_name(name).ok().flatten();
    Some(named("postgres").or_else(|| named("nobody")).expect("an account that is not root's"))
}

impl Stack {
    /// A PostgreSQL with the roles, and nginx; no schema and no server yet.
    pub(super) async fn start() -> Self {
        let dir = Scratch::new();
        fs::create_dir(dir.path()).unwrap();
        let mut settings = example();
        let secret_key_base = "s".repeat(64);
        for (name, value) in [
            ("POSTGRES_PASSWORD", SUPERUSER_PASSWORD),
            ("DB_APP_PASSWORD", APP_PASSWORD),
            ("DB_ADMIN_PASSWORD", ADMIN_PASSWORD),
            ("CLOAK_KEY", CLOAK_KEY),
            ("SECRET_KEY_BASE", secret_key_base.as_str()),
            // Where the tests listen for webhooks.
            ("LOOPCTL_WEBHOOK_ALLOWED_PRIVATE_CIDRS", "127.0.0.0/8"),
        ] {
            settings.insert(name.to_owned(), value.to_owned());
        }
        let programs = postgresql();
        let (postgres, postgres_port) = start_postgresql(dir.path(), &programs, &settings);
        let (plain, tls) = (free_port(), free_port());
        let nginx = start_nginx(dir.path(), plain, tls);
        let (server, settings) = (Mutex::new(None), Mutex::new(settings));
        let stack =
            Self { server, nginx, _postgres: postgres, postgres_port, programs, settings, plain, tls, dir };
        let superuser = stack.superuser("postgres").await;
        superuser.batch_execute(&format!("create database {}", stack.database())).await.unwrap();
        stack.init(&stack.database()).success();
        stack
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What `.env` says of something.
    pub(super) fn setting(&self, name: &str) -> String {
        self.settings.lock().unwrap()[name].clone()
    }

    /// Writes into `.env` what counts from the next start on.
    pub(super) fn set(&self, name: &str, value: &str) {
        self.settings.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    /// The database that the server works on.
    pub(super) fn database(&self) -> String {
        self.setting("POSTGRES_DB")
    }

    fn config(&self, user: &str, password: &str, database: &str) -> Config {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.postgres_port).user(user).password(password).dbname(database);
        config
    }

    async fn connect(config: &Config) -> Client {
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    pub(super) async fn superuser(&self, database: &str) -> Client {
        Self::connect(&self.config(&self.setting("POSTGRES_USER"), SUPERUSER_PASSWORD, database)).await
    }

    /// As requests log in.
    pub(super) async fn app(&self) -> Client {
        Self::connect(&self.config(&self.setting("DB_APP_USER"), APP_PASSWORD, &self.database())).await
    }

    /// The login of the owner, as a URL that spells its password as the original's deployments do.
    pub(super) fn admin_url(&self, scheme: &str) -> String {
        let password: String = ADMIN_PASSWORD.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let user = self.setting("DB_ADMIN_USER");
        format!("{scheme}://{user}:{password}@127.0.0.1:{}/{}", self.postgres_port, self.database())
    }

    pub(super) fn app_url(&self, scheme: &str) -> String {
        let password: String = APP_PASSWORD.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let user = self.setting("DB_APP_USER");
        format!("{scheme}://{user}:{password}@127.0.0.1:{}/{}", self.postgres_port, self.database())
    }

    /// A script of the repository, with PostgreSQL's programs and nothing else of the tests' environment.
    pub(super) fn script(&self, path: &str, environment: &Environment) -> Command {
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let dirs = [self.programs.clone()].into_iter().chain(std::env::split_paths(&inherited));
        let mut command = Command::new(repository(path));
        command
            .env_clear()
            .env("PATH", std::env::join_paths(dirs).unwrap())
            .env("TMPDIR", std::env::temp_dir())
            .env("LOOPCTL_BINARY", env!("CARGO_BIN_EXE_loopctl"))
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The init script, as the image of PostgreSQL runs it; it logs in over TCP here, and so with a password.
    pub(super) fn init(&self, database: &str) -> Run {
        let mut environment = environment("db", &self.settings.lock().unwrap()).unwrap();
        environment.insert("POSTGRES_DB".to_owned(), database.to_owned());
        let port = self.postgres_port.to_string();
        let mut command = self.script("deploy/postgres/init.sh", &environment);
        command.envs([
            ("PGHOST", "127.0.0.1"),
            ("PGPORT", port.as_str()),
            ("PGPASSWORD", SUPERUSER_PASSWORD),
        ]);
        Run::of(command.output().unwrap())
    }

    /// What the container of the application has in its environment, but for where PostgreSQL is and which port is free.
    pub(super) fn environment(&self) -> Environment {
        let mut environment = environment("app", &self.settings.lock().unwrap()).unwrap();
        let port = self.postgres_port.to_string();
        for (name, value) in [("DB_HOST", "127.0.0.1"), ("DB_PORT", port.as_str()), ("PORT", "0")] {
            environment.insert(name.to_owned(), value.to_owned());
        }
        environment
    }

    /// One of `deploy/bin`, in the container.
    pub(super) fn exec(&self, words: &str) -> Run {
        let (script, arguments) = words.split_once(' ').unwrap_or((words, ""));
        let mut command = self.script(&format!("deploy/bin/{script}"), &self.environment());
        Run::of(command.args(arguments.split_whitespace()).output().unwrap())
    }

    /// The container of the application, started; nginx is told where it is, as Docker's name server would.
    pub(super) fn serve(&self) {
        let server = Daemon::of(&mut self.script("deploy/bin/server", &self.environment()));
        let address = server.base.trim_start_matches("http://").to_owned();
        configure_nginx(self.dir(), self.plain, self.tls, &address);
        *self.server.lock().unwrap() = Some(server);
        kill(Pid::from_raw(self.nginx.child.id().cast_signed()), Signal::SIGHUP).unwrap();
        let health = format!("health --server {} --cacert {}", self.url(""), self.certificate().display());
        wait_for("nginx on the new address", || (run(&health, &[]).code == 0).then_some(()));
    }

    /// Its orderly end.
    pub(super) fn stop(&self) {
        self.server.lock().unwrap().take().unwrap().stop();
    }

    pub(super) fn certificate(&self) -> PathBuf {
        self.dir().join("certs/selfsigned.crt")
    }

    /// A client that believes this certificate alone, and follows nobody.
    pub(super) fn http(&self) -> reqwest::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificate = reqwest::Certificate::from_pem(&fs::read(self.certificate()).unwrap()).unwrap();
        reqwest::Client::builder()
            .tls_certs_only([certificate])
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .unwrap()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.tls)
    }
}

fn start_postgresql(dir: &Path, programs: &Path, settings: &Environment) -> (Process, u16) {
    let home = dir.join("postgres");
    let password = home.join("password");
    fs::create_dir(&home).unwrap();
    fs::write(&password, format!("{}\n", settings["POSTGRES_PASSWORD"])).unwrap();
    let account = account();
    let command = |program: &str| {
        let mut command = Command::new(programs.join(program));
        command
            .current_dir(&home)
            .env_clear()
            .env("PATH", programs)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if let Some(account) = &account {
            command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
        }
        command
    };
    if let Some(account) = &account {
        for path in [&home, &password] {
            chown(path, Some(account.uid.as_raw()), Some(account.gid.as_raw())).unwrap();
        }
    }
    let made = command("initdb")
        .args(["--pgdata=data", "--encoding=UTF8", "--no-locale", "--no-sync", "--auth=scram-sha-256"])
        .arg(format!("--username={}", settings["POSTGRES_USER"]))
        .arg("--pwfile=password")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = free_port();
    let child = command("postgres")
        .args(["-D", "data", "-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
        .args(["-c", "unix_socket_directories="])
        .stderr(Stdio::from(fs::File::create(dir.join("postgres.log")).unwrap()))
        .spawn()
        .unwrap();
    // A fast shutdown: clients are not waited for.
    let mut postgres = Process { child, signal: Signal::SIGINT };
    wait_for("PostgreSQL", || {
        let log = || fs::read_to_string(dir.join("postgres.log")).unwrap_or_default();
        assert!(postgres.child.try_wait().unwrap().is_none(), "{}", log());
        log().contains("ready to accept connections").then_some(())
    });
    (postgres, port)
}

/// The very configuration, with addresses of this machine. Each is replaced where it stands, and nowhere else.
fn configure_nginx(dir: &Path, plain: u16, tls: u16, application: &str) {
    let mut text = fs::read_to_string(repository("deploy/nginx.conf")).unwrap();
    let certs = format!("{}/certs/", dir.display());
    for (there, here, times) in [
        ("listen 80;", format!("listen 127.0.0.1:{plain};"), 1),
        ("listen 443 ssl;", format!("listen 127.0.0.1:{tls} ssl;"), 1),
        ("set $application app:4000;", format!("set $application {application};"), 1),
        ("/etc/nginx/certs/", certs, 2),
    ] {
        assert_eq!(text.matches(there).count(), times, "{there}");
        text = text.replace(there, &here);
    }
    fs::write(dir.join("nginx/loopctl.conf"), text).unwrap();
}

fn start_nginx(dir: &Path, plain: u16, tls: u16) -> Process {
    let program = find("nginx").expect(
        "nginx, which bin/prepare installs (make test); LOOPCTL_TEST_NGINX=none make test leaves these tests out",
    );
    let home = dir.join("nginx");
    fs::create_dir(&home).unwrap();
    let made = Command::new(repository("deploy/make-certificate.sh"))
        .env("CERTS", dir.join("certs"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // Nobody listens there yet.
    configure_nginx(dir, plain, tls, "127.0.0.1:9");
    let at = home.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
        .collect();
    // As in the image, around what is ours.
    let main = format!(
        "daemon off;\nworker_processes 1;\npid {at}/pid;\nerror_log {at}/error.log;\nevents {{}}\nhttp {{\n\
         access_log {at}/access.log;\n{temporary}include {at}/loopctl.conf;\n}}\n"
    );
    fs::write(home.join("nginx.conf"), main).unwrap();
    let command = || {
        let mut command = Command::new(&program);
        command.arg("-c").arg(home.join("nginx.conf")).arg("-e").arg(home.join("error.log"));
        command
    };
    let tested = command().arg("-t").output().unwrap();
    let said = String::from_utf8_lossy(&tested.stderr).into_owned();
    assert!(tested.status.success() && !said.contains("[warn]"), "{said}");
    let child = command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let nginx = Process { child, signal: Signal::SIGTERM };
    wait_for("nginx", || TcpStream::connect(("127.0.0.1", tls)).ok());
    nginx
}
