//! What each of some stories has cost.

use uuid::Uuid;

use crate::cost::usage::UsageSums;
use crate::db::{Row, statements};

statements! {
    /// A story without reports yields no row.
    TOTALS_OF_STORIES -> TotalsOfStory = "
        select {*} from usage_by_day d where d.tenant_id = $1 and d.story_id = any($2) group by d.story_id";
}

/// What was reported of a story.
#[derive(Debug, Clone, Copy, Row)]
pub(crate) struct TotalsOfStory {
    #[row(sql = "d.story_id")]
    pub(crate) story_id: Uuid,
    #[row(flatten)]
    pub(crate) sums: UsageSums,
}
