//! Where requests of ours lead that others name: to where a policy lets them, and to nothing of our own network. Redirects are not
//! followed by themselves, nor is any proxy asked.

mod names;

use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use loopctl_core::webhooks::Policy;
use reqwest::redirect;
use reqwest::{Client, Response, Url};

use names::{Blocked, Vetted};
pub(crate) use names::{Names, System};

/// How much of a reason is told, in characters.
const TOLD: usize = 200;
/// How long a connection is kept for what comes next. It leads where it was opened to.
const IDLE: Duration = Duration::from_secs(5);
/// How many of them to one host.
const KEPT: usize = 32;

/// Connects to where a policy lets it.
pub(crate) struct Connector {
    policy: Policy,
    resolver: Arc<Vetted>,
    user_agent: &'static str,
    plain: OnceLock<Client>,
    secure: OnceLock<Client>,
}

impl Connector {
    pub(crate) fn new(policy: Policy, names: Arc<dyn Names>, user_agent: &'static str) -> Self {
        let resolver = Arc::new(Vetted { names, allowed: policy.allowed.clone() });
        // Fails only when another part of the process chose the provider before us, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { policy, resolver, user_agent, plain: OnceLock::new(), secure: OnceLock::new() }
    }

    /// The URL in this text, if it may be asked. Where its name leads is looked at when it is.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn url(&self, text: &str) -> Result<Url, &'static str> {
        self.policy.url(text)
    }

    /// The client for this URL. One that needs no certificates works on machines that have none.
    ///
    /// # Errors
    /// When there can be none.
    pub(crate) fn client(&self, url: &Url) -> reqwest::Result<Client> {
        let is_secure = url.scheme() == "https";
        let known = if is_secure { &self.secure } else { &self.plain };
        if let Some(client) = known.get() {
            return Ok(client.clone());
        }
        let builder = Client::builder()
            .user_agent(self.user_agent)
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(KEPT)
            .dns_resolver(Arc::clone(&self.resolver));
        let builder = if is_secure { builder } else { builder.tls_certs_only([]) };
        let client = builder.build()?;
        Ok(known.get_or_init(|| client).clone())
    }
}

/// A client for a provider that the operator names, wherever that is. One that needs no certificates works on machines that have none.
///
/// # Errors
/// When there can be none.
pub(crate) fn provider(url: &Url) -> reqwest::Result<Client> {
    // Fails only when another part of the process chose the provider before us, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder().redirect(redirect::Policy::none());
    let builder = if url.scheme() == "https" { builder } else { builder.tls_certs_only([]) };
    builder.build()
}

/// The body of an answer; None: it has more bytes than that.
///
/// # Errors
/// When it does not come to its end.
pub(crate) async fn body(mut response: Response, most: usize) -> reqwest::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > most {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}

/// Whether a request failed because its name leads to where it must not.
pub(crate) fn is_blocked(error: &reqwest::Error) -> bool {
    chain(error).any(|cause| cause.is::<Blocked>())
}

/// The end of the chain of causes, which has no URL in it. It goes to whoever named the URL, and says nothing of this machine.
pub(crate) fn deepest(error: &reqwest::Error) -> String {
    let reason = chain(error).last().map(ToString::to_string).unwrap_or_default();
    reason.chars().take(TOLD).map(|letter| if letter == '\0' { '\u{fffd}' } else { letter }).collect()
}

fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| (*cause).source())
}
