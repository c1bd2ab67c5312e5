//! A command line as a list of words.

/// The words of `text`, as a shell splits them: quotes keep blanks, a backslash keeps the character after it. Nothing
/// else of a shell is known.
pub(super) fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some('\''), _) => word.get_or_insert_default().push(character),
            (_, '\\') => {
                let kept =
                    characters.next().ok_or("it ends with a backslash; expected a character after it")?;
                word.get_or_insert_default().push(kept);
            }
            (None, '\'' | '"') => {
                quote = Some(character);
                // An empty pair of quotes is a word as well.
                word.get_or_insert_default();
            }
            (None, blank) if blank.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    if let Some(open) = quote {
        return Err(format!("the quote {open} is not closed; expected one more"));
    }
    words.extend(word);
    if words.is_empty() {
        return Err("expected a program and its arguments, such as ./server --port {port}".into());
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn words_are_split_at_blanks_that_no_quote_keeps() {
        assert_eq!(split("./a  --b {port}").unwrap(), ["./a", "--b", "{port}"]);
        assert_eq!(split(r#"'a b' "c \"d" e\ f '' g'h'"#).unwrap(), ["a b", "c \"d", "e f", "", "gh"]);
        assert_eq!(split(r"'a\b'").unwrap(), [r"a\b"]);
        for wrong in ["", "  ", "'a", "a\\", "\"a"] {
            assert!(split(wrong).is_err(), "{wrong}");
        }
    }
}
