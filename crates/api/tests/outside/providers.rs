//! Signing in through providers, each a stand-in that speaks its documented protocol; and what they do wrong.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Form, Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use greenroom_operations::{
    players::{DiscordApplication, OpenIdSettings, SignInSettings, SteamSettings},
    secret,
};
use greenroom_protocol::GameId;
use reqwest::{Url, redirect::Policy};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    accounts::by_email,
    support::{PATIENCE, World, json_of, problem, read},
};

const RETURN_TO: &str = "http://127.0.0.1:51234/done";

/// What a provider does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Fails,
    Silent,
    Nonsense,
    OtherApplication,
    Expired,
    OtherKey,
    NoAlgorithm,
    OtherNonce,
    OtherIssuer,
}

/// Discord, Steam and an OpenID provider in one.
#[derive(Clone)]
struct Provider {
    url: String,
    fault: Arc<Mutex<Fault>>,
    /// By code: what the token is to have of the request.
    codes: Arc<Mutex<HashMap<String, HashMap<String, String>>>>,
    key: Arc<EcdsaKeyPair>,
}

impl Provider {
    async fn start() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            fault: Arc::new(Mutex::new(Fault::None)),
            codes: Arc::default(),
            key: Arc::new(key),
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(description))
            .route("/jwks", get(keys))
            .route("/token", post(id_token))
            .route("/api/oauth2/token", post(discord_token))
            .route("/api/oauth2/@me", get(discord_application))
            .route("/api/users/@me", get(discord_user))
            .route("/ISteamUserAuth/AuthenticateUserTicket/v1/", get(steam))
            .with_state(provider.clone());
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async { axum::serve(listener, router).await });
        provider
    }

    async fn world(&self) -> World {
        World::with(|wish| {
            by_email(wish);
            wish.auth.discord.api_url = format!("{}/api", self.url);
            let sign_in = wish.auth.games.get_mut(&GameId::new("skirmish").unwrap()).unwrap();
            sign_in.redirects = vec!["http://127.0.0.1/done".into()];
            sign_in.discord =
                Some(DiscordApplication { id: "app1".into(), client_secret: Some("s e/cret".into()) });
            sign_in.steam = Some(self.steam());
            let openid = OpenIdSettings {
                issuer: self.url.clone(),
                client_id: "us:1".into(),
                client_secret: Some("s e/cret".into()),
                scopes: vec!["openid".into(), "profile".into()],
            };
            sign_in.openid.insert("club".into(), openid);
        })
        .await
    }

    fn steam(&self) -> SteamSettings {
        SteamSettings {
            app_id: 480,
            key: "publisher key".into(),
            identity: Some("greenroom".into()),
            family_sharing: false,
            api_url: self.url.clone(),
        }
    }

    fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap()
    }

    /// Does what is wrong with every answer alike.
    async fn answer(&self, body: Value) -> Response {
        match self.fault() {
            Fault::Fails => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            Fault::Silent => std::future::pending().await,
            Fault::Nonsense => "<html>".into_response(),
            _ => Json(body).into_response(),
        }
    }

    /// The code that somebody who said yes at `address` is sent back with.
    fn permit(&self, address: &Url, user: &str) -> String {
        let mut asked: HashMap<_, _> = address.query_pairs().into_owned().collect();
        asked.insert("user".into(), user.into());
        let code = format!("code-{user}-{}", self.codes.lock().unwrap().len());
        self.codes.lock().unwrap().insert(code.clone(), asked);
        code
    }

    /// What the code was given for, if it is exchanged as it must be. Good once.
    fn exchange(&self, form: &HashMap<String, String>) -> Option<HashMap<String, String>> {
        let asked = self.codes.lock().unwrap().remove(form.get("code")?)?;
        let challenge = URL_SAFE_NO_PAD.encode(secret::hash(form.get("code_verifier")?));
        let is_good = form["grant_type"] == "authorization_code"
            && asked["code_challenge"] == challenge
            && asked["code_challenge_method"] == "S256"
            && asked["response_type"] == "code"
            && asked["redirect_uri"] == form["redirect_uri"]
            && asked["client_id"] == form["client_id"];
        is_good.then_some(asked)
    }
}

async fn description(State(provider): State<Provider>) -> Response {
    let url = &provider.url;
    let issuer = if provider.fault() == Fault::OtherIssuer { "https://evil.test" } else { url };
    let body = json!({
        "issuer": issuer, "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"), "jwks_uri": format!("{url}/jwks"),
    });
    provider.answer(body).await
}

