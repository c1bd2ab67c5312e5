//! Identifiers: one newtype each, so that a lobby's id is never taken for a match's.

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest identifier, in bytes. Longer ones are refused.
pub const ID_BYTES_MAX: usize = 128;

/// A text that is no identifier: empty, longer than [`ID_BYTES_MAX`], or with a character
/// outside `[A-Za-z0-9_-]`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id has 1 to 128 characters out of A-Z, a-z, 0-9, _ and -")]
pub struct InvalidId;

fn check(text: &str) -> Result<(), InvalidId> {
    let fits = !text.is_empty()
        && text.len() <= ID_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if fits { Ok(()) } else { Err(InvalidId) }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// Cheap to clone. Written as a JSON string of `[A-Za-z0-9_-]`, so that it is also one
        /// token of an event's subject.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes `text` as an identifier if it has the form of one.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                check(text.as_ref())?;
                Ok(Self(Arc::from(text.as_ref())))
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                String::schema()
            }
        }

        impl utoipa::ToSchema for $name {}

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                String::json_schema(generator)
            }
        }
    )*};
}

ids! {
    /// A tenant: owns games, has limits, is isolated from every other studio. From the configuration.
    StudioId;
    /// A title of a studio. From the configuration; also the directory's partition.
    GameId;
    /// A person's account in a game's player base.
    PlayerId;
    /// One sign-in of a player. Tokens name it; ending it ends them.
    SessionId;
    /// Players gathering before a match.
    LobbyId;
    /// The players, teams and place that a lobby or the matchmaker decided on.
    MatchId;
    /// A place to play.
    RoomId;
    /// A running dedicated server, from before its start to after its end.
    ServerId;
    /// What a studio's own program presents; the public half of an API key.
    KeyId;
    /// A version of a game's server: an image tag, or a digest of the command.
    BuildId;
    /// Where game servers run, as players know it.
    RegionId;
    /// One machine or engine of a region.
    HostId;
    /// One running Greenroom process.
    NodeId;
    /// A person who administers the installation.
    AdminId;
    /// One sign-in of an administrator at the console.
    AdminSessionId;
    /// A link by which somebody becomes an administrator.
    InviteId;
    /// A token by which an administrator's own programs ask.
    PersonalTokenId;
}
