"""One story from import to verified, by a client that openapi-python-client has generated from the OpenAPI document.

    openapi-python-client generate --url $URL/api/v1/openapi --meta none --output-path loopctl_client
    LOOPCTL_KEY=lc_... python generated_client.py $URL

The key is of role `user`. `bin/api-check` does all of it.
"""

import os
import sys
import uuid

from loopctl_client import AuthenticatedClient
from loopctl_client.api.agents import post_agents_register
from loopctl_client.api.auth import post_api_keys
from loopctl_client.api.import_export import post_projects_id_import
from loopctl_client.api.progress import (
    post_stories_id_claim,
    post_stories_id_contract,
    post_stories_id_report,
    post_stories_id_request_review,
    post_stories_id_review_complete,
    post_stories_id_start,
    post_stories_id_verify,
)
from loopctl_client.api.projects import post_projects
from loopctl_client.api.stories import get_stories_id, get_stories_ready
from loopctl_client.models import (
    AgentRegisterRequest,
    AgentRegisterRequestAgentType,
    ApiKeyCreateRequest,
    ApiKeyCreateRequestRole,
    ContractRequest,
    ErrorResponse,
    ImportRequest,
    ProjectCreateRequest,
    ReportRequest,
    ReviewCompleteRequest,
    VerifyRequest,
)

RUN = uuid.uuid4().hex[:8]


def done(answer):
    """What was answered, unless it is a refusal."""
    if answer is None or isinstance(answer, ErrorResponse):
        sys.exit(f"refused: {answer}")
    return answer


def refused(answer, code):
    """Makes sure that it was refused, and why."""
    if not isinstance(answer, ErrorResponse) or answer.error.code.value != code:
        sys.exit(f"not refused with {code}: {answer}")
    print(f"refused as it should be: {code}: {answer.error.hints}")


class Team:
    """Whoever has keys of one tenant."""

    def __init__(self, url, user_key):
        self.url = url
        self.user = self.caller(user_key)

    def caller(self, key):
        return AuthenticatedClient(base_url=self.url, token=key)

    def key(self, name, role, agent_id=None):
        body = ApiKeyCreateRequest(name=f"{name}-{RUN}", role=ApiKeyCreateRequestRole(role))
        if agent_id is not None:
            body.agent_id = agent_id
        made = done(post_api_keys.sync(client=self.user, body=body))
        return self.caller(made.api_key.raw_key)

    def agent(self, name, agent_type):
        """An agent with its key."""
        caller = self.key(name, "agent")
        body = AgentRegisterRequest(name=f"{name}-{RUN}", agent_type=AgentRegisterRequestAgentType(agent_type))
        return caller, done(post_agents_register.sync(client=caller, body=body)).agent.id

    def orchestrator(self, name):
        _, agent_id = self.agent(name, "orchestrator")
        return self.key(f"{name}-key", "orchestrator", agent_id)


def main(url, user_key):
    team = Team(url, user_key)
    alice, _ = team.agent("alice", "implementer")
    bob, _ = team.agent("bob", "implementer")
    lead = team.orchestrator("lead")

    body = ProjectCreateRequest(name="Generated", slug=f"generated-{RUN}")
    project = done(post_projects.sync(client=team.user, body=body)).project
    criteria = [{"criterion": "A valid password gives a session"}]
    plan = {"epics": [{"number": 1, "title": "Accounts", "stories": [
        {"number": "1.1", "title": "Log in", "acceptance_criteria": criteria}]}]}
    done(post_projects_id_import.sync(project.id, client=team.user, body=ImportRequest.from_dict(plan)))

    ready = done(get_stories_ready.sync(client=alice, project_id=project.id))
    story = ready.data[0].id
    refused(post_stories_id_claim.sync(story, client=alice), "must_contract_first")
    echo = ContractRequest(story_title="Log in", ac_count=len(criteria))
    done(post_stories_id_contract.sync(story, client=alice, body=echo))
    done(post_stories_id_claim.sync(story, client=alice))
    done(post_stories_id_start.sync(story, client=alice))
    done(post_stories_id_request_review.sync(story, client=alice))
    refused(post_stories_id_report.sync(story, client=alice, body=ReportRequest()), "self_report_blocked")
    done(post_stories_id_report.sync(story, client=bob, body=ReportRequest()))
    done(post_stories_id_review_complete.sync(story, client=bob, body=ReviewCompleteRequest(review_type="code")))
    checked = VerifyRequest(review_type="manual", summary="Checked by hand")
    moved = done(post_stories_id_verify.sync(story, client=lead, body=checked))
    shown = done(get_stories_id.sync(story, client=alice)).story
    if not moved.status == shown.verified_status.value == "verified":
        sys.exit(f"not verified: {shown}")
    print(f"story {shown.number} is {shown.verified_status.value}")


if __name__ == "__main__":
    main(sys.argv[1], os.environ["LOOPCTL_KEY"])
