//! The address of a client, also behind proxies.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// Whose word is taken for whom they call for, unless an operator says otherwise: this machine and private networks.
pub(crate) fn private_networks() -> Vec<IpNet> {
    let known = ["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"];
    known.iter().filter_map(|network| network.parse().ok()).collect()
}

/// Whom an address stands for: of IPv6, a customer has a whole network.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

/// The client's address: the other end of the connection, unless that is a proxy that is trusted. Then it is the nearest one that
/// the headers name and that is not trusted; what stands before it may be the client's own invention.
pub(crate) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut client = peer.to_canonical();
    let mut way = way(headers);
    while is_trusted(client, trusted) {
        // Whoever is not to be read may be anybody: as far as is known it is who named it.
        let Some(Some(further)) = way.pop() else { return client };
        client = further.to_canonical();
    }
    client
}

pub(super) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

/// Whom the request came by, the nearest last, by the first of these headers that is there. None is what is no address.
fn way(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let listed = |name: &str| -> Vec<&str> {
        let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
        values.flat_map(|value| value.split(',')).collect()
    };
    for (name, read) in [
        ("x-forwarded-for", address as fn(&str) -> Option<IpAddr>),
        ("forwarded", forwarded_for),
        ("x-real-ip", address),
    ] {
        let listed = listed(name);
        if !listed.is_empty() {
            return listed.into_iter().map(read).collect();
        }
    }
    Vec::new()
}

/// An address with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip()))
}

/// The address of one `for=…;by=…`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("for") { address(value) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;
    use proptest::prelude::*;

    use super::*;

    fn client(peer: &str, sent: &[(&str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        client_address(peer.parse().unwrap(), &headers, &private_networks()).to_string()
    }

    #[test]
    fn only_proxies_that_are_trusted_are_believed() {
        let claims = [("x-forwarded-for", "203.0.113.7")];
        assert_eq!(client("198.51.100.1", &claims), "198.51.100.1");
        assert_eq!(client("2001:db8::1", &claims), "2001:db8::1");
        for proxy in ["127.0.0.1", "10.1.2.3", "::1", "::ffff:172.16.0.9", "fd00::1"] {
            assert_eq!(client(proxy, &claims), "203.0.113.7", "{proxy}");
        }
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
    }

    #[test]
    fn what_a_client_invents_stands_before_what_proxies_add() {
        let way = "192.0.2.66, 203.0.113.7, 10.0.0.2";
        assert_eq!(client("127.0.0.1", &[("x-forwarded-for", way)]), "203.0.113.7");
        let twice = [("x-forwarded-for", "192.0.2.66"), ("x-forwarded-for", "203.0.113.7")];
        assert_eq!(client("127.0.0.1", &twice), "203.0.113.7");
        // It does not get away with nonsense, nor with a header that is looked at after the one that its proxy writes.
        assert_eq!(
            client("127.0.0.1", &[("x-forwarded-for", "203.0.113.7, nonsense, 10.0.0.2")]),
            "10.0.0.2"
        );
        let both = [("forwarded", "for=192.0.2.66"), ("x-forwarded-for", "203.0.113.7")];
        assert_eq!(client("127.0.0.1", &both), "203.0.113.7");
    }

    #[test]
    fn all_forms_are_read() {
        for (name, value) in [
            ("x-forwarded-for", "203.0.113.7:4711"),
            ("x-forwarded-for", "::ffff:203.0.113.7"),
            ("forwarded", "for=203.0.113.7;proto=https"),
            ("forwarded", "proto=https;For=\"203.0.113.7:80\", for=10.0.0.1"),
            ("x-real-ip", "203.0.113.7"),
        ] {
            assert_eq!(client("127.0.0.1", &[(name, value)]), "203.0.113.7", "{value}");
        }
        assert_eq!(client("::1", &[("forwarded", "for=\"[2001:db8::1]:80\"")]), "2001:db8::1");
        assert_eq!(network_of("2001:db8:1:2:3::1".parse().unwrap()).to_string(), "2001:db8:1:2::");
    }

    proptest! {
        #[test]
        fn nothing_panics(value in "[ -~]*") {
            client("127.0.0.1", &[("x-forwarded-for", &value)]);
            client("127.0.0.1", &[("forwarded", &value)]);
        }
    }
}