async fn keys(State(provider): State<Provider>) -> Response {
    let (x, y) = provider.key.public_key().as_ref()[1..].split_at(32);
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let body = json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": "1", "x": text(x), "y": text(y) }] });
    provider.answer(body).await
}

async fn id_token(
    State(provider): State<Provider>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    // "us:1" and "s e/cret", each escaped before they are put together.
    let basic = base64::engine::general_purpose::STANDARD.encode("us%3A1:s+e%2Fcret");
    if headers["authorization"] != format!("Basic {basic}").as_str() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Some(asked) = provider.exchange(&form) else { return StatusCode::BAD_REQUEST.into_response() };
    let fault = provider.fault();
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({
        "iss": provider.url,
        "sub": asked["user"],
        "aud": if fault == Fault::OtherApplication { "them" } else { "us:1" },
        "nonce": if fault == Fault::OtherNonce { "other" } else { &asked["nonce"] },
        "iat": now_s - 300,
        "exp": if fault == Fault::Expired { now_s - 120 } else { now_s + 300 },
        "preferred_username": format!("user{}", asked["user"]),
    });
    let header = json!({ "alg": if fault == Fault::NoAlgorithm { "none" } else { "ES256" }, "kid": "1" });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(&header), encode(&claims));
    let signed = if fault == Fault::OtherKey { "something else" } else { &message };
    let signature = provider.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    let signature =
        if fault == Fault::NoAlgorithm { String::new() } else { URL_SAFE_NO_PAD.encode(signature) };
    let body =
        json!({ "access_token": "x", "token_type": "Bearer", "id_token": format!("{message}.{signature}") });
    provider.answer(body).await
}

async fn discord_token(
    State(provider): State<Provider>,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    match provider.exchange(&form) {
        Some(asked) if form["client_secret"] == "s e/cret" && asked["scope"] == "identify" => {
            let body = json!({ "access_token": format!("token {}", asked["user"]), "token_type": "Bearer" });
            provider.answer(body).await
        }
        _ => StatusCode::BAD_REQUEST.into_response(),
    }
}

async fn discord_application(State(provider): State<Provider>) -> Response {
    let id = if provider.fault() == Fault::OtherApplication { "app2" } else { "app1" };
    provider.answer(json!({ "application": { "id": id } })).await
}

async fn discord_user(State(provider): State<Provider>, headers: HeaderMap) -> Response {
    let user = headers["authorization"].to_str().unwrap().strip_prefix("Bearer token ").unwrap();
    provider.answer(json!({ "id": user, "username": format!("user{user}"), "avatar": null })).await
}

/// Tickets are `ab<user>`; of user 66 the game is borrowed, 77 is banned by the publisher.
async fn steam(State(provider): State<Provider>, Query(query): Query<HashMap<String, String>>) -> Response {
    if query["key"] != "publisher key" {
        return StatusCode::FORBIDDEN.into_response();
    }
    let user = query["ticket"].strip_prefix("ab");
    let is_ours = query["appid"] == "480" && query["identity"] == "greenroom";
    let body = match user.filter(|_| is_ours && provider.fault() != Fault::OtherApplication) {
        Some(user) => json!({ "response": { "params": {
            "result": "OK", "steamid": user, "ownersteamid": if user == "66" { "1" } else { user },
            "vacbanned": false, "publisherbanned": user == "77",
        } } }),
        None => json!({ "response": { "error": { "errorcode": 101, "errordesc": "Invalid ticket" } } }),
    };
    provider.answer(body).await
}

/// Somebody's browser, which follows no redirect by itself.
struct Browser<'a> {
    world: &'a World,
    http: reqwest::Client,
    cookie: String,
}

impl<'a> Browser<'a> {
    fn new(world: &'a World) -> Self {
        let http = reqwest::Client::builder().redirect(Policy::none()).timeout(PATIENCE).build().unwrap();
        Self { world, http, cookie: String::new() }
    }

    async fn open(&mut self, url: &str) -> reqwest::Response {
        let path = url.strip_prefix("http://127.0.0.1:4700").expect("an address of the public one");
        let request = self.http.get(format!("{}{path}", self.world.url)).header("cookie", &self.cookie);
        let answer = request.send().await.unwrap();
        if let Some(set) = answer.headers().get("set-cookie") {
            let set = set.to_str().unwrap();
            assert!(set.contains("; HttpOnly; SameSite=Lax") && set.contains("/callback; Max-Age="), "{set}");
            set.split(';').next().unwrap().clone_into(&mut self.cookie);
        }
        answer
    }

