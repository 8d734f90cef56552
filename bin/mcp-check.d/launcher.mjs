// The launcher: which binary it starts, what it passes on, and how it ends. `node launcher.mjs INDEX_JS LOOPCTL`
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";

const [index, loopctl] = process.argv.slice(2);
const directory = mkdtempSync(join(dirname(index), "test-"));

function equal(what, is, should) {
  if (is !== should) {
    console.error(`the launcher: ${what}: ${is}, and should be ${should}`);
    process.exit(1);
  }
}

// A program in the place of the binary.
function program(path, lines) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${lines}\n`);
  chmodSync(path, 0o755);
}
const run = (env, input = "") => spawnSync(process.execPath, [index], { env, input, encoding: "utf8" });

const none = run({ PATH: directory });
equal("without a binary", none.status, 1);
equal("what it says then", none.stderr.includes("LOOPCTL_BIN") && none.stdout === "", true);
equal("a directory as a binary", run({ LOOPCTL_BIN: directory }).status, 1);

program(join(directory, "loopctl"), 'echo "path $1 $LOOPCTL_MCP_TOOLS"; exit 7');
const onPath = run({ PATH: directory });
equal("on PATH", onPath.stdout, "path mcp all\n");
equal("its end", onPath.status, 7);
equal("what is set stays", run({ PATH: directory, LOOPCTL_MCP_TOOLS: "role" }).stdout, "path mcp role\n");
const built = join(dirname(index), "../target");
for (const profile of ["debug", "release"]) {
  program(join(built, profile, "loopctl"), `echo ${profile}`);
  equal("before PATH", run({ PATH: directory }).stdout, `${profile}\n`);
}
rmSync(built, { recursive: true });

// A shell waits for what it runs before it listens to signals: what is signalled here replaces it.
program(join(directory, "loopctl"), "echo ready; exec sleep 60");
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) {
  const env = { PATH: `${directory}:${process.env.PATH}` };
  const child = spawn(process.execPath, [index], { env, stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  child.kill(signal);
  const [code] = await once(child, "exit");
  equal(signal, code, 128 + constants.signals[signal]);
}

// And the real one: a version everywhere, and the end when the input ends.
const { version } = JSON.parse(readFileSync(join(dirname(index), "package.json"), "utf8"));
const params = { protocolVersion: "2024-11-05", capabilities: {}, clientInfo: { name: "launcher", version: "1" } };
const hello = `${JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params })}\n`;
const real = run({ LOOPCTL_BIN: loopctl, LOOPCTL_SERVER: "http://127.0.0.1:1", LOOPCTL_ORCH_KEY: "none" }, hello);
equal("its end with its input", real.status, 0);
const { serverInfo, protocolVersion } = JSON.parse(real.stdout).result;
equal("its version", serverInfo.version, version);
equal("the protocol", protocolVersion, "2024-11-05");
console.log("the launcher starts what it should, and ends as that does");
