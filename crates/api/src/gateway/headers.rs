//! What a request tells the game server beyond itself, and what an answer must not tell the browser.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers that are of one connection alone (RFC 9110, 7.6.1), beside those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What a game server's answer may not say, because it would be said for the whole origin, which
/// the console and the other games share.
const OF_THE_ORIGIN: [HeaderName; 8] = [
    header::SET_COOKIE,
    header::STRICT_TRANSPORT_SECURITY,
    header::ALT_SVC,
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("service-worker-allowed"),
    HeaderName::from_static("report-to"),
    HeaderName::from_static("reporting-endpoints"),
    HeaderName::from_static("nel"),
];

/// A page of a game server runs in an origin of its own, from which neither the console nor another
/// game can be reached with what the browser keeps for them.
const SANDBOX: HeaderValue = HeaderValue::from_static(
    "sandbox allow-downloads allow-forms allow-modals allow-orientation-lock allow-pointer-lock allow-popups allow-scripts",
);

const FORWARDED_PREFIX: &str = "x-forwarded-";
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PATH: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The only protocol that is switched to.
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

const UPGRADE: HeaderValue = HeaderValue::from_static("Upgrade");

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    /// Who connected to us.
    pub(crate) peer: IpAddr,
    /// Who asks, as far as trusted proxies tell it.
    pub(crate) client: IpAddr,
    /// Whether who connected is such a proxy.
    pub(crate) peer_is_trusted: bool,
    /// `http` or `https`.
    pub(crate) scheme: &'a str,
    /// The path that is not passed on, such as `/games/<slug>/<code>`.
    pub(crate) prefix: &'a str,
}

/// Whether the request asks for a WebSocket.
pub(crate) fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let has = |name: HeaderName, wanted: &str| {
        let texts = headers.get_all(name);
        let mut words = texts.iter().filter_map(|text| text.to_str().ok()).flat_map(|text| text.split(','));
        words.any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    has(header::CONNECTION, "upgrade") && has(header::UPGRADE, "websocket")
}

/// Makes the headers of a request those of ours to the game server.
pub(crate) fn toward_server(headers: &mut HeaderMap, origin: &Origin<'_>) {
    let is_upgrade = asks_for_websocket(headers);
    let forwarded_for = origin.peer_is_trusted.then(|| joined(headers, &FORWARDED_FOR)).flatten();
    let told = |name: &HeaderName| headers.get(name).filter(|_| origin.peer_is_trusted).cloned();
    let (host, scheme) = (told(&FORWARDED_HOST), told(&FORWARDED_PROTO));
    drop_hop_by_hop(headers);
    // The body is asked for by us, once the server takes it.
    headers.remove(header::EXPECT);
    // What the browser keeps for this origin is no game server's business.
    headers.remove(header::COOKIE);
    headers.remove(header::FORWARDED);
    let forged: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with(FORWARDED_PREFIX)).cloned().collect();
    for name in forged {
        headers.remove(name);
    }
    let chain =
        forwarded_for.map_or_else(|| origin.peer.to_string(), |chain| format!("{chain}, {}", origin.peer));
    insert(headers, FORWARDED_FOR, &chain);
    insert(headers, REAL_IP, &origin.client.to_string());
    insert(headers, FORWARDED_PATH, origin.prefix);
    let scheme = scheme.unwrap_or_else(|| text(origin.scheme));
    headers.insert(FORWARDED_PROTO, scheme);
    if let Some(host) = host.or_else(|| headers.get(header::HOST).cloned()) {
        headers.insert(FORWARDED_HOST, host);
    }
    if is_upgrade {
        switch_protocol(headers);
    }
}

/// Makes the headers of the server's answer those of ours to the client.
pub(crate) fn toward_client(headers: &mut HeaderMap) {
    drop_hop_by_hop(headers);
    for name in &OF_THE_ORIGIN {
        headers.remove(name);
    }
}

/// Has the browser show it in an origin of its own.
pub(crate) fn sandbox(headers: &mut HeaderMap) {
    headers.append(header::CONTENT_SECURITY_POLICY, SANDBOX);
}

