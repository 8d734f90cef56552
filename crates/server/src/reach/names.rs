//! Where names lead: to addresses that were looked at before anybody connects to them, and to nothing else.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use loopctl_core::webhooks::{AllowedNetworks, is_blocked};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Who knows the addresses of a name.
pub(crate) trait Names: Send + Sync {
    /// All of them.
    fn look_up(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The system does.
pub(crate) struct System;

impl Names for System {
    fn look_up(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let name = name.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// A name leads to an address that nobody may be sent to.
#[derive(Debug)]
pub(crate) struct Blocked;

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("blocked address")
    }
}

impl Error for Blocked {}

/// Lets the client connect to what was found, if all of it may be reached: a name that leads to one address now and to another
/// one in a moment is asked once.
pub(crate) struct Vetted {
    pub(crate) names: Arc<dyn Names>,
    pub(crate) allowed: AllowedNetworks,
}

impl Resolve for Vetted {
    fn resolve(&self, name: Name) -> Resolving {
        let (found, allowed) = (self.names.look_up(name.as_str()), self.allowed.clone());
        Box::pin(async move {
            let found = found.await?;
            if found.iter().any(|address| is_blocked(*address, &allowed)) {
                return Err(Blocked.into());
            }
            // Port 0 stands for that of the URL.
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}
