//! Several hosts: which one a server goes to, and what happens when one is lost.

use greenroom_domain::{
    placement::NoPlace,
    settings::{ContainerNetwork, ContainerSettings, HostSettings, VersionSource},
};
use greenroom_protocol::HostId;

use super::*;

fn in_containers() -> FleetSettings {
    let container = ContainerSettings {
        image: "game".into(),
        versions: VersionSource::Engine,
        versions_max: 5,
        network: ContainerNetwork::Bridge,
        volumes: Vec::new(),
        user: None,
        read_only_root: false,
        init: true,
        capabilities: Vec::new(),
    };
    FleetSettings { provider: ProviderSettings::Docker(Box::new(container)), ..fleet() }
}

/// A node with hosts that are given as id, region and capacity.
async fn on_hosts(
    folder: &Path,
    fleet: &FleetSettings,
    otherwise: Fate,
    hosts: &[(&str, &str, u32)],
) -> Node {
    let scripted = Scripted::new(otherwise);
    scripted.add_hosts(&hosts.iter().map(|(id, ..)| *id).collect::<Vec<_>>());
    Node::open(folder, with_hosts(fleet, hosts), scripted, None).await
}

fn with_hosts(fleet: &FleetSettings, hosts: &[(&str, &str, u32)]) -> Settings {
    let host = |(id, region, servers_max): &(&str, &str, u32)| {
        let id = HostId::new(id).unwrap();
        let settings = HostSettings {
            id: id.clone(),
            region: RegionId::new(region).unwrap(),
            servers_max: *servers_max,
            public_address: Some(format!("{id}.example")),
        };
        (id, settings)
    };
    Settings { hosts: hosts.iter().map(host).collect(), ..settings(&["skirmish"], 100, fleet) }
}

fn on(node: &Node, host: &str) -> usize {
    let servers = node.servers.snapshot(None);
    servers.iter().filter(|server| server.birth.host.as_str() == host && !server.state.is_final()).count()
}

