//! The kinds of instruction, how a row gives them, and what a text must be to follow them.

use serde_json::Value;
use serde_json::value::RawValue;

use super::measure;
use crate::language::{Language, is_written_in};

/// A number that something is counted against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    AtLeast(usize),
    LessThan(usize),
}

impl Bound {
    fn holds(self, count: usize) -> bool {
        match self {
            Self::AtLeast(n) => count >= n,
            Self::LessThan(n) => count < n,
        }
    }
}

/// One instruction with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Instruction {
    /// Each of these texts occurs, whatever its case.
    Keywords(Vec<String>),
    /// A text occurs this often, whatever its case.
    KeywordFrequency(String, Bound),
    /// None of these words occurs as a word, whatever its case.
    ForbiddenWords(Vec<String>),
    /// A character occurs this often, whatever its case.
    LetterFrequency(String, Bound),
    /// The text is in this language.
    ResponseLanguage(Language),
    Sentences(Bound),
    /// Exactly so many paragraphs with `***` between them.
    Paragraphs(usize),
    Words(Bound),
    /// Exactly `n` paragraphs with a blank line between them, and the first word of the `nth`, in lower case.
    NthParagraph {
        n: usize,
        nth: usize,
        first_word: String,
    },
    /// At least so many `[placeholders]`.
    Placeholders(usize),
    /// A postscript that begins with this marker.
    Postscript(String),
    /// Exactly so many lines that begin with `*` or `-`.
    Bullets(usize),
    /// One of the three answers that IFEval's prompts allow.
    Constrained,
    /// At least so many *highlighted* or **highlighted** stretches.
    Highlights(usize),
    /// At least so many sections, each opened by this word and a number.
    Sections(String, usize),
    /// The whole text is JSON, with or without a fence around it.
    Json,
    /// A `<<title>>`.
    Title,
    /// Two different responses with six asterisks between them.
    TwoResponses,
    /// The text begins with this one, whatever its case.
    RepeatPrompt(String),
    /// The text ends with this one, whatever its case.
    EndsWith(String),
    /// So many words in capitals.
    CapitalWords(Bound),
    /// English, and no small letter.
    EnglishCapital,
    /// English, and no capital letter.
    EnglishLowercase,
    NoComma,
    /// Double quotation marks around the whole text.
    Quotation,
}

/// The answers that `detectable_format:constrained_response` allows.
const CONSTRAINED: [&str; 3] = ["My answer is yes.", "My answer is no.", "My answer is maybe."];

impl Instruction {
    /// The instruction of a name and its arguments, or why there is none.
    pub(super) fn read(id: &str, kwargs: &Value) -> Result<Self, String> {
        let text = |name: &str| match kwargs.get(name).and_then(Value::as_str) {
            Some(text) if !text.trim().is_empty() => Ok(text.to_owned()),
            _ => Err(format!("no text in the argument {name}")),
        };
        let texts = |name: &str| -> Result<Vec<String>, String> {
            let items = kwargs.get(name).and_then(Value::as_array).filter(|items| !items.is_empty());
            let texts = items.and_then(|items| items.iter().map(|item| Some(item.as_str()?.to_owned())).collect());
            texts.ok_or_else(|| format!("no list of texts in the argument {name}"))
        };
        // Files of columns may hold whole numbers as floats.
        let number = |name: &str| match kwargs.get(name).and_then(Value::as_f64) {
            Some(n) if n >= 0.0 && n.fract() == 0.0 && n < 1e9 => Ok(n as usize),
            _ => Err(format!("no whole number in the argument {name}")),
        };
        let bound = |relation: &str, name: &str| match text(relation)?.as_str() {
            "at least" => number(name).map(Bound::AtLeast),
            "less than" => number(name).map(Bound::LessThan),
            other => Err(format!("`{other}` is neither `at least` nor `less than`")),
        };
        Ok(match id {
            "keywords:existence" => Self::Keywords(texts("keywords")?),
            "keywords:frequency" => Self::KeywordFrequency(text("keyword")?, bound("relation", "frequency")?),
            "keywords:forbidden_words" => Self::ForbiddenWords(texts("forbidden_words")?),
            "keywords:letter_frequency" => {
                Self::LetterFrequency(text("letter")?, bound("let_relation", "let_frequency")?)
            }
            "language:response_language" => {
                let code = text("language")?;
                Self::ResponseLanguage(
                    Language::from_code(&code).ok_or_else(|| format!("language `{code}` is not known"))?,
                )
            }
            "length_constraints:number_sentences" => Self::Sentences(bound("relation", "num_sentences")?),
            "length_constraints:number_paragraphs" => Self::Paragraphs(number("num_paragraphs")?),
            "length_constraints:number_words" => Self::Words(bound("relation", "num_words")?),
            "length_constraints:nth_paragraph_first_word" => Self::NthParagraph {
                n: number("num_paragraphs")?,
                nth: number("nth_paragraph")?,
                first_word: text("first_word")?.to_lowercase(),
            },
            "detectable_content:number_placeholders" => Self::Placeholders(number("num_placeholders")?),
            "detectable_content:postscript" => Self::Postscript(text("postscript_marker")?),
            "detectable_format:number_bullet_lists" => Self::Bullets(number("num_bullets")?),
            "detectable_format:constrained_response" => Self::Constrained,
            "detectable_format:number_highlighted_sections" => Self::Highlights(number("num_highlights")?),
            "detectable_format:multiple_sections" => {
                Self::Sections(text("section_spliter").or_else(|_| text("section_splitter"))?, number("num_sections")?)
            }
            "detectable_format:json_format" => Self::Json,
            "detectable_format:title" => Self::Title,
            "combination:two_responses" => Self::TwoResponses,
            "combination:repeat_prompt" => Self::RepeatPrompt(text("prompt_to_repeat")?),
            "startend:end_checker" => Self::EndsWith(text("end_phrase")?),
            "change_case:capital_word_frequency" => Self::CapitalWords(bound("capital_relation", "capital_frequency")?),
            "change_case:english_capital" => Self::EnglishCapital,
            "change_case:english_lowercase" => Self::EnglishLowercase,
            "punctuation:no_comma" => Self::NoComma,
            "startend:quotation" => Self::Quotation,
            _ => return Err("no such instruction is known".to_owned()),
        })
    }

