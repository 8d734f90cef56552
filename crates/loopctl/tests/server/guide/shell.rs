//! One bash, which is given one command after the other.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Reads commands that end with NUL, and after the output of each writes its status between two of them. Commands are not to
/// read the next ones.
const LOOP: &str = r#"
shopt -s expand_aliases
exec 3<&0 </dev/null 2>&1
while IFS= read -r -d '' -u 3 __command; do
    eval "$__command" 3<&-
    printf '\0%d\0' $?
done"#;

pub(super) struct Shell {
    child: Child,
    commands: ChildStdin,
    /// Output and status of each command.
    answers: Receiver<(String, i32)>,
}

impl Shell {
    /// In a directory, with this environment and nothing else.
    pub(super) fn start(dir: &Path, environment: &[(&str, &str)]) -> Self {
        let inherited = ["PATH", "TMPDIR", "LOOPCTL_PG_BIN", "LOOPCTL_PG_BUNDLE"];
        let mut child = Command::new("bash")
            .args(["--noprofile", "--norc", "-c", LOOP])
            .current_dir(dir)
            .env_clear()
            .envs(inherited.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What it runs in the background is to end with it.
            .process_group(0)
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (tell, answers) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut next = || {
                let mut text = Vec::new();
                output.read_until(0, &mut text).ok()?;
                (text.pop()? == 0).then(|| String::from_utf8_lossy(&text).into_owned())
            };
            while let Some((text, status)) = next().zip(next()) {
                if tell.send((text, status.parse().unwrap())).is_err() {
                    return;
                }
            }
        });
        Self { child, commands, answers }
    }

    /// Runs a command; its output and status.
    ///
    /// # Errors
    /// When it does not end in time, or ends the shell. No other command can be run then.
    pub(super) fn run(&mut self, command: &str, patience: Duration) -> Result<(String, i32), String> {
        let sent = self.commands.write_all(format!("{command}\0").as_bytes());
        sent.map_err(|error| format!("the shell takes no command: {error}"))?;
        self.answers.recv_timeout(patience).map_err(|why| match why {
            RecvTimeoutError::Timeout => format!("no end within {patience:?}"),
            RecvTimeoutError::Disconnected => "it has ended the shell".to_owned(),
        })
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Whether bash takes these lines as complete.
pub(super) fn is_whole(lines: &str) -> bool {
    let output = Command::new("bash").args(["-n", "-c", lines]).env("LC_ALL", "C").output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    let open = ["unexpected end of file", "unexpected EOF", "delimited by end-of-file"];
    let backslashes = lines.bytes().rev().take_while(|byte| *byte == b'\\').count();
    backslashes.is_multiple_of(2) && !open.iter().any(|words| complaint.contains(words))
}
