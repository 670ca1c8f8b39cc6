//! What is counted in a text, and how.

/// Runs of letters, digits and `_`: `don't` is two words and `well-known` is two.
pub(super) fn words(text: &str) -> usize {
    text.split(|c: char| !is_word(c)).filter(|word| !word.is_empty()).count()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `word` occurs in `text` with a border between word and other characters at both of its ends.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    let border = |at: usize| {
        let (before, after) = text.split_at(at);
        before.chars().next_back().is_some_and(is_word) != after.chars().next().is_some_and(is_word)
    };
    !word.is_empty() && text.match_indices(word).any(|(at, _)| border(at) && border(at + word.len()))
}

/// Words in capitals: runs without white space and marks, with a capital and no small letter. An apostrophe parts words, so
/// that the `I` of `I'm` is one; hyphens and full stops do not.
pub(super) fn capital_words(text: &str) -> usize {
    let parts = text.split(|c: char| c.is_whitespace() || ",;:!?()[]{}<>\"“”'’…—*`".contains(c));
    parts.filter(|word| word.chars().any(char::is_uppercase) && !word.chars().any(char::is_lowercase)).count()
}

/// The parts of a text between marks, the blank first and last left out; `None` where a part in the middle is blank.
pub(super) fn blocks<'a>(text: &'a str, mark: &str) -> Option<Vec<&'a str>> {
    let parts: Vec<&str> = text.split(mark).collect();
    let last = parts.len() - 1;
    let blank = |part: &str| part.trim().is_empty();
    if parts.iter().enumerate().any(|(place, part)| blank(part) && place != 0 && place != last) {
        return None;
    }
    Some(parts.into_iter().filter(|part| !blank(part)).collect())
}

/// The first word of a paragraph in lower case, without quotation marks before it and up to the first mark in it.
pub(super) fn first_word(paragraph: &str) -> String {
    let word = paragraph.split_whitespace().next().unwrap_or_default();
    let word = word.trim_start_matches('\'').trim_start_matches('"');
    word.split(['.', ',', '?', '!', '\'', '"']).next().unwrap_or_default().to_lowercase()
}

/// Pairs of square brackets on one line, whatever they hold.
pub(super) fn bracketed(text: &str) -> usize {
    let mut count = 0;
    for line in text.split('\n') {
        let mut rest = line;
        while let Some((_, behind)) = rest.split_once('[') {
            let Some((_, after)) = behind.split_once(']') else { break };
            count += 1;
            rest = after;
        }
    }
    count
}

/// Whether a postscript's marker occurs, both texts in lower case. `P.S.` and `P.P.S` may have a space behind their full
/// stops, and `P.P.S` needs none at its end.
pub(super) fn has_postscript(text: &str, marker: &str) -> bool {
    let spaced = |letters: &str| {
        let mut rest = text;
        let mut letters = letters.split(' ');
        let first = letters.next().unwrap_or_default();
        let others: Vec<&str> = letters.collect();
        while let Some(at) = rest.find(first) {
            let mut behind = &rest[at + first.len()..];
            let follows = others.iter().all(|letter| {
                let one_space = behind.strip_prefix(char::is_whitespace).unwrap_or(behind);
                match one_space.strip_prefix(letter) {
                    Some(after) => {
                        behind = after;
                        true
                    }
                    None => false,
                }
            });
            if follows {
                return true;
            }
            rest = &rest[at + first.len()..];
        }
        false
    };
    match marker {
        "p.p.s" => spaced("p. p. s"),
        "p.s." => spaced("p. s."),
        _ => text.contains(marker),
    }
}

/// A line that begins with `-`, or with `*` and something else.
pub(super) fn is_bullet(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with('-') || line.strip_prefix('*').is_some_and(|rest| !rest.is_empty() && !rest.starts_with('*'))
}

/// Stretches of a line between single asterisks, and those between double ones, that are not blank.
pub(super) fn highlights(text: &str) -> usize {
    between(text, "*") + between(text, "**")
}

fn between(text: &str, mark: &str) -> usize {
    let (mut count, mut rest) = (0, text);
    while let Some(at) = rest.find(mark) {
        let behind = &rest[at + mark.len()..];
        let end = behind.find(['*', '\n']).unwrap_or(behind.len());
        match behind[end..].strip_prefix(mark) {
            Some(after) => {
                count += usize::from(!behind[..end].trim().is_empty());
                rest = after;
            }
            None => rest = &rest[at + 1..],
        }
    }
    count
}

