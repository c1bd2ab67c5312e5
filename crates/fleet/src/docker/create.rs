//! What a container is made of: a [`StartSpec`] in the engine's words.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, PortBinding, ResourcesUlimits,
    RestartPolicy, RestartPolicyNameEnum,
};
use greenroom_domain::settings::{ContainerNetwork, ContainerSettings, PortProtocol, Volume};

use super::{
    HOST_GATEWAY, LABEL_HOST, LABEL_INSTALLATION, LABEL_INSTANCE, LABEL_NAME, LABEL_RECORD, PAYLOAD_DIR,
    PAYLOAD_FILE,
    record::{PayloadBy, Record, RecordFolder},
};
use crate::{
    PAYLOAD_ENVIRONMENT_BYTES_MAX,
    error::StartError,
    model::{BoundPort, Launch, StartSpec},
    sdk::SdkPorts,
};

/// The `/tmp` in memory of a container whose own files cannot be written.
const TMPFS_OPTIONS: &str = "rw,nosuid,nodev,size=64m,mode=1777";

/// What makes a container this installation's.
pub(super) struct Marks<'a> {
    pub(super) installation: &'a str,
    pub(super) host: &'a str,
}

/// Of what a container is made.
#[derive(Clone, Copy)]
pub(super) struct Make<'a> {
    pub(super) image: &'a str,
    pub(super) settings: &'a ContainerSettings,
    /// Further labels.
    pub(super) labels: &'a super::Labels,
}

/// What the engine is asked to make.
pub(super) fn body(
    spec: &StartSpec,
    of: &Make<'_>,
    marks: &Marks<'_>,
    record: &Record,
    folder: &RecordFolder,
    launch: Launch,
) -> Result<ContainerCreateBody, StartError> {
    let Make { image, settings, labels: further_labels } = *of;
    if launch.argv.iter().any(|argument| argument.contains('\0')) {
        return Err(StartError::Spawn("an argument of the command has a zero byte in it".into()));
    }
    let environment = environment(spec, &launch, record.sdk)?;
    let uses_gateway = environment.iter().chain(&launch.argv).any(|text| text.contains(HOST_GATEWAY));
    let is_on_host = settings.network == ContainerNetwork::Host;
    let (exposed, bindings) = published(record);
    let host_config = HostConfig {
        memory: spec.limits.memory_bytes.and_then(|bytes| i64::try_from(bytes).ok()),
        // The same as the memory: no swap beyond it.
        memory_swap: spec.limits.memory_bytes.and_then(|bytes| i64::try_from(bytes).ok()),
        nano_cpus: spec.limits.cpu_cores.map(|cores| (cores * 1e9) as i64),
        pids_limit: spec.limits.processes.and_then(|count| i64::try_from(count).ok()),
        ulimits: spec.limits.descriptors.and_then(|count| i64::try_from(count).ok()).map(|count| {
            vec![ResourcesUlimits { name: Some("nofile".into()), soft: Some(count), hard: Some(count) }]
        }),
        init: Some(settings.init),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".into()),
            config: Some(HashMap::from([
                ("max-size".into(), spec.log_bytes_max.to_string()),
                ("max-file".into(), "2".into()),
            ])),
        }),
        network_mode: Some(match &settings.network {
            ContainerNetwork::Bridge => "bridge".into(),
            ContainerNetwork::Host => "host".into(),
            ContainerNetwork::Named(name) => name.clone(),
        }),
        port_bindings: (!bindings.is_empty()).then_some(bindings),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        // We remove it ourselves, once its log is kept.
        auto_remove: Some(false),
        mounts: Some(mounts(settings, record, folder)),
        cap_drop: Some(vec!["ALL".into()]),
        cap_add: (!settings.capabilities.is_empty()).then(|| settings.capabilities.clone()),
        security_opt: Some(vec!["no-new-privileges".into()]),
        readonly_rootfs: Some(settings.read_only_root),
        tmpfs: settings.read_only_root.then(|| HashMap::from([("/tmp".into(), TMPFS_OPTIONS.into())])),
        extra_hosts: (uses_gateway && !is_on_host).then(|| vec![format!("{HOST_GATEWAY}:host-gateway")]),
        ..HostConfig::default()
    };
    Ok(ContainerCreateBody {
        image: Some(image.to_owned()),
        cmd: Some(launch.argv),
        env: Some(environment),
        user: settings.user.clone(),
        labels: Some(labels(spec, further_labels, marks, record)?),
        exposed_ports: (!exposed.is_empty()).then_some(exposed),
        stop_signal: Some("SIGTERM".into()),
        host_config: Some(host_config),
        ..ContainerCreateBody::default()
    })
}

