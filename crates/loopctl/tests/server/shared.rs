//! The server that tests share.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::support::{Daemon, Run, Scratch, run_on};

/// What a server is known by.
pub(crate) struct TestServer {
    pub(crate) addresses: Vec<String>,
    pub(crate) data_dir: String,
    own: Option<(Daemon, Scratch)>,
}

impl TestServer {
    /// The one that all tests share, or one of its own.
    pub(crate) fn find() -> Self {
        let shared = std::env::var("LOOPCTL_TEST_SERVER").unwrap_or_default();
        if let Some((base, data_dir)) = shared.split_once(' ') {
            let addresses = vec![base.to_owned(), "http://loopctl.test".to_owned()];
            return Self { addresses, data_dir: data_dir.to_owned(), own: None };
        }
        let scratch = Scratch::new();
        let daemon = Daemon::start(scratch.path());
        let public = daemon.base.replace("127.0.0.1", "localhost");
        Self {
            addresses: vec![daemon.base.clone(), public],
            data_dir: scratch.path().to_str().unwrap().to_owned(),
            own: Some((daemon, scratch)),
        }
    }

    /// As [`Self::find`]; tests that run at the same time have the same one, and the last of them ends it.
    pub(crate) fn together() -> Arc<Self> {
        static RUNNING: Mutex<Weak<TestServer>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::find());
            *running = Arc::downgrade(&server);
            server
        })
    }

    /// Where it is asked.
    pub(crate) fn base(&self) -> &str {
        &self.addresses[0]
    }

    /// A command of its operator's.
    pub(crate) fn operate(&self, words: &str) -> Run {
        run_on(Path::new(&self.data_dir), words)
    }

    pub(crate) fn stop(self) {
        if let Some((daemon, _scratch)) = self.own {
            daemon.stop();
        }
    }
}
