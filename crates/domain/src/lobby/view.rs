use greenroom_protocol::lobby::{LobbyPhase, LobbyView, MemberView, Team};

use super::{Lobby, Member, Phase};
use crate::settings::LobbySettings;

impl Lobby {
    /// The lobby as players see it.
    pub fn view(&self, rules: &LobbySettings) -> LobbyView {
        let team = |team| self.members.iter().filter(move |member| member.team == team).map(view).collect();
        LobbyView {
            id: self.id.clone(),
            code: self.code.clone(),
            is_private: self.is_private,
            team_a: team(Team::A),
            team_b: team(Team::B),
            owner_id: self.owner.clone(),
            name: self.name.clone(),
            map: self.map.clone(),
            mode: self.mode.clone(),
            team_size: self.team_size(rules),
            members_max: rules.members_max,
            has_password: self.password_hash.is_some(),
            phase: match self.phase {
                Phase::Waiting => LobbyPhase::Waiting,
                Phase::Starting { .. } => LobbyPhase::Starting,
                Phase::Playing { .. } => LobbyPhase::Playing,
            },
            keep: self.keep,
            match_id: self.match_id().cloned(),
            created_at: self.created_at,
            revision: Some(self.revision),
        }
    }
}

fn view(member: &Member) -> MemberView {
    MemberView {
        account_id: member.player.clone(),
        username: member.username.clone(),
        ready: member.ready,
        connected: member.is_connected(),
        bot: member.bot,
        joined_at: member.joined_at,
    }
}
