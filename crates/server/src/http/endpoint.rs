//! Routes that describe themselves: what a handler takes and answers is read from its signature.

use std::collections::BTreeMap;

use axum::Json;
use axum::Router;
use axum::handler::Handler;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use loopctl_core::code::Code;
use loopctl_core::lifecycle::{Action, Refused, refusals_of};
use loopctl_core::request::Member;
use loopctl_core::role::Role;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use super::answer;
use super::headers::{self, Header};

/// A route: a method, a path, and what they do.
pub(crate) struct Endpoint<S> {
    /// Its method.
    pub(crate) method: Method,
    /// Its path, with `{names}` for what varies.
    pub(crate) path: &'static str,
    /// The group that it belongs to.
    pub(crate) tag: &'static str,
    about: &'static str,
    /// What it refuses besides what its signature says: the status, the code, and in which case.
    refusals: Vec<(u16, Code, &'static str)>,
    /// What it does to a story, which is refused in further cases.
    action: Option<Action>,
    describe: fn(&mut Operation<'_>),
    route: MethodRouter<S>,
    /// Further paths of the same route.
    aliases: Vec<&'static str>,
}

impl<S: Clone + Send + Sync + 'static> Endpoint<S> {
    /// A route with its handler.
    pub(crate) fn new<H, T, D>(
        method: Method,
        path: &'static str,
        tag: &'static str,
        about: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, S> + Describe<D>,
        T: 'static,
    {
        // Every method of this server is one that a filter knows.
        let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
        let route = on(filter, handler);
        Self {
            method,
            path,
            tag,
            about,
            refusals: Vec::new(),
            action: None,
            describe: H::describe,
            route,
            aliases: Vec::new(),
        }
    }

    /// Says what else is refused, and in which case.
    pub(crate) fn refusing(mut self, status: u16, code: Code, when: &'static str) -> Self {
        self.refusals.push((status, code, when));
        self
    }

    /// Refuses whatever this action is refused with.
    pub(crate) fn doing(self, action: Action) -> Self {
        Self { action: Some(action), ..self }
    }

    /// Answers under a second path as well.
    pub(crate) fn alias(mut self, path: &'static str) -> Self {
        self.aliases.push(path);
        self
    }

    /// Answers `PUT` in the same way, which is not worth a mention of its own.
    pub(crate) fn also_put<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        Self { route: self.route.on(MethodFilter::PUT, handler), ..self }
    }

    /// What it does: a sentence, and perhaps more after an empty line.
    pub(crate) fn about(&self) -> String {
        self.about.trim().lines().map(str::trim).collect::<Vec<_>>().join("\n")
    }

    /// Its paths: the one that it is known by, and its aliases.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.path).chain(self.aliases.iter().copied())
    }

    /// What is known of it.
    pub(crate) fn operation<'a>(&self, schemas: &'a mut SchemaGenerator) -> Operation<'a> {
        let mut operation = Operation {
            schemas,
            roles: Vec::new(),
            session: None,
            path_ids: false,
            path_integers: &[],
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            body_also: &[],
            answers: BTreeMap::new(),
            failure: None,
        };
        (self.describe)(&mut operation);
        for Refused { status, code, when } in self.action.map(refusals_of).unwrap_or_default() {
            operation.refuse(status, code, &when);
        }
        for (status, code, when) in &self.refusals {
            operation.refuse(*status, *code, when);
        }
        if operation.takes_keys() && self.method != Method::GET {
            answer::describe_repetition(&mut operation);
        }
        operation
    }

    /// Adds it to a router.
    pub(crate) fn mount(self, router: Router<S>) -> Router<S> {
        let router =
            self.aliases.iter().fold(router, |router, alias| router.route(alias, self.route.clone()));
        router.route(self.path, self.route)
    }
}

