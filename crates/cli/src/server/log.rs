//! The log of a server's process: which events, how they are written, and what is done at the end of it.

use std::io::IsTerminal as _;
use std::time::Duration;

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};

use super::Failure;
use crate::output;

/// Lines of the log that wait to be written; what comes beyond is dropped.
const LOG_LINES: usize = 4096;

/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_millis(1500);

/// A library that calls it an error when a client sends nonsense, and repeats all of that.
const UNTOLD: &str = "webauthn_rs_core";

/// Which events are logged. A word by itself is a level: `tracing` would take any other for a module, log all of that, and
/// nothing else.
fn log_filter(text: &str) -> Result<EnvFilter, String> {
    // What selects spans is left to its own parser.
    let words = text.split(',').filter(|part| !part.is_empty() && !part.contains('=') && !text.contains('['));
    if let Some(word) = words.into_iter().find(|word| word.parse::<LevelFilter>().is_err()) {
        return Err(format!(
            "{word:?} is no level; write error, warn, info, debug, trace or off, or the level of a module, such as \
             loopctl_server=debug"
        ));
    }
    let filter = EnvFilter::try_new(text).map_err(|error| error.to_string())?;
    if text.contains(UNTOLD) {
        return Ok(filter);
    }
    let untold = format!("{UNTOLD}=off").parse().map_err(|error: ParseError| error.to_string())?;
    Ok(filter.add_directive(untold))
}

/// The log on stdout. A thread of its own writes it, so that no request waits for whoever reads it, or fails because nobody
/// does: a line that cannot be written is dropped. Dropping this writes what is left.
pub(super) struct Log {
    writing: Option<WorkerGuard>,
    dropped: ErrorCounter,
}

impl Log {
    /// One line per event: for people on a terminal, JSON for everything else.
    pub(super) fn start(filter: &str) -> Result<Self, Failure> {
        let filter = log_filter(filter).map_err(|reason| {
            Failure::Setting(format!("--log (LOOPCTL_LOG) {filter:?} is not a filter: {reason}"))
        })?;
        let (writer, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(LOG_LINES)
            .thread_name("log")
            .finish(std::io::stdout());
        let dropped = writer.error_counter();
        let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
        if std::io::stdout().is_terminal() {
            builder.with_target(false).init();
        } else {
            builder.json().flatten_event(true).with_current_span(true).with_span_list(false).init();
        }
        Ok(Self { writing: Some(guard), dropped })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let (writing, dropped) = (self.writing.take(), self.dropped.dropped_lines());
        briefly(move || {
            drop(writing);
            if dropped > 0 {
                output::note(&format!("Warning: {dropped} lines of the log were not read, and dropped"));
            }
        });
    }
}

/// Says something beside us, and does not wait for long: a reader that does not read would hold us up for ever.
pub(super) fn briefly(say: impl FnOnce() + Send + 'static) {
    let (done, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        say();
        let _ = done.send(());
    });
    let _ = wait.recv_timeout(LAST_LINES);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_levels_and_modules_with_a_level() {
        for filter in [
            "info",
            "WARN",
            "off",
            "0",
            "warn,loopctl_server=debug",
            "loopctl_server=debug,",
            "[request]=info",
        ] {
            assert!(log_filter(filter).is_ok(), "{filter}");
        }
        for filter in ["loud", "info,loud", "info, debug", "loopctl_server=loud", "]["] {
            assert!(log_filter(filter).is_err(), "{filter}");
        }
    }

    #[test]
    fn what_the_log_is_spared_can_be_asked_for() {
        let told = |filter: &str| log_filter(filter).unwrap().to_string();
        assert!(told("info").contains("webauthn_rs_core=off"));
        assert!(!told("webauthn_rs_core=debug").contains("off"));
    }
}
