//! The life of containers: what they are given, how they end, what is told of it.

use std::{collections::BTreeMap, io::Write as _, net::TcpStream, sync::Arc, time::Duration};

use bytes::Bytes;
use greenroom_domain::settings::{ServerLimits, Volume};
use greenroom_fleet::{ExitCause, Launch, LogQuery, LogStream, StartError};
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn exit_codes_signals_and_memory_are_told_apart() {
    let Some(docker) = shared("exit_codes") else { return };
    let rig = Rig::new(docker).await;
    rig.start(game("zero", &["--port", "{0}", "--exit-after-ms", "300"])).await;
    let seven = rig.start(game("seven", &["--port", "{0}"])).await[0].port;
    rig.until_ready("seven").await;
    TcpStream::connect(("127.0.0.1", seven)).unwrap().write_all(b"!exit 7\n").unwrap();
    rig.start(game("early", &["--exit", "9"])).await;
    let mut greedy = game("greedy", &["--port", "{0}", "--eat-mib", "256"]);
    greedy.limits = ServerLimits { memory_bytes: Some(64 << 20), ..ServerLimits::default() };
    rig.start(greedy).await;
    rig.start(game("killed", &["--port", "{0}"])).await;
    rig.until_ready("killed").await;
    assert!(rig.docker.kill_container(&rig.container("killed"), "KILL"));
    assert_eq!(rig.until_ended("zero").await.cause, ExitCause::Exited(0));
    let seven = rig.until_ended("seven").await;
    assert_eq!((seven.cause, seven.was_ready), (ExitCause::Exited(7), true));
    let early = rig.until_ended("early").await;
    assert_eq!((early.cause, early.was_ready), (ExitCause::Exited(9), false));
    assert_eq!(rig.until_ended("killed").await.cause, ExitCause::Signalled(9));
    assert_eq!(rig.until_ended("greedy").await.cause, ExitCause::OutOfMemory);
    rig.finish().await;
}

#[tokio::test]
async fn a_text_of_a_player_is_one_argument_whatever_is_in_it() {
    let Some(docker) = shared("a_text_of_a_player") else { return };
    let rig = Rig::new(docker).await;
    let hostile = "--rm $(reboot) `x` \"; ../../etc/passwd 'ü 🎮";
    rig.start(game("s1", &["--name", hostile, "--port", "{0}"])).await;
    rig.until_ready("s1").await;
    let texts = rig.texts("s1").await;
    let given = texts.iter().find(|line| line.starts_with("arguments")).unwrap();
    assert!(given.contains(&format!("{hostile:?}")), "{given}");
    let inspected = rig.docker.inspect(&rig.container("s1"));
    assert_eq!(inspected["Config"]["Cmd"][1], hostile);
    rig.finish().await;
}

#[tokio::test]
async fn it_is_made_as_the_settings_say_and_with_nothing_it_does_not_need() {
    let Some(docker) = shared("it_is_made_as") else { return };
    let rig = Rig::new(docker).await;
    let secrets = tempfile::tempdir().unwrap();
    let mut spec = with(game("s1", &["--port", "{0}"]), |settings| {
        settings.user = Some("1000:1000".into());
        settings.read_only_root = true;
        settings.capabilities = vec!["NET_BIND_SERVICE".into()];
        settings.volumes = vec![Volume {
            source: secrets.path().display().to_string(),
            target: "/secrets".into(),
            read_only: true,
        }];
    });
    spec.limits = ServerLimits {
        memory_bytes: Some(128 << 20),
        cpu_cores: Some(0.5),
        descriptors: Some(512),
        processes: Some(64),
    };
    if let greenroom_fleet::Program::Container { labels, .. } = &mut spec.program {
        labels.insert("traefik.enable".into(), "true".into());
    }
    spec.payload = Some(Bytes::from_static(b"{\"map\":\"dust\"}"));
    let port = rig.start(spec).await[0].port;
    rig.until_ready("s1").await;
    let made = rig.docker.inspect(&rig.container("s1"));
    let host = &made["HostConfig"];
    assert_eq!(made["Config"]["User"], "1000:1000");
    assert_eq!(host["ReadonlyRootfs"], true);
    assert_eq!(host["Tmpfs"]["/tmp"].as_str().map(|text| text.starts_with("rw")), Some(true));
    assert_eq!((&host["CapDrop"], &host["CapAdd"]), (&json!(["ALL"]), &json!(["NET_BIND_SERVICE"])));
    assert_eq!(host["SecurityOpt"], json!(["no-new-privileges"]));
    assert_eq!(
        (&host["Init"], &host["AutoRemove"], &host["Privileged"]),
        (&json!(true), &json!(false), &json!(false))
    );
    assert_eq!(host["RestartPolicy"]["Name"], "no");
    assert_eq!((&host["Memory"], &host["NanoCpus"]), (&json!(128 << 20), &json!(500_000_000)));
    assert_eq!((&host["PidsLimit"], &host["Ulimits"][0]["Hard"]), (&json!(64), &json!(512)));
    assert_eq!(host["LogConfig"]["Type"], "json-file");
    assert_eq!(host["LogConfig"]["Config"]["max-file"], "2");
    for protocol in ["tcp", "udp"] {
        assert_eq!(host["PortBindings"][format!("{port}/{protocol}")][0]["HostPort"], port.to_string());
    }
    let mounts = made["Mounts"].as_array().unwrap();
    let mount = |target: &str| mounts.iter().find(|mount| mount["Destination"] == target).unwrap();
    assert_eq!(mount("/secrets")["RW"], false);
    assert_eq!(mount("/run/greenroom")["RW"], false);
    let environment: Vec<_> =
        made["Config"]["Env"].as_array().unwrap().iter().map(|e| e.as_str().unwrap()).collect();
    assert!(environment.contains(&"GREENROOM_PAYLOAD={\"map\":\"dust\"}"), "{environment:?}");
    assert!(environment.contains(&"GREENROOM_PAYLOAD_FILE=/run/greenroom/payload"));
    let labels = &made["Config"]["Labels"];
    assert_eq!(labels["traefik.enable"], "true");
    assert_eq!((&labels["game"], &labels["greenroom.instance"]), (&json!("skirmish"), &json!("s1")));
    let usage = rig.provider.usage(&server("s1")).await.unwrap();
    assert!(usage.memory_bytes > 100_000 && usage.cpu_seconds < 10.0, "{usage:?}");
    rig.finish().await;
}

