//! The page around the content: navigation, place, notices, and what every handler needs to draw it.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{Html, IntoResponse, Redirect, Response},
};
use greenroom_operations::Node;
use greenroom_protocol::Timestamp;
use greenroom_storage::AdminRole;
use maud::{DOCTYPE, Markup, html};

use crate::{
    Console,
    access::{CSRF_FIELD, Visitor, cookies::Cookie, sign_in},
    assets,
    parts::Times,
};

/// The sections of the console.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Overview,
    Servers,
    Browser,
    Hosts,
    Builds,
    Lobbies,
    Players,
    Mail,
    Backups,
    Games,
    Events,
    Keys,
    Admins,
    Audit,
    System,
    Account,
}

impl Section {
    /// Those of the navigation; one's own account stands beside one's name.
    const ALL: [Self; 15] = [
        Self::Overview,
        Self::Servers,
        Self::Browser,
        Self::Builds,
        Self::Hosts,
        Self::Lobbies,
        Self::Players,
        Self::Mail,
        Self::Backups,
        Self::Games,
        Self::Events,
        Self::Keys,
        Self::Admins,
        Self::Audit,
        Self::System,
    ];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Servers => "Game servers",
            Self::Browser => "Server browser",
            Self::Hosts => "Hosts",
            Self::Builds => "Builds",
            Self::Lobbies => "Lobbies",
            Self::Players => "Players",
            Self::Mail => "Mail",
            Self::Backups => "Backups",
            Self::Games => "Games",
            Self::Events => "Events",
            Self::Keys => "API keys",
            Self::Admins => "Administrators",
            Self::Audit => "Audit log",
            Self::System => "System",
            Self::Account => "Your account",
        }
    }

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Overview => "/console",
            Self::Servers => "/console/servers",
            Self::Browser => "/console/browser",
            Self::Hosts => "/console/hosts",
            Self::Builds => "/console/builds",
            Self::Lobbies => "/console/lobbies",
            Self::Players => "/console/players",
            Self::Mail => "/console/mail",
            Self::Backups => "/console/backups",
            Self::Games => "/console/games",
            Self::Events => "/console/events",
            Self::Keys => "/console/keys",
            Self::Admins => "/console/admins",
            Self::Audit => "/console/audit",
            Self::System => "/console/system",
            Self::Account => "/console/account",
        }
    }
}

/// What the next page says of the change that led to it. Told by a word in a cookie, so that no
/// link can make a page say something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    ServerStarting,
    BuildPulled,
    BuildsRefreshed,
    ServerStopping,
    LobbyClosed,
    PlayerBanned,
    PlayerUnbanned,
    BackupBegun,
    PlayerDeleted,
    KeyRevoked,
    AdminRole,
    AdminRemoved,
    InviteWithdrawn,
    SessionEnded,
    TokenRevoked,
    PasswordChanged,
    SignedOut,
}

impl Notice {
    const ALL: [Self; 17] = [
        Self::ServerStarting,
        Self::BuildPulled,
        Self::BuildsRefreshed,
        Self::ServerStopping,
        Self::LobbyClosed,
        Self::PlayerBanned,
        Self::PlayerUnbanned,
        Self::BackupBegun,
        Self::PlayerDeleted,
        Self::KeyRevoked,
        Self::AdminRole,
        Self::AdminRemoved,
        Self::InviteWithdrawn,
        Self::SessionEnded,
        Self::TokenRevoked,
        Self::PasswordChanged,
        Self::SignedOut,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::ServerStarting => "server-starting",
            Self::BuildPulled => "build-pulled",
            Self::BuildsRefreshed => "builds-refreshed",
            Self::ServerStopping => "server-stopping",
            Self::LobbyClosed => "lobby-closed",
            Self::PlayerBanned => "player-banned",
            Self::PlayerUnbanned => "player-unbanned",
            Self::BackupBegun => "backup-begun",
            Self::PlayerDeleted => "player-deleted",
            Self::KeyRevoked => "key-revoked",
            Self::AdminRole => "admin-role",
            Self::AdminRemoved => "admin-removed",
            Self::InviteWithdrawn => "invite-withdrawn",
            Self::SessionEnded => "session-ended",
            Self::TokenRevoked => "token-revoked",
            Self::PasswordChanged => "password-changed",
            Self::SignedOut => "signed-out",
        }
    }

    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::ServerStarting => "The game server was asked for. This page shows how it fares.",
            Self::BuildPulled => "The version is pulled to the hosts that do not have it yet.",
            Self::BuildsRefreshed => "The versions were looked up again.",
            Self::ServerStopping => "The game server was told to stop.",
            Self::LobbyClosed => "The lobby is closed. Its members have been told.",
            Self::PlayerBanned => "The player is banned and signed out everywhere.",
            Self::PlayerDeleted => "The player is deleted, and signed out everywhere.",
            Self::PlayerUnbanned => "The ban is lifted. The player may sign in again.",
            Self::BackupBegun => "The backup has begun. Reload this page to see how far it is.",
            Self::KeyRevoked => "The API key is revoked. What presents it is refused from now on.",
            Self::AdminRole => "The role is changed. It holds at once.",
            Self::AdminRemoved => "The administrator is removed and signed out everywhere.",
            Self::InviteWithdrawn => "The invitation is withdrawn. Its link is worth nothing any more.",
            Self::SessionEnded => "The session has ended.",
            Self::TokenRevoked => "The token is revoked. What presents it is refused from now on.",
            Self::PasswordChanged => {
                "Your password is changed, and you are signed out everywhere. Sign in with the new one."
            }
            Self::SignedOut => "You are signed out.",
        }
    }

    pub(crate) fn read(headers: &HeaderMap, secure: bool) -> Option<Self> {
        let word = Cookie::Notice.read(headers, secure)?;
        Self::ALL.into_iter().find(|notice| notice.word() == word)
    }

    pub(crate) fn set(self, secure: bool) -> HeaderValue {
        Cookie::Notice.set(self.word(), secure)
    }
}

