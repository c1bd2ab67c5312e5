//! The console's cookies: the session, the sign-in form's proof, and what is said after a change.

use axum::http::{HeaderMap, HeaderValue, header};

/// A cookie of ours.
#[derive(Clone, Copy)]
pub(crate) enum Cookie {
    /// The session's token.
    Session,
    /// What the sign-in form must carry as well: there is no session yet that could vouch for it.
    Form,
    /// Which notice the next page shows.
    Notice,
}

impl Cookie {
    /// `__Host-` binds a cookie to this host and to HTTPS; browsers refuse the name without either.
    fn name(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Self::Session, false) => "greenroom_console",
            (Self::Session, true) => "__Host-greenroom_console",
            (Self::Form, false) => "greenroom_console_form",
            (Self::Form, true) => "__Host-greenroom_console_form",
            (Self::Notice, false) => "greenroom_console_notice",
            (Self::Notice, true) => "__Host-greenroom_console_notice",
        }
    }

    /// Its value in a request.
    pub(crate) fn read(self, headers: &HeaderMap, secure: bool) -> Option<&str> {
        let name = self.name(secure);
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(found, value)| *found == name && !value.is_empty()).map(|(_, value)| value)
    }

    /// The header that sets it; our values are of `[A-Za-z0-9_-]`. It goes with the browser.
    pub(crate) fn set(self, value: &str, secure: bool) -> HeaderValue {
        self.write(value, "", secure)
    }

    /// The header that removes it.
    pub(crate) fn clear(self, secure: bool) -> HeaderValue {
        self.write("", "; Max-Age=0", secure)
    }

    fn write(self, value: &str, age: &str, secure: bool) -> HeaderValue {
        let name = self.name(secure);
        let place = if secure { "Path=/; Secure" } else { "Path=/console" };
        let text = format!("{name}={value}; {place}; HttpOnly; SameSite=Strict{age}");
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }
}
