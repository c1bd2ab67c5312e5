//! Signing in to the console, and the sessions that come of it.

use std::net::IpAddr;

use greenroom_protocol::{AdminId, AdminSessionId, ErrorCode};
use greenroom_storage::{Admin, AdminRole, AdminSession};
use uuid::Uuid;

use super::{Actor, Admins, Via};
use crate::{failure::Failure, secret};

/// Sessions of one administrator that are shown.
const SESSIONS_SHOWN_MAX: u32 = 100;

/// Longest name of a browser that is kept, in characters.
const USER_AGENT_CHARS_MAX: usize = 200;

/// Where somebody signs in from.
#[derive(Clone, Debug, Default)]
pub struct ConsoleClient {
    /// The address, as far as it is known.
    pub address: Option<IpAddr>,
    /// How the browser calls itself.
    pub user_agent: Option<String>,
}

/// An administrator whose session is good.
#[derive(Clone, Debug)]
pub struct SignedInAdmin {
    /// Who.
    pub id: AdminId,
    /// How this one is called.
    pub name: String,
    /// What this one may do.
    pub role: AdminRole,
    /// Whether it signs in with a password, which it then can change.
    pub has_password: bool,
    /// Which sign-in.
    pub session: AdminSessionId,
    /// What every change made from a page must carry.
    pub csrf_token: String,
}

/// A new session: both are for the browser alone.
pub struct NewConsoleSession {
    /// The cookie's value.
    pub token: String,
    /// Who signed in.
    pub admin: SignedInAdmin,
}

impl Admins {
    /// Signs in to the console with the admin token, or with a name and a password.
    pub async fn sign_in(
        &self,
        name: Option<&str>,
        password: &str,
        client: ConsoleClient,
    ) -> Result<NewConsoleSession, Failure> {
        let refused = || {
            Failure::new(ErrorCode::Unauthorized, "This is not right. Check what you typed and try again.")
        };
        let admin = match name.map(str::trim).filter(|name| !name.is_empty()) {
            None => {
                self.authenticate_token(password).map_err(|_| refused())?;
                self.root().await?
            }
            Some(name) => {
                let admin = self.storage.admins().find(name).await.map_err(Failure::storage)?;
                let hash = admin.as_ref().and_then(|admin| admin.password_hash.clone());
                // A name that is not there costs as much time as one that is.
                let good = self.passwords.verify(password.to_owned(), hash).await?;
                admin.filter(|_| good).ok_or_else(refused)?
            }
        };
        self.begin_session(admin, client).await
    }

    /// Whose session cookie this is.
    pub async fn session(&self, token: &str) -> Result<SignedInAdmin, Failure> {
        let refused = || Failure::new(ErrorCode::Unauthorized, "Sign in to see this.");
        let found = self.storage.admins().session(&secret::hash(token)).await.map_err(Failure::storage)?;
        let (session, admin) = found.ok_or_else(refused)?;
        if !session.is_live(self.clock.now()) {
            return Err(refused());
        }
        Ok(signed_in(admin, session.id, token))
    }

    /// Ends a session of the console.
    pub async fn sign_out(&self, token: &str) -> Result<(), Failure> {
        let now = self.clock.now();
        self.storage.admins().end_session(&secret::hash(token), now).await.map(drop).map_err(Failure::storage)
    }

    /// The sessions of an administrator that are good, newest first.
    pub async fn sessions(&self, id: &AdminId) -> Result<Vec<AdminSession>, Failure> {
        self.get(id).await?;
        let now = self.clock.now();
        self.storage.admins().sessions_of(id, now, SESSIONS_SHOWN_MAX).await.map_err(Failure::storage)
    }

    /// Ends a session of an administrator at once.
    pub async fn end_session(&self, id: &AdminId, session: &AdminSessionId) -> Result<(), Failure> {
        let now = self.clock.now();
        let ended = self.storage.admins().end_session_of(id, session, now).await.map_err(Failure::storage)?;
        if ended { Ok(()) } else { Err(Failure::new(ErrorCode::NotFound, "There is no such session.")) }
    }

    pub(super) async fn begin_session(
        &self,
        admin: Admin,
        client: ConsoleClient,
    ) -> Result<NewConsoleSession, Failure> {
        let token = secret::new_secret()?;
        let now = self.clock.now();
        let id = AdminSessionId::new(Uuid::now_v7().to_string()).map_err(Failure::internal)?;
        let user_agent = client.user_agent.map(|text| text.chars().take(USER_AGENT_CHARS_MAX).collect());
        let session = AdminSession {
            id: id.clone(),
            token_hash: secret::hash(&token),
            admin: admin.id.clone(),
            csrf_secret: secret::hash(&csrf_of(&token)),
            address: client.address.map(|address| address.to_string()),
            user_agent,
            created_at: now,
            expires_at: now.after(self.terms.session),
            ended_at: None,
        };
        self.storage.admins().create_session(&session).await.map_err(Failure::storage)?;
        let actor = Actor::admin(&admin.name, Via::Console, client.address);
        self.audit(&actor, "session.begin", id.as_str(), serde_json::Value::Null).await;
        let admin = signed_in(admin, id, &token);
        Ok(NewConsoleSession { token, admin })
    }
}

fn signed_in(admin: Admin, session: AdminSessionId, token: &str) -> SignedInAdmin {
    SignedInAdmin {
        id: admin.id,
        name: admin.name,
        role: admin.role,
        has_password: admin.password_hash.is_some(),
        session,
        csrf_token: csrf_of(token),
    }
}

/// The token that a page's forms carry: made of the session's, and good for nothing else.
fn csrf_of(session_token: &str) -> String {
    secret::hex(&secret::hash(&format!("csrf:{session_token}")))
}
