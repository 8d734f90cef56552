//! TLS to PostgreSQL: each `sslmode` against one that has it, with certificates of authorities that are known and of others.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

use super::postgres::{Postgres, account, encoded};
use crate::support::{Daemon, Run, Scratch, call, run, wait_for};

const USER: &str = "tls user";
const PASSWORD: &str = "s@p:r/%?&";

/// An authority, and the file with its certificate.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(dir: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = dir.join(format!("{name}.pem"));
        fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, file }
    }

    /// A certificate and its key, for `localhost` and no other name.
    fn signs(&self, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// Shows a certificate from now on.
async fn show(postgres: &Postgres, dir: &Path, (certificate, key): &(String, String)) {
    for (name, pem) in [("shown.crt", certificate), ("shown.key", key)] {
        let file = dir.join(name);
        let _ = fs::remove_file(&file);
        fs::write(&file, pem).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        if let Some(account) = account() {
            chown(&file, Some(account.uid.as_raw()), Some(account.gid.as_raw())).unwrap();
        }
    }
    let superuser = postgres.client(USER, PASSWORD, "postgres").await;
    let reloaded = postgres.log().matches("reloading configuration files").count();
    for setting in [
        format!("ssl_cert_file = '{}'", dir.join("shown.crt").display()),
        format!("ssl_key_file = '{}'", dir.join("shown.key").display()),
        "log_connections = on".to_owned(),
        "ssl = on".to_owned(),
    ] {
        superuser.batch_execute(&format!("alter system set {setting}")).await.expect(
            "a PostgreSQL that was built with TLS: packages are; LOOPCTL_TEST_NGINX=none make test leaves these tests out",
        );
    }
    superuser.batch_execute("select pg_reload_conf()").await.unwrap();
    wait_for("a reload", || {
        (postgres.log().matches("reloading configuration files").count() > reloaded).then_some(())
    });
}

/// `loopctl migrate` with this host and these settings; whether its connections had TLS.
fn migrate(postgres: &Postgres, host: &str, settings: &str) -> (Run, Vec<bool>) {
    let before = postgres.log().len();
    let url = postgres
        .url("ecto", &encoded(USER), PASSWORD, "postgres")
        .replace("@127.0.0.1:", &format!("@{host}:"));
    let run = run("migrate", &[("DATABASE_URL", &format!("{url}{settings}"))]);
    let log = postgres.log();
    let ours = log[before..].lines().filter(|line| line.contains("application_name=loopctl"));
    (run, ours.map(|line| line.contains("SSL enabled")).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_line_to_the_database_is_as_private_as_its_url_asks_for() {
    let scratch = Scratch::new();
    let dir = scratch.path();
    fs::create_dir(dir).unwrap();
    let postgres = Postgres::start(dir, USER, PASSWORD);
    let (right, wrong) = (Authority::new(dir, "right"), Authority::new(dir, "wrong"));
    let with = |mode: &str, authority: &Authority| {
        format!("?sslmode={mode}&sslrootcert={}", encoded(authority.file.to_str().unwrap()))
    };

    // A server without TLS: it is used where that is allowed.
    let (without, _) = migrate(&postgres, "localhost", "?sslmode=require");
    assert!(without.failure(1).contains("server does not support TLS; turn on ssl"), "{without:?}");
    migrate(&postgres, "localhost", "").0.success();

    show(&postgres, dir, &right.signs(|_| {})).await;
    for (host, settings, tls) in [
        ("localhost", "?sslmode=disable".to_owned(), false),
        ("localhost", String::new(), true),
        ("localhost", "?sslmode=prefer".to_owned(), true),
        ("127.0.0.1", "?sslmode=require".to_owned(), true),
        ("127.0.0.1", "?sslmode=require&channel_binding=require".to_owned(), true),
        ("127.0.0.1", with("verify-ca", &right), true),
        ("localhost", with("verify-full", &right), true),
    ] {
        let (run, lines) = migrate(&postgres, host, &settings);
        run.success();
        assert!(!lines.is_empty() && lines.iter().all(|line| *line == tls), "{host} {settings}: {lines:?}");
    }
    let unsigned = "none of the authorities in sslrootcert has signed";
    for (host, settings, said) in [
        ("localhost", with("verify-ca", &wrong), unsigned),
        ("localhost", with("verify-full", &wrong), unsigned),
        // As of libpq: whoever names an authority wants it to be looked at.
        ("localhost", with("require", &wrong), unsigned),
        // Those that the machine knows.
        ("localhost", "?sslmode=verify-full".to_owned(), "sslrootcert"),
        ("127.0.0.1", with("verify-full", &right), "a name that is in the certificate's subjectAltName"),
        ("localhost", "?sslmode=disable&channel_binding=require".to_owned(), "channel binding"),
        ("localhost", "?sslmode=verify-ca".to_owned(), "DATABASE_URL"),
    ] {
        let (refused, lines) = migrate(&postgres, host, &settings);
        assert!(refused.failure(1).contains(said), "{host} {settings}: {refused:?}");
        assert!(lines.is_empty(), "{host} {settings}: {lines:?}");
        assert!(!format!("{refused:?}").contains(&encoded(PASSWORD)), "{refused:?}");
    }

    // All connections of a server: those for requests, of superadmins, and that on which it hears of changes.
    let url =
        postgres.url("postgres", &encoded(USER), PASSWORD, "postgres").replace("127.0.0.1", "localhost");
    let url = format!("{url}{}&channel_binding=require", with("verify-full", &right));
    let server = tokio::task::spawn_blocking({
        let url = url.clone();
        move || Daemon::start_with(&[("DATABASE_URL", &url), ("ADMIN_DATABASE_URL", &url)])
    });
    let server = server.await.unwrap();
    let (status, health) = call("GET", &format!("{}/health", server.base), None, None).await.unwrap();
    assert_eq!((status, health["status"].as_str()), (200, Some("ok")), "{health}");
    let superuser = postgres.client(USER, PASSWORD, "postgres").await;
    let sql = "select count(*), count(*) filter (where ssl), bool_or(query ilike 'listen%' or query = '')
               from pg_stat_activity join pg_stat_ssl using (pid) where application_name = 'loopctl'";
    let row = superuser.query_one(sql, &[]).await.unwrap();
    let (all, private): (i64, i64) = (row.get(0), row.get(1));
    assert!(all >= 2 && all == private, "{private} of {all}");
    assert!(row.get::<_, bool>(2), "the line on which it listens");
    tokio::task::spawn_blocking(move || server.stop()).await.unwrap();

    // Certificates that are none for a server, any more or at all.
    show(&postgres, dir, &right.signs(|params| params.not_after = date_time_ymd(2020, 1, 1))).await;
    let (expired, _) = migrate(&postgres, "localhost", &with("verify-full", &right));
    assert!(expired.failure(1).contains("renew the database's certificate"), "{expired:?}");
    let own = right.signs(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    show(&postgres, dir, &own).await;
    let (authority, _) = migrate(&postgres, "localhost", &with("verify-full", &right));
    assert!(authority.failure(1).contains("have that sign one for the server"), "{authority:?}");
    // Whoever does not ask who the server is takes any.
    migrate(&postgres, "localhost", "?sslmode=require").0.success();
}
