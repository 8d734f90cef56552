#!/usr/bin/env node
// Starts `loopctl mcp` with the environment, input and output of this process, and ends as it does. See README.md.
import { spawn } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { constants as os } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

function fail(why) {
  console.error(`loopctl-mcp-server: ${why}`);
  process.exit(1);
}

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function find() {
  const named = process.env.LOOPCTL_BIN;
  if (named) {
    return isProgram(named) ? named : fail(`LOOPCTL_BIN names no program: ${named}`);
  }
  const built = ["release", "debug"].map((profile) =>
    fileURLToPath(new URL(`../target/${profile}/loopctl`, import.meta.url)),
  );
  const onPath = (process.env.PATH ?? "")
    .split(delimiter)
    .filter(Boolean)
    .map((directory) => join(directory, "loopctl"));
  return (
    [...built, ...onPath].find(isProgram) ??
    fail(
      "there is no loopctl binary. Build it in the clone that this is from (cargo build --release), " +
        "put it on PATH, or set LOOPCTL_BIN to where it is.",
    )
  );
}

const env = { ...process.env };
// Whoever starts the tools by this name has prompts with these names of tools in them.
env.LOOPCTL_MCP_TOOLS ||= "all";
// First of all, so that no signal is lost. They are heard when all of this has run.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => child.kill(signal));
}
const child = spawn(find(), ["mcp"], { env, stdio: "inherit" });
child.on("error", (error) => fail(`loopctl cannot be started: ${error.message}`));
child.on("exit", (code, signal) => process.exit(code ?? 128 + os.signals[signal]));
