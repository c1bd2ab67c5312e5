//! What a registry answers to somebody it does not know. Source: RFC 9110 section 11.6.1, and the
//! distribution project's token authentication.

/// Longest challenge that is read, in bytes.
const CHALLENGE_BYTES_MAX: usize = 4096;

/// How a registry wants to be told who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// By a token that another server gives.
    Bearer {
        /// Where tokens are given.
        realm: String,
        /// What the token is for.
        service: Option<String>,
        /// What it is to permit.
        scope: Option<String>,
    },
    /// By name and password.
    Basic,
}

impl Challenge {
    /// Reads one value of `WWW-Authenticate`; the strongest of several challenges in it.
    pub(super) fn parse(header: &str) -> Option<Self> {
        if header.len() > CHALLENGE_BYTES_MAX {
            return None;
        }
        let mut rest = header.trim_start();
        let mut found = None;
        while !rest.is_empty() {
            let (scheme, after) = token(rest)?;
            let (parameters, after) = parameters(after.trim_start());
            if scheme.eq_ignore_ascii_case("bearer") {
                let value = |name: &str| {
                    let named = parameters.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
                    named.map(|(_, value)| value.clone())
                };
                if let Some(realm) = value("realm") {
                    return Some(Self::Bearer { realm, service: value("service"), scope: value("scope") });
                }
            } else if scheme.eq_ignore_ascii_case("basic") {
                found = Some(Self::Basic);
            }
            rest = after.trim_start_matches([' ', '\t', ',']);
        }
        found
    }
}

/// `name=value` pairs, and what follows them: another challenge, or nothing.
fn parameters(mut rest: &str) -> (Vec<(&str, String)>, &str) {
    let mut all = Vec::new();
    loop {
        let begin = rest.trim_start_matches([' ', '\t', ',']);
        let Some((name, after)) = token(begin) else { return (all, begin) };
        let Some(value) = after.trim_start().strip_prefix('=') else { return (all, begin) };
        let Some((value, after)) = value_of(value.trim_start()) else { return (all, "") };
        all.push((name, value));
        rest = after;
    }
}

fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        return token(text).map(|(value, rest)| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

fn token(text: &str) -> Option<(&str, &str)> {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let length = text.bytes().take_while(|byte| fits(byte)).count();
    (length > 0).then(|| text.split_at(length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.into(),
            service: service.map(Into::into),
            scope: scope.map(Into::into),
        }
    }

    #[test]
    fn a_bearer_challenge_tells_where_tokens_are() {
        let header = r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push""#;
        let expected =
            bearer("https://auth.example/token", Some("registry.example"), Some("repository:a/b:pull,push"));
        assert_eq!(Challenge::parse(header), Some(expected));
        assert_eq!(
            Challenge::parse(r#"bearer Realm = "x\"y" , scope=z"#),
            Some(bearer("x\"y", None, Some("z")))
        );
    }

    #[test]
    fn of_several_challenges_the_strongest_counts() {
        let header = r#"Basic realm="a", charset="UTF-8", Bearer realm="b""#;
        assert_eq!(Challenge::parse(header), Some(bearer("b", None, None)));
        assert_eq!(Challenge::parse(r#"Basic realm="a""#), Some(Challenge::Basic));
        assert_eq!(Challenge::parse("Basic"), Some(Challenge::Basic));
    }

    #[test]
    fn nonsense_is_none() {
        for header in ["", "Digest realm=\"x\"", "Bearer", "Bearer realm=\"x", "\"", "=", "Bearer service=x"]
        {
            assert_eq!(Challenge::parse(header), None, "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_borne(header in "[ -~]{0,200}") {
            let _ = Challenge::parse(&header);
        }
    }
}