    /// Whether `text` follows the instruction.
    pub(super) fn holds(&self, text: &str) -> bool {
        let lower = || text.to_lowercase();
        let lower_trimmed = || text.trim().to_lowercase();
        match self {
            Self::Keywords(words) => {
                let text = lower();
                words.iter().all(|word| text.contains(&word.to_lowercase()))
            }
            Self::KeywordFrequency(word, bound) => bound.holds(lower().matches(&word.to_lowercase()).count()),
            Self::ForbiddenWords(words) => {
                let text = lower();
                !words.iter().any(|word| measure::has_word(&text, &word.to_lowercase()))
            }
            Self::LetterFrequency(letter, bound) => bound.holds(lower().matches(&letter.to_lowercase()).count()),
            Self::ResponseLanguage(language) => is_written_in(text, *language),
            Self::Sentences(bound) => bound.holds(measure::sentences(text)),
            Self::Paragraphs(n) => measure::blocks(text, "***").is_some_and(|blocks| blocks.len() == *n),
            Self::Words(bound) => bound.holds(measure::words(text)),
            Self::NthParagraph { n, nth, first_word } => {
                let paragraphs: Vec<&str> = text.split("\n\n").collect();
                let filled = paragraphs.iter().filter(|paragraph| !paragraph.trim().is_empty()).count();
                let paragraph = nth.checked_sub(1).and_then(|place| paragraphs.get(place));
                filled == *n && *nth <= filled && paragraph.is_some_and(|one| measure::first_word(one) == *first_word)
            }
            Self::Placeholders(n) => measure::bracketed(text) >= *n,
            Self::Postscript(marker) => measure::has_postscript(&lower(), &marker.trim().to_lowercase()),
            Self::Bullets(n) => text.lines().filter(|line| measure::is_bullet(line)).count() == *n,
            Self::Constrained => CONSTRAINED.iter().any(|answer| text.contains(answer)),
            Self::Highlights(n) => measure::highlights(text) >= *n,
            Self::Sections(mark, n) => measure::numbered(text, mark.trim()) >= *n,
            Self::Json => serde_json::from_str::<&RawValue>(measure::unfenced(text)).is_ok(),
            Self::Title => text.lines().any(measure::has_title),
            Self::TwoResponses => measure::blocks(text, "******")
                .is_some_and(|blocks| matches!(blocks[..], [one, other] if one.trim() != other.trim())),
            Self::RepeatPrompt(prompt) => lower_trimmed().starts_with(&prompt.trim().to_lowercase()),
            Self::EndsWith(phrase) => {
                lower_trimmed().trim_matches('"').trim_end().ends_with(&phrase.trim().to_lowercase())
            }
            Self::CapitalWords(bound) => bound.holds(measure::capital_words(text)),
            Self::EnglishCapital => {
                text.chars().any(char::is_uppercase)
                    && !text.chars().any(char::is_lowercase)
                    && is_written_in(text, Language::En)
            }
            Self::EnglishLowercase => {
                text.chars().any(char::is_lowercase)
                    && !text.chars().any(char::is_uppercase)
                    && is_written_in(text, Language::En)
            }
            Self::NoComma => !text.contains(','),
            Self::Quotation => {
                let text = text.trim();
                text.len() > 1 && text.starts_with('"') && text.ends_with('"')
            }
        }
    }
}
