//! Where a webhook may lead, as far as its URL tells. Where a name leads is found out at each delivery.

use url::{Host, ParseError, Url};

use super::addresses::{AllowedNetworks, is_blocked};

const SCHEME: &str = "must use HTTPS or HTTP scheme";
const SECURE_SCHEME: &str = "must use HTTPS scheme";
const HOST: &str = "must have a valid host";
/// What is said of a URL that leads to this machine or its network.
pub const PRIVATE: &str = "must not target a private or loopback address";
const CREDENTIALS: &str = "must not contain credentials";
const CHARACTERS: &str = "must not contain white space or control characters";

/// What the operator lets webhooks reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whether `http` will do.
    pub allow_http: bool,
    /// Private networks that may be reached all the same.
    pub allowed: AllowedNetworks,
}

impl Default for Policy {
    fn default() -> Self {
        Self { allow_http: true, allowed: AllowedNetworks::default() }
    }
}

impl Policy {
    /// The URL in this text. Its host is read as browsers and HTTP clients read it: `0x7f.1` and `2130706433` are addresses.
    ///
    /// # Errors
    /// The contract's sentence about what is wrong with it.
    pub fn url(&self, text: &str) -> Result<Url, &'static str> {
        // A parser would pass over them, and lead elsewhere than it seems.
        if text.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
            return Err(CHARACTERS);
        }
        let url = Url::parse(text).map_err(|error| fault(text, error))?;
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http => {}
            "http" => return Err(SECURE_SCHEME),
            _ => return Err(SCHEME),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(CREDENTIALS);
        }
        let blocked = match url.host() {
            None => return Err(HOST),
            Some(Host::Ipv4(address)) => is_blocked(address.into(), &self.allowed),
            Some(Host::Ipv6(address)) => is_blocked(address.into(), &self.allowed),
            Some(Host::Domain(name)) => is_local_name(name)?,
        };
        if blocked { Err(PRIVATE) } else { Ok(url) }
    }
}

/// What the parser's refusal is in the contract's words: of another scheme, the host does not matter.
fn fault(text: &str, error: ParseError) -> &'static str {
    let scheme = text.split(':').next().unwrap_or_default();
    let is_web = ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
    if is_web && error != ParseError::RelativeUrlWithoutBase { HOST } else { SCHEME }
}

/// Whether a name, which the parser has put into lower case, stands for this machine or its site.
fn is_local_name(name: &str) -> Result<bool, &'static str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty()
        || name.len() > 253
        || name.split('.').any(|label| label.is_empty() || label.len() > 63)
    {
        return Err(HOST);
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    Ok(!name.contains('.') || matches!(last, "localhost" | "local" | "internal"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) -> Result<(), &'static str> {
        Policy::default().url(text).map(drop)
    }

    #[test]
    fn urls_that_are_none() {
        for text in
            ["not-a-url", "", "ftp://x/", "file:///etc/passwd", "//a.example", "gopher://a.example/", "http"]
        {
            assert_eq!(check(text), Err(SCHEME), "{text}");
        }
        for text in [
            "http://",
            "https:///",
            "http://[::1",
            "http://a b.example",
            "http://1.2.3.4.5/",
            "http://..",
            "http://.",
            "https://a..example/",
            "http://999.1.1.1/",
            "http://a.example:99999/",
        ] {
            let refusal = check(text);
            assert!([Err(HOST), Err(CHARACTERS)].contains(&refusal), "{text}: {refusal:?}");
        }
        for text in ["https://u:p@a.example/", "https://u@a.example/", "https://:p@a.example/"] {
            assert_eq!(check(text), Err(CREDENTIALS), "{text}");
        }
        for text in [
            " https://a.example/",
            "https://a.example/x y",
            "https://a.ex\tample/",
            "https://a.example/\u{85}",
        ] {
            assert_eq!(check(text), Err(CHARACTERS), "{text:?}");
        }
    }

    #[test]
    fn this_machine_and_its_site_however_they_are_written() {
        for host in [
            "localhost",
            "LOCALHOST",
            "localhost.",
            "a.localhost",
            "printer.local",
            "db.internal",
            "db.internal.",
            "intranet",
            "127.0.0.1",
            "127.0.0.1.",
            "127.1",
            "0x7f.1",
            "0x7f000001",
            "2130706433",
            "017700000001",
            "0",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[::ffff:10.0.0.1]",
            "[::ffff:a00:1]",
            "[fe80::1]",
            "[fd00::1]",
            "[2002:7f00:1::]",
            "[64:ff9b::127.0.0.1]",
            "10.1.2.3",
            "10.258",
            "169.254.169.254",
            "192.168.0.1",
            "172.31.255.255",
            "224.0.0.1",
            "１２７.０.０.１",
            "ｌocalhost",
            "127。0。0。1",
            "%6cocalhost",
            "100.64.0.1",
            "198.18.0.1",
            "255.255.255.255",
        ] {
            for text in
                [format!("http://{host}/"), format!("https://{host}:8443/hook?x=1"), format!("http:{host}")]
            {
                assert_eq!(check(&text), Err(PRIVATE), "{text}");
            }
        }
        for text in [
            "https://10.example.com/hook",
            "http://a.example",
            "https://172.16.example/",
            "https://1.1.1.1/",
            "https://xn--bcher-kva.example/",
            "https://bücher.example:444/",
            "http://[2606:4700::1111]/",
            "https://localhost.example.com/",
            "https://my-internal.example/",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_the_operator_allows() {
        let policy = Policy { allow_http: false, allowed: "127.0.0.0/8".parse().unwrap() };
        assert_eq!(policy.url("http://a.example/"), Err(SECURE_SCHEME));
        assert!(policy.url("https://127.0.0.1:9000/").is_ok() && policy.url("https://0x7f.1/").is_ok());
        assert_eq!(policy.url("https://10.0.0.1/"), Err(PRIVATE));
        // A name is no address: who allows a network names its addresses.
        assert_eq!(policy.url("https://localhost/"), Err(PRIVATE));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC*") {
            let _ = check(&text);
            let _ = check(&format!("http://{text}"));
        }

        /// A blocked address is found in each of its spellings, an open one in none.
        #[test]
        fn the_spelling_of_an_address_does_not_matter(address: std::net::Ipv4Addr) {
            let [a, b, c, d] = address.octets();
            let bits = address.to_bits();
            let blocked = is_blocked(address.into(), &AllowedNetworks::default());
            for host in [
                address.to_string(), format!("{bits}"), format!("0x{bits:x}"), format!("0{bits:o}"),
                format!("{a:#x}.{b}.{}", u16::from(c) * 256 + u16::from(d)), format!("[::ffff:{address}]"),
            ] {
                prop_assert_eq!(check(&format!("https://{host}/")).is_err(), blocked, "{}", host);
            }
        }
    }
}
