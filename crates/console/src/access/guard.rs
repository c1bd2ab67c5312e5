//! The guard before every page, fragment and change.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Form,
    body::{self, Body},
    extract::{FromRequest, FromRequestParts, Request, State},
    http::{StatusCode, request::Parts},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use greenroom_operations::{
    AdminPrincipal, Failure, Principal,
    admins::{Actor, SignedInAdmin, Via},
    secret,
};
use greenroom_protocol::ErrorCode;
use greenroom_storage::{AdminRole, SecretHash};
use parking_lot::Mutex;
use serde::Deserialize;

use super::{cookies::Cookie, equal, origin, sign_in};
use crate::{Console, FORM_BYTES_MAX, pages::problem};

/// Sessions whose last use is remembered; beyond it the longest unused are forgotten, and end
/// with the session's own term only.
const LAST_USES_MAX: usize = 4_096;

/// Below it everybody changes what is its own.
const OWN_PATHS: &str = "/console/account/";

/// Who asks, known to every guarded handler.
#[derive(Clone)]
pub(crate) struct Visitor(Arc<Known>);

struct Known {
    admin: SignedInAdmin,
    token: String,
    address: Option<IpAddr>,
}

impl Visitor {
    pub(crate) fn admin(&self) -> &SignedInAdmin {
        &self.0.admin
    }

    /// The session's token, as the cookie has it.
    pub(crate) fn token(&self) -> &str {
        &self.0.token
    }

    pub(crate) fn may(&self, needed: AdminRole) -> bool {
        self.0.admin.role >= needed
    }

    /// Who asks, as operations know it.
    pub(crate) fn principal(&self) -> Principal {
        let SignedInAdmin { id, name, role, .. } = self.admin().clone();
        Principal::Admin(AdminPrincipal { id, name, role, via: Via::Console })
    }

    /// Who asks, as the audit log names it.
    pub(crate) fn actor(&self) -> Actor {
        Actor::admin(&self.0.admin.name, Via::Console, self.0.address)
    }

