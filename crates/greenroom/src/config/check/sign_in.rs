//! Mail, and how players sign in to a game.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use greenroom_operations::{
    mail::{MailPace, MailServer, MailSettings, MailTls, Texts, is_sender},
    players::{DiscordApplication, EmailSettings, OpenIdSettings, SignInSettings, SteamSettings},
};
use greenroom_protocol::GameId;

use super::{at_least, at_most, not_blank, own_url, web_address};
use crate::config::{
    reader::{Context, join},
    sections::{Mail, OpenIdSignIn, Root, SignIn},
    value::MailEncryption,
};

/// Longest time that a link in a mail may be good.
const LINK_TTL_MAX: Duration = Duration::from_hours(30 * 24);

/// Names of providers that are not to be had for others.
const PROVIDERS: [&str; 3] = ["email", "discord", "steam"];

pub(super) fn check(context: &mut Context, root: &Root) {
    if let Some(url) = &root.public_url {
        web_address(context, "public_url", url);
    }
    mail(context, &root.mail);
    for (id, game) in &root.games {
        self::game(context, &format!("games.{id}.sign_in"), &game.sign_in);
    }
}

/// Where players' browsers reach us when we listen at `listen`.
pub(in crate::config) fn public_url(root: &Root, listen: SocketAddr) -> String {
    let url = root.public_url.clone().unwrap_or_else(|| own_url(root, listen));
    url.trim_end_matches('/').to_owned()
}

/// How mail is sent; the texts were checked.
pub(in crate::config) fn mail_settings(root: &Root) -> MailSettings {
    let mail = &root.mail;
    let server = mail.server.clone().map(|host| {
        let (tls, port) = match mail.encryption {
            MailEncryption::Tls => (MailTls::Implicit, 465),
            MailEncryption::StartTls => (MailTls::StartTls, 587),
            MailEncryption::None => (MailTls::None, 25),
        };
        let credentials = mail.username.clone().zip(mail.password.clone());
        MailServer { host, port: mail.port.unwrap_or(port), tls, credentials }
    });
    let texts = mail.texts.as_deref().and_then(|folder| Texts::open(folder).ok()).unwrap_or_default();
    let pace = MailPace { age_max: mail.give_up_after, ..MailPace::default() };
    MailSettings { server, from: mail.from.clone(), texts, pace }
}

/// How players sign in to each game.
pub(in crate::config) fn settings(root: &Root) -> BTreeMap<GameId, SignInSettings> {
    let of_game = |sign_in: &SignIn| SignInSettings {
        email: sign_in.email.as_ref().map(|email| EmailSettings {
            link_url: email.link_url.clone(),
            confirm_ttl: email.confirm_ttl,
            reset_ttl: email.reset_ttl,
        }),
        discord: sign_in.discord.as_ref().map(|discord| DiscordApplication {
            id: discord.application_id.clone(),
            client_secret: discord.client_secret.clone(),
        }),
        steam: sign_in.steam.as_ref().and_then(|steam| {
            Some(SteamSettings {
                app_id: steam.app_id,
                key: steam.key.clone()?,
                identity: steam.identity.clone(),
                family_sharing: steam.family_sharing,
                api_url: steam.api_url.trim_end_matches('/').to_owned(),
            })
        }),
        openid: sign_in.openid.iter().map(|(name, openid)| (name.clone(), openid_settings(openid))).collect(),
        redirects: sign_in.redirects.clone(),
    };
    root.games.iter().map(|(id, game)| (id.clone(), of_game(&game.sign_in))).collect()
}

fn openid_settings(openid: &OpenIdSignIn) -> OpenIdSettings {
    let own = openid.scopes.iter().filter(|scope| *scope != "openid").cloned();
    OpenIdSettings {
        issuer: openid.issuer.clone(),
        client_id: openid.client_id.clone(),
        client_secret: openid.client_secret.clone(),
        scopes: std::iter::once("openid".to_owned()).chain(own).collect(),
    }
}

fn mail(context: &mut Context, mail: &Mail) {
    if let Some(server) = &mail.server {
        not_blank(context, "mail.server", server);
    }
    if !is_sender(&mail.from) {
        let sentence = format!(
            "{:?} is not whom a mail can be from; expected such as \"Chess <chess@example.org>\"",
            mail.from
        );
        context.error("mail.from", sentence);
    }
    match (&mail.username, &mail.password) {
        (Some(_), None) => {
            context.error("mail.password", "it is missing, and username is set; add it, or leave out both");
        }
        (None, Some(_)) => {
            context.error("mail.username", "it is missing, and password is set; add it, or leave out both");
        }
        _ => {}
    }
    if let Some(Err(error)) = mail.texts.as_deref().map(Texts::open) {
        context.error("mail.texts", error.to_string());
    }
    at_least(context, "mail.give_up_after", mail.give_up_after, Duration::from_mins(1));
    at_most(context, "mail.give_up_after", mail.give_up_after, LINK_TTL_MAX);
}

fn game(context: &mut Context, path: &str, sign_in: &SignIn) {
    if let Some(email) = &sign_in.email {
        let path = join(path, "email");
        if let Some(url) = &email.link_url {
            web_address(context, &join(&path, "link_url"), url);
        }
        for (key, ttl) in [("confirm_ttl", email.confirm_ttl), ("reset_ttl", email.reset_ttl)] {
            at_least(context, &join(&path, key), ttl, Duration::from_mins(1));
            at_most(context, &join(&path, key), ttl, LINK_TTL_MAX);
        }
    }
    if let Some(discord) = &sign_in.discord {
        not_blank(context, &join(path, "discord.application_id"), &discord.application_id);
    }
    if let Some(steam) = &sign_in.steam {
        web_address(context, &join(path, "steam.api_url"), &steam.api_url);
        if steam.key.is_none() {
            let sentence = "it is missing; expected the publisher's key of Steam's web API";
            context.error(join(path, "steam.key"), sentence);
        }
    }
    for (name, openid) in &sign_in.openid {
        let path = format!("{path}.openid.{name}");
        if PROVIDERS.contains(&name.as_str()) || GameId::new(name).is_err() {
            let sentence = "it cannot be the name of an OpenID provider; expected A-Z, a-z, 0-9, _ and -, and none \
                            of email, discord and steam";
            context.error(&path, sentence);
        }
        web_address(context, &join(&path, "issuer"), &openid.issuer);
        let is_elsewhere = |url: &reqwest::Url| {
            url.scheme() == "http" && !matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"))
        };
        if reqwest::Url::parse(&openid.issuer).is_ok_and(|url| is_elsewhere(&url)) {
            let sentence = "it is asked without encryption; expected \"https://…\", but on this machine";
            context.error(join(&path, "issuer"), sentence);
        }
        not_blank(context, &join(&path, "client_id"), &openid.client_id);
    }
    for (index, address) in sign_in.redirects.iter().enumerate() {
        if !is_redirect(address) {
            let sentence =
                format!("{address:?} is no address to come back to; expected one without a fragment");
            context.error(format!("{path}.redirects[{index}]"), sentence);
        }
    }
    let through_pages = sign_in.discord.is_some() || !sign_in.openid.is_empty();
    if through_pages && sign_in.redirects.is_empty() {
        let sentence = "it is empty, and players sign in through a provider's pages; expected where their \
                        browsers come back to, such as \"http://127.0.0.1/signed-in\" for a program on their machine";
        context.error(join(path, "redirects"), sentence);
    }
}

fn is_redirect(address: &str) -> bool {
    reqwest::Url::parse(address)
        .is_ok_and(|url| url.has_host() && url.fragment().is_none() && url.username().is_empty())
}
