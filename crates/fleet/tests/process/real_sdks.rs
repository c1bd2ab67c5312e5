//! Game servers with the published SDKs of Agones, which know nothing of us. `cargo xtask ci --step sdks`
//! makes them and tells where they are.

use greenroom_domain::settings::Readiness;
use greenroom_fleet::ExitCause;

use crate::{
    sdk::Backend,
    support::{Host, command},
};

#[tokio::test]
async fn the_one_for_rust_goes_through_everything() {
    let Some(program) = made("the_one_for_rust", "GREENROOM_AGONES_RUST") else { return };
    goes_through(&program, &[]).await;
}

#[tokio::test]
async fn the_one_for_node_goes_through_everything() {
    let Some(script) = made("the_one_for_node", "GREENROOM_AGONES_NODE") else { return };
    goes_through("node", &[&script]).await;
}

fn made(test: &str, variable: &str) -> Option<String> {
    let path = std::env::var(variable).ok();
    if path.is_none() {
        eprintln!("not run, for want of {variable}, which `cargo xtask ci --step sdks` sets: {test}");
    }
    path
}

async fn goes_through(program: &str, arguments: &[&str]) {
    let host = Host::with_sdk().await;
    let backend = Backend::of(&["s1"]);
    host.provider.serve_sdk(backend.clone());
    let mut spec = command("s1", program, arguments);
    spec.ports = Vec::new();
    (spec.has_sdk, spec.ready) = (true, Readiness::Sdk);
    host.start(spec).await;
    let exit = host.until_ended("s1").await;
    assert_eq!(exit.cause, ExitCause::Exited(0), "{:#?}", exit.last_lines);
    assert_eq!(exit.last_lines, ["everything is as Agones promises"]);
    backend.until_pinged(2).await;
    host.finish().await;
}
