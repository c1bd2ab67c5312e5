//! Texts that people write, made fit to be shown: bounded, trimmed, without control characters.

/// Longest name of a player, in characters.
pub const USERNAME_CHARS_MAX: usize = 64;
/// Longest e-mail address, in bytes (RFC 5321, 4.5.3.1).
pub const EMAIL_BYTES_MAX: usize = 254;
/// Longest chat message, in characters.
pub const CHAT_CHARS_MAX: usize = 500;
/// Longest name of a lobby, in characters.
pub const LOBBY_NAME_CHARS_MAX: usize = 64;
/// Longest map or mode, in characters.
pub const LABEL_CHARS_MAX: usize = 64;
/// Longest title of a game server, in characters.
pub const TITLE_CHARS_MAX: usize = 64;
/// Longest reason of a ban, in characters.
pub const REASON_CHARS_MAX: usize = 200;

/// A player's name; none if nothing that can be seen is left of it.
pub fn username(text: &str) -> Option<String> {
    bounded(text, USERNAME_CHARS_MAX)
}

/// An e-mail address as accounts are found by it: trimmed, in lower case, of plain characters; none
/// if it has not the form of one.
pub fn email(text: &str) -> Option<String> {
    let text = text.trim();
    let (local, domain) = text.rsplit_once('@')?;
    let is_local = |b: u8| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let fits = text.len() <= EMAIL_BYTES_MAX
        && (1..=64).contains(&local.len())
        && local.split('.').all(|part| !part.is_empty() && part.bytes().all(is_local))
        && domain.split('.').all(is_label);
    fits.then(|| text.to_ascii_lowercase())
}

/// A chat message; none if nothing that can be seen is left of it.
pub fn chat(text: &str) -> Option<String> {
    bounded(text, CHAT_CHARS_MAX)
}

/// A lobby's name; none if nothing that can be seen is left of it.
pub fn lobby_name(text: &str) -> Option<String> {
    bounded(text, LOBBY_NAME_CHARS_MAX)
}

/// A map or mode; none if nothing that can be seen is left of it.
pub fn label(text: &str) -> Option<String> {
    bounded(text, LABEL_CHARS_MAX)
}

/// The reason of a ban, as the player is told it; empty if none was given.
pub fn reason(text: &str) -> String {
    bounded(text, REASON_CHARS_MAX).unwrap_or_default()
}

/// A title that a player gave a game server, made safe as an argument of a program: it is not empty
/// and never begins with what a program could read as an option (`-`, `+`, `/`, `@`).
pub fn title(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !is_hidden(*c)).collect();
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || is_blank(c) || is_option_sign(c));
    bounded(text, TITLE_CHARS_MAX)
}

/// Why a text cannot be the name that a player gives a game server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerNameError {
    /// It is too long.
    #[error("The name may have at most {TITLE_CHARS_MAX} characters.")]
    TooLong,
    /// There are control characters in it.
    #[error("The name may have no control characters.")]
    ControlCharacters,
    /// It begins as an option does.
    #[error("The name must not begin with `-`.")]
    Option,
    /// It reads as a path.
    #[error("The name must not be a path.")]
    Path,
}

/// Whether `text` can be the name that a player gives a game server. One that a program could take
/// for an option or for a path is refused, rather than changed, so that its player knows.
pub fn check_server_name(text: &str) -> Result<(), ServerNameError> {
    if text.chars().take(TITLE_CHARS_MAX + 1).count() > TITLE_CHARS_MAX {
        return Err(ServerNameError::TooLong);
    }
    if text.chars().any(is_hidden) {
        return Err(ServerNameError::ControlCharacters);
    }
    let begin = text.trim_start_matches(|c: char| c.is_whitespace() || is_blank(c));
    if begin.starts_with('-') {
        return Err(ServerNameError::Option);
    }
    let mut segments = begin.split(['/', '\\']).map(str::trim);
    let is_path =
        begin.starts_with(['/', '\\']) || segments.any(|segment| matches!(segment, "." | ".." | "~"));
    // A lone point is no path but a short name.
    if is_path && begin.contains(['/', '\\']) || begin.trim_end() == ".." {
        return Err(ServerNameError::Path);
    }
    Ok(())
}

/// `text` without control characters, trimmed, at most `chars_max` characters; none if nothing that
/// can be seen is left.
pub fn bounded(text: &str, chars_max: usize) -> Option<String> {
    let shown: String = text.chars().filter(|c| !is_hidden(*c)).collect();
    // Cutting may leave a space at the end, so it is trimmed once more.
    let cut: String = shown.trim().chars().take(chars_max).collect();
    let cut = cut.trim_end();
    if cut.chars().all(|c| c.is_whitespace() || is_blank(c)) { None } else { Some(cut.to_owned()) }
}

/// Control characters, and those that turn the direction or break the line of text around them.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// Seen as nothing, though no white space. Joiners stay within a text: emoji are made with them.
fn is_blank(c: char) -> bool {
    matches!(c, '\u{00AD}' | '\u{034F}' | '\u{115F}' | '\u{1160}' | '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{2064}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FFA0}')
}

/// What programs take for the beginning of an option, dashes of other scripts included.
fn is_option_sign(c: char) -> bool {
    matches!(
        c,
        '-' | '+' | '/' | '@' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{FE58}' | '\u{FE63}' | '\u{FF0D}'
    )
}

#[cfg(test)]
mod tests;
