//! Rates and bounds, as they are without a configuration, and whose address counts.

use greenroom_api::{Rate, RateLimits, TrustedProxies};
use serde_json::json;

use crate::support::{World, once, problem, read};

#[tokio::test]
async fn sign_ins_of_one_address_are_limited_in_the_contracts_form() {
    let world = World::with(|wish| {
        wish.api.limits.sign_in = once(3);
        wish.api.trusted_proxies = TrustedProxies {
            networks: vec!["127.0.0.1".parse().unwrap()],
            hops_max: 1,
            ..TrustedProxies::default()
        };
    })
    .await;
    let sign_in = |from: &'static str| {
        world.post("/auth/anonymous").header("x-forwarded-for", from).json(&json!({ "username": "Ada" }))
    };
    for _ in 0..3 {
        assert_eq!(read(sign_in("192.0.2.1")).await.0, 200);
    }
    let answer = sign_in("192.0.2.1").send().await.unwrap();
    assert_eq!(answer.status(), 429);
    let retry_after_s: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3_000..=3_600).contains(&retry_after_s), "{retry_after_s}");
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    assert!(answer.json::<serde_json::Value>().await.unwrap()["error"].is_string());
    // Another address is another client; one that a client forged before its proxy's is not believed.
    assert_eq!(read(sign_in("192.0.2.2")).await.0, 200);
    assert_eq!(read(sign_in("192.0.2.3, 192.0.2.1")).await.0, 429);
    // The native twin shares the limit.
    let native = world.post("/v1/games/skirmish/auth/anonymous").header("x-forwarded-for", "192.0.2.1");
    problem(native.json(&json!({ "username": "Ada" })), 429, "rate_limited").await;
    world.end().await;
}

#[tokio::test]
async fn without_credentials_an_address_has_little_and_with_them_each_has_its_own() {
    let world = World::with(|wish| {
        wish.api.limits.anonymous = once(5);
        wish.api.limits.player = once(5);
        wish.api.limits.allocate = once(1);
    })
    .await;
    let key = world.hosting_key().await;
    let (ada, bo) = (world.player("Ada").await.0, world.player("Bo").await.0);
    let statuses = async |token: &str| {
        let mut limited = 0;
        for _ in 0..10 {
            limited += usize::from(read(world.get("/accounts/me").bearer_auth(token)).await.0 == 429);
        }
        limited
    };
    assert_eq!(statuses(&ada).await, 5);
    assert_eq!(read(world.get("/accounts/me").bearer_auth(&bo)).await.0, 200);
    let mut last = 200;
    for _ in 0..6 {
        last = read(world.get("/healthz")).await.0;
    }
    assert_eq!(last, 429);
    let allocate = || world.post("/v1/games/skirmish/servers").header("x-api-key", &key).body("[]");
    problem(allocate(), 400, "bad_request").await;
    problem(allocate(), 429, "rate_limited").await;
    world.end().await;
}

#[test]
fn what_is_safe_is_the_default() {
    let limits = RateLimits::default();
    assert_eq!(limits.sign_in, Rate::new(10, 30));
    assert_eq!(limits.player, Rate::new(50, 200));
    assert_eq!(limits.sockets_per_address_max, 200);
}