/// Says that from here on it is WebSocket frames.
pub(crate) fn switch_protocol(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, UPGRADE);
    headers.insert(header::UPGRADE, WEBSOCKET);
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|names| names.to_str().ok())
        .flat_map(|names| names.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let texts: Vec<&str> = headers.get_all(name).iter().filter_map(|text| text.to_str().ok()).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    headers.insert(name, text(value));
}

/// Addresses and paths of requests are always good in a header.
fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn passed(pairs: &[(&'static str, &'static str)], peer_is_trusted: bool) -> HeaderMap {
        let mut headers = headers(pairs);
        let origin = Origin {
            peer: "198.51.100.1".parse().unwrap(),
            client: if peer_is_trusted { "203.0.113.9" } else { "198.51.100.1" }.parse().unwrap(),
            peer_is_trusted,
            scheme: "https",
            prefix: "/games/race/AB3D",
        };
        toward_server(&mut headers, &origin);
        headers
    }

    const FORGED: &[(&str, &str)] = &[
        ("host", "play.test"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "elsewhere.test"),
        ("x-forwarded-port", "1"),
        ("forwarded", "for=203.0.113.9"),
        ("x-real-ip", "203.0.113.9"),
    ];

    #[test]
    fn who_is_no_proxy_cannot_say_who_it_is() {
        let headers = passed(FORGED, false);
        assert_eq!(headers["x-forwarded-for"], "198.51.100.1");
        assert_eq!(headers["x-real-ip"], "198.51.100.1");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "play.test");
        assert_eq!(headers["x-forwarded-prefix"], "/games/race/AB3D");
        assert_eq!(headers["host"], "play.test");
        assert!(!headers.contains_key("x-forwarded-port") && !headers.contains_key("forwarded"));
    }

    #[test]
    fn a_trusted_proxy_is_believed() {
        let headers = passed(FORGED, true);
        assert_eq!(headers["x-forwarded-for"], "203.0.113.9, 198.51.100.1");
        assert_eq!(headers["x-real-ip"], "203.0.113.9");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "elsewhere.test");
        assert!(!headers.contains_key("x-forwarded-port"));
    }

    #[test]
    fn what_is_of_one_connection_stays_there() {
        let headers = passed(
            &[
                ("connection", "keep-alive, X-Secret"),
                ("keep-alive", "5"),
                ("x-secret", "1"),
                ("te", "trailers"),
                ("transfer-encoding", "chunked"),
                ("upgrade", "h2c"),
                ("expect", "100-continue"),
                ("cookie", "session=1"),
                ("x-kept", "1"),
            ],
            false,
        );
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["x-forwarded-for", "x-forwarded-prefix", "x-forwarded-proto", "x-kept", "x-real-ip"]
        );
    }

    #[test]
    fn a_websocket_is_the_only_switch() {
        let asked: &[(&str, &str)] =
            &[("connection", "keep-alive, upgrade"), ("upgrade", "WebSocket"), ("sec-websocket-key", "k")];
        let headers = passed(asked, false);
        assert_eq!((&headers["connection"], &headers["upgrade"]), (&UPGRADE, &WEBSOCKET));
        assert_eq!(headers["sec-websocket-key"], "k");
        let pairs: &[(&str, &str)] = &[("connection", "upgrade"), ("upgrade", "h2c")];
        assert!(!passed(pairs, false).contains_key("upgrade"));
    }

    #[test]
    fn an_answer_speaks_for_itself_alone() {
        let mut headers = headers(&[
            ("set-cookie", "greenroom=1"),
            ("set-cookie", "b=2"),
            ("clear-site-data", "\"*\""),
            ("content-security-policy", "default-src 'self'"),
            ("connection", "close"),
            ("etag", "\"1\""),
        ]);
        toward_client(&mut headers);
        sandbox(&mut headers);
        assert_eq!(headers.keys_len(), 2);
        let policies: Vec<_> = headers.get_all("content-security-policy").iter().collect();
        assert_eq!(policies.len(), 2);
        assert!(policies[1].to_str().unwrap().starts_with("sandbox "));
        assert!(!policies[1].to_str().unwrap().contains("allow-same-origin"));
    }
}
