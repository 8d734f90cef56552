//! What became of the stories that something was used for.

use loopctl_core::cost::Total;

use crate::db::Row;

/// Stories as they stand now, each once.
#[derive(Debug, Clone, Copy, Row)]
pub(crate) struct Outcomes {
    pub(super) verified: i64,
    pub(super) rejected: i64,
}

impl Outcomes {
    /// The verified ones in per cent, cut off; None where nothing was judged.
    pub(super) fn rate(self) -> Option<Total> {
        Total::from(self.verified).percent_of(Total::from(self.verified + self.rejected))
    }
}
