//! The style and the scripts, built into the program.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Every file: its name, its type, its content.
const FILES: [(&str, &str, &str); 7] = [
    ("console.css", CSS, include_str!("assets/console.css")),
    ("console.js", JAVASCRIPT, include_str!("assets/console.js")),
    ("live.js", JAVASCRIPT, include_str!("assets/live.js")),
    ("log.js", JAVASCRIPT, include_str!("assets/log.js")),
    ("morph.js", JAVASCRIPT, include_str!("assets/morph.js")),
    ("times.js", JAVASCRIPT, include_str!("assets/times.js")),
    ("icon.svg", SVG, include_str!("assets/icon.svg")),
];

/// A name for all files as they are in this build: it is part of their paths, so that browsers keep
/// them for good and a new build is a new path. Scripts name each other relative to it.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    // FNV-1a: a name, not a proof.
    let bytes = FILES.iter().flat_map(|(_, _, content)| content.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
});

/// Where a page finds `file`.
pub(crate) fn path(file: &str) -> String {
    format!("/console/assets/{}/{file}", *VERSION)
}

pub(crate) async fn serve(Path((version, file)): Path<(String, String)>) -> Response {
    let Some((_, kind, content)) = FILES.iter().find(|(name, _, _)| *name == file) else {
        return (StatusCode::NOT_FOUND, "There is no such file.").into_response();
    };
    // A page of another build may still ask by the old path: it gets what there is, but not for good.
    let keep = if version == *VERSION { "public, max-age=31536000, immutable" } else { "no-cache" };
    ([(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, keep)], *content).into_response()
}
