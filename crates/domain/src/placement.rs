//! Which host a new game server goes to. A pure choice; the counts it is given are everything that
//! runs or is about to.

use greenroom_protocol::{HostId, RegionId};

#[cfg(test)]
mod tests;

/// A host as a placement sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Which.
    pub id: HostId,
    /// Where it stands; in every region, if it is not to be bound to one.
    pub region: Option<RegionId>,
    /// Most game servers at once.
    pub servers_max: u32,
    /// How many there are, starting and stopping ones included.
    pub running: u32,
    /// Whether it can be asked to start one.
    pub is_reachable: bool,
    /// The address that players reach its servers at.
    pub address: String,
}

/// Where a server is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// In which region.
    pub region: &'a RegionId,
    /// A host that has just failed: any other one is better.
    pub avoid: Option<&'a HostId>,
}

/// Why a server can be placed nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// No host stands there.
    #[error("no host stands in the region \"{0}\"")]
    NoHost(RegionId),
    /// Those that stand there cannot be reached.
    #[error("no host of the region \"{region}\" can be reached ({})", list(.hosts))]
    NoneReachable {
        /// Where.
        region: RegionId,
        /// Which.
        hosts: Vec<HostId>,
    },
    /// Those that can be reached are full.
    #[error("the hosts of the region \"{region}\" run as many servers as they may ({servers_max})")]
    Full {
        /// Where.
        region: RegionId,
        /// What they hold together.
        servers_max: u32,
    },
}

/// Chooses the host for a new server: of those in the region that can be reached and have room, the
/// one with the smallest share of its places taken; between equals the one with more places, then the
/// one whose id comes first.
pub fn place<'a>(hosts: &'a [Host], wanted: Wanted<'_>) -> Result<&'a Host, NoPlace> {
    let stands_there = |host: &&Host| host.region.as_ref().is_none_or(|region| region == wanted.region);
    let there: Vec<&Host> = hosts.iter().filter(stands_there).collect();
    let region = || wanted.region.clone();
    if there.is_empty() {
        return Err(NoPlace::NoHost(region()));
    }
    let reachable: Vec<&Host> = there.iter().copied().filter(|host| host.is_reachable).collect();
    if reachable.is_empty() {
        let hosts = there.iter().map(|host| host.id.clone()).collect();
        return Err(NoPlace::NoneReachable { region: region(), hosts });
    }
    let with_room = reachable.iter().copied().filter(|host| host.running < host.servers_max);
    with_room.min_by(|a, b| order(a, b, wanted.avoid)).ok_or_else(|| {
        let servers_max = reachable.iter().fold(0_u32, |sum, host| sum.saturating_add(host.servers_max));
        NoPlace::Full { region: region(), servers_max }
    })
}

fn order(a: &Host, b: &Host, avoid: Option<&HostId>) -> std::cmp::Ordering {
    let is_avoided = |host: &Host| avoid == Some(&host.id);
    // a.running / a.servers_max against b.running / b.servers_max, without rounding.
    let share_a = u64::from(a.running) * u64::from(b.servers_max);
    let share_b = u64::from(b.running) * u64::from(a.servers_max);
    is_avoided(a)
        .cmp(&is_avoided(b))
        .then(share_a.cmp(&share_b))
        .then(b.servers_max.cmp(&a.servers_max))
        .then(a.id.cmp(&b.id))
}

fn list(hosts: &[HostId]) -> String {
    hosts.iter().map(HostId::as_str).collect::<Vec<_>>().join(", ")
}
