//! What texts mean, as vectors: who makes them, and the background work that keeps those of published articles.

mod breaker;
mod openai;
mod options;
mod store;
mod system;
mod work;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use loopctl_embed::{Embedder, Small};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use uuid::Uuid;

use breaker::Breaker;
use openai::{Cause, Failure, OpenAi};
pub use options::{EmbeddingChoice, EmbeddingOptions, OpenAiOptions};
pub(crate) use store::STATEMENTS;
pub(crate) use system::{EMBEDDING_OF_SYSTEM, changed_by_owner, embed_of_system, embed_what_lacks_of_system};
pub(crate) use work::{EMBEDDING, LINKING, changed, embed, embed_what_lacks, link};

/// How long somebody who searches waits for a provider.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who makes vectors, for this process.
#[derive(Debug)]
pub(crate) struct Meaning {
    engine: Engine,
    /// What is known of the provider's health.
    breaker: Mutex<Breaker>,
    /// As many questions at once as there are processors: more of them would only wait for each other.
    places: Arc<Semaphore>,
    /// One place of a tenant, so that nobody waits for more than one question of each other.
    turns: Mutex<HashMap<Uuid, Arc<Semaphore>>>,
    /// One article at a time: nobody waits for it.
    background: Arc<Semaphore>,
    related: Option<f32>,
}

#[derive(Debug)]
enum Engine {
    Off,
    Local(Arc<Embedder>),
    Provider(Box<OpenAi>),
}

/// What makes vectors that can be compared.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) dimensions: usize,
    /// From which similarity on articles belong together.
    pub(crate) related: f32,
}

/// There is no vector to be had now.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unavailable(pub(crate) String);

