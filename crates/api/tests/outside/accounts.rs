//! Accounts by e-mail and password, from outside; and what becomes of mails.

use std::time::Duration;

use greenroom_operations::{
    mail::ShownMail,
    players::{EmailSettings, SignInSettings},
};
use greenroom_protocol::GameId;
use serde_json::{Value, json};

use crate::{
    smtp::{Reply, SmtpStandIn},
    support::{PATIENCE, Wish, World, json_of, once, problem, read},
};

const PASSWORD: &str = "correct horse";

pub(crate) fn by_email(wish: &mut Wish) {
    let sign_in = SignInSettings { email: Some(EmailSettings::default()), ..SignInSettings::default() };
    wish.auth.games.insert(GameId::new("skirmish").unwrap(), sign_in);
    wish.auth.mail.pace.first = Duration::from_millis(20);
}

/// The mails that were shown to `to`, once there are `count`: the newest first.
pub(crate) async fn mails(world: &World, to: &str, count: usize) -> Vec<ShownMail> {
    let all = async {
        loop {
            let mails = world.node.players.post().shown();
            let mails: Vec<_> = mails.into_iter().filter(|mail| mail.to == to).collect();
            if mails.len() >= count {
                return mails;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("the mail comes")
}

pub(crate) fn token(mail: &str) -> String {
    let (_, rest) = mail.split_once("token=").unwrap_or_else(|| panic!("no link: {mail}"));
    rest.split_whitespace().next().unwrap().to_owned()
}

pub(crate) async fn post(world: &World, what: &str, body: Value) -> (u16, Value) {
    read(world.post(&format!("/v1/games/skirmish/auth/email{what}")).json(&body)).await
}

/// The form of the page `what`, sent as a browser does.
fn form(world: &World, what: &str, fields: &[(&str, String)]) -> reqwest::RequestBuilder {
    let mut url = reqwest::Url::parse("http://form.test/").unwrap();
    url.query_pairs_mut().extend_pairs(fields);
    let request = world.post(&format!("/v1/games/skirmish/account/{what}"));
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    request.body(url.query().unwrap().to_owned())
}

async fn sign_up(world: &World, email: &str) {
    let body = json!({ "email": email, "password": PASSWORD, "username": "Ada" });
    assert_eq!(post(world, "/sign-up", body).await, (202, Value::Null));
}

/// An account that is confirmed; what signing in to it answers.
pub(crate) async fn account(world: &World, email: &str) -> Value {
    sign_up(world, email).await;
    let mail = mails(world, email, 1).await.remove(0);
    assert_eq!(post(world, "/confirm", json!({ "token": token(&mail.body) })).await.0, 204);
    let (status, signed_in) = post(world, "", json!({ "email": email, "password": PASSWORD })).await;
    assert_eq!(status, 200, "{signed_in}");
    signed_in
}

#[tokio::test]
async fn an_account_is_asked_for_confirmed_and_signed_in_to() {
    let world = World::with(by_email).await;
    sign_up(&world, "Ada@Example.test").await;
    let mail = mails(&world, "ada@example.test", 1).await.remove(0);
    assert!(mail.subject.contains("Confirm") && mail.body.contains("Hello Ada"), "{mail:?}");
    let sign_in = json!({ "email": "ADA@example.test ", "password": PASSWORD });
    let unconfirmed = post(&world, "", sign_in.clone()).await;
    assert_eq!(unconfirmed.0, 401);

    // Programs that look at mails open links: that changes nothing.
    let link = mail.body.split_whitespace().find(|word| word.starts_with("http")).unwrap();
    let path = link.strip_prefix("http://127.0.0.1:4700").expect("a link to the public address");
    for _ in 0..2 {
        let page = world.get(path).send().await.unwrap();
        assert_eq!(page.status(), 200);
        assert_eq!(page.headers()["referrer-policy"], "no-referrer");
        assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
        assert!(page.text().await.unwrap().contains("<form method=\"post\">"));
    }
    let sent = [("token", token(&mail.body))];
    let done = form(&world, "confirm", &sent).send().await.unwrap();
    assert_eq!(done.status(), 200);
    let again = form(&world, "confirm", &sent).send().await.unwrap();
    assert_eq!(again.status(), 410);
    assert!(again.text().await.unwrap().contains("used before"));

    let (status, signed_in) = post(&world, "", sign_in).await;
    assert_eq!((status, &signed_in["account"]["username"]), (200, &json!("Ada")), "{signed_in}");
    assert!(signed_in["refreshToken"].is_string());
    // An address without an account is told the same as one with another password.
    let wrong = post(&world, "", json!({ "email": "ada@example.test", "password": "wrong horse" })).await;
    let unknown = post(&world, "", json!({ "email": "bo@example.test", "password": PASSWORD })).await;
    assert_eq!((wrong.0, &wrong, &unconfirmed), (401, &unknown, &wrong));

    // Who asks again is told by mail alone, and nothing changes.
    sign_up(&world, "ada@example.test").await;
    let known = mails(&world, "ada@example.test", 2).await.remove(0);
    assert!(known.body.contains("There is one already") && !known.body.contains("token"), "{known:?}");
    world.end().await;
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_once() {
    let world = World::with(by_email).await;
    let first = account(&world, "ada@example.test").await;
    for email in ["nobody@example.test", "ada@example.test", "ada@example.test"] {
        assert_eq!(post(&world, "/forgot", json!({ "email": email })).await, (202, Value::Null), "{email}");
    }
    let both = mails(&world, "ada@example.test", 3).await;
    assert!(!world.node.players.post().shown().iter().any(|mail| mail.to == "nobody@example.test"));
    let reset = |body: &str, password: &str| {
        post(&world, "/reset", json!({ "token": token(body), "password": password }))
    };
    assert_eq!(reset(&both[0].body, "short").await.0, 422, "the token is still good after it");
    assert_eq!(reset(&both[0].body, "another horse").await.0, 204);
    for used in &both[..2] {
        assert_eq!(reset(&used.body, "a third horse").await.0, 410, "neither it nor its sibling");
    }
    // Signed out everywhere, and told of it.
    let access = first["accessToken"].as_str().unwrap();
    assert_eq!(read(world.get("/v1/players/me").bearer_auth(access)).await.0, 401);
    let old = post(&world, "", json!({ "email": "ada@example.test", "password": PASSWORD })).await;
    let new = post(&world, "", json!({ "email": "ada@example.test", "password": "another horse" })).await;
    assert_eq!((old.0, new.0, &new.1["account"]["id"]), (401, 200, &first["account"]["id"]));
    assert!(mails(&world, "ada@example.test", 4).await[0].subject.contains("was changed"));

    // The same from the page.
    post(&world, "/forgot", json!({ "email": "ada@example.test" })).await;
    let token = token(&mails(&world, "ada@example.test", 5).await[0].body);
    let page = world.get(&format!("/v1/games/skirmish/account/reset?token={token}")).send().await.unwrap();
    assert!(page.text().await.unwrap().contains("new-password"));
    let send = |password: &str| {
        let sent = [("token", token.clone()), ("password", password.to_owned())];
        form(&world, "reset", &sent).send()
    };
    assert_eq!(send("short").await.unwrap().status(), 422);
    assert_eq!(send("yet another horse").await.unwrap().status(), 200);
    assert_eq!(send("yet another horse").await.unwrap().status(), 410);
    let missing = world.post("/v1/games/skirmish/account/reset").body("x").send().await.unwrap();
    assert_eq!(missing.status(), 400);
    world.end().await;
}

#[tokio::test]
async fn what_is_no_account_is_refused() {
    let world = World::with(by_email).await;
    let ok = json!({ "email": "a@b.test", "password": PASSWORD, "username": "Ada" });
    for (field, bad) in [
        ("email", "nonsense"),
        ("email", "a@b.test\r\nBcc: c@d.test"),
        ("password", "short"),
        ("username", " "),
    ] {
        let mut body = ok.clone();
        body[field] = bad.into();
        problem(world.post("/v1/games/skirmish/auth/email/sign-up").json(&body), 422, "invalid").await;
    }
    for what in ["/sign-up", "/confirm", "/forgot", "/reset", ""] {
        problem(world.post(&format!("/v1/games/skirmish/auth/email{what}")).json(&json!({})), 422, "invalid")
            .await;
    }
    // A game whose players do not sign in so.
    problem(world.post("/v1/games/chess/auth/email/sign-up").json(&ok), 404, "not_found").await;
    problem(world.post("/v1/games/skirmish/auth/email/confirm").json(&json!({ "token": "x" })), 410, "gone")
        .await;
    // A ban is told to whom it concerns, and to nobody else.
    let player = account(&world, "ada@example.test").await["account"]["id"].as_str().unwrap().to_owned();
    let ban = world.post(&format!("/v1/games/skirmish/players/{player}/ban")).bearer_auth(world.admin());
    assert_eq!(read(ban.json(&json!({ "reason": "cheating" }))).await.0, 200);
    let sign_in =
        |password: &str| post(&world, "", json!({ "email": "ada@example.test", "password": password }));
    let (status, told) = sign_in(PASSWORD).await;
    assert_eq!((status, &told["code"]), (403, &json!("banned")));
    assert_eq!(sign_in("wrong horse").await.0, 401);
    world.end().await;
}

#[tokio::test]
async fn passwords_and_mails_are_limited_by_account() {
    let world = World::with(|wish| {
        by_email(wish);
        wish.api.limits.password = once(2);
        wish.api.limits.mail_to = once(2);
        wish.api.limits.mail = once(5);
    })
    .await;
    let guess = |email: &str| post(&world, "", json!({ "email": email, "password": "wrong horse" }));
    for expected in [401, 401, 429] {
        assert_eq!(guess("ada@example.test").await.0, expected);
    }
    assert_eq!(guess("ADA@example.test").await.0, 429, "the same account");
    assert_eq!(guess("bo@example.test").await.0, 401);
    let forgot = |email: &str| post(&world, "/forgot", json!({ "email": email }));
    for expected in [202, 202, 429] {
        assert_eq!(forgot("ada@example.test").await.0, expected);
    }
    for expected in [202, 202, 429] {
        assert_eq!(forgot("bo@example.test").await.0, expected, "two to Bo, and five of this client");
    }
    assert_eq!(forgot("cy@example.test").await.0, 429);
    world.end().await;
}

#[tokio::test]
async fn a_mail_is_tried_until_the_server_takes_it() {
    let smtp = SmtpStandIn::start(&[Reply::Refuse("451 greylisted, come back"), Reply::Hang]).await;
    let world = World::with(|wish| {
        by_email(wish);
        wish.auth.mail.server = Some(smtp.server());
        wish.auth.mail.from = "Skirmish <skirmish@example.test>".into();
    })
    .await;
    sign_up(&world, "ada@example.test").await;
    let mail = smtp.mails(1).await.remove(0);
    assert_eq!(smtp.replies_left(), 0);
    for header in ["From: Skirmish <skirmish@example.test>", "To: ada@example.test", "Subject: Confirm"] {
        assert!(mail.contains(header), "{header}: {mail}");
    }
    // The token of the attempt that arrived is good.
    assert_eq!(post(&world, "/confirm", json!({ "token": token(&mail) })).await.0, 204);
    world.end().await;
}

#[tokio::test]
async fn a_mail_that_is_refused_for_good_is_dropped() {
    let smtp = SmtpStandIn::start(&[Reply::Refuse("550 no such user")]).await;
    let world = World::with(|wish| {
        by_email(wish);
        wish.auth.mail.server = Some(smtp.server());
    })
    .await;
    sign_up(&world, "nobody@example.test").await;
    // Nobody but the server knows: the answers are the same. The next one comes through.
    let waiting = async {
        while world.node.players.letters_waiting().await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it is dropped");
    sign_up(&world, "ada@example.test").await;
    assert!(smtp.mails(1).await[0].contains("To: ada@example.test"));
    world.end().await;
}

#[tokio::test]
async fn a_studios_own_page_is_where_links_lead() {
    let world = World::with(|wish| {
        by_email(wish);
        let game = GameId::new("skirmish").unwrap();
        let email = wish.auth.games.get_mut(&game).unwrap().email.as_mut().unwrap();
        email.link_url = Some("https://skirmish.test/account?lang=en".into());
    })
    .await;
    sign_up(&world, "ada@example.test").await;
    let body = mails(&world, "ada@example.test", 1).await.remove(0).body;
    assert!(body.contains("https://skirmish.test/account?lang=en&action=confirm&token="), "{body}");
    let answer = world.post("/v1/games/skirmish/auth/email/confirm").json(&json!({ "token": token(&body) }));
    let answer = answer.send().await.unwrap();
    assert_eq!((answer.status().as_u16(), json_of(answer).await), (204, Value::Null));
    world.end().await;
}
