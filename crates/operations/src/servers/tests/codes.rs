//! Codes of servers, and what a program is told of its listing.

use greenroom_domain::{
    fleet::build_of,
    settings::{Connection, GatewaySettings},
};

use super::*;

fn behind_gateway(code_length: u32) -> FleetSettings {
    FleetSettings { connection: Connection::Gateway(GatewaySettings { code_length }), ..fleet() }
}

fn launch_of(node: &Node, id: &ServerId) -> greenroom_fleet::Launch {
    node.scripted.instance(&node.servers.living(id).unwrap().instance()).unwrap().launch
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_code_is_given_twice_though_there_are_few() {
    let folder = tempfile::tempdir().unwrap();
    // Of 32 codes of one letter, 16 drawn blindly would repeat one ninety-nine times in a hundred.
    let node = node(folder.path(), &behind_gateway(1), Fate::Ready).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let servers = node.servers.clone();
        tasks.spawn(async move { servers.allocate(ask()).await });
    }
    let mut codes = std::collections::BTreeSet::new();
    while let Some(answer) = tasks.join_next().await {
        let code = answer.unwrap().unwrap().server.code.unwrap();
        assert!(codes.insert(code.clone()), "{code} is there twice");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_reached_by_its_port_has_no_code() {
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), &fleet(), Fate::Ready).await;
    assert_eq!(node.servers.allocate(ask()).await.unwrap().server.code, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_learns_its_code_and_whether_it_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = behind_gateway(4);
    fleet.command =
        ["game", "{if code}--game-id", "{if code}{code}", "{if listed}--list"].map(str::to_owned).to_vec();
    let node = node(folder.path(), &fleet, Fate::Ready).await;
    let allocated = node.servers.allocate(AllocateRequest { listed: true, ..ask() }).await.unwrap().server;
    let launch = launch_of(&node, &allocated.id);
    assert_eq!(launch.argv, ["game", "--game-id", &allocated.code.unwrap(), "--list"]);
    let hidden = node.servers.allocate(ask()).await.unwrap().server;
    assert_eq!(launch_of(&node, &hidden.id).argv.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_server_takes_a_title_and_a_listing_that_its_program_need_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let mut warm = FleetSettings { ready_min: 1, ..behind_gateway(4) };
    let node = node(folder.path(), &warm, Fate::Ready).await;
    node.until("one stands ready", |node| node.in_state(ServerState::Ready).len() == 1).await;
    let stood_ready = node.in_state(ServerState::Ready)[0].id().clone();
    let request = AllocateRequest { title: Some("Ann's game".into()), listed: true, ..ask() };
    let given = node.servers.allocate(request.clone()).await.unwrap().server;
    assert_eq!((given.id.clone(), given.title.as_deref()), (stood_ready, Some("Ann's game")));
    assert!(node.servers.living(&given.id).unwrap().birth.is_listed);

    warm.command.push("{if listed}--list".into());
    node.change(|fleet| *fleet = warm.clone());
    let build = build_of(&warm, warm.version.as_deref().unwrap());
    let is_new = |server: &&Arc<Server>| server.birth.build == build;
    node.until("a new one stands ready", |node| {
        node.in_state(ServerState::Ready).iter().any(|server| is_new(&server))
    })
    .await;
    let stood_ready = node.in_state(ServerState::Ready)[0].id().clone();
    assert_ne!(
        node.servers.allocate(request).await.unwrap().server.id,
        stood_ready,
        "it was never told --list"
    );
}