    /// Where it is sent.
    async fn follow(&mut self, url: &str) -> Url {
        let answer = self.open(url).await;
        assert_eq!(answer.status(), 303);
        answer.headers()["location"].to_str().unwrap().parse().unwrap()
    }
}

fn verifier() -> String {
    secret::new_secret().unwrap()
}

fn begin_body(verifier: &str) -> Value {
    json!({ "returnTo": RETURN_TO, "challenge": URL_SAFE_NO_PAD.encode(secret::hash(verifier)) })
}

async fn begin(world: &World, provider: &str, verifier: &str, player: Option<&str>) -> String {
    let request = match player {
        None => world.post(&format!("/v1/games/skirmish/auth/providers/{provider}/begin")),
        Some(token) => world.post(&format!("/v1/me/link/{provider}/begin")).bearer_auth(token),
    };
    let (status, body) = read(request.json(&begin_body(verifier))).await;
    assert_eq!(status, 200, "{body}");
    body["url"].as_str().unwrap().to_owned()
}

/// The whole way to where the browser comes back, as this user.
async fn through(
    provider: &Provider,
    world: &World,
    name: &str,
    user: &str,
    verifier: &str,
    player: Option<&str>,
) -> Url {
    let mut browser = Browser::new(world);
    let at = browser.follow(&begin(world, name, verifier, player).await).await;
    let code = provider.permit(&at, user);
    browser.follow(&back(&at, &code)).await
}

