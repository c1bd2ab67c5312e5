//! Pages that are linked into the binary.

use std::sync::Arc;

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};

/// Nothing but our own files, and sockets to wherever a game server is.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; \
    style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; frame-ancestors 'self'";

/// A file of a page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// What it is.
    pub content_type: &'static str,
    /// What is in it.
    pub bytes: &'static [u8],
}

/// The files that `lookup` knows, below `prefix`, which begins with a slash and ends without one.
/// The empty name is the page itself. Browsers ask each time whether a file is still the same.
pub fn static_pages(prefix: &str, lookup: impl Fn(&str) -> Option<Page> + Send + Sync + 'static) -> Router {
    let lookup = Arc::new(lookup);
    let index = Arc::clone(&lookup);
    let with_slash = format!("{prefix}/");
    let to_page = with_slash.clone();
    Router::new()
        // The page's own links are relative, so that it must be at the slash.
        .route(prefix, get(move || async move { Redirect::permanent(&to_page) }))
        .route(&with_slash, get(move |headers: HeaderMap| async move { file(index("").as_ref(), &headers) }))
        .route(
            &format!("{prefix}/{{*file}}"),
            get(move |Path(name): Path<String>, headers: HeaderMap| async move {
                file(lookup(&name).as_ref(), &headers)
            }),
        )
}

fn file(page: Option<&Page>, asked: &HeaderMap) -> Response {
    let Some(page) = page else { return StatusCode::NOT_FOUND.into_response() };
    let tag = etag(page.bytes);
    let is_known = asked
        .get(header::IF_NONE_MATCH)
        .and_then(|tags| tags.to_str().ok())
        .is_some_and(|tags| tags.split(',').any(|known| known.trim().trim_start_matches("W/") == tag));
    let mut response =
        if is_known { StatusCode::NOT_MODIFIED.into_response() } else { page.bytes.into_response() };
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_TYPE, page.content_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// Made of the contents (FNV-1a): it changes when they do, and with nothing else.
fn etag(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("\"{hash:016x}-{}\"", bytes.len())
}
