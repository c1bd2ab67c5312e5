//! Mail, and how players sign in to a game.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use greenroom_operations::{
    mail::{MailPace, MailServer, MailSettings, MailTls, Texts, is_sender},
    players::{EmailSettings, SignInSettings},
};
use greenroom_protocol::GameId;

use super::{at_least, at_most, not_blank, own_url, web_address};
use crate::config::{
    reader::{Context, join},
    sections::{Mail, Root, SignIn},
    value::MailEncryption,
};

/// Longest time that a link in a mail may be good.
const LINK_TTL_MAX: Duration = Duration::from_hours(30 * 24);

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
    };
    root.games.iter().map(|(id, game)| (id.clone(), of_game(&game.sign_in))).collect()
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
}