/// Declares a resource's routes, under the groups that they belong to:
/// `endpoints! { "Tag"; /// What it does. GET "/path" | "/alias" => handler, 409 SlugTaken "somebody else has it"; }`. What moves a
/// story says so (`=> handler as Claim`): what the lifecycle refuses need not be said again.
macro_rules! endpoints {
    ($($tag:literal; $(
        $(#[doc = $about:literal])+
        $method:ident $(+ $put:ident)? $path:literal $(| $alias:literal)* => $handler:path $(as $action:ident)? $(, $status:literal $code:ident $when:literal)*;
    )+)+) => {
        vec![$($(
            $crate::http::Endpoint::new(
                ::axum::http::Method::$method, $path, $tag, concat!($($about, "\n"),+), $handler,
            )
            $(.doing(::loopctl_core::lifecycle::Action::$action))?
            $(.refusing($status, ::loopctl_core::code::Code::$code, $when))*
            $(.alias($alias))*
            $(.$put($handler))?
        ),+),+]
    };
}

pub(crate) use endpoints;

/// What clients may know of a route.
pub(crate) struct Operation<'a> {
    /// Collects the types that have a name.
    pub(crate) schemas: &'a mut SchemaGenerator,
    /// The roles of the keys that it takes; none where no key lets anybody in.
    pub(crate) roles: Vec<Role>,
    /// Whether it takes a session, and whether it needs one.
    pub(crate) session: Option<Session>,
    /// Whether what varies in its path are ids.
    pub(crate) path_ids: bool,
    /// Which of them are integers instead.
    pub(crate) path_integers: &'static [&'static str],
    /// The parameters of its query string.
    pub(crate) query: Vec<Member>,
    /// The headers that it reads.
    pub(crate) headers: Vec<Member>,
    /// The name and the schema of its body.
    pub(crate) body: Option<(String, Schema)>,
    /// In what its body may be written instead of JSON, which is described elsewhere.
    pub(crate) body_also: &'static [&'static str],
    /// By status: what it means, and the body.
    pub(crate) answers: BTreeMap<u16, Answer>,
    /// What a failure of the server may be told with, beside the envelope alone.
    pub(crate) failure: Option<Schema>,
}

/// What a route wants of whoever has signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    /// Nobody else is let in.
    Needed,
    /// So much as a key, or nothing.
    Taken,
}

/// An answer.
pub(crate) struct Answer {
    /// What it means; empty where that is said by what is refused.
    pub(crate) about: String,
    /// Its body; None where there is none, or only the error envelope.
    pub(crate) schema: Option<Schema>,
    /// What the body is written in.
    pub(crate) content_type: &'static str,
    /// What else it is written in for those who would rather have that, and how it looks then.
    pub(crate) also: Vec<(&'static str, Schema)>,
    /// What is refused with it, in the error envelope: the code, and in which case.
    pub(crate) refusals: Vec<(Code, String)>,
    /// The headers that come with it, besides those that come with every answer.
    pub(crate) headers: Vec<&'static Header>,
}

/// What bodies are written in, unless something else is said.
const JSON: &str = "application/json";

impl Answer {
    fn new(about: &str, schema: Option<Schema>) -> Self {
        let (also, refusals, headers) = (Vec::new(), Vec::new(), Vec::new());
        Self { about: about.to_owned(), schema, content_type: JSON, also, refusals, headers }
    }
}

impl Operation<'_> {
    /// Whether it takes keys, and needs one unless something else lets somebody in.
    pub(crate) fn takes_keys(&self) -> bool {
        !self.roles.is_empty()
    }

    /// An answer with a body of this type. What is refused with the same status stays so.
    pub(crate) fn answer<T: JsonSchema>(&mut self, status: u16, about: &str) {
        let schema = Some(self.schemas.subschema_for::<T>());
        let told = self.answers.remove(&status).unwrap_or_else(|| Answer::new(about, None));
        self.answers.insert(status, Answer { about: about.to_owned(), schema, ..told });
    }

    /// An answer without a body.
    pub(crate) fn answer_empty(&mut self, status: u16, about: &str) {
        self.answers.insert(status, Answer::new(about, None));
    }

