//! File descriptors: as many as the system lets this process have, and never more connections than there are.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::Connections;

/// What the process needs besides connections of clients and to the database: its log, the runtime, files of a moment,
/// those of exports, and those who are told that there is no connection for them.
const OTHERS: u64 = 160;

/// Raises the process's own limit as far as it may, and lowers the number of connections to what then fits.
pub(super) fn within(wanted: Connections, to_database: usize) -> Connections {
    let needed = (wanted.most as u64).saturating_add(to_database as u64).saturating_add(OTHERS);
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return wanted };
    // What may be had is a matter of what the system says to the attempt, not of what its limits promise.
    let raised = needed.clamp(soft, hard.max(soft));
    let descriptors = if setrlimit(Resource::RLIMIT_NOFILE, raised, hard).is_ok() { raised } else { soft };
    let most = wanted.most.min(fitting(descriptors, to_database));
    if most < wanted.most {
        tracing::warn!(
            descriptors,
            "only {most} of {} connections fit into the limit of open files; raise it (ulimit -n)",
            wanted.most
        );
    }
    Connections { most, ..wanted }
}

/// Never none, however few descriptors there are.
fn fitting(descriptors: u64, to_database: usize) -> usize {
    let left = descriptors.saturating_sub(OTHERS + to_database as u64);
    usize::try_from(left).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fit_into_the_descriptors() {
        assert_eq!(fitting(1024, 10), 854);
        assert_eq!(fitting(20, 10), 1);
    }
}
