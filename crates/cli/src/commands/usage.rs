//! `usage report|correct|delete`: what work has used, as it is reported.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use super::skill::{self, Version};
use super::{given, one_of};
use crate::context::Context;
use crate::error::Error;
use crate::{json_argument, resolve};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Report what a session of work on a story has used (key of an agent)
    Report {
        /// Story: id or number
        #[arg(long, value_name = "REF")]
        story: String,
        /// Tokens that the model read
        #[arg(long, value_name = "N")]
        input: u64,
        /// Tokens that the model wrote
        #[arg(long, value_name = "N")]
        output: u64,
        /// Name of the model
        #[arg(long, value_name = "NAME")]
        model: String,
        /// What it has cost, in millicents: 100000 are a dollar
        #[arg(long, value_name = "MILLICENTS")]
        cost: u64,
        /// Calls of tools
        #[arg(long, value_name = "N")]
        tool_calls: Option<u64>,
        /// Tokens of reasoning
        #[arg(long, value_name = "N")]
        reasoning_tokens: Option<u64>,
        /// Tests that were run
        #[arg(long, value_name = "N")]
        tests_run: Option<u64>,
        #[command(flatten)]
        details: Details,
    },
    /// Add to a report what it should have said, or take away (user)
    Correct {
        /// Id of the report
        id: String,
        /// Tokens more that the model read, or less: -100
        #[arg(long, value_name = "N")]
        input: Option<i64>,
        /// Tokens more that the model wrote, or less
        #[arg(long, value_name = "N")]
        output: Option<i64>,
        /// Millicents more, or less
        #[arg(long, value_name = "MILLICENTS")]
        cost: Option<i64>,
        /// Name of the model; that of the report when absent
        #[arg(long, value_name = "NAME")]
        model: Option<String>,
        #[command(flatten)]
        details: Details,
    },
    /// Delete a report, with what corrects it (user)
    Delete {
        /// Id of the report
        id: String,
    },
}

/// What else may be said of a session.
#[derive(Debug, Args)]
pub(crate) struct Details {
    /// planning, implementing, reviewing or other
    #[arg(long)]
    phase: Option<String>,
    /// What the session is called
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// The version of the skill that was followed: id, or NAME@VERSION
    #[arg(long, value_name = "REF")]
    skill_version: Option<Version>,
    /// Anything: JSON object, @file or -
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
}

const PHASES: &[&str] = &["planning", "implementing", "reviewing", "other"];

impl Details {
    /// The members of a request, after those that come first, and the version that was named.
    fn after<const N: usize>(
        self,
        first: [(&str, Option<Value>); N],
    ) -> Result<(Value, Option<Version>), Error> {
        if let Some(phase) = &self.phase {
            one_of("phase", phase, PHASES)?;
        }
        let metadata = self.metadata.map(|text| json_argument::object("--metadata", &text)).transpose()?;
        let details = given([
            ("phase", self.phase.map(Value::from)),
            ("session_id", self.session.map(Value::from)),
            ("metadata", metadata),
        ]);
        let mut body = given(first);
        if let (Value::Object(body), Value::Object(details)) = (&mut body, details) {
            body.extend(details);
        }
        Ok((body, self.skill_version))
    }
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    let (path, mut body, version) = match command {
        Command::Report {
            story,
            input,
            output,
            model,
            cost,
            tool_calls,
            reasoning_tokens,
            tests_run,
            details,
        } => {
            let (mut body, version) = details.after([
                ("input_tokens", Some(input.into())),
                ("output_tokens", Some(output.into())),
                ("model_name", Some(model.into())),
                ("cost_millicents", Some(cost.into())),
                ("tool_call_count", tool_calls.map(Value::from)),
                ("cot_length_tokens", reasoning_tokens.map(Value::from)),
                ("tests_run_count", tests_run.map(Value::from)),
            ])?;
            let client = context.client()?;
            body["story_id"] = resolve::story(context, &client, &story).await?.id.into();
            ("/token-usage".to_owned(), body, version)
        }
        Command::Correct { id, input, output, cost, model, details } => {
            let path = format!("{}/correction", path(&id)?);
            if (input, output, cost) == (None, None, None) {
                let nothing = "Nothing to correct: name --input, --output or --cost, and what is to be added";
                return Err(Error::Usage(nothing.to_owned()));
            }
            let (body, version) = details.after([
                ("input_tokens", input.map(Value::from)),
                ("output_tokens", output.map(Value::from)),
                ("cost_millicents", cost.map(Value::from)),
                ("model_name", model.map(Value::from)),
            ])?;
            (path, body, version)
        }
        Command::Delete { id } => {
            let path = path(&id)?;
            let answer = context.client()?.write(Method::DELETE, &path, None).await?;
            return context.output.object(&answer, "token_usage_report");
        }
    };
    let client = context.client()?;
    if let Some(version) = version {
        body["skill_version_id"] = skill::version_id(context, &client, &version).await?.into();
    }
    let answer = client.post(&path, Some(&body)).await?;
    context.output.object(&answer, "token_usage_report")
}

fn path(id: &str) -> Result<String, Error> {
    Ok(format!("/token-usage/{}", resolve::id("report", id)?))
}
