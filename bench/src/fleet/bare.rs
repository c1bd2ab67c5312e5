//! The engine's own calls for the container that Greenroom makes: its configuration is read from one
//! that Greenroom has running, so it stays the same container whatever Greenroom's settings become.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    sync::atomic::{AtomicU16, AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use greenroom_test_support::engines::Docker;
use serde_json::Value;

/// How long a container may take until it listens.
const LISTEN_MAX: Duration = Duration::from_mins(1);

/// Containers that are removed at the same time.
const REMOVED_AT_ONCE: usize = 8;

/// Ports of bare containers, from here up: none of Greenroom's.
const FIRST_PORT: u16 = 32_000;

/// Makes containers without Greenroom.
pub(super) struct Bare<'a> {
    engine: &'a Docker,
    /// The body of `POST /containers/create`, with [`PORT`] where the original has its port.
    template: String,
    host_network: bool,
    next_port: AtomicU16,
}

/// A bare container.
pub(super) struct Container {
    id: String,
    port: u16,
}

/// What one start took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// `POST /containers/create`.
    pub(super) created: Duration,
    /// `POST /containers/{id}/start`.
    pub(super) running: Duration,
    /// From then until the program listened.
    pub(super) listening: Duration,
}

impl Start {
    /// All of it.
    pub(super) fn whole(&self) -> Duration {
        self.created + self.running + self.listening
    }
}

const PORT: &str = "@PORT@";

impl<'a> Bare<'a> {
    /// Copies the one container that `engine` runs, which has `port`. Folders of the host that it sees
    /// become `folder`: its own one goes with it.
    pub(super) fn like_the_running_one(engine: &'a Docker, port: u16, folder: &Path) -> anyhow::Result<Self> {
        let running = engine.containers();
        let [only] = running.as_slice() else {
            bail!("{} containers are there instead of the one to copy", running.len());
        };
        let id = only["Id"].as_str().context("a container has no id")?;
        let original = engine.inspect(id);
        let mut body = original["Config"].clone();
        let fields = body.as_object_mut().context("a container has no configuration")?;
        // Made by the engine, out of the id.
        fields.remove("Hostname");
        // What Greenroom knows its containers by: these are none of its own.
        fields.insert("Labels".into(), Value::Object(serde_json::Map::new()));
        let mut host = original["HostConfig"].clone();
        let mounts = host.get_mut("Mounts").and_then(Value::as_array_mut).into_iter().flatten();
        for mount in mounts.filter(|mount| mount["Type"] == "bind") {
            mount["Source"] = folder.display().to_string().into();
        }
        let host_network = host["NetworkMode"] == "host";
        fields.insert("HostConfig".into(), host);
        let template = body.to_string();
        ensure!(template.contains(&port.to_string()), "the container to copy names no port {port}");
        Ok(Self {
            engine,
            template: template.replace(&port.to_string(), PORT),
            host_network,
            next_port: AtomicU16::new(FIRST_PORT),
        })
    }

    /// Creates a container, starts it, and waits until it listens.
    pub(super) fn start_and_listen(&self) -> anyhow::Result<(Container, Start)> {
        let (container, created, running) = self.start()?;
        let began = Instant::now();
        let address = self.address(&container)?;
        while TcpStream::connect(address).is_err() {
            ensure!(began.elapsed() < LISTEN_MAX, "the bare container does not listen at {address}");
            thread::sleep(Duration::from_micros(100));
        }
        Ok((container, Start { created, running, listening: began.elapsed() }))
    }

    /// Creates a container and starts it; how long each took.
    pub(super) fn start(&self) -> anyhow::Result<(Container, Duration, Duration)> {
        let port = self.next_port.fetch_add(1, Ordering::Relaxed);
        let body = self.template.replace(PORT, &port.to_string());
        let began = Instant::now();
        let json = "application/json";
        let created = self.engine.try_call("POST", "/containers/create", json, body.as_bytes())?;
        ensure!(created.status == 201, "the engine does not create a container: {}", created.text());
        let created_in = began.elapsed();
        let id = created.json()["Id"].as_str().context("a container has no id")?.to_owned();
        let began = Instant::now();
        let started = self.engine.try_call("POST", &format!("/containers/{id}/start"), json, b"")?;
        ensure!(started.is_success(), "the engine does not start a container: {}", started.text());
        Ok((Container { id, port }, created_in, began.elapsed()))
    }

