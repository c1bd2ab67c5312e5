//! The files of the browser client, compiled into the binary.
//!
//! The page is to be served at `/play/skirmish` and each file at `/play/skirmish/<file>`; the
//! page names them by these absolute paths, the modules name each other relatively. The page
//! talks to `/auth/anonymous`, `/_ws` and `/lobbies` of the same origin, and to
//! `ws://<address>:<port>/play` of the game server it is sent to. Nothing is inline and nothing
//! comes from elsewhere, so that [`CONTENT_SECURITY_POLICY`] holds.

/// A policy under which the client works. Game servers live on ports that are not known ahead,
/// hence the open `connect-src` for sockets.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self'; img-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// A file of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    pub content_type: &'static str,
    pub bytes: &'static [u8],
}

/// The file of a name below `/play/skirmish/`; the empty name is the page itself.
pub fn asset(path: &str) -> Option<Asset> {
    let name = if path.is_empty() { "index.html" } else { path };
    let (_, content_type, bytes) = *FILES.iter().find(|(known, ..)| *known == name)?;
    Some(Asset { content_type, bytes })
}

const PAGE: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const MODULE: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

macro_rules! file {
    ($name:literal, $kind:expr) => {
        ($name, $kind, include_bytes!(concat!("../client/", $name)))
    };
}

const FILES: [(&str, &str, &[u8]); 14] = [
    file!("index.html", PAGE),
    file!("style.css", STYLE),
    file!("icon.svg", PICTURE),
    file!("app.js", MODULE),
    file!("backend.js", MODULE),
    file!("controls.js", MODULE),
    file!("draw.js", MODULE),
    file!("hud.js", MODULE),
    file!("lobby.js", MODULE),
    file!("match.js", MODULE),
    file!("predict.js", MODULE),
    file!("sound.js", MODULE),
    file!("ui.js", MODULE),
    file!("wire.js", MODULE),
];

#[cfg(test)]
mod tests;
