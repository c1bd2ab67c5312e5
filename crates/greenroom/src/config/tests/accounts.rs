use std::net::SocketAddr;

use greenroom_operations::mail::MailTls;

use super::*;

const LISTEN: &str = "127.0.0.1:4700";

fn listen() -> SocketAddr {
    LISTEN.parse().unwrap()
}

#[test]
fn without_a_mail_server_mails_are_shown() {
    let config = parsed(DEFAULT, []);
    assert!(config.mail().server.is_none());
    assert_eq!(config.public_url(listen()), "http://127.0.0.1:4700");
    let skirmish = &config.sign_in()[&GameId::new("skirmish").unwrap()];
    assert_eq!(skirmish.email.as_ref().unwrap().reset_ttl, Duration::from_hours(1));
}

#[test]
fn a_mail_server_is_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("reset.txt"), "Subject: Hej\n\n{{ link }}").unwrap();
    let text = format!(
        "public_url = \"https://play.example.org/\"\n[mail]\nserver = \"smtp.example.org\"\nencryption = \"starttls\"\n\
         from = \"Chess <chess@example.org>\"\nusername = \"chess\"\npassword = \"a secret\"\ntexts = {:?}",
        folder.path()
    );
    let config = parsed(&text, []);
    assert!(!format!("{config:?}").contains("a secret"));
    assert_eq!(config.public_url(listen()), "https://play.example.org");
    let server = config.mail().server.unwrap();
    assert_eq!((server.host.as_str(), server.port, server.tls), ("smtp.example.org", 587, MailTls::StartTls));
    assert_eq!(server.credentials.unwrap().1.expose_secret(), "a secret");
}

#[test]
fn what_is_wrong_with_mail_is_told() {
    for (text, expected) in [
        ("[mail]\nfrom = \"nobody\"", "mail.from: \"nobody\" is not whom a mail can be from"),
        ("[mail]\nusername = \"x\"", "mail.password: it is missing"),
        ("[mail]\npassword = \"x\"", "mail.username: it is missing"),
        ("[mail]\nencryption = \"ssl\"", "mail.encryption: \"ssl\" is no way to encrypt"),
        ("[mail]\ntexts = \"/no/such/folder\"", "mail.texts: there is no folder /no/such/folder"),
        ("public_url = \"play.example.org\"", "public_url: \"play.example.org\" is no web address"),
        (
            "[studios.s]\n[games.g]\nstudio = \"s\"\nsign_in.email.reset_ttl = \"1s\"",
            "games.g.sign_in.email.reset_ttl: it is 1s; expected at least 1m",
        ),
    ] {
        let errors = errors(text);
        assert!(errors[0].starts_with(expected), "{errors:?}");
    }
}

#[test]
fn every_way_to_sign_in_is_read() {
    let config = parsed(
        "[studios.s]\n[games.g]\nstudio = \"s\"\n[games.g.sign_in]\nredirects = [\"http://127.0.0.1/done\"]\n\
         discord = { application_id = \"1\", client_secret = \"a\" }\n\
         steam = { app_id = 480, key = { env = \"STEAM_KEY\" } }\n\
         [games.g.sign_in.openid.club]\nissuer = \"https://id.example\"\nclient_id = \"us\"",
        [("STEAM_KEY", "b")],
    );
    let sign_in = &config.sign_in()[&GameId::new("g").unwrap()];
    assert_eq!(sign_in.discord.as_ref().unwrap().client_secret.as_ref().unwrap().expose_secret(), "a");
    assert_eq!(sign_in.steam.as_ref().unwrap().key.expose_secret(), "b");
    assert_eq!(sign_in.openid["club"].scopes, ["openid", "profile"]);
    assert!(sign_in.openid["club"].client_secret.is_none() && sign_in.email.is_none());
}

#[test]
fn ways_to_sign_in_that_cannot_be_are_told() {
    for (text, expected) in [
        ("steam = { app_id = 480 }", "steam.key: it is missing"),
        ("discord = { application_id = \"1\" }", "redirects: it is empty"),
        ("redirects = [\"/done\"]", "redirects[0]: \"/done\" is no address to come back to"),
        (
            "openid.email = { issuer = \"https://id.example\", client_id = \"us\" }\nredirects = [\"a://b\"]",
            "openid.email: it cannot be the name",
        ),
        (
            "openid.club = { issuer = \"id.example\", client_id = \"us\" }\nredirects = [\"a://b\"]",
            "openid.club.issuer: \"id.example\" is no web address",
        ),
    ] {
        let errors = errors(&format!("[studios.s]\n[games.g]\nstudio = \"s\"\n[games.g.sign_in]\n{text}"));
        assert!(errors[0].starts_with(&format!("games.g.sign_in.{expected}")), "{errors:?}");
    }
}