    /// Starts `count` containers, with `in_flight` at once; the rate, a second. They are removed after.
    pub(super) fn rate(&self, count: u32, in_flight: u32) -> anyhow::Result<f64> {
        let left = AtomicU32::new(count);
        let began = Instant::now();
        let containers = thread::scope(|scope| {
            let start_all = || {
                let mut containers = Vec::new();
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                    .is_ok()
                {
                    containers.push(self.start()?.0);
                }
                anyhow::Ok(containers)
            };
            let threads: Vec<_> = (0..in_flight).map(|_| scope.spawn(start_all)).collect();
            let mut all = Vec::new();
            for thread in threads {
                all.extend(thread.join().map_err(|_| anyhow!("a thread panicked"))??);
            }
            anyhow::Ok(all)
        })?;
        let took = began.elapsed();
        let ids: Vec<_> = containers.into_iter().map(|container| container.id).collect();
        remove_all(self.engine, &ids)?;
        Ok(f64::from(count) / took.as_secs_f64())
    }

    /// Removes a container by force.
    pub(super) fn remove(&self, container: &Container) -> anyhow::Result<()> {
        remove(self.engine, &container.id)
    }

    /// Its own address, never the published port: the engine's proxy accepts before the game listens.
    fn address(&self, container: &Container) -> anyhow::Result<SocketAddr> {
        if self.host_network {
            return Ok((Ipv4Addr::LOCALHOST, container.port).into());
        }
        let networks = &self.engine.inspect(&container.id)["NetworkSettings"]["Networks"];
        let address =
            networks.as_object().and_then(|networks| networks.values().next()?["IPAddress"].as_str());
        let address: IpAddr =
            address.and_then(|text| text.parse().ok()).context("a container has no address")?;
        Ok((address, container.port).into())
    }
}

/// Removes containers by force, several at once.
pub(super) fn remove_all(engine: &Docker, ids: &[String]) -> anyhow::Result<()> {
    let share = ids.len().div_ceil(REMOVED_AT_ONCE).max(1);
    thread::scope(|scope| {
        let each = |share: &[String]| share.iter().try_for_each(|id| remove(engine, id));
        let threads: Vec<_> = ids.chunks(share).map(|share| scope.spawn(move || each(share))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
    })
}

fn remove(engine: &Docker, id: &str) -> anyhow::Result<()> {
    ensure!(engine.remove_container(id), "the engine does not remove a container");
    Ok(())
}

#[cfg(test)]
mod tests {
    use greenroom_test_support::engines::{self, DockerRun};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_copy_has_a_port_of_its_own_and_no_label() {
        let Some(engine) = engines::docker("a_copy_has_a_port_of_its_own") else { return };
        engine.import_game("game", &["1.0.0"]);
        let published = |protocol: &str| (format!("30123/{protocol}"), json!([{ "HostPort": "30123" }]));
        let ports: serde_json::Map<_, _> = [published("tcp"), published("udp")].into_iter().collect();
        let exposed: serde_json::Map<_, _> = ports.keys().map(|port| (port.clone(), json!({}))).collect();
        let more = json!({
            "Labels": { "whose": "greenroom" },
            "ExposedPorts": exposed,
            "HostConfig": {
                "Init": true,
                "Memory": 64 << 20,
                "PortBindings": ports,
                "Mounts": [{ "Type": "bind", "Source": "/", "Target": "/outside", "ReadOnly": true }],
            },
        });
        let arguments = ["--name", "Ann", "--port", "30123"];
        let original = engine.run(&DockerRun { image: "game:1.0.0", arguments: &arguments, more, name: "" });
        let folder = tempfile::tempdir().unwrap();
        let bare = Bare::like_the_running_one(&engine, 30123, folder.path()).unwrap();
        let (copy, took) = bare.start_and_listen().unwrap();
        assert!(took.whole() > took.running);
        let copied = engine.inspect(&copy.id);
        assert_eq!(copied["Config"]["Cmd"], json!(["--name", "Ann", "--port", "32000"]));
        assert_eq!(copied["Config"]["Labels"], json!({}));
        assert_eq!(copied["HostConfig"]["Memory"], 64 << 20);
        assert_eq!(copied["HostConfig"]["Mounts"][0]["Source"], folder.path().to_str().unwrap());
        assert_eq!(copied["HostConfig"]["PortBindings"]["32000/udp"][0]["HostPort"], "32000");
        bare.remove(&copy).unwrap();
        assert!(bare.rate(4, 2).unwrap() > 0.0);
        assert_eq!(engine.containers().len(), 1, "those of a rate are removed");
        assert!(engine.remove_container(&original));
    }
}
