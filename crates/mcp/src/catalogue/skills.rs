//! What came of skills.

use super::{Effect, Field, Run, Tool};
use crate::arguments::{Kind, text};
use crate::seats::Seat;

pub(super) const TOOLS: &[Tool] = &[Tool::new(
    "report_skill_result",
    "Say how a story went that was done by a version of a skill.",
    Effect::Adds,
    Run::SkillResult,
)
.takes(&[
    text("skill_version_id").required(),
    text("story_id").required(),
    text("verification_result_id").required(),
    Field::new("metrics", Kind::Anything),
])
.listed(&[Seat::Orchestrator])
.briefly(
    "After verify_story or reject_story: by which version of a skill that came about.",
    &[
        text("skill_version_id").required(),
        text("story_id").required(),
        Field::new("metrics", Kind::Anything),
    ],
)];