fn back(at: &Url, code: &str) -> String {
    let asked: HashMap<_, _> = at.query_pairs().into_owned().collect();
    format!("{}?state={}&code={code}", asked["redirect_uri"], asked["state"])
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

async fn complete(world: &World, at: &Url, verifier: &str) -> (u16, Value) {
    let body = json!({ "code": parameter(at, "code").unwrap(), "verifier": verifier });
    read(world.post("/v1/games/skirmish/auth/complete").json(&body)).await
}

#[tokio::test]
async fn a_player_signs_in_through_the_pages_of_a_provider() {
    let provider = Provider::start().await;
    let world = provider.world().await;
    let ways = read(world.get("/v1/games/skirmish/auth/providers")).await.1;
    assert_eq!(ways, json!({ "email": true, "steam": true, "providers": ["discord", "club"] }));
    for name in ["discord", "club"] {
        let secret = verifier();
        let at = through(&provider, &world, name, "7", &secret, None).await;
        assert!(at.as_str().starts_with(&format!("{RETURN_TO}?code=")), "{at}");
        assert_eq!(complete(&world, &at, &verifier()).await.0, 401, "another program's secret");
        let (status, first) = complete(&world, &at, &secret).await;
        assert_eq!((status, &first["account"]["username"]), (200, &json!("user7")), "{name}: {first}");
        assert_eq!(complete(&world, &at, &secret).await.0, 410, "once");
        let at = through(&provider, &world, name, "7", &secret, None).await;
        let again = complete(&world, &at, &secret).await.1;
        assert_eq!(again["account"]["id"], first["account"]["id"], "the same user is the same player");
        let other = through(&provider, &world, name, "8", &secret, None).await;
        assert_ne!(complete(&world, &other, &secret).await.1["account"]["id"], first["account"]["id"]);
        let token = first["accessToken"].as_str().unwrap();
        let own = read(world.get("/v1/me/identities").bearer_auth(token)).await.1;
        assert_eq!(
            (&own["identities"][0]["provider"], &own["identities"][0]["subject"]),
            (&json!(name), &json!("7"))
        );
    }
    world.end().await;
}

#[tokio::test]
async fn what_comes_back_is_good_in_the_browser_that_went_and_once() {
    let provider = Provider::start().await;
    let world = provider.world().await;
    let secret = verifier();
    let url = begin(&world, "discord", &secret, None).await;
    let mut browser = Browser::new(&world);
    let at = browser.follow(&url).await;
    assert_eq!(Browser::new(&world).open(&url).await.status(), 410, "the address is good once");
    let code = provider.permit(&at, "7");
    let returned = back(&at, &code);
    // Another browser, which somebody made open the address; then a state of another flow.
    assert_eq!(Browser::new(&world).open(&returned).await.status(), 400);
    let mut other = Browser::new(&world);
    other.follow(&begin(&world, "discord", &secret, None).await).await;
    assert_eq!(other.open(&returned).await.status(), 400);
    let tampered = returned.replace("state=", "state=x");
    assert_eq!(browser.open(&tampered).await.status(), 400);
    let elsewhere = returned.replace("/providers/discord/", "/providers/club/");
    assert_eq!(browser.open(&elsewhere).await.status(), 400, "the state of another provider");
    // None of that used it up.
    let kept = browser.cookie.clone();
    let done = browser.follow(&returned).await;
    browser.cookie = kept;
    assert_eq!(browser.open(&returned).await.status(), 400, "it was used");
    assert_eq!(complete(&world, &done, &secret).await.0, 200);

    // Who says no comes back with that.
    let mut browser = Browser::new(&world);
    let at = browser.follow(&begin(&world, "club", &secret, None).await).await;
    let state = parameter(&at, "state").unwrap();
    let no = format!("{}?state={state}&error=access_denied", parameter(&at, "redirect_uri").unwrap());
    assert_eq!(browser.follow(&no).await.as_str(), format!("{RETURN_TO}?error=forbidden"));

    for (provider, body, status, code) in [
        ("nobody", begin_body(&secret), 404, "not_found"),
        ("discord", json!({ "returnTo": "https://evil.test/", "challenge": "x" }), 422, "invalid"),
        ("discord", json!({ "returnTo": RETURN_TO, "challenge": "too short" }), 422, "invalid"),
    ] {
        let request = world.post(&format!("/v1/games/skirmish/auth/providers/{provider}/begin")).json(&body);
        problem(request, status, code).await;
    }
    world.end().await;
}

#[tokio::test]
async fn a_provider_that_errs_lets_nobody_in() {
    let provider = Provider::start().await;
    let world = provider.world().await;
    let secret = verifier();
    for (name, fault, error) in [
        ("discord", Fault::Fails, "unavailable"),
        ("discord", Fault::Nonsense, "unavailable"),
        ("discord", Fault::OtherApplication, "unauthorized"),
        ("club", Fault::Fails, "unavailable"),
        ("club", Fault::Nonsense, "unavailable"),
        ("club", Fault::OtherApplication, "unauthorized"),
        ("club", Fault::Expired, "unauthorized"),
        ("club", Fault::OtherKey, "unauthorized"),
        ("club", Fault::NoAlgorithm, "unauthorized"),
        ("club", Fault::OtherNonce, "unauthorized"),
        ("club", Fault::None, ""),
    ] {
        let mut browser = Browser::new(&world);
        let at = browser.follow(&begin(&world, name, &secret, None).await).await;
        let code = provider.permit(&at, "7");
        provider.set(fault);
        let at = browser.follow(&back(&at, &code)).await;
        provider.set(Fault::None);
        assert_eq!(parameter(&at, "error").unwrap_or_default(), error, "{name}: {fault:?}: {at}");
        assert_eq!(parameter(&at, "code").is_some(), fault == Fault::None, "{name}: {fault:?}: {at}");
    }
    // A code that the provider does not know.
    let mut browser = Browser::new(&world);
    let at = browser.follow(&begin(&world, "club", &secret, None).await).await;
    let at = browser.follow(&back(&at, "made-up")).await;
    assert_eq!(parameter(&at, "error").as_deref(), Some("unauthorized"));
    world.end().await;
}

#[tokio::test]
async fn an_openid_provider_that_calls_itself_otherwise_or_is_away_is_told_at_once() {
    let provider = Provider::start().await;
    let world = provider.world().await;
    let ask = || world.post("/v1/games/skirmish/auth/providers/club/begin").json(&begin_body(&verifier()));
    for fault in [Fault::OtherIssuer, Fault::Fails, Fault::Nonsense] {
        provider.set(fault);
        let answer = ask().send().await.unwrap();
        assert_eq!(answer.status(), 503, "{fault:?}");
        assert!(!json_of(answer).await.to_string().contains(&provider.url));
    }
    provider.set(Fault::None);
    assert_eq!(read(ask()).await.0, 200, "it is asked again");
    world.end().await;
}

#[tokio::test]
async fn a_ticket_of_steam_signs_in() {
    let provider = Provider::start().await;
    let world = provider.world().await;
    let sign_in = |ticket: &str| {
        let body = json!({ "ticket": ticket, "username": "Ada" });
        read(world.post("/v1/games/skirmish/auth/steam").json(&body))
    };
    let (status, first) = sign_in("ab42").await;
    assert_eq!((status, &first["account"]["username"]), (200, &json!("Ada")), "{first}");
    assert_eq!(sign_in("AB42").await.0, 401, "Steam does not know it");
    assert_eq!(sign_in("ab42").await.1["account"]["id"], first["account"]["id"]);
    for (ticket, status) in [("", 422), ("no hex", 422), ("ff", 401), ("ab66", 403), ("ab77", 403)] {
        assert_eq!(sign_in(ticket).await.0, status, "{ticket}");
    }
    for (fault, status) in [
        (Fault::Fails, 503),
        (Fault::Nonsense, 503),
        (Fault::OtherApplication, 401),
        // As long as we wait for one.
        (Fault::Silent, 503),
    ] {
        provider.set(fault);
        let (found, body) = sign_in("ab42").await;
        assert_eq!(found, status, "{fault:?}: {body}");
        assert!(!body.to_string().contains("publisher key"), "{body}");
    }
    let chess = world.post("/v1/games/chess/auth/steam").json(&json!({ "ticket": "ab42" }));
    problem(chess, 404, "not_found").await;
    world.end().await;

    // Away altogether, and with a key that is not good: for the player it is the same.
    for (api_url, key) in
        [("http://127.0.0.1:9".to_owned(), "publisher key"), (provider.url.clone(), "another")]
    {
        provider.set(Fault::None);
        let steam = SteamSettings { api_url, key: key.into(), ..provider.steam() };
        let world = World::with(|wish| {
            let sign_in = SignInSettings { steam: Some(steam), ..SignInSettings::default() };
            wish.auth.games.insert(GameId::new("skirmish").unwrap(), sign_in);
        })
        .await;
        let body = json!({ "ticket": "ab42" });
        problem(world.post("/v1/games/skirmish/auth/steam").json(&body), 503, "unavailable").await;
        world.end().await;
    }
}

#[tokio::test]
async fn identities_are_linked_and_unlinked_but_for_the_last() {
    let provider = Provider::start().await;
    let world = provider.world().await;
    let (token, id) = world.player("Ada").await;
    let link_path = |path: &str| format!("/v1/me/link{path}");
    let of = |list: &Value| -> Vec<String> {
        let all = list["identities"].as_array().unwrap().iter();
        all.map(|one| one["provider"].as_str().unwrap().to_owned()).collect()
    };
    assert!(of(&read(world.get("/v1/me/identities").bearer_auth(&token)).await.1).is_empty());

    // Steam, Discord, an OpenID provider, an address: each signs in to the same player from now on.
    let link_steam = world.post(&link_path("/steam")).bearer_auth(&token).json(&json!({ "ticket": "ab42" }));
    assert_eq!(of(&read(link_steam).await.1), ["steam"]);
    let secret = verifier();
    for name in ["discord", "club"] {
        let at = through(&provider, &world, name, "7", &secret, Some(&token)).await;
        assert_eq!(complete(&world, &at, &secret).await.0, 409, "begun to link, not to sign in");
        let body = json!({ "code": parameter(&at, "code").unwrap(), "verifier": secret });
        let (stranger, _) = world.player("Bo").await;
        let link = |token: &str| read(world.post(&link_path("/complete")).bearer_auth(token).json(&body));
        assert_eq!(link(&stranger).await.0, 403, "another player's");
        assert_eq!(link(&token).await.0, 200);
        assert_eq!(link(&token).await.0, 410);
        let at = through(&provider, &world, name, "7", &secret, None).await;
        assert_eq!(complete(&world, &at, &secret).await.1["account"]["id"], json!(id), "{name}");
    }
    let email = json!({ "email": "ada@example.test", "password": "correct horse" });
    assert_eq!(read(world.post(&link_path("/email")).bearer_auth(&token).json(&email)).await.0, 202);
    let mail = crate::accounts::mails(&world, "ada@example.test", 1).await.remove(0);
    let confirm = json!({ "token": crate::accounts::token(&mail.body) });
    assert_eq!(crate::accounts::post(&world, "/confirm", confirm).await.0, 204);
    let (_, signed_in) = crate::accounts::post(&world, "", email.clone()).await;
    assert_eq!(signed_in["account"]["id"], json!(id), "{signed_in}");
    assert_eq!(
        read(world.post(&link_path("/email")).bearer_auth(&token).json(&email)).await.0,
        409,
        "it has one"
    );
    let list = read(world.get("/v1/me/identities").bearer_auth(&token)).await.1;
    assert_eq!(of(&list), ["club", "discord", "email", "steam"]);

    // What is another player's stays that.
    let (other, _) = world.player("Cy").await;
    let taken = world.post(&link_path("/steam")).bearer_auth(&other).json(&json!({ "ticket": "ab42" }));
    problem(taken, 409, "conflict").await;

    let unlink = |name: &str| {
        read(world.request(reqwest::Method::DELETE, &format!("/v1/me/identities/{name}")).bearer_auth(&token))
    };
    for name in ["email", "discord", "club"] {
        assert_eq!(unlink(name).await.0, 204, "{name}");
        assert_eq!(unlink(name).await.0, 404, "{name}");
    }
    let (status, last) = unlink("steam").await;
    assert_eq!((status, &last["code"]), (409, &json!("conflict")));
    assert_eq!(crate::accounts::post(&world, "", email).await.0, 401, "the password went with the address");
    let at = through(&provider, &world, "discord", "7", &secret, None).await;
    assert_ne!(complete(&world, &at, &secret).await.1["account"]["id"], json!(id), "free again");
    world.end().await;
}

#[tokio::test]
async fn an_account_is_exported_and_deleted() {
    let provider = Provider::start().await;
    let world = provider.world().await;
    let signed_in = crate::accounts::account(&world, "ada@example.test").await;
    let token = signed_in["accessToken"].as_str().unwrap().to_owned();
    let id = signed_in["account"]["id"].as_str().unwrap().to_owned();
    let answer = world.get("/v1/me/export").bearer_auth(&token).send().await.unwrap();
    let disposition = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert_eq!(disposition, format!("attachment; filename=\"player-{id}.json\""));
    let export = json_of(answer).await;
    assert_eq!(
        (&export["id"], &export["identities"][0]["subject"], &export["hasPassword"], &export["complete"]),
        (&json!(id), &json!("ada@example.test"), &json!(true), &json!(true))
    );
    assert_eq!(export["sessions"].as_array().unwrap().len(), 1);
    assert!(!export.to_string().contains("argon2"), "{export}");
    let key = world.studio_key().await;
    let of_studio = format!("/v1/games/skirmish/players/{id}/export");
    let mut same = read(world.get(&of_studio).header("x-api-key", &key)).await.1;
    same["exportedAt"] = export["exportedAt"].clone();
    assert_eq!(same, export);

    // Deleted by itself: gone at once, its socket closed, its address free.
    let mut socket =
        crate::support::Socket::open(&world.socket_url(&format!("/v1/games/skirmish/socket?token={token}")))
            .await;
    socket.until("connected").await;
    let delete = |path: &str| world.request(reqwest::Method::DELETE, path);
    assert_eq!(read(delete("/v1/me").bearer_auth(&token)).await.0, 204);
    tokio::time::timeout(PATIENCE, socket.gone()).await.expect("the socket is closed");
    for path in ["/v1/players/me", "/v1/me/export", "/v1/me/identities"] {
        assert_eq!(read(world.get(path).bearer_auth(&token)).await.0, 401, "{path}");
    }
    let refresh = json!({ "refreshToken": signed_in["refreshToken"] });
    assert_eq!(read(world.post("/v1/auth/refresh").json(&refresh)).await.0, 401);
    problem(world.get(&of_studio).header("x-api-key", &key), 404, "not_found").await;
    let sign_in = json!({ "email": "ada@example.test", "password": "correct horse" });
    assert_eq!(crate::accounts::post(&world, "", sign_in).await.0, 401);
    let (_, bo) = world.player("Bo").await;
    let of_bo = format!("/v1/games/skirmish/players/{bo}");
    let other_game = of_bo.replace("skirmish", "chess");
    problem(delete(&other_game).header("x-api-key", &key), 404, "not_found").await;
    assert_eq!(read(delete(&of_bo).header("x-api-key", &key)).await.0, 204);
    problem(delete(&of_bo).header("x-api-key", &key), 404, "not_found").await;
    let again = json!({ "email": "ada@example.test", "password": "another horse", "username": "Ada" });
    assert_eq!(crate::accounts::post(&world, "/sign-up", again).await.0, 202);
    let mail = crate::accounts::mails(&world, "ada@example.test", 2).await.remove(0);
    assert!(mail.body.contains("token="), "the address is free: {}", mail.body);

    world.end().await;
}
