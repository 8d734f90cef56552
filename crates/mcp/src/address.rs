//! Where a server is, and whether it may be sent keys.

use url::{Host, Url};

/// Set to `1`, it says that somebody has thought about who reads along.
const ALLOW_HTTP: &str = "LOOPCTL_ALLOW_HTTP";

/// A key would be sent for all to read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} would be sent keys over plain HTTP, where others can read them: use https, or set LOOPCTL_ALLOW_HTTP=1 if you know who can"
)]
pub struct PlainHttp(String);

/// Refuses plain HTTP to hosts that are neither this machine nor in a private network.
///
/// # Errors
/// When others could read the keys, and the environment does not say that this is known.
pub fn may_be_sent_keys(url: &Url, variable: impl Fn(&str) -> Option<String>) -> Result<(), PlainHttp> {
    let is_allowed = || variable(ALLOW_HTTP).as_deref() == Some("1");
    if url.scheme() != "http" || is_near(url) || is_allowed() {
        return Ok(());
    }
    Err(PlainHttp(url.as_str().trim_end_matches('/').to_owned()))
}

/// This machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// This machine, or a network that is nobody else's.
fn is_near(url: &Url) -> bool {
    is_loopback(url)
        || match url.host() {
            Some(Host::Domain(_)) | None => false,
            Some(Host::Ipv4(address)) => address.is_private() || address.is_link_local(),
            Some(Host::Ipv6(address)) => address.is_unique_local() || address.is_unicast_link_local(),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(url: &str, allow: Option<&str>) -> Result<(), PlainHttp> {
        may_be_sent_keys(&Url::parse(url).unwrap(), |name| {
            allow.filter(|_| name == "LOOPCTL_ALLOW_HTTP").map(ToOwned::to_owned)
        })
    }

    #[test]
    fn far_hosts_are_sent_no_key_in_clear() {
        for far in [
            "http://loopctl.example",
            "http://8.8.8.8:4000",
            "http://172.32.0.1",
            "http://[2001:db8::1]",
            "http://localhost.example",
            "http://10.0.0.1.example",
        ] {
            let refused = judged(far, None).unwrap_err();
            assert!(refused.to_string().starts_with(&format!("{far} would be sent keys")), "{refused}");
            assert!(judged(far, Some("0")).is_err() && judged(far, Some("true")).is_err(), "{far}");
            assert_eq!(judged(far, Some("1")), Ok(()));
            assert_eq!(judged(&far.replace("http:", "https:"), None), Ok(()));
        }
    }

    #[test]
    fn near_hosts_are() {
        for near in [
            "http://localhost:4000",
            "http://loopctl.localhost",
            "http://127.0.0.2",
            "http://[::1]:1",
            "http://10.1.2.3",
            "http://192.168.0.1",
            "http://169.254.0.1",
            "http://[fd00::1]",
            "http://[fe80::1]",
        ] {
            assert_eq!(judged(near, None), Ok(()), "{near}");
        }
    }
}
