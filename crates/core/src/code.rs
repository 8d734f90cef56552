//! The stable words by which programs know refusals and failures apart.

use crate::words::words;

words! {
    /// Why something was refused or failed: the `code` of every error. Each has a section in `docs/errors.md`.
    Code {
        /// This server's login to the database may not see all tenants.
        AdminDatabaseMissing = "admin_database_missing",
        /// The key is not bound to an agent.
        AgentRequired = "agent_required",
        /// The story is verified: there is nothing left to do.
        AlreadyVerified = "already_verified",
        /// The tenant has as many keys as it may have.
        ApiKeyLimitReached = "api_key_limit_reached",
        /// A page that would be larger than an answer may be.
        AnswerTooLarge = "answer_too_large",
        /// A new tenant's key for its log cannot be kept.
        AuditKeyStorageFailed = "audit_key_storage_failed",
        /// The request cannot be read.
        BadRequest = "bad_request",
        /// The body is larger than this route takes.
        BodyTooLarge = "body_too_large",
        /// The scope has a budget.
        BudgetExists = "budget_exists",
        /// A budget has not enough left for a claim.
        BudgetExhausted = "budget_exhausted",
        /// The echo of a story is not what the story says.
        ContractMismatch = "contract_mismatch",
        /// Title or criteria are not those that were reviewed.
        CriteriaChanged = "criteria_changed",
        /// Stories and epics would wait for each other for ever.
        CrossLevelDeadlock = "cross_level_deadlock",
        /// The database cannot be reached.
        DatabaseUnavailable = "database_unavailable",
        /// What was asked for took too long, and was stopped.
        DeadlineExceeded = "deadline_exceeded",
        /// A delivery of this webhook is under way.
        DeliveryPending = "delivery_pending",
        /// What comes before the story is not verified.
        DependenciesNotMet = "dependencies_not_met",
        /// Something would wait for itself.
        DependencyCycle = "dependency_cycle",
        /// The dependency is there already.
        DependencyExists = "dependency_exists",
        /// A dependency of something on itself.
        DependsOnItself = "depends_on_itself",
        /// A dependency across projects.
        DifferentProjects = "different_projects",
        /// An item that stands in the same call before.
        Duplicate = "duplicate",
        /// Another tenant has this address.
        EmailTaken = "email_taken",
        /// What a text means cannot be made out now.
        EmbeddingUnavailable = "embedding_unavailable",
        /// The epic that an item names is not there.
        EpicNotFound = "epic_not_found",
        /// An item that is to be created names no epic.
        EpicNumberRequired = "epic_number_required",
        /// An archive with more articles than one may have.
        ExportTooLarge = "export_too_large",
        /// The role of the key may not do this.
        Forbidden = "forbidden",
        /// The headers are larger than a request may have.
        HeadTooLarge = "head_too_large",
        /// The same request is being answered at this moment.
        IdempotencyInProgress = "idempotency_in_progress",
        /// Another request has this key.
        IdempotencyKeyReused = "idempotency_key_reused",
        /// An import names what is there already.
        ImportConflict = "import_conflict",
        /// A defect of the server.
        InternalError = "internal_error",
        /// The key is unknown, revoked or expired.
        InvalidApiKey = "invalid_api_key",
        /// Nothing that an authenticator of ours would sign.
        InvalidAttestation = "invalid_attestation",
        /// A bulk call that is no list, or too long a one.
        InvalidBatch = "invalid_batch",
        /// An import that contradicts itself.
        InvalidImport = "invalid_import",
        /// What is neither one page nor one text to be looked through.
        InvalidIngestion = "invalid_ingestion",
        /// An item of a bulk call that cannot be read.
        InvalidItem = "invalid_item",
        /// The story, or the article, does not stand where this goes on from.
        InvalidTransition = "invalid_transition",
        /// The key has its one agent.
        KeyAlreadyBound = "key_already_bound",
        /// The key to be rotated was revoked.
        KeyRevoked = "key_revoked",
        /// The key to be rotated was rotated before.
        KeySuperseded = "key_superseded",
        /// Without this authenticator nobody could sign in any more.
        LastAuthenticator = "last_authenticator",
        /// The articles are related already.
        LinkExists = "link_exists",
        /// The story is contracted, and nobody holds it.
        MustClaimFirst = "must_claim_first",
        /// The story is not contracted.
        MustContractFirst = "must_contract_first",
        /// A tenant cannot be without an authenticator.
        NoAuthenticators = "no_authenticators",
        /// The body is JSON, and no object.
        NotAnObject = "not_an_object",
        /// Another agent holds the story, or nobody.
        NotAssignedAgent = "not_assigned_agent",
        /// An item that comes after a failure of the server.
        NotAttempted = "not_attempted",
        /// Not there, or another tenant's: not told apart.
        NotFound = "not_found",
        /// What an agent touched was not done before the loop.
        NotPreExisting = "not_pre_existing",
        /// Nobody has signed in, or not for long enough.
        NotSignedIn = "not_signed_in",
        /// Not one item of a bulk call was done.
        NothingProcessed = "nothing_processed",
        /// A browser sends this from a page that is not ours.
        OriginMismatch = "origin_mismatch",
        /// There is no room for the request at this moment.
        Overloaded = "overloaded",
        /// The tenant has as many projects as it may have.
        ProjectLimitReached = "project_limit_reached",
        /// Too many requests within this minute, or tries within this hour.
        RateLimited = "rate_limited",
        /// A rejection without a reason.
        ReasonRequired = "reason_required",
        /// The body did not arrive in time.
        RequestTimeout = "request_timeout",
        /// A verification without what was checked.
        ReviewEvidenceRequired = "review_evidence_required",
        /// Nobody has reviewed this report.
        ReviewNotConducted = "review_not_conducted",
        /// The UI test run has ended, and ends once.
        RunAlreadyCompleted = "run_already_completed",
        /// The UI test run has ended: nothing is added to it.
        RunNotInProgress = "run_not_in_progress",
        /// This server has no key to encrypt secrets with.
        SecretsKeyMissing = "secrets_key_missing",
        /// Implementers do not set the measure of their own work.
        SelfCriteriaBlocked = "self_criteria_blocked",
        /// Implementers do not report their own work.
        SelfReportBlocked = "self_report_blocked",
        /// Implementers do not review their own work.
        SelfReviewBlocked = "self_review_blocked",
        /// Implementers do not verify or reject their own work.
        SelfVerifyBlocked = "self_verify_blocked",
        /// Another tenant has this slug.
        SlugTaken = "slug_taken",
        /// The server is about to stop.
        Stopping = "stopping",
        /// The database cannot write.
        StorageUnavailable = "storage_unavailable",
        /// The project has as many stories as it may have.
        StoryLimitReached = "story_limit_reached",
        /// The story was rejected: it is reworked through the loop.
        StoryRejected = "story_rejected",
        /// Only superadmins write what belongs to the server and not to a tenant.
        SystemScopeForbidden = "system_scope_forbidden",
        /// The tenant is suspended, or not there yet.
        TenantNotActive = "tenant_not_active",
        /// The tenant to be impersonated is not there.
        TenantNotFound = "tenant_not_found",
        /// The tenant's status does not change any more.
        TenantStatusFinal = "tenant_status_final",
        /// The tenant has this status.
        TenantStatusUnchanged = "tenant_status_unchanged",
        /// A blocking budget is used up.
        TokenBudgetExceeded = "token_budget_exceeded",
        /// The tenant has as many authenticators as it may have.
        TooManyAuthenticators = "too_many_authenticators",
        /// As many connections are open as may be.
        TooManyConnections = "too_many_connections",
        /// A UI test run has as many findings, or bytes of them, as it may have.
        TooManyFindings = "too_many_findings",
        /// As many streams of this key or tenant are open as may be.
        TooManyStreams = "too_many_streams",
        /// No key was sent.
        Unauthorized = "unauthorized",
        /// The body is written in something that is not read here.
        UnsupportedMediaType = "unsupported_media_type",
        /// Path and query are longer than they may be.
        UriTooLong = "uri_too_long",
        /// Fields are wrong: `details` says which, and why.
        ValidationFailed = "validation_failed",
        /// Somebody else has saved a newer version.
        VersionConflict = "version_conflict",
        /// The violation was dealt with before.
        ViolationNotPending = "violation_not_pending",
        /// The proof of an authenticator does not hold.
        WebauthnFailed = "webauthn_failed",
        /// This takes the touch of an authenticator.
        WebauthnRequired = "webauthn_required",
        /// Authenticators cannot sign for this server's address.
        WebauthnUnavailable = "webauthn_unavailable",
        /// The webhook is switched off.
        WebhookInactive = "webhook_inactive",
        /// The tenant has as many webhooks as it may have.
        WebhookLimitReached = "webhook_limit_reached",
    }
}