/// What a handler draws its page with.
pub(crate) struct View {
    pub(crate) console: Console,
    pub(crate) visitor: Visitor,
    pub(crate) now: Timestamp,
    /// Where this installation is, as the browser calls it, such as `http://127.0.0.1:4700`.
    pub(crate) base_url: String,
    notice: Option<Notice>,
}

impl FromRequestParts<Console> for View {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, StatusCode> {
        let visitor = Visitor::from_request_parts(parts, console).await?;
        let secure = console.0.settings.secure_cookies;
        Ok(Self {
            visitor,
            now: console.node().clock.now(),
            base_url: base_url(&parts.headers, secure),
            notice: Notice::read(&parts.headers, secure),
            console: console.clone(),
        })
    }
}

impl View {
    pub(crate) fn node(&self) -> &Node {
        self.console.node()
    }

    /// Times as they stand in a page: said relative to now.
    pub(crate) fn times(&self) -> Times {
        Times::relative(self.now)
    }

    pub(crate) fn may_change(&self) -> bool {
        self.visitor.may(AdminRole::Operator)
    }

    pub(crate) fn is_owner(&self) -> bool {
        self.visitor.may(AdminRole::Owner)
    }

    /// Writes down what the visitor has changed.
    pub(crate) async fn audit(&self, action: &'static str, subject: &str, detail: serde_json::Value) {
        tracing::info!(admin = self.visitor.admin().name, action, subject, "changed from the console");
        self.node().admins.audit(&self.visitor.actor(), action, subject, detail).await;
    }

    /// A page of `section`. `trail` leads from the section to what the page is about.
    pub(crate) fn page(&self, section: Section, trail: &[&str], content: &Markup) -> Response {
        self.page_with(StatusCode::OK, section, trail, None, content)
    }

    /// The same with a problem above the content.
    pub(crate) fn page_with(
        &self,
        status: StatusCode,
        section: Section,
        trail: &[&str],
        problem: Option<&str>,
        content: &Markup,
    ) -> Response {
        let title = trail.last().copied().unwrap_or(section.title());
        let body = html! {
            a.skip href="#content" { "Skip to the content" }
            header.top {
                a.brand href="/console" {
                    img src=(assets::path("icon.svg")) alt="" width="28" height="28";
                    span { "Greenroom" }
                }
                nav aria-label="Sections" {
                    @for one in Section::ALL {
                        a href=(one.path()) aria-current=[(one == section).then_some("page")] { (one.title()) }
                    }
                }
                (self.account())
            }
            main #content tabindex="-1" {
                @if !trail.is_empty() {
                    nav.trail aria-label="Place" {
                        a href=(section.path()) { (section.title()) }
                        @for step in trail { span aria-hidden="true" { "›" } span { (step) } }
                    }
                }
                @if let Some(notice) = self.notice { p.notice.good role="status" { (notice.sentence()) } }
                @if let Some(problem) = problem { p.notice.bad role="alert" { (problem) } }
                p.notice.bad #stream-problem hidden role="status" {}
                (content)
            }
        };
        let mut response = (status, html(document(title, &body))).into_response();
        if self.notice.is_some() {
            let cleared = Cookie::Notice.clear(self.console.0.settings.secure_cookies);
            response.headers_mut().append(header::SET_COOKIE, cleared);
        }
        response
    }

    /// After a change: the page at `path`, which says `notice`.
    pub(crate) fn go(&self, path: &str, notice: Notice) -> Response {
        let mut response = Redirect::to(path).into_response();
        let cookie = notice.set(self.console.0.settings.secure_cookies);
        response.headers_mut().append(header::SET_COOKIE, cookie);
        response
    }

    /// The hidden field that every form carries.
    pub(crate) fn csrf(&self) -> Markup {
        html! { input type="hidden" name=(CSRF_FIELD) value=(self.visitor.admin().csrf_token); }
    }

    fn account(&self) -> Markup {
        let admin = self.visitor.admin();
        html! {
            form.account method="post" action=(sign_in::SIGN_OUT_PATH) {
                (self.csrf())
                a.who href=(Section::Account.path()) title=(Section::Account.title()) { strong { (admin.name) } " " span.soft { (admin.role.as_str()) } }
                button.quiet type="submit" { "Sign out" }
            }
        }
    }
}

/// A whole document with `body` in it.
pub(crate) fn document(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) " · Greenroom" }
                link rel="icon" type="image/svg+xml" href=(assets::path("icon.svg"));
                link rel="stylesheet" href=(assets::path("console.css"));
                script type="module" src=(assets::path("console.js")) {}
            }
            body { (body) }
        }
    }
}

pub(crate) fn html(markup: Markup) -> Html<String> {
    Html(markup.into_string())
}

/// Only for what is shown to be copied: nothing is sent there. A host of unusual characters would
/// not be safe in a command line.
fn base_url(headers: &HeaderMap, secure: bool) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    let host = if !host.is_empty() && host.bytes().all(is_plain) { host } else { "127.0.0.1:4700" };
    format!("{}://{host}", if secure { "https" } else { "http" })
}