#[tokio::test]
async fn a_payload_appears_in_the_container_in_one_step() {
    let Some(docker) = shared("a_payload_appears") else { return };
    let rig = Rig::new(docker).await;
    rig.start(game("s1", &["--port", "{0}"])).await;
    rig.until_ready("s1").await;
    let pid = rig.docker.inspect(&rig.container("s1"))["State"]["Pid"].as_i64().unwrap();
    let seen = format!("/proc/{pid}/root/run/greenroom/payload");
    assert!(!std::fs::exists(&seen).unwrap());
    for payload in ["first", "second, longer"] {
        rig.provider.deliver_payload(&server("s1"), &Bytes::from(payload)).await.unwrap();
        assert_eq!(std::fs::read_to_string(&seen).unwrap(), payload);
    }
    rig.finish().await;
}

#[tokio::test]
async fn a_stop_asks_first_and_kills_after_the_grace_and_keeps_nobody_waiting() {
    let Some(docker) = shared("a_stop_asks_first") else { return };
    let rig = Rig::new(docker).await;
    rig.start(game("good", &["--port", "{0}"])).await;
    rig.start(game("deaf", &["--port", "{0}", "--ignore-term"])).await;
    rig.until_ready("good").await;
    rig.until_ready("deaf").await;
    rig.provider.stop(&server("deaf"), Duration::from_hours(1)).await.unwrap();
    rig.provider.stop(&server("good"), Duration::from_hours(1)).await.unwrap();
    assert_eq!(rig.until_ended("good").await.cause, ExitCause::Stopped { killed: false });
    rig.provider.stop(&server("deaf"), Duration::from_millis(300)).await.unwrap();
    assert_eq!(rig.until_ended("deaf").await.cause, ExitCause::Stopped { killed: true });
    rig.finish().await;
}

#[tokio::test]
async fn its_log_is_followed_while_it_runs_and_kept_after_its_container() {
    let Some(docker) = shared("its_log_is_followed") else { return };
    let rig = Rig::new(docker).await;
    let arguments = ["--port", "{0}", "--delay-ms", "300", "--print", "hello", "--exit-after-ms", "500"];
    rig.start(game("s1", &arguments)).await;
    let query = LogQuery { tail_lines: 100, follow: true };
    let mut lines = rig.provider.logs(&server("s1"), query).await.unwrap();
    let mut followed = Vec::new();
    while let Some(line) = tokio::time::timeout(PATIENCE, lines.next()).await.unwrap() {
        followed.push(line);
    }
    assert!(
        followed.iter().any(|line| line.text == "hello" && line.stream == LogStream::Stdout),
        "{followed:?}"
    );
    let exit = rig.until_ended("s1").await;
    assert_eq!(exit.last_lines.last().map(String::as_str), Some("hello"));
    rig.until_removed().await;
    let kept = rig.log("s1").await;
    assert_eq!(&kept[..followed.len()], &followed[..]);
    assert_eq!(kept.last().map(|line| line.stream), Some(LogStream::System));
    // After a restart of ours too.
    let rig = rig.reopen().await;
    assert_eq!(rig.log("s1").await, kept);
    assert_eq!(rig.until_ended("s1").await, exit);
    rig.finish().await;
}

#[tokio::test]
async fn a_missing_image_and_a_bad_setting_are_told_and_leave_nothing() {
    let Some(docker) = shared("a_missing_image") else { return };
    let rig = Rig::new(docker).await;
    let mut spec = game("s1", &[]);
    let greenroom_fleet::Program::Container { image, .. } = &mut spec.program else { unreachable!() };
    *image = "game:9.9.9".into();
    let error = rig.provider.start(spec).await.unwrap_err();
    assert_eq!(error, StartError::NoImage { host: host(), image: "game:9.9.9".into() });
    let spec = with(game("s2", &[]), |settings| {
        settings.network = greenroom_domain::settings::ContainerNetwork::Named("nowhere".into());
    });
    let error = rig.provider.start(spec).await.unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
    let spec = with(game("s3", &[]), |settings| {
        settings.volumes =
            vec![Volume { source: "/not/there".into(), target: "/data".into(), read_only: true }];
    });
    let error = rig.provider.start(spec).await.unwrap_err();
    assert!(error.to_string().contains("/not/there"), "{error}");
    let mut spec = game("s4", &[]);
    spec.render =
        Arc::new(|_| Ok(Launch { argv: vec![], environment: BTreeMap::from([("A=B".into(), "c".into())]) }));
    let error = rig.provider.start(spec).await.unwrap_err();
    assert!(error.to_string().contains("A=B"), "{error}");
    assert_eq!(rig.containers(), Vec::<String>::new());
    rig.finish().await;
}

#[tokio::test]
async fn the_same_start_twice_is_one_container() {
    let Some(docker) = shared("the_same_start_twice") else { return };
    let rig = Rig::new(docker).await;
    let spec = game("s1", &["--port", "{0}"]);
    let (one, two) = tokio::join!(rig.provider.start(spec.clone()), rig.provider.start(spec));
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(rig.containers().len(), 1);
    rig.finish().await;
}
