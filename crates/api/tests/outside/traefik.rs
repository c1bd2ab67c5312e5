//! Who is told of the servers that Traefik routes to.

use serde_json::json;

use crate::support::{World, problem, read};

#[tokio::test]
async fn programs_on_this_machine_are_told_and_nobody_through_a_proxy() {
    let world = World::new().await;
    assert_eq!(read(world.get("/traefik/config")).await, (200, json!({})));
    for header in ["x-forwarded-for", "x-real-ip", "forwarded", "via"] {
        problem(world.get("/traefik/config").header(header, "203.0.113.9"), 403, "forbidden").await;
    }
    world.end().await;
}

#[tokio::test]
async fn with_a_token_it_is_who_has_it() {
    let world = World::with(|wish| wish.api.traefik_token = Some("0123456789abcdef".into())).await;
    problem(world.get("/traefik/config"), 401, "unauthorized").await;
    problem(world.get("/traefik/config").bearer_auth("0123456789abcdeX"), 401, "unauthorized").await;
    problem(world.get("/traefik/config").bearer_auth(world.admin()), 401, "unauthorized").await;
    let asked = world.get("/traefik/config").bearer_auth("0123456789abcdef").header("via", "1.1 traefik");
    assert_eq!(read(asked).await.0, 200);
    world.end().await;
}