fn labels(
    spec: &StartSpec,
    further: &super::Labels,
    marks: &Marks<'_>,
    record: &Record,
) -> Result<HashMap<String, String>, StartError> {
    let mut labels: HashMap<String, String> = HashMap::new();
    labels.extend(further.iter().map(|(name, value)| (name.clone(), value.clone())));
    labels.extend(spec.labels.iter().map(|(name, value)| (name.clone(), value.clone())));
    // Last, so that no other label passes as ours.
    let short = Record { labels: super::Labels::new(), ..record.clone() };
    let text = serde_json::to_string(&short).map_err(|error| StartError::Spawn(error.to_string()))?;
    labels.insert(LABEL_INSTALLATION.into(), marks.installation.into());
    labels.insert(LABEL_HOST.into(), marks.host.into());
    labels.insert(LABEL_INSTANCE.into(), spec.id.to_string());
    labels.insert(LABEL_NAME.into(), spec.name.clone());
    labels.insert(LABEL_RECORD.into(), text);
    Ok(labels)
}

/// `NAME=value` for each variable beyond the image's own.
fn environment(spec: &StartSpec, launch: &Launch, sdk: Option<SdkPorts>) -> Result<Vec<String>, StartError> {
    let mut environment = launch.environment.clone();
    for (name, value) in &environment {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(StartError::Spawn(format!(
                "\"{name}\" cannot be set in the environment: names have no =, values no zero byte"
            )));
        }
    }
    environment.entry("GREENROOM_SERVER_ID".into()).or_insert_with(|| spec.id.to_string());
    environment.insert("GREENROOM_PAYLOAD_FILE".into(), format!("{PAYLOAD_DIR}/{PAYLOAD_FILE}"));
    let payload = spec.payload.as_ref().filter(|payload| payload.len() <= PAYLOAD_ENVIRONMENT_BYTES_MAX);
    // What an environment cannot hold is in the file all the same.
    if let Some(text) = payload.and_then(|payload| std::str::from_utf8(payload).ok())
        && !text.contains('\0')
    {
        environment.insert("GREENROOM_PAYLOAD".into(), text.to_owned());
    }
    environment.extend(sdk.map(SdkPorts::environment).into_iter().flatten());
    Ok(environment.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
}

fn mounts(settings: &ContainerSettings, record: &Record, folder: &RecordFolder) -> Vec<Mount> {
    let payload = Mount {
        target: Some(PAYLOAD_DIR.into()),
        ..match record.payload_by {
            PayloadBy::Mount => Mount {
                typ: Some(MountType::BIND),
                source: Some(folder.payload_dir().to_string_lossy().into_owned()),
                read_only: Some(true),
                ..Mount::default()
            },
            // One without a name, which is removed with the container.
            PayloadBy::Archive => Mount { typ: Some(MountType::VOLUME), ..Mount::default() },
        }
    };
    let volume = |volume: &Volume| Mount {
        typ: Some(if volume.source.starts_with('/') { MountType::BIND } else { MountType::VOLUME }),
        source: Some(volume.source.clone()),
        target: Some(volume.target.clone()),
        read_only: Some(volume.read_only),
        ..Mount::default()
    };
    std::iter::once(payload).chain(settings.volumes.iter().map(volume)).collect()
}

type Bindings = HashMap<String, Option<Vec<PortBinding>>>;

/// The container's ports, and what they are on the host.
fn published(record: &Record) -> (Vec<String>, Bindings) {
    let (mut exposed, mut bindings) = (Vec::new(), Bindings::new());
    if record.host_network || !record.holds_ports {
        return (exposed, bindings);
    }
    for bound in &record.ports {
        for (outer, inner) in numbers(bound) {
            for protocol in protocols(bound.protocol) {
                let key = format!("{inner}/{protocol}");
                let binding = PortBinding { host_ip: None, host_port: Some(outer.to_string()) };
                exposed.push(key.clone());
                bindings.insert(key, Some(vec![binding]));
            }
        }
    }
    (exposed, bindings)
}

/// The numbers of a port outside and inside the container.
pub(super) fn numbers(bound: &BoundPort) -> impl Iterator<Item = (u16, u16)> + use<> {
    let (outer, inner) = (bound.port, bound.inner.unwrap_or(bound.port));
    (0..bound.count.max(1)).map(move |n| (outer.saturating_add(n), inner.saturating_add(n)))
}

fn protocols(protocol: PortProtocol) -> &'static [&'static str] {
    match protocol {
        PortProtocol::Tcp => &["tcp"],
        PortProtocol::Udp => &["udp"],
        PortProtocol::TcpUdp | PortProtocol::Either => &["tcp", "udp"],
    }
}
