// The loop, by clients of the official TypeScript SDKs that only do what the answers say next.
//
//     node loop.mjs URL COMMAND [ARGUMENT]...
//
// The command serves over standard input and output. bin/mcp-check says the keys in the environment.
import * as client2 from "@modelcontextprotocol/client";
import * as stdio2 from "@modelcontextprotocol/client/stdio";
import * as client1 from "@modelcontextprotocol/sdk/client/index.js";
import * as stdio1 from "@modelcontextprotocol/sdk/client/stdio.js";
import * as http1 from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [url, command, ...args] = process.argv.slice(2);
const roles = { implementer: "LOOPCTL_AGENT_KEY", reviewer: "LOOPCTL_REVIEWER_KEY", orchestrator: "LOOPCTL_ORCH_KEY" };
const sdks = {
  "typescript 1": { ...client1, ...stdio1, ...http1, options: {} },
  "typescript 2, initialize": { ...client2, ...stdio2, options: { versionNegotiation: { mode: "legacy" } } },
  "typescript 2": { ...client2, ...stdio2, options: { versionNegotiation: { mode: { pin: "2026-07-28" } } } },
};

function fail(why) {
  console.error(why);
  process.exit(1);
}

// A client of somebody with one key.
async function connected(way, sdk, role) {
  const key = process.env[roles[role]];
  const transport =
    way === "http"
      ? new sdk.StreamableHTTPClientTransport(new URL(`${url}/mcp`), {
          requestInit: { headers: { Authorization: `Bearer ${key}` } },
        })
      : new sdk.StdioClientTransport({ command, args, env: { LOOPCTL_SERVER: url, [roles[role]]: key } });
  const client = new sdk.Client({ name: "mcp-check", version: "1.0.0" }, sdk.options);
  await client.connect(transport);
  // Which also tells it what answers are checked against.
  const { tools } = await client.listTools();
  return { client, tools };
}

// What a tool answers; it is the same as text and as a value.
async function call(client, tool, given) {
  const answer = await client.callTool({ name: tool, arguments: given });
  if (answer.isError) fail(`${tool} ${JSON.stringify(given)} was refused: ${answer.content[0].text}`);
  if (answer.content[0].text !== JSON.stringify(answer.structuredContent)) fail(`${tool} says two things`);
  return answer.structuredContent;
}

// Does what comes next until it begins from the beginning; which story that was.
async function follow(client, first, given = {}) {
  let [tool, story, steps] = [first, undefined, []];
  for (;;) {
    const answer = await call(client, tool, given);
    steps.push(tool);
    story = answer.story?.id ?? story;
    if (!answer.next || [first, "list_ready_stories"].includes(answer.next.tool)) return { story, steps };
    ({ tool, arguments: given } = answer.next);
    for (const name of answer.next.fill ?? []) given[name] = written(name);
  }
}

// What an agent writes itself: a sentence, or how much it has used.
function written(name) {
  return /_(tokens|millicents)$/.test(name) ? 1200 : "every criterion was checked by its test";
}

// Makes sure that it is, and that what to do instead is said.
async function refused(client, tool, code, given) {
  const answer = await client.callTool({ name: tool, arguments: given });
  const error = answer.structuredContent?.error;
  if (!answer.isError || error?.code !== code || !error.hints) fail(`${tool} was not refused with ${code}`);
}

async function loop(way, name, sdk) {
  const alice = await connected(way, sdk, "implementer");
  const done = await follow(alice.client, "next_story");
  await refused(alice.client, "report_story", "self_report_blocked", { story_id: done.story });
  await alice.client.close();

  const bob = await connected(way, sdk, "reviewer");
  const reviewed = await follow(bob.client, "next_review");
  await bob.client.close();

  const lead = await connected(way, sdk, "orchestrator");
  const verified = await follow(lead.client, "wait_for_story", { story_id: done.story });
  const { story } = await call(lead.client, "get_story", { story_id: done.story });
  await lead.client.close();
  const stories = new Set([done.story, reviewed.story, verified.story]);
  if (stories.size !== 1 || story.verified_status !== "verified") fail(`not verified: ${JSON.stringify(story)}`);
  const steps = [...done.steps, ...reviewed.steps, ...verified.steps].join(" ");
  console.log(`${name}, ${way}: ${alice.tools.length} tools; ${steps}`);
}

for (const [name, sdk] of Object.entries(sdks)) {
  for (const way of ["stdio", "http"]) await loop(way, name, sdk);
}
