"""Made the files beside it, with the first version that was handed out (schema V6) and PostgreSQL 15:

    python3 make.py path/to/that/loopctl /usr/lib/postgresql/15/bin

database.sql.gz is its database, as `pg_dump --inserts` writes it, without psql's own commands. answers.json.gz has the keys of its two
tenants, and what that version answered to them. They are not made again: what they are worth is that no later version has touched them.
"""

import gzip
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time

LOOPCTL, PG_BIN = sys.argv[1:]
WHERE = tempfile.mkdtemp()
os.chmod(WHERE, 0o755)
DATABASE = ["--data-dir", f"{WHERE}/data", "--pg-bin", PG_BIN]
RAW_KEY = re.compile(r"lc_[A-Za-z0-9_\-]+")
reads = []


def ask(key, method, path, body=None):
    """An answer that succeeds."""
    connection = http.client.HTTPConnection(address)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status < 300, (method, path, answer.status, text)
    return json.loads(text)


def new_key(user, name, role, **further):
    made = ask(user, "POST", "/api_keys", {"name": name, "role": role, **further})
    return RAW_KEY.search(json.dumps(made)).group(0)


def plan():
    criteria = [{"id": "AC-1", "description": "It works"}, {"id": "AC-2", "description": "It says so"}]
    foundations = [
        {
            "number": f"1.{n}",
            "title": f"Foundation {n}",
            "description": "As a user, I want it.\n\nSo that it is there.",
            "estimated_hours": 2.5,
            "acceptance_criteria": criteria,
            "metadata": {"priority": "high", "n": n, "big": 9007199254740993},
        }
        for n in range(1, 9)
    ]
    checkout = [
        {
            "number": f"2.{n}",
            "title": f"Checkout {n}",
            "acceptance_criteria": [{"criterion": "pays"}, {"criterion": "is told"}],
        }
        for n in range(1, 5)
    ]
    return {
        "epics": [
            {"number": 1, "title": "Foundations", "description": "What all else needs", "stories": foundations},
            {"number": 2, "title": "Checkout", "stories": checkout},
        ],
        "story_dependencies": [
            {"story": "1.2", "depends_on": "1.1"},
            {"story": "2.2", "depends_on": "2.1"},
            {"story": "2.3", "depends_on": "1.8"},
        ],
        "epic_dependencies": [{"epic": 2, "depends_on": 1}],
    }