/// How often a mark stands with a number behind it, with one space between them or none: `Section 2`, `DAY1`.
pub(super) fn numbered(text: &str, mark: &str) -> usize {
    let numbered = |(at, _): &(usize, &str)| {
        let behind = &text[at + mark.len()..];
        behind.strip_prefix(char::is_whitespace).unwrap_or(behind).starts_with(char::is_numeric)
    };
    text.match_indices(mark).filter(numbered).count()
}

/// A text without the fence around it.
pub(super) fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let opened = ["```json", "```Json", "```JSON", "```"].iter().find_map(|mark| text.strip_prefix(mark));
    let text = opened.unwrap_or(text);
    text.strip_suffix("```").unwrap_or(text).trim()
}

/// Whether a line holds `<<…>>` with something in it.
pub(super) fn has_title(line: &str) -> bool {
    let Some((_, behind)) = line.split_once("<<") else { return false };
    let Some((inside, _)) = behind.rsplit_once(">>") else { return false };
    !inside.trim_matches(['<', '>']).trim().is_empty()
}

/// Words with a full stop that a name follows: they end no sentence.
const TITLES: [&str; 24] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "gen", "gov", "hon", "lt", "col", "sgt", "capt", "rev", "sen", "rep",
    "pres", "vs", "no", "fig", "vol", "approx", "e.g", "i.e",
];

/// Abbreviations that may end a sentence: they do where a capital letter follows.
const ABBREVIATIONS: [&str; 20] = [
    "etc", "inc", "ltd", "co", "corp", "jr", "sr", "dept", "ave", "blvd", "apt", "u.s", "u.k", "u.n", "a.m", "p.m",
    "ph.d", "b.c", "a.d", "al",
];

/// Counts sentences.
///
/// A sentence ends with a word that `.`, `!`, `?` or `…` closes (quotation marks and brackets may follow), or at `。！？।`
/// anywhere. A full stop ends none behind a title (`Dr.`), an initial (`J.`) or a number that opens a line (`1.`), nor,
/// unless a capital follows, behind an abbreviation (`etc.`) or dots (`...`). Line ends mean nothing: a heading belongs to
/// the sentence below it. What is left at the end is a sentence; one without a letter or digit is none.
pub(super) fn sentences(text: &str) -> usize {
    let mut count = 0;
    // Whether the sentence so far has a letter or digit.
    let mut filled = false;
    for line in text.lines() {
        let mut tokens = line.split_whitespace().peekable();
        let mut opens_line = true;
        while let Some(token) = tokens.next() {
            let mut parts = token.split(['。', '！', '？', '।']);
            let last = parts.next_back().unwrap_or_default();
            for part in parts {
                filled |= part.contains(char::is_alphanumeric);
                count += usize::from(std::mem::take(&mut filled));
            }
            filled |= last.contains(char::is_alphanumeric);
            if ends_sentence(last, tokens.peek().copied(), opens_line) {
                count += usize::from(std::mem::take(&mut filled));
            }
            opens_line = false;
        }
    }
    count + usize::from(filled)
}

/// Whether a word with its marks ends a sentence, given the next word of its line and whether it is the first.
fn ends_sentence(token: &str, next: Option<&str>, opens_line: bool) -> bool {
    let token = token.trim_end_matches(['"', '\'', '”', '’', ')', ']', '}', '»', '*', '_']);
    let capital_follows =
        next.is_none_or(|next| next.chars().find(|c| c.is_alphanumeric()).is_none_or(|first| !first.is_lowercase()));
    let Some(word) = token.strip_suffix('.') else {
        return token.ends_with(['!', '?']) || (token.ends_with('…') && capital_follows);
    };
    if word.ends_with('.') {
        return capital_follows;
    }
    let word = word.trim_start_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let initial = word.chars().count() == 1 && word != "i" && word.chars().all(char::is_alphabetic);
    let ordinal = opens_line && !word.is_empty() && word.chars().all(char::is_numeric);
    if TITLES.contains(&word.as_str()) || (initial && next.is_some()) || ordinal {
        // "No." is also an answer.
        return word == "no" && !next.is_some_and(|next| next.starts_with(char::is_numeric));
    }
    if ABBREVIATIONS.contains(&word.as_str()) { capital_follows } else { true }
}