    fn must_have(&self, needed: AdminRole) -> Result<(), Failure> {
        if self.may(needed) {
            return Ok(());
        }
        let sentence = if self.may(AdminRole::Operator) {
            "This is for owners, so nothing was done. An owner can give you the role."
        } else {
            "You may look, but not change anything. An owner can give you the role of operator."
        };
        Err(Failure::new(ErrorCode::Forbidden, sentence))
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        // Missing only if a route was put outside the guard.
        parts.extensions.get::<Self>().cloned().ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// When each session was last used.
pub(crate) struct LastUses(pub(crate) Mutex<HashMap<SecretHash, Instant>>);

impl LastUses {
    /// Whether the session's last use is no longer ago than `idle_max`; if it `is_use`, now is one.
    /// A session that is not known here has been used before a restart, and counts as used now.
    fn note(&self, session: SecretHash, is_use: bool, idle_max: Duration, now: Instant) -> bool {
        let mut uses = self.0.lock();
        if uses.get(&session).is_some_and(|last| now.saturating_duration_since(*last) > idle_max) {
            return false;
        }
        if !is_use && uses.contains_key(&session) {
            return true;
        }
        if uses.len() >= LAST_USES_MAX
            && !uses.contains_key(&session)
            && let Some(oldest) = uses.iter().min_by_key(|(_, last)| **last).map(|(session, _)| *session)
        {
            uses.remove(&oldest);
        }
        uses.insert(session, now);
        true
    }
}

pub(crate) async fn guard(State(console): State<Console>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let is_stream = parts.uri.path().starts_with("/console/live/");
    let visitor = match console.visitor(&parts, !is_stream).await {
        Ok(visitor) => visitor,
        Err(failure) if failure.code() != ErrorCode::Unauthorized => return problem::page(&failure),
        // A redirect would be followed by a stream's client, and its page would not know why it ends.
        Err(_) if is_stream => return (StatusCode::UNAUTHORIZED, "Sign in to see this.").into_response(),
        Err(_) => return Redirect::to(&sign_in::path_to(&parts)).into_response(),
    };
    if parts.method.is_safe() {
        parts.extensions.insert(visitor);
        return next.run(Request::from_parts(parts, body)).await;
    }
    let body = match check_change(&parts, body, &visitor).await {
        Ok(body) => body,
        Err(failure) => {
            let admin = &visitor.admin().name;
            tracing::warn!(admin, path = parts.uri.path(), reason = %failure, "refused a change from the console");
            return problem::page(&failure);
        }
    };
    parts.extensions.insert(visitor);
    next.run(Request::from_parts(parts, body)).await
}

/// Around what only owners may do.
pub(crate) async fn owners(visitor: Visitor, request: Request, next: Next) -> Response {
    if let Err(failure) = visitor.must_have(AdminRole::Owner) {
        let admin = &visitor.admin().name;
        tracing::warn!(admin, path = request.uri().path(), reason = %failure, "refused a change from the console");
        return problem::page(&failure);
    }
    next.run(request).await
}

impl Console {
    /// Whose session the request carries. `is_use`: it counts as doing something.
    pub(crate) async fn visitor(&self, parts: &Parts, is_use: bool) -> Result<Visitor, Failure> {
        let signed_out = || Failure::new(ErrorCode::Unauthorized, "Sign in to see this.");
        let secure = self.0.settings.secure_cookies;
        let token = Cookie::Session.read(&parts.headers, secure).ok_or_else(signed_out)?;
        let admin = self.node().admins.session(token).await?;
        let idle_max = self.0.settings.session_idle_max;
        if !self.0.last_uses.note(secret::hash(token), is_use, idle_max, Instant::now()) {
            self.node().admins.sign_out(token).await?;
            tracing::info!(admin = admin.name, "a console session ended because it was not used");
            return Err(signed_out());
        }
        let address = self.0.settings.client_address.of(parts);
        Ok(Visitor(Arc::new(Known { admin, token: token.to_owned(), address })))
    }
}

async fn check_change(parts: &Parts, body: Body, visitor: &Visitor) -> Result<Body, Failure> {
    let forbidden = |sentence: &'static str| Failure::new(ErrorCode::Forbidden, sentence);
    if !origin::is_ours(&parts.headers) {
        return Err(forbidden("This was asked for by a page that is not ours, so nothing was done."));
    }
    let too_large = |_| Failure::new(ErrorCode::TooLarge, "This form is too large.");
    let bytes = body::to_bytes(body, FORM_BYTES_MAX).await.map_err(too_large)?;
    let copy = Request::from_parts(parts.clone(), Body::from(bytes.clone()));
    let token = Form::<Token>::from_request(copy, &()).await.map(|Form(form)| form.csrf).unwrap_or_default();
    if !equal(&token, &visitor.admin().csrf_token) {
        return Err(forbidden(
            "This form is no longer valid, so nothing was done. Go back, reload the page and try again.",
        ));
    }
    visitor.must_have(needed_for_change(parts.uri.path()))?;
    Ok(Body::from(bytes))
}

/// Everybody changes what is its own; anything else takes an operator at least.
fn needed_for_change(path: &str) -> AdminRole {
    let is_own = path == sign_in::SIGN_OUT_PATH || path.starts_with(OWN_PATHS);
    if is_own { AdminRole::Viewer } else { AdminRole::Operator }
}

#[derive(Default, Deserialize)]
struct Token {
    #[serde(default)]
    csrf: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_it_is_not_used() {
        let uses = LastUses(Mutex::default());
        let (start, idle) = (Instant::now(), Duration::from_mins(1));
        assert!(uses.note([1; 32], true, idle, start));
        assert!(uses.note([1; 32], true, idle, start + Duration::from_secs(50)));
        assert!(uses.note([1; 32], true, idle, start + Duration::from_secs(100)));
        assert!(uses.note([1; 32], false, idle, start + Duration::from_secs(150)), "looking is no use");
        assert!(!uses.note([1; 32], true, idle, start + Duration::from_secs(161)));
    }

    #[test]
    fn last_uses_are_bounded() {
        let uses = LastUses(Mutex::default());
        let start = Instant::now();
        for number in 0..2 * LAST_USES_MAX as u64 {
            let mut session = [0; 32];
            session[..8].copy_from_slice(&number.to_le_bytes());
            uses.note(session, true, Duration::from_mins(1), start + Duration::from_millis(number));
        }
        assert_eq!(uses.0.lock().len(), LAST_USES_MAX);
    }
}
