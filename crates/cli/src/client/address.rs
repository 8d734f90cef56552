//! Addresses of servers, as they are written and as they are used.

use loopctl_mcp::address::{is_loopback, may_be_sent_keys};
use reqwest::Url;

use crate::error::Error;

/// A server address the client can use, without a trailing slash in its path.
pub(crate) fn server_url(text: &str) -> Result<Url, Error> {
    address(text).map_err(|reason| Error::Usage(format!("Invalid server address: {reason}")))
}

/// The same for what an agent's key is sent to: not over plain HTTP to a far host.
pub(crate) fn server_for_agents(text: &str) -> Result<Url, Error> {
    let url = server_url(text)?;
    may_be_sent_keys(&url, |name| std::env::var(name).ok())
        .map_err(|refused| Error::Usage(refused.to_string()))?;
    Ok(url)
}

/// An address of a server, or what is wrong with it.
pub(crate) fn address(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text.trim_end_matches('/')).ok();
    let url = url
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or("it must start with http:// or https://")?;
    if url.path().ends_with("/api/v1") {
        return Err("leave out /api/v1 at its end, which is added to every request");
    }
    // They would take the place of the API key, and end up in messages and in the configuration file.
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err("it must not hold a user name, a password, a query or a fragment");
    }
    Ok(url)
}

/// Whether a server is on this machine.
pub(crate) fn is_local(address: &str) -> bool {
    server_url(address).is_ok_and(|url| is_loopback(&url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_are_servers() {
        assert!(server_url("https://a:8443").is_ok());
        for bad in ["", "loopctl.example", "ftp://x", "http://"] {
            assert!(server_url(bad).is_err(), "{bad}");
        }
        for text in ["http://h/api/v1", "https://h/loop/api/v1/"] {
            let Error::Usage(message) = server_url(text).unwrap_err() else { panic!("{text}") };
            assert!(message.contains("leave out /api/v1"), "{message}");
        }
        for text in ["http://user:secret@host", "http://key@host", "https://host/?a=b", "https://host/#part"]
        {
            let Error::Usage(message) = server_url(text).unwrap_err() else { panic!("{text}") };
            assert!(message.contains("must not hold") && !message.contains("secret"), "{message}");
        }
        let local = |text| is_loopback(&server_url(text).unwrap());
        assert!(local("http://localhost:4000") && local("http://127.0.0.1") && local("http://[::1]:1"));
        assert!(!local("http://loopctl.example") && !local("http://10.0.0.1"));
    }
}
