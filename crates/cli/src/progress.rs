//! What shows that a long call goes on: on stderr, only where that is a terminal, and gone when the call ends.

use std::borrow::Cow;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

/// How often something moves while nothing arrives.
const TICK: Duration = Duration::from_millis(100);

/// Something arrives, and how much of it there is, is known at the end.
pub(crate) fn bytes() -> ProgressBar {
    styled(ProgressBar::no_length(), "{spinner} {bytes} ({bytes_per_sec})")
}

/// Rows arrive, page by page. Nothing is shown before the first of them has: most lists have one page.
pub(crate) fn rows() -> ProgressBar {
    styled(ProgressBar::no_length(), "{bar:24} {pos}/{len} rows")
}

/// The same of what nobody has counted.
pub(crate) fn reading() -> ProgressBar {
    styled(ProgressBar::no_length(), "{spinner} {pos} rows")
}

/// So many of something are done, one after the other.
pub(crate) fn steps(of: usize) -> ProgressBar {
    styled(ProgressBar::new(of as u64), "{bar:24} {pos}/{len}")
}

/// So many of something are looked at, of nobody knows how many.
pub(crate) fn counting(what: &'static str) -> ProgressBar {
    let bar = styled(ProgressBar::no_length(), "{spinner} {pos} {msg} ({elapsed})").with_message(what);
    bar.enable_steady_tick(TICK);
    bar
}

/// The server works, and does not say how far it is.
pub(crate) fn waiting(what: impl Into<Cow<'static, str>>) -> ProgressBar {
    let bar = styled(ProgressBar::no_length(), "{spinner} {msg} ({elapsed})").with_message(what);
    bar.enable_steady_tick(TICK);
    bar
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    let bar = bar.with_finish(ProgressFinish::AndClear);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.tick_chars("-\\|/ ").progress_chars("##."));
    }
    bar
}
