//! The addresses that no webhook may reach: whoever may name a URL would otherwise speak to the server's own network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Networks of one machine, one site, or nobody; multicast; what is kept for later.
const BLOCKED_V4: [Ipv4Net; 11] = [
    v4(0, 0, 0, 8),
    v4(10, 0, 0, 8),
    v4(100, 64, 0, 10),
    v4(127, 0, 0, 8),
    v4(169, 254, 0, 16),
    v4(172, 16, 0, 12),
    v4(192, 0, 0, 24),
    v4(192, 168, 0, 16),
    v4(198, 18, 0, 15),
    v4(224, 0, 0, 4),
    v4(240, 0, 0, 4),
];

/// As above. 64:ff9b:1::/48 is for translators of one site, which put the IPv4 address wherever they like.
const BLOCKED_V6: [Ipv6Net; 11] = [
    v6([0, 0, 0, 0, 0, 0, 0, 0], 128),
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48),
    // Of one site, as they once were; IPv4 addresses in other clothes; tunnels; nowhere.
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 96),
    v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32),
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64),
];

const fn v4(a: u8, b: u8, c: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

/// Whether no webhook may reach this address, unless the operator allows it. An address that leads to an IPv4 address is
/// judged by that as well.
pub fn is_blocked(address: IpAddr, allowed: &AllowedNetworks) -> bool {
    let address = address.to_canonical();
    let is_refused = |address| in_blocked_range(address) && !allowed.contain(address);
    is_refused(address) || embedded(address).is_some_and(|inner| is_refused(IpAddr::V4(inner)))
}

fn in_blocked_range(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => BLOCKED_V4.iter().any(|net| net.contains(&address)),
        IpAddr::V6(address) => BLOCKED_V6.iter().any(|net| net.contains(&address)),
    }
}

/// The IPv4 address that a 6to4 (2002::/16) or NAT64 (64:ff9b::/96) address is routed to.
fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    let of = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0x2002, high, low, ..] => Some(of(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(of(high, low)),
        _ => None,
    }
}

/// Private networks that the operator lets webhooks reach: a list of networks (`10.1.0.0/16`) and addresses, with commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedNetworks(Vec<IpNet>);

impl AllowedNetworks {
    fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }
}

/// What is neither a network nor an address.
#[derive(Debug, PartialEq, Eq)]
pub struct NotANetwork(String);

impl std::fmt::Display for NotANetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:?} is no network; write networks such as 10.1.0.0/16 or fd00::/8, with commas between",
            self.0
        )
    }
}

impl std::error::Error for NotANetwork {}

impl FromStr for AllowedNetworks {
    type Err = NotANetwork;

    fn from_str(list: &str) -> Result<Self, NotANetwork> {
        let named = list.split(',').map(str::trim).filter(|name| !name.is_empty());
        let parse = |name: &str| {
            let net = name.parse().or_else(|_| name.parse::<IpAddr>().map(IpNet::from));
            net.map_err(|_| NotANetwork(name.to_owned()))
        };
        named.map(parse).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blocked(address: &str, allowed: &str) -> bool {
        is_blocked(address.parse().unwrap(), &allowed.parse().unwrap())
    }

    #[test]
    fn each_range_is_blocked_from_its_first_address_to_its_last() {
        for [below, first, last, above] in [
            ["", "0.0.0.0", "0.255.255.255", "1.0.0.0"],
            ["9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"],
            ["100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"],
            ["126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"],
            ["169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"],
            ["172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"],
            ["191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"],
            ["192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"],
            ["198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"],
            ["223.255.255.255", "224.0.0.0", "255.255.255.255", ""],
            // The first of all, this machine, and what ends in an IPv4 address.
            ["", "::", "::ffff:ffff", "::1:0:0"],
            ["::fffe:ffff:ffff:ffff", "::ffff:0:0:0", "::ffff:0:ffff:ffff", "::ffff:1:0:0"],
            ["ff:ffff::1", "100::", "100::ffff:ffff", "100:0:0:1::"],
            ["2000:ffff::1", "2001::", "2001:0:ffff::", "2001:1::"],
            ["fbff::1", "fc00::", "fdff:ffff::", "fe00::"],
            ["fe7f::1", "fe80::", "ffff:ffff::", ""],
            ["64:ff9b:0:ffff::1", "64:ff9b:1::", "64:ff9b:1:ffff::", "64:ff9b:2::"],
        ] {
            for address in [first, last] {
                assert!(blocked(address, ""), "{address}");
            }
            for address in [below, above].into_iter().filter(|address| !address.is_empty()) {
                assert!(!blocked(address, ""), "{address}");
            }
        }
    }

    #[test]
    fn an_address_is_judged_by_where_it_leads() {
        for address in
            ["::ffff:10.0.0.1", "::ffff:7f00:1", "2002:a00:1::", "2002:7f00:1:5::9", "64:ff9b::a9fe:a9fe"]
        {
            assert!(blocked(address, ""), "{address}");
        }
        for address in ["::ffff:8.8.8.8", "2002:808:808::", "64:ff9b::8.8.8.8", "2a00:1450::1"] {
            assert!(!blocked(address, ""), "{address}");
        }
    }

    #[test]
    fn an_operator_may_allow_private_networks() {
        assert!(!blocked("127.0.0.1", "10.0.0.0/8, 127.0.0.1"));
        assert!(blocked("127.0.0.2", "10.0.0.0/8, 127.0.0.1"));
        assert!(!blocked("::ffff:10.1.2.3", "10.0.0.0/8") && !blocked("64:ff9b::10.1.2.3", "10.0.0.0/8"));
        assert!(!blocked("::1", "::1") && !blocked("fd00::5", "fd00::/8,"));
        assert!(blocked("169.254.169.254", "10.0.0.0/8"));
        for wrong in ["10.0.0.0/33", "ten", "10.0.0.1/8/9"] {
            let error = wrong.parse::<AllowedNetworks>().unwrap_err().to_string();
            assert!(error.contains(wrong) && error.contains("10.1.0.0/16"), "{error}");
        }
    }

    proptest! {
        /// However an IPv4 address is written as one of IPv6, it is judged alike.
        #[test]
        fn wrapping_an_address_changes_nothing(bits: u32, allows: bool) {
            let address = Ipv4Addr::from_bits(bits);
            let [high, low] = [(bits >> 16) as u16, bits as u16];
            let allowed = if allows { format!("{address}/12") } else { String::new() }.parse().unwrap();
            let plain = is_blocked(address.into(), &allowed);
            for wrapped in [
                address.to_ipv6_mapped(),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            ] {
                prop_assert_eq!(is_blocked(wrapped.into(), &allowed), plain, "{}", wrapped);
            }
            prop_assert!(!allows || !plain);
        }
    }
}