def tenant(slug, name):
    """A tenant with stories in every state; its keys and ids."""
    create = [LOOPCTL, "operator", "tenant", "create", *DATABASE]
    create += ["--name", name, "--slug", slug, "--email", f"{slug}@example.com"]
    user = RAW_KEY.search(subprocess.run(create, capture_output=True, text=True, check=True).stdout).group(0)
    alice, bob, boss = (new_key(user, name, "agent") for name in ("alice", "bob", "boss"))
    for key, agent, kind in [(alice, "alice", "implementer"), (bob, "bob", "implementer")]:
        ask(key, "POST", "/agents/register", {"name": agent, "agent_type": kind})
    made = ask(boss, "POST", "/agents/register", {"name": "boss", "agent_type": "orchestrator"})
    lead = new_key(user, "lead", "orchestrator", agent_id=made["agent"]["id"])
    shop = {"name": f"{name} shop", "slug": "shop", "repo_url": "https://git.example.com/shop"}
    project = ask(user, "POST", "/projects", {**shop, "description": "A shop – with ünïcode 🚀"})["project"]["id"]
    ask(user, "POST", f"/projects/{project}/import", plan())
    listed = ask(user, "GET", f"/stories?project_id={project}&limit=100")["data"]
    stories = {story["number"]: story["id"] for story in listed}
    titles = {story["number"]: story["title"] for story in listed}

    def bring(number, far):
        artifact = {"artifact_type": "migration", "path": f"migrations/{number}.sql", "exists": True}
        counts = {"findings_count": 1, "fixes_count": 1, "disproved_count": 0}
        steps = [
            (alice, "contract", {"story_title": titles[number], "ac_count": 2}),
            (alice, "claim", {}),
            (alice, "start", {}),
            (alice, "request-review", {}),
            (bob, "report", {"artifact": artifact}),
            (bob, "review-complete", {"review_type": "code", "summary": "Looked at it all", **counts}),
            (lead, "verify", {"result": "pass", "review_type": "code", "summary": "All criteria met"}),
        ]
        for key, action, body in steps[:far]:
            ask(key, "POST", f"/stories/{stories[number]}/{action}", body)

    for number, far in [("1.1", 7), ("1.2", 6), ("1.3", 5), ("1.4", 3), ("1.5", 2), ("1.6", 1), ("1.7", 6)]:
        bring(number, far)
    rejected = {"reason": "AC-2 is not shown", "findings": {"missing": ["AC-2"]}}
    ask(lead, "POST", f"/stories/{stories['1.7']}/reject", rejected)
    state = {"state_key": "main", "state_data": {"running": {"1.4": "alice"}}, "version": 0}
    ask(lead, "PUT", f"/orchestrator/state/{project}", state)
    run = ask(alice, "POST", f"/projects/{project}/ui-tests", {"guide_reference": "docs/guide.md"})
    found = {"step": "Open the page", "severity": "high", "type": "crash", "description": "It is blank"}
    ask(alice, "POST", f"/projects/{project}/ui-tests/{run['ui_test_run']['id']}/findings", found)
    ask(user, "PATCH", "/tenants/me", {"settings": {"knowledge": "later", "max_projects": 100}})

    of_project = ["", "/export", "/progress", "/ui-tests", "/dependency_graph"]
    asked = [(user, path) for path in ("/tenants/me", "/projects", "/api_keys")]
    asked += [(user, f"/projects/{project}{path}") for path in of_project]
    asked += [(user, f"/stories?project_id={project}&limit=100")]
    asked += [(alice, f"/stories/{which}?project_id={project}") for which in ("ready", "blocked")]
    asked += [(lead, "/agents"), (lead, f"/orchestrator/state/{project}?state_key=main")]
    asked += [(user, f"/stories/{story}") for story in stories.values()]
    for number in ("1.1", "1.7"):
        asked += [(user, f"/stories/{stories[number]}/{which}") for which in ("history", "verifications")]
    asked += [(user, f"/stories/{stories['1.3']}/artifacts")]
    for key, path in asked:
        reads.append({"tenant": slug, "key": key, "path": path, "answer": ask(key, "GET", path)})
    keys = {"user": user, "alice": alice, "bob": bob, "boss": boss, "lead": lead}
    return {"slug": slug, "keys": keys, "project": project, "stories": stories}


def keep(name, text):
    with gzip.open(os.path.join(os.path.dirname(__file__), name), "wb") as file:
        file.write(text.encode())


with open(f"{WHERE}/log", "w", encoding="utf-8") as log:
    server = subprocess.Popen([LOOPCTL, "serve", *DATABASE, "--port", "0"], stdout=log, stderr=log)
while not (ready := re.search(r'"address":"([^"]*)"', open(f"{WHERE}/log", encoding="utf-8").read())):
    assert server.poll() is None, open(f"{WHERE}/log", encoding="utf-8").read()
    time.sleep(0.1)
address = ready.group(1)
tenants = [tenant("acme", "Acme"), tenant("other", "Other")]
keep("answers.json.gz", json.dumps({"tenants": tenants, "reads": reads}))

_, _, _, port, socket, *_ = open(f"{WHERE}/data/postgres/postmaster.pid", encoding="utf-8").read().split("\n")
dump = [f"{PG_BIN}/pg_dump", "-h", socket, "-p", port, "-U", "loopctl_owner", "-d", "loopctl"]
dump += ["--no-owner", "--inserts", "--rows-per-insert=100"]
lines = subprocess.run(dump, capture_output=True, text=True, check=True).stdout.split("\n")
# The meta-commands are psql's, and no SQL.
keep("database.sql.gz", "\n".join(line for line in lines if not line.startswith("\\")))
server.terminate()
server.wait()
