// Every tool by the name that clients of old know, each with arguments that succeed, over standard input and output:
//
//     node catalogue.mjs NAME COMMAND [ARGUMENT]...
//
// bin/mcp-check says the server and the keys in the environment. Printed is a table of what was called.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const [name, command, ...args] = process.argv.slice(2);

// What these tools are about is not there yet.
const notYet = (tool) => ["dispatch", "get_sth", "recover_cap"].includes(tool);
// What only this version has: the loop in fewer calls. Clients that are not ours call them elsewhere.
const ours = ["next_story", "next_review", "contract_and_claim", "unclaim_story", "wait_for_story", "help"];
const alsoOurs = [...ours, "report_skill_result", "list_verifications"];

const variables = ["PATH", "HOME", "LOOPCTL_BIN", "LOOPCTL_SERVER", "LOOPCTL_ORCH_KEY", "LOOPCTL_AGENT_KEY", "LOOPCTL_USER_KEY"];
const env = Object.fromEntries(variables.map((name) => [name, process.env[name]]).filter(([, value]) => value));
const client = new Client({ name: "mcp-check", version: "1.0.0" });
await client.connect(new StdioClientTransport({ command, args, env }));
const tools = (await client.listTools()).tools.map((tool) => tool.name);

const called = new Map();
async function call(tool, given = {}) {
  const answer = await client.callTool({ name: tool, arguments: given });
  const text = answer.content[0].text;
  if (answer.isError) {
    console.error(`${name}: ${tool} ${JSON.stringify(given)} was refused: ${text}`);
    process.exit(1);
  }
  if (!called.has(tool)) called.set(tool, given);
  return JSON.parse(text);
}

const { api_key } = await call("get_tenant");
await call("list_routes");
const slug = `mcp-check-${Date.now().toString(36)}`;
const { project } = await call("create_project", { name: slug, slug, mission: "Every tool once" });
const { id: project_id } = project;
await call("list_projects");
const stories = [1, 2, 3, 4, 5].map((n) => ({
  number: `1.${n}`,
  title: `Story ${n}`,
  acceptance_criteria: [{ id: "AC-1", criterion: "It works" }],
}));
await call("import_stories", { project_id, payload: { epics: [{ number: 1, title: "All", stories }] } });
await call("get_progress", { project_id, include_cost: true });
const ready = await call("list_ready_stories", { project_id, limit: 5 });
const listed = (await call("list_stories", { project_id, limit: 20, offset: 0 })).data;
if (ready.data.length !== 5 || listed.length !== 5) throw new Error(`${name}: not all stories are there`);
const [verified, rejected, inEpic, before, backfilled] = listed.map((story) => story.id);
await call("get_acceptance_criteria", { story_id: verified });

// To where somebody else judges it.
async function work(story_id) {
  const { story } = await call("get_story", { story_id });
  await call("contract_story", { story_id, story_title: story.title, ac_count: story.acceptance_criteria.length });
  await call("claim_story", { story_id });
  await call("start_story", { story_id });
  await call("request_review", { story_id });
}
const used = { input_tokens: 1200, output_tokens: 340, model_name: "a-model", cost_millicents: 800 };
async function report(story_id) {
  await call("report_story", { story_id, artifact_type: "pr", artifact_path: "pull/1", token_usage: used });
  const counts = { findings_count: 0, fixes_count: 0, disproved_count: 0 };
  await call("review_complete", { story_id, review_type: "code", summary: "Nothing found", ...counts });
}
const checked = { review_type: "code", summary: "Its tests were run" };

await work(verified);
await call("report_token_usage", { story_id: verified, phase: "implementing", ...used });
await report(verified);
await call("verify_story", { story_id: verified, ...checked });
await work(rejected);
await report(rejected);
await call("reject_story", { story_id: rejected, reason: "The tests fail" });
await work(inEpic);
await report(inEpic);
await call("verify_all_in_epic", { epic_id: listed[2].epic_id, ...checked });
await call("bulk_mark_complete", { stories: [{ story_id: before, ...checked }] });
await call("backfill_story", { story_id: backfilled, reason: "Done before", pr_number: 7 });
await call("create_story", { project_id, epic_number: 1, story: { number: "1.6", title: "One more" } });

await call("get_story_token_usage", { story_id: verified });
for (const breakdown of [undefined, "agent", "epic", "model"]) {
  await call("get_cost_summary", breakdown ? { project_id, breakdown } : { project_id });
}
await call("get_cost_anomalies", { project_id });
const budget = { budget_millicents: 1000000, alert_threshold_pct: 80 };
await call("set_token_budget", { scope_type: "project", scope_id: project_id, ...budget });
const states = (await call("list_stories", { project_id })).data.map((story) => story.verified_status);
const count = states.filter((state) => state === "verified").length;
if (count !== 4) throw new Error(`${name}: ${count} stories of 4 are verified: ${states}`);

// What is known.
const reading = { project_id, story_id: verified };
const articles = [];
for (const title of ["One", "Two", "Three"]) {
  const text = { title: `${title} of ${slug}`, body: "Every tool is called once.", tags: ["check"] };
  articles.push((await call("knowledge_create", { ...text, category: "reference", project_id })).data.id);
}
const [article_id, second, third] = articles;
await call("knowledge_drafts", { limit: 20, offset: 0, project_id });
await call("knowledge_publish", { article_id });
await call("knowledge_bulk_publish", { article_ids: [second, third] });
await call("knowledge_index", reading);
await call("knowledge_search", { q: "tool", limit: 5, include_system: true, ...reading });
await call("knowledge_get", { article_id, ...reading });
await call("knowledge_context", { query: "tool", limit: 5, recency_weight: 0, ...reading });
await call("knowledge_lint", { project_id, stale_days: 30, min_coverage: 1, max_per_category: 5 });
await call("knowledge_export", { project_id });
const found = { source_type: "manual", content: `# Found\n\nBy ${slug}.` };
await call("knowledge_ingest", { ...found, project_id });
await call("knowledge_ingest_batch", { items: [found, { ...found, content: "Something else." }], project_id });
await call("knowledge_ingestion_jobs");
await call("knowledge_analytics_top", { limit: 5, since_days: 7, access_type: "get" });
await call("knowledge_article_stats", { article_id });
await call("knowledge_agent_usage", { api_key_id: api_key.id, limit: 5, since_days: 7 });
await call("knowledge_unused_articles", { days_unused: 30, limit: 5 });
await call("knowledge_unpublish", { article_id: second });
await call("knowledge_archive", { article_id: third });
await call("knowledge_delete", { article_id });
await call("get_system_articles", { category: "reference" });

await call("delete_project", { project_id });
await client.close();

const forgotten = tools.filter((tool) => !called.has(tool) && !notYet(tool) && !alsoOurs.includes(tool));
if (forgotten.length) throw new Error(`${name}: never called: ${forgotten.join(", ")}`);
console.log(`${name}: ${called.size} tools were called, and succeeded\n\n| tool | arguments |\n|---|---|`);
for (const [tool, given] of called) console.log(`| ${tool} | ${Object.keys(given).join(", ")} |`);
const missing = tools.filter(notYet);
if (missing.length) console.log(`\nNot there yet, and not called: ${missing.join(", ")}`);
