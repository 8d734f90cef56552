//! What Compose starts, as processes: a PostgreSQL that is somebody else's, with the roles that the init script makes; the server,
//! by the script of the image and with its environment; nginx, with the configuration of the image. Only addresses are others,
//! because there is no network of containers.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use nix::sys::signal::Signal;
use tokio_postgres::Client;

use super::compose::{Environment, environment, example, repository};
use super::postgres::{Postgres, Process, find, free_port};
use crate::support::{Daemon, PATIENCE, Run, Scratch, run, wait_for};

/// What may stand in a password, and may not in a URL, in SQL, or in a shell.
const APP_PASSWORD: &str = r#"a@p:p/%25 'q' "d" \b $x `y` #ü"#;
const ADMIN_PASSWORD: &str = r#"ad@min:/?&=%'"\$(id);--"#;
const SUPERUSER_PASSWORD: &str = "super'user";
const CLOAK_KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// All of it. What is dropped first is stopped first.
pub(super) struct Stack {
    pub(super) server: Mutex<Option<Daemon>>,
    _nginx: Process,
    postgres: Postgres,
    /// What `.env` says.
    settings: Mutex<Environment>,
    pub(super) plain: u16,
    pub(super) tls: u16,
    /// The port of the server.
    application: u16,
    dir: Scratch,
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
        let postgres = Postgres::start(dir.path(), &settings["POSTGRES_USER"], SUPERUSER_PASSWORD);
        let (plain, tls, application) = (free_port(), free_port(), free_port());
        let nginx = start_nginx(dir.path(), plain, tls, application);
        let (server, settings) = (Mutex::new(None), Mutex::new(settings));
        let stack = Self { server, _nginx: nginx, postgres, settings, plain, tls, application, dir };
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

    pub(super) async fn superuser(&self, database: &str) -> Client {
        self.postgres.client(&self.setting("POSTGRES_USER"), SUPERUSER_PASSWORD, database).await
    }

    /// As requests log in.
    pub(super) async fn app(&self) -> Client {
        self.postgres.client(&self.setting("DB_APP_USER"), APP_PASSWORD, &self.database()).await
    }

    /// The login of the owner, as a URL that spells its password as the original's deployments do.
    pub(super) fn admin_url(&self, scheme: &str) -> String {
        self.postgres.url(scheme, &self.setting("DB_ADMIN_USER"), ADMIN_PASSWORD, &self.database())
    }

    pub(super) fn app_url(&self, scheme: &str) -> String {
        self.postgres.url(scheme, &self.setting("DB_APP_USER"), APP_PASSWORD, &self.database())
    }

    /// A script of the repository, with PostgreSQL's programs and nothing else of the tests' environment.
    pub(super) fn script(&self, path: &str, environment: &Environment) -> Command {
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let dirs = [self.postgres.programs.clone()].into_iter().chain(std::env::split_paths(&inherited));
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
        let port = self.postgres.port.to_string();
        let mut command = self.script("deploy/postgres/init.sh", &environment);
        command.envs([
            ("PGHOST", "127.0.0.1"),
            ("PGPORT", port.as_str()),
            ("PGPASSWORD", SUPERUSER_PASSWORD),
        ]);
        Run::of(command.output().unwrap())
    }

    /// What the container of the application has in its environment, but for where PostgreSQL is and which ports are free.
    pub(super) fn environment(&self) -> Environment {
        let mut environment = environment("app", &self.settings.lock().unwrap()).unwrap();
        let (port, application) = (self.postgres.port.to_string(), self.application.to_string());
        for (name, value) in
            [("DB_HOST", "127.0.0.1"), ("DB_PORT", port.as_str()), ("PORT", application.as_str())]
        {
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

    /// The container of the application, started.
    pub(super) fn serve(&self) {
        let server = Daemon::of(&mut self.script("deploy/bin/server", &self.environment()));
        *self.server.lock().unwrap() = Some(server);
        let health = format!("health --server {} --cacert {}", self.url(""), self.certificate().display());
        wait_for("nginx to reach it", || (run(&health, &[]).code == 0).then_some(()));
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

/// The very configuration, with addresses of this machine. Each is replaced where it stands, and nowhere else.
fn configure_nginx(dir: &Path, plain: u16, tls: u16, application: u16) {
    let mut text = fs::read_to_string(repository("deploy/nginx.conf")).unwrap();
    let certs = format!("{}/certs/", dir.display());
    for (there, here, times) in [
        ("listen 80;", format!("listen 127.0.0.1:{plain};"), 1),
        ("listen 443 ssl;", format!("listen 127.0.0.1:{tls} ssl;"), 1),
        ("set $application app:4000;", format!("set $application 127.0.0.1:{application};"), 1),
        ("/etc/nginx/certs/", certs, 2),
    ] {
        assert_eq!(text.matches(there).count(), times, "{there}");
        text = text.replace(there, &here);
    }
    fs::write(dir.join("nginx/loopctl.conf"), text).unwrap();
}

fn start_nginx(dir: &Path, plain: u16, tls: u16, application: u16) -> Process {
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
    configure_nginx(dir, plain, tls, application);
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
    let nginx = Process::new(child, Signal::SIGTERM);
    wait_for("nginx", || TcpStream::connect(("127.0.0.1", tls)).ok());
    nginx
}
