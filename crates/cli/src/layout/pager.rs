//! A pager, where an answer is longer than the screen.

use std::io::{ErrorKind, Write as _};
use std::process::{Command, Stdio};

use crate::commands::programs::is_on_path;
use crate::terminal;

/// Shows colours, leaves by itself what fits, and leaves on the screen what was read.
const USUAL: (&str, &str) = ("less", "less -FRX");
/// Shows what it gets as any other program would: nothing is gained by it.
const NONE: &str = "cat";

/// The command that shows long answers: what is wished, else `less`, if it is there.
pub(crate) fn command() -> Option<String> {
    let wish = ["LOOPCTL_PAGER", "PAGER"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|wish| !wish.trim().is_empty()));
    wished(wish.as_deref(), is_on_path(USUAL.0))
}

fn wished(wish: Option<&str>, has_usual: bool) -> Option<String> {
    match wish.map(str::trim) {
        Some(NONE) => None,
        Some(command) => Some(command.to_owned()),
        None => has_usual.then(|| USUAL.1.to_owned()),
    }
}

/// Whether a text has more lines than the screen, of which the prompt takes one.
pub(crate) fn is_needed(text: &str) -> bool {
    terminal::height().is_some_and(|height| text.lines().count() >= height)
}

/// Shows a text in the pager. False when there was none that could be begun.
pub(crate) fn show(command: &str, text: &str) -> bool {
    // As a shell reads it: people write options behind its name.
    let shell = Command::new("/bin/sh").args(["-c", command]).stdin(Stdio::piped()).spawn();
    let Ok(mut pager) = shell else { return false };
    if let Some(mut stdin) = pager.stdin.take() {
        match stdin.write_all(text.as_bytes()) {
            Ok(()) => {}
            // Whoever leaves has read enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(_) => return false,
        }
    }
    // What a shell says of a program that is not there.
    !matches!(pager.wait().map(|status| status.code()), Err(_) | Ok(Some(126 | 127)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pager_is_the_one_that_is_wished() {
        assert_eq!(wished(None, true).as_deref(), Some("less -FRX"));
        assert_eq!(wished(None, false), None);
        assert_eq!(wished(Some("more"), true).as_deref(), Some("more"));
        assert_eq!(wished(Some("bat -p "), false).as_deref(), Some("bat -p"));
        assert_eq!(wished(Some("cat"), true), None);
    }

    #[test]
    fn what_cannot_be_begun_is_said() {
        assert!(show("cat > /dev/null", "text"));
        assert!(!show("/nowhere/there/is/no/pager", "text"));
        assert!(show("true", &"more than a pipe holds\n".repeat(10_000)));
    }
}