    /// The answer's body is written in something else than JSON, or holds it.
    pub(crate) fn answer_as(&mut self, status: u16, content_type: &'static str) {
        if let Some(answer) = self.answers.get_mut(&status) {
            answer.content_type = content_type;
        }
    }

    /// Whoever accepts this content type has a body of this type instead.
    pub(crate) fn answer_also<T: JsonSchema>(&mut self, status: u16, content_type: &'static str) {
        let schema = self.schemas.subschema_for::<T>();
        if let Some(answer) = self.answers.get_mut(&status) {
            answer.also.push((content_type, schema));
        }
    }

    /// A header comes with the answer.
    pub(crate) fn answer_with(&mut self, status: u16, header: &'static Header) {
        if let Some(answer) = self.answers.get_mut(&status) {
            answer.headers.push(header);
        }
    }

    /// A failure of the server, whatever its status, is told with a body of this type or the error envelope.
    pub(crate) fn fail_with<T: JsonSchema>(&mut self) {
        self.failure = Some(self.schemas.subschema_for::<T>());
    }

    /// An answer with the error envelope, in this case. What is said later is said besides.
    pub(crate) fn refuse(&mut self, status: u16, code: Code, when: &str) {
        let answer = self.answers.entry(status).or_insert_with(|| {
            let mut answer = Answer::new("", None);
            answer.headers.extend(headers::of_refusal(status));
            answer
        });
        match answer.refusals.iter_mut().find(|(known, _)| *known == code) {
            None => answer.refusals.push((code, when.to_owned())),
            Some((_, told)) if told.contains(when) => (),
            Some((_, told)) => *told = format!("{told}; or {when}"),
        }
    }
}

/// What a handler takes.
pub(crate) trait Input {
    /// Adds it to what is known.
    fn describe(operation: &mut Operation<'_>);
}

/// What a handler answers when all went well.
pub(crate) trait Output {
    /// Adds it to what is known.
    fn describe(operation: &mut Operation<'_>);
}

/// A function whose signature says what it takes and what it answers.
pub(crate) trait Describe<D> {
    /// Says it.
    fn describe(operation: &mut Operation<'_>);
}

macro_rules! functions {
    ($(($($input:ident),*))+) => {$(
        impl<F, Answered, O, $($input),*> Describe<($($input,)* O,)> for F
        where
            F: Fn($($input),*) -> Answered,
            Answered: Future<Output = O>,
            O: Output,
            $($input: Input,)*
        {
            fn describe(operation: &mut Operation<'_>) {
                $($input::describe(operation);)*
                O::describe(operation);
            }
        }
    )+};
}

functions! { () (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) }

impl<S> Input for axum::extract::State<S> {
    fn describe(_: &mut Operation<'_>) {}
}

impl<T: Output, E> Output for Result<T, E> {
    fn describe(operation: &mut Operation<'_>) {
        T::describe(operation);
    }
}

impl<T: JsonSchema> Output for Json<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer::<T>(200, "Done");
    }
}

/// Declares answers with one member: `one! { pub(super) AgentResponse { agent: Agent } }`.
macro_rules! one {
    ($($visible:vis $name:ident { $member:ident: $of:ty })+) => {$(
        #[derive(::serde::Serialize, ::schemars::JsonSchema)]
        $visible struct $name {
            $visible $member: $of,
        }
    )+};
}

pub(crate) use one;

/// 201 with what was created.
pub(crate) struct Created<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}

impl<T: JsonSchema> Output for Created<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer::<T>(201, "Created");
    }
}

/// 201 with a secret, which nothing on the way may keep.
pub(crate) struct CreatedSecret<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for CreatedSecret<T> {
    fn into_response(self) -> Response {
        let mut response = Created(self.0).into_response();
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl<T: JsonSchema> Output for CreatedSecret<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer::<T>(201, "Created; the secret is shown this once");
        answer::describe_omission::<T>(operation);
        operation.answer_with(201, &headers::CACHE_CONTROL);
    }
}

/// 204.
pub(crate) struct NoContent;

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl Output for NoContent {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer_empty(204, "Done");
    }
}
