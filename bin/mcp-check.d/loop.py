"""The loop, by clients of the official Python SDK that only do what the answers say next.

    loop.py URL COMMAND [ARGUMENT]...

The command serves over standard input and output. bin/mcp-check says the keys in the environment.
"""

import asyncio
import os
import sys

import httpx2
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

URL, COMMAND, *ARGUMENTS = sys.argv[1:]
ROLES = {"implementer": "LOOPCTL_AGENT_KEY", "reviewer": "LOOPCTL_REVIEWER_KEY", "orchestrator": "LOOPCTL_ORCH_KEY"}
ERAS = ["legacy", "2026-07-28"]


def connected(way, era, role):
    """A client of somebody with one key."""
    key = os.environ[ROLES[role]]
    if way == "http":
        http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=60)
        server = streamable_http_client(f"{URL}/mcp", http_client=http)
    else:
        env = {"LOOPCTL_SERVER": URL, ROLES[role]: key}
        server = StdioServerParameters(command=COMMAND, args=ARGUMENTS, env=env)
    return Client(server, mode=era)


async def call(client, tool, **arguments):
    """What a tool answers; it is the same as text and as a value."""
    answer = await client.call_tool(tool, arguments)
    if answer.is_error:
        sys.exit(f"{tool} {arguments} was refused: {answer.content}")
    if answer.structured_content is None or len(answer.content) != 1:
        sys.exit(f"{tool}: no structured content beside one text: {answer}")
    return answer.structured_content


async def follow(client, tool, **arguments):
    """Does what comes next until it begins from the beginning; which story that was."""
    first, story, steps = tool, None, []
    while True:
        answer = await call(client, tool, **arguments)
        steps.append(tool)
        story = (answer.get("story") or {}).get("id") or story
        then = answer.get("next")
        if then is None or then["tool"] == first or then["tool"] == "list_ready_stories":
            return story, steps
        written = {name: what_is_written(name) for name in then.get("fill", [])}
        tool, arguments = then["tool"], then["arguments"] | written


def what_is_written(name):
    """What an agent writes itself: a sentence, or how much it has used."""
    return 1200 if name.endswith(("_tokens", "_millicents")) else "every criterion was checked by its test"


async def refused(client, tool, code, **arguments):
    """Makes sure that it is, and that what to do instead is said."""
    answer = await client.call_tool(tool, arguments)
    error = (answer.structured_content or {}).get("error", {})
    if not answer.is_error or error.get("code") != code or not error.get("hints"):
        sys.exit(f"{tool} was not refused with {code}: {answer}")


async def loop(way, era):
    async with connected(way, era, "implementer") as alice:
        tools = (await alice.list_tools()).tools
        story, steps = await follow(alice, "next_story")
        await refused(alice, "report_story", "self_report_blocked", story_id=story)
    async with connected(way, era, "reviewer") as bob:
        await bob.list_tools()
        reviewed, more = await follow(bob, "next_review")
    async with connected(way, era, "orchestrator") as lead:
        await lead.list_tools()
        verified, last = await follow(lead, "wait_for_story", story_id=story)
        shown = await call(lead, "get_story", story_id=story)
        version = lead.protocol_version
    if not story == reviewed == verified or shown["story"]["verified_status"] != "verified":
        sys.exit(f"not verified: {shown}")
    print(f"python, {way}, {version}: {len(tools)} tools; {' '.join(steps + more + last)}")


async def main():
    for way in ["stdio", "http"]:
        for era in ERAS:
            await loop(way, era)


asyncio.run(main())
