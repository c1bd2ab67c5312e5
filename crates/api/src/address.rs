//! Who is at the other end: the address that connects, or the one that a trusted proxy names.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::ConnectInfo,
    http::{HeaderMap, request::Parts},
};

use crate::settings::{ProxyHeader, TrustedProxies};

const FORWARDED_FOR: &str = "x-forwarded-for";
const REAL_IP: &str = "x-real-ip";

impl TrustedProxies {
    /// Whether the word of who connects from `peer` is taken.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(peer))
    }

    /// The client's address, as far as the connection or a trusted proxy tells it.
    pub fn client(&self, parts: &Parts) -> Option<IpAddr> {
        let ConnectInfo(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
        Some(client_address(peer.ip(), &parts.headers, self))
    }
}

/// The client's address. A header is believed only as far as trusted proxies vouch for it: from the
/// one that connects backwards, at most `hops_max` steps.
pub(crate) fn client_address(peer: IpAddr, headers: &HeaderMap, proxies: &TrustedProxies) -> IpAddr {
    let trusted = |address: IpAddr| proxies.trusts(address);
    let mut address = peer.to_canonical();
    if !trusted(address) {
        return address;
    }
    if proxies.header == ProxyHeader::RealIp {
        // Of several, all but one were written by somebody else: then none is believed.
        let mut named = headers.get_all(REAL_IP).iter();
        let (first, second) = (named.next(), named.next());
        let named = first.filter(|_| second.is_none()).and_then(|value| value.to_str().ok());
        let named = named.and_then(|text| text.trim().parse::<IpAddr>().ok());
        return named.map_or(address, |named| named.to_canonical());
    }
    let values: Vec<&str> =
        headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    let named = values.iter().rev().flat_map(|value| value.rsplit(','));
    for text in named.take(proxies.hops_max.max(1) as usize) {
        let Ok(next) = text.trim().parse::<IpAddr>() else { break };
        address = next.to_canonical();
        if !trusted(address) {
            break;
        }
    }
    address
}

/// What counts as one client: who has one IPv6 address has its /64 network.
pub(crate) fn limited_as(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;

    fn proxies(hops_max: u32) -> TrustedProxies {
        let networks = ["10.0.0.0/8", "192.0.2.7"].map(|text| text.parse().unwrap());
        TrustedProxies { networks: networks.into(), header: ProxyHeader::ForwardedFor, hops_max }
    }

    fn seen(peer: &str, forwarded: &[&str], hops_max: u32) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        client_address(peer.parse().unwrap(), &headers, &proxies(hops_max)).to_string()
    }

    #[test]
    fn a_stranger_cannot_say_who_it_is() {
        assert_eq!(seen("198.51.100.1", &["1.2.3.4"], 3), "198.51.100.1");
        assert_eq!(seen("192.0.2.8", &["1.2.3.4"], 3), "192.0.2.8");
    }

    #[test]
    fn a_proxy_names_the_client_and_what_the_client_forged_is_left_out() {
        assert_eq!(seen("10.1.1.1", &["6.6.6.6, 1.2.3.4"], 1), "1.2.3.4");
        assert_eq!(seen("::ffff:10.1.1.1", &["6.6.6.6", "1.2.3.4"], 5), "1.2.3.4");
    }

    #[test]
    fn hops_are_counted() {
        assert_eq!(seen("10.1.1.1", &["1.2.3.4, 192.0.2.7"], 1), "192.0.2.7");
        assert_eq!(seen("10.1.1.1", &["1.2.3.4, 192.0.2.7"], 2), "1.2.3.4");
        assert_eq!(seen("10.1.1.1", &["10.9.9.9, 10.8.8.8"], 9), "10.9.9.9");
    }

    #[test]
    fn a_header_that_is_no_address_is_not_believed() {
        assert_eq!(seen("10.1.1.1", &["nonsense"], 1), "10.1.1.1");
        assert_eq!(seen("10.1.1.1", &[], 1), "10.1.1.1");
    }

    #[test]
    fn the_real_ip_is_believed_of_a_trusted_proxy_and_only_where_it_is_chosen() {
        let seen = |peer: &str, header: ProxyHeader, names: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in names {
                headers.append(*name, value.parse().unwrap());
            }
            let proxies = TrustedProxies { header, ..proxies(1) };
            client_address(peer.parse().unwrap(), &headers, &proxies).to_string()
        };
        let both = [(REAL_IP, "1.2.3.4"), (FORWARDED_FOR, "5.6.7.8")];
        assert_eq!(seen("10.1.1.1", ProxyHeader::RealIp, &both), "1.2.3.4");
        assert_eq!(seen("10.1.1.1", ProxyHeader::ForwardedFor, &both), "5.6.7.8");
        assert_eq!(seen("198.51.100.1", ProxyHeader::RealIp, &both), "198.51.100.1");
        for forged in ["nonsense", "", "1.2.3.4, 5.6.7.8"] {
            assert_eq!(seen("10.1.1.1", ProxyHeader::RealIp, &[(REAL_IP, forged)]), "10.1.1.1", "{forged}");
        }
        let twice = [(REAL_IP, "6.6.6.6"), (REAL_IP, "1.2.3.4")];
        assert_eq!(seen("10.1.1.1", ProxyHeader::RealIp, &twice), "10.1.1.1");
        assert_eq!(seen("10.1.1.1", ProxyHeader::RealIp, &[]), "10.1.1.1");
    }

    #[test]
    fn one_v6_network_is_one_client() {
        let one = limited_as("2001:db8:1:2:3:4:5:6".parse().unwrap());
        assert_eq!(one, limited_as("2001:db8:1:2::1".parse().unwrap()));
        assert_ne!(one, limited_as("2001:db8:1:3::1".parse().unwrap()));
    }

    #[test]
    fn networks_are_checked() {
        assert!("10.0.0.0/33".parse::<Network>().is_err());
        assert!("ten".parse::<Network>().is_err());
        assert!("::/0".parse::<Network>().unwrap().contains("2001:db8::1".parse().unwrap()));
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("8.8.8.8".parse().unwrap()));
    }
}
