//! Whether a change was asked for by a page of ours.

use axum::http::{HeaderMap, header};

/// Whether the browser says that the request comes from this origin, or says nothing. A program
/// that is no browser says nothing; it cannot be misled by another site, and needs the form's token
/// all the same.
pub(crate) fn is_ours(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    // Browsers leave `Sec-Fetch-Site` out over plain HTTP. `Origin` is `null` where they hide it.
    let Some(origin) = text(header::ORIGIN.as_str()) else { return true };
    let host = origin.split_once("://").map(|(_, host)| host);
    host.is_some() && host == text(header::HOST.as_str())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn our_own_pages_are_told_from_others() {
        assert!(is_ours(&headers(&[("sec-fetch-site", "same-origin")])));
        for site in ["same-site", "cross-site", "none"] {
            assert!(!is_ours(&headers(&[("sec-fetch-site", site)])), "{site}");
        }
        assert!(is_ours(&headers(&[("origin", "http://a.test:4700"), ("host", "a.test:4700")])));
        assert!(!is_ours(&headers(&[("origin", "http://b.test:4700"), ("host", "a.test:4700")])));
        assert!(!is_ours(&headers(&[("origin", "http://a.test"), ("host", "a.test:4700")])));
        assert!(!is_ours(&headers(&[("origin", "null"), ("host", "a.test:4700")])));
        assert!(!is_ours(&headers(&[("origin", "http://a.test")])));
        assert!(is_ours(&headers(&[])));
    }
}
