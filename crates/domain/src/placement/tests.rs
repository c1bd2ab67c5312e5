use proptest::prelude::*;

use super::*;

fn host(id: &str, region: &str, running: u32, servers_max: u32) -> Host {
    Host {
        id: HostId::new(id).unwrap(),
        region: Some(RegionId::new(region).unwrap()),
        servers_max,
        running,
        is_reachable: true,
        address: "192.0.2.1".into(),
    }
}

fn chosen(hosts: &[Host], region: &str, avoid: Option<&str>) -> Result<String, NoPlace> {
    let (region, avoid) = (RegionId::new(region).unwrap(), avoid.map(|id| HostId::new(id).unwrap()));
    place(hosts, Wanted { region: &region, avoid: avoid.as_ref() }).map(|host| host.id.to_string())
}

#[test]
fn the_least_loaded_of_the_region_is_taken() {
    let hosts = [host("a", "eu", 5, 10), host("b", "eu", 8, 20), host("c", "us", 0, 10)];
    assert_eq!(chosen(&hosts, "eu", None).unwrap(), "b");
    assert_eq!(chosen(&hosts, "us", None).unwrap(), "c");
}

#[test]
fn between_equals_the_larger_then_the_first_by_name() {
    let hosts = [host("b", "eu", 0, 10), host("a", "eu", 0, 10), host("c", "eu", 0, 20)];
    assert_eq!(chosen(&hosts, "eu", None).unwrap(), "c");
    assert_eq!(chosen(&hosts[..2], "eu", None).unwrap(), "a");
}

#[test]
fn a_host_of_no_region_serves_every_one() {
    let everywhere = Host { region: None, ..host("local", "eu", 0, 10) };
    assert_eq!(chosen(&[everywhere], "moon", None).unwrap(), "local");
}

#[test]
fn one_that_failed_is_taken_only_if_there_is_no_other() {
    let hosts = [host("a", "eu", 0, 10), host("b", "eu", 9, 10)];
    assert_eq!(chosen(&hosts, "eu", Some("a")).unwrap(), "b");
    assert_eq!(chosen(&hosts[..1], "eu", Some("a")).unwrap(), "a");
}

#[test]
fn it_is_told_apart_why_there_is_no_place() {
    let mut hosts = [host("a", "eu", 2, 2), host("b", "eu", 3, 3)];
    let eu = RegionId::new("eu").unwrap();
    assert_eq!(chosen(&hosts, "us", None), Err(NoPlace::NoHost(RegionId::new("us").unwrap())));
    assert_eq!(chosen(&hosts, "eu", None), Err(NoPlace::Full { region: eu.clone(), servers_max: 5 }));
    for host in &mut hosts {
        host.is_reachable = false;
    }
    let ids = vec![hosts[0].id.clone(), hosts[1].id.clone()];
    assert_eq!(chosen(&hosts, "eu", None), Err(NoPlace::NoneReachable { region: eu, hosts: ids }));
}

fn some_host() -> impl Strategy<Value = Host> {
    let region = prop_oneof![Just(None), Just(Some("eu")), Just(Some("us"))];
    ("[a-d]", region, 0_u32..6, 0_u32..6, any::<bool>()).prop_map(
        |(id, region, running, servers_max, is_reachable)| Host {
            region: region.map(|region| RegionId::new(region).unwrap()),
            is_reachable,
            ..host(&id, "eu", running, servers_max)
        },
    )
}

proptest! {
    #[test]
    fn what_is_chosen_has_room_and_one_with_room_is_found(
        hosts in proptest::collection::vec(some_host(), 0..6),
        avoided in proptest::option::of("[a-d]"),
    ) {
        let eu = RegionId::new("eu").unwrap();
        let avoid = avoided.map(|id| HostId::new(id).unwrap());
        let fits = |host: &Host| {
            host.region.as_ref().is_none_or(|region| *region == eu)
                && host.is_reachable
                && host.running < host.servers_max
        };
        match place(&hosts, Wanted { region: &eu, avoid: avoid.as_ref() }) {
            Ok(host) => {
                prop_assert!(fits(host));
                let better = |other: &&Host| {
                    fits(other)
                        && avoid.as_ref() != Some(&other.id)
                        && f64::from(other.running) / f64::from(other.servers_max) + 1e-9
                            < f64::from(host.running) / f64::from(host.servers_max)
                };
                prop_assert_eq!(hosts.iter().find(better), None);
                if avoid.as_ref() == Some(&host.id) {
                    prop_assert!(hosts.iter().all(|other| !fits(other) || other.id == host.id));
                }
            }
            Err(_) => prop_assert!(!hosts.iter().any(fits)),
        }
    }

    #[test]
    fn servers_that_come_one_by_one_fill_every_place_and_no_more(
        sizes in proptest::collection::vec(0_u32..8, 1..5),
    ) {
        let eu = RegionId::new("eu").unwrap();
        let named = |(index, size): (usize, &u32)| host(&format!("h{index}"), "eu", 0, *size);
        let mut hosts: Vec<Host> = sizes.iter().enumerate().map(named).collect();
        let mut placed = 0;
        while let Ok(host) = place(&hosts, Wanted { region: &eu, avoid: None }) {
            let id = host.id.clone();
            hosts.iter_mut().find(|host| host.id == id).unwrap().running += 1;
            placed += 1;
        }
        prop_assert_eq!(placed, sizes.iter().sum::<u32>());
        prop_assert!(hosts.iter().all(|host| host.running == host.servers_max));
    }
}