fn in_region(region: &str) -> AllocateRequest {
    AllocateRequest { region: Some(region.to_owned()), ..ask() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_of_the_region_fill_evenly_and_never_beyond_their_capacity() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = [("a", "eu", 4), ("b", "eu", 2), ("c", "us", 9)];
    let node = on_hosts(folder.path(), &in_containers(), Fate::Ready, &hosts).await;
    let mut asked = Vec::new();
    for _ in 0..10 {
        asked.push(spawn(node.servers.clone(), in_region("eu")));
    }
    let (mut given, mut refused) = (0, 0);
    for answer in asked {
        match answer.await.unwrap() {
            Ok(allocated) => {
                given += 1;
                assert!(["a.example", "b.example"].contains(&allocated.server.address.as_str()));
            }
            Err(AllocateError::NoPlace { why: NoPlace::Full { servers_max: 6, .. }, .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((given, refused), (6, 4));
    assert_eq!((on(&node, "a"), on(&node, "b"), on(&node, "c")), (4, 2, 0));
    let error = node.servers.allocate(in_region("eu")).await.unwrap_err();
    let expected = "the hosts of the region \"eu\" run as many servers as they may (6); wait until a server \
                    ends, stop one, or add a host";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_waits_moves_on_when_its_host_is_lost_and_what_it_left_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = [("a", "eu", 4), ("b", "eu", 2)];
    let node = on_hosts(folder.path(), &in_containers(), Fate::Ready, &hosts).await;
    node.scripted.next_fates([Fate::Hangs]);
    let asked = spawn(node.servers.clone(), ask());
    node.until("it starts on the larger host", |node| node.scripted.running() == 1 && on(node, "a") == 1)
        .await;
    let left = node.scripted.instances()[0].observed.id.clone();

    node.scripted.set_host("a", false);
    let allocated = asked.await.unwrap().unwrap().server;
    assert_eq!((allocated.address.as_str(), allocated.host_reachable), ("b.example", Some(true)));
    assert!(matches!(
        node.scripted.instance(&left).unwrap().observed.phase,
        greenroom_fleet::Phase::Starting
    ));

    node.scripted.set_host("a", true);
    node.until("what was left is stopped", |node| node.scripted.running() == 1).await;
    assert_eq!(on(&node, "b"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_on_a_lost_host_ends_or_is_given_out_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = FleetSettings { ready_min: 1, ..in_containers() };
    let hosts = [("a", "eu", 4), ("b", "eu", 2)];
    let node = on_hosts(folder.path(), &fleet, Fate::Ready, &hosts).await;
    node.until("one stands ready", |node| node.in_state(ServerState::Ready).len() == 1).await;
    let allocated = node.servers.allocate(ask()).await.unwrap().server;
    node.until("the next one stands ready", |node| node.in_state(ServerState::Ready).len() == 1).await;

    for host in ["a", "b"] {
        node.scripted.set_host(host, false);
    }
    node.until("it is told", |node| {
        node.servers.list(None).iter().all(|server| server.host_reachable == Some(false))
    })
    .await;
    let error = node.servers.allocate(ask()).await.unwrap_err();
    assert!(matches!(error, AllocateError::NoPlace { why: NoPlace::NoneReachable { .. }, .. }), "{error}");
    let lost = node.servers.hosts();
    let states: Vec<_> = lost.iter().map(|host| (host.id.as_str(), host.state.as_str())).collect();
    assert_eq!(states, [("local", "up"), ("a", "lost"), ("b", "lost")]);
    assert_eq!(lost.iter().map(|host| host.servers).sum::<u32>(), 2);

    node.scripted.set_host("a", true);
    node.scripted.set_host("b", true);
    let again = node.servers.allocate(ask()).await.unwrap().server;
    assert_ne!(again.id, allocated.id);
    let first = node.servers.get(&game(), &allocated.id).await.unwrap();
    assert_eq!((first.state, first.host_reachable), (ServerState::Allocated, Some(true)));
    assert!(node.facts.of(&allocated.id).iter().all(|fact| fact == "started"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_a_server_on_a_host_that_is_away_is_neither_lost_nor_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = [("a", "eu", 4)];
    let node = on_hosts(folder.path(), &in_containers(), Fate::Ready, &hosts).await;
    let allocated = node.servers.allocate(ask()).await.unwrap().server;
    let scripted = node.die().await;
    let instance = scripted.instances()[0].observed.clone();
    scripted.lose(&instance.id);
    scripted.set_host("a", false);

    let node = Node::open(folder.path(), with_hosts(&in_containers(), &hosts), scripted, None).await;
    let shown = node.servers.get(&game(), &allocated.id).await.unwrap();
    assert_eq!((shown.state, shown.host_reachable), (ServerState::Allocated, Some(false)));

    node.scripted.plant(instance);
    node.scripted.set_host("a", true);
    node.until("it is taken up", |node| {
        node.servers.list(None).iter().all(|server| server.host_reachable == Some(true))
    })
    .await;
    let shown = node.servers.get(&game(), &allocated.id).await.unwrap();
    assert_eq!(shown.state, ServerState::Allocated);
    assert_eq!(node.scripted.instances().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_gone_when_its_host_came_back_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let node = on_hosts(folder.path(), &in_containers(), Fate::Ready, &[("a", "eu", 4)]).await;
    let allocated = node.servers.allocate(ask()).await.unwrap().server;
    node.scripted.set_host("a", false);
    node.scripted.lose(&node.scripted.instances()[0].observed.id);
    node.scripted.set_host("a", true);
    node.until("its loss is told", |node| node.facts.of(&allocated.id).contains(&"lost".to_owned())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_region_has_a_pool_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = FleetSettings {
        ready_min: 2,
        regions: ["eu", "us"].map(|region| RegionId::new(region).unwrap()).to_vec(),
        ..in_containers()
    };
    let hosts = [("a", "eu", 9), ("c", "us", 9)];
    let node = on_hosts(folder.path(), &fleet, Fate::Ready, &hosts).await;
    node.until("both stand ready", |node| node.in_state(ServerState::Ready).len() == 4).await;
    assert_eq!((on(&node, "a"), on(&node, "c")), (2, 2));
    node.change(|fleet| fleet.regions.truncate(1));
    node.until("that of the other region is gone", |node| on(node, "c") == 0).await;
    assert_eq!(on(&node, "a"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_stands_on_a_lost_host_is_filled_up_on_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = FleetSettings { ready_min: 1, ..in_containers() };
    let hosts = [("a", "eu", 9), ("b", "eu", 2)];
    let node = on_hosts(folder.path(), &fleet, Fate::Ready, &hosts).await;
    node.until("one stands ready", |node| node.in_state(ServerState::Ready).len() == 1).await;
    node.scripted.set_host("a", false);
    node.until("another one stands ready", |node| on(node, "b") == 1).await;
    let allocated = node.servers.allocate(ask()).await.unwrap().server;
    assert_eq!(allocated.address, "b.example");
}