impl Meaning {
    /// # Errors
    /// When vectors cannot be made with these options.
    pub(crate) fn new(options: &EmbeddingOptions) -> Result<Self, String> {
        let engine = match &options.choice {
            EmbeddingChoice::Off => Engine::Off,
            EmbeddingChoice::Hash => Engine::Local(Arc::new(Embedder::hash())),
            EmbeddingChoice::Local => Engine::Local(Arc::new(options.model()?)),
            EmbeddingChoice::OpenAi(provider) => Engine::Provider(Box::new(OpenAi::new(provider)?)),
        };
        let places = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Self { related: options.related, ..Self::of(engine, places) })
    }

    fn of(engine: Engine, places: usize) -> Self {
        let [places, background] = [places, 1].map(|places| Arc::new(Semaphore::new(places)));
        Self { engine, breaker: Mutex::default(), places, turns: Mutex::default(), background, related: None }
    }

    /// None: nobody makes any.
    pub(crate) fn off() -> Self {
        Self::of(Engine::Off, 1)
    }

    /// What makes them. None: nobody does.
    pub(crate) fn model(&self) -> Option<Model> {
        let model = match &self.engine {
            Engine::Off => return None,
            Engine::Local(embedder) => Model {
                name: embedder.name().to_owned(),
                dimensions: embedder.dimensions(),
                related: embedder.related(),
            },
            Engine::Provider(provider) => provider.model(),
        };
        Some(Model { related: self.related.unwrap_or(model.related), ..model })
    }

    /// The vector of a question. None: the question says nothing.
    ///
    /// # Errors
    /// When there is nobody to make it, or nobody answers in time.
    pub(crate) async fn question(&self, tenant_id: Uuid, text: &str) -> Result<Option<Small>, Unavailable> {
        match &self.engine {
            Engine::Off => Err(Unavailable("nobody makes vectors here".to_owned())),
            Engine::Local(embedder) => {
                let (embedder, text) = (Arc::clone(embedder), text.to_owned());
                let vector = self.aside(tenant_id, move || embedder.question(&text)).await?;
                Ok(vector.as_deref().and_then(Small::of))
            }
            Engine::Provider(provider) => {
                self.admitted()?;
                let answer = timeout(PATIENCE, provider.vector(text)).await;
                let answer = answer.unwrap_or_else(|_| Err(Failure::passing("no answer in time".to_owned())));
                self.breaker().note(answer.is_ok(), Instant::now());
                answer.map(|vector| Small::of(&vector)).map_err(|failure| Unavailable(failure.why))
            }
        }
    }

    /// The vectors of an article; none, if it says nothing, or is nothing that the provider takes.
    ///
    /// # Errors
    /// When there is nobody to make them.
    pub(crate) async fn article(&self, title: &str, body: &str) -> Result<Vec<Small>, Unavailable> {
        let vectors = match &self.engine {
            Engine::Off => return Err(Unavailable("nobody makes vectors here".to_owned())),
            Engine::Local(embedder) => {
                let (embedder, title, body) = (Arc::clone(embedder), title.to_owned(), body.to_owned());
                at(&self.background, move || embedder.article(&title, &body)).await?
            }
            Engine::Provider(provider) => {
                self.admitted()?;
                let text: String = format!("{title}\n\n{body}").chars().take(loopctl_embed::MOST).collect();
                let answer = provider.vector(&text).await;
                // That it does not take this text says nothing of how it is.
                let is_well = answer.is_ok();
                if is_well || answer.as_ref().is_err_and(|failure| failure.cause == Cause::Health) {
                    self.breaker().note(is_well, Instant::now());
                }
                match answer {
                    Ok(vector) => vec![vector],
                    Err(Failure { cause: Cause::Text, why }) => {
                        tracing::warn!(%why, characters = text.chars().count(), "an article has no vector");
                        Vec::new()
                    }
                    Err(failure) => return Err(Unavailable(failure.why)),
                }
            }
        };
        Ok(vectors.iter().filter_map(|vector| Small::of(vector)).collect())
    }

    /// How many tokens a text has.
    pub(crate) fn tokens(&self, text: &str) -> usize {
        match &self.engine {
            Engine::Local(embedder) => embedder.tokens(text),
            // About as providers count.
            Engine::Off | Engine::Provider(_) => text.chars().count().div_ceil(4),
        }
    }

    /// Does what takes a processor's time for a tenant where nobody else waits for it, one thing after the other: the next one begins when
    /// this one is done, whether somebody still waits for it or not.
    pub(crate) async fn aside<T: Send + 'static>(
        &self,
        tenant_id: Uuid,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unavailable> {
        let turn = self.turn(tenant_id).acquire_owned().await;
        let turn = turn.map_err(|_| Unavailable("the server is ending".to_owned()))?;
        let work = move || {
            let done = work();
            drop(turn);
            done
        };
        at(&self.places, work).await
    }

    /// Who waits for the turn of a tenant waits here. Those of tenants that nobody waits for are forgotten.
    fn turn(&self, tenant_id: Uuid) -> Arc<Semaphore> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(tenant_id).or_insert_with(|| Arc::new(Semaphore::new(1))))
    }

    /// Whether the provider is to be asked now.
    fn admitted(&self) -> Result<(), Unavailable> {
        let why = || Unavailable("the provider has failed too often just now".to_owned());
        self.breaker().admits(Instant::now()).then_some(()).ok_or_else(why)
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does work beside those who serve requests, when there is a place.
async fn at<T: Send + 'static>(
    places: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unavailable> {
    let ends = || Unavailable("the server is ending".to_owned());
    let place = Arc::clone(places).acquire_owned().await.map_err(|_| ends())?;
    let done = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(place);
        done
    });
    done.await.map_err(|_| ends())
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::time::sleep;

    use super::*;

    /// However much a tenant asks at once, another one waits for no more than one of it.
    #[tokio::test(flavor = "multi_thread")]
    async fn nobody_waits_for_all_that_another_asks() {
        let meaning = Arc::new(Meaning::of(Engine::Off, 1));
        let [many, one] = [1, 2].map(Uuid::from_u128);
        let order = Arc::new(Mutex::new(Vec::new()));
        let ask = |tenant: Uuid| {
            let (meaning, order) = (Arc::clone(&meaning), Arc::clone(&order));
            tokio::spawn(async move {
                let work = move || {
                    std::thread::sleep(Duration::from_millis(5));
                    order.lock().unwrap().push(tenant);
                };
                meaning.aside(tenant, work).await.unwrap();
            })
        };
        let mut all: Vec<_> = (0..20).map(|_| ask(many)).collect();
        while order.lock().unwrap().is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
        let before = order.lock().unwrap().len();
        all.push(ask(one));
        join_all(all).await;
        let place = order.lock().unwrap().iter().position(|tenant| *tenant == one).unwrap();
        assert!(place <= before + 3, "after {place}, of which {before} were before it");
        meaning.turn(one);
        assert_eq!(meaning.turns.lock().unwrap().len(), 1, "nobody is remembered for ever");
    }

    /// Who leaves and asks again would have all places otherwise.
    #[tokio::test(flavor = "multi_thread")]
    async fn work_keeps_its_turn_when_nobody_waits_for_it_any_more() {
        let meaning = Arc::new(Meaning::of(Engine::Off, 2));
        let tenant = Uuid::from_u128(1);
        let (began, begins) = tokio::sync::oneshot::channel();
        let (end, ends) = std::sync::mpsc::channel::<()>();
        let asked = tokio::spawn({
            let meaning = Arc::clone(&meaning);
            async move {
                let work = move || {
                    began.send(()).unwrap();
                    ends.recv().unwrap();
                };
                meaning.aside(tenant, work).await
            }
        });
        begins.await.unwrap();
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
        assert!(meaning.turn(tenant).try_acquire().is_err(), "it is still at work");
        end.send(()).unwrap();
        meaning.aside(tenant, || ()).await.unwrap();
    }
}
