//! Whose words are they?

use unicode_script::{Script, UnicodeScript};
use unicode_segmentation::UnicodeSegmentation;
use whatlang::{Detector, Lang};

use super::Language;
use crate::prose::{prose, words};

/// Words that a stretch of sentences has at least before its language is judged: trigrams tell little from fewer.
const STRETCH_WORDS: usize = 12;

/// Words from which the detector's best guess at a whole text counts even where it is not sure.
const GUESS_WORDS: usize = 8;

/// Han characters in a row without kana that are no longer Japanese.
const HAN_WITHOUT_KANA: usize = 12;

/// Frequent words of Swahili, which the detector does not know: prepositions, conjunctions, pronouns and forms of to be.
const SWAHILI: [&str; 40] = [
    "na", "ya", "wa", "kwa", "ni", "za", "katika", "la", "cha", "kuwa", "hii", "kama", "vya", "si", "hiyo", "huo",
    "ili", "pia", "au", "lakini", "yake", "wake", "yangu", "wangu", "yetu", "wetu", "sana", "kila", "hakuna", "kutoka",
    "mimi", "wewe", "yeye", "sisi", "hivyo", "baada", "kabla", "zaidi", "bila", "hapa",
];

/// Share of [`SWAHILI`] among the words of a text that is Swahili; measured texts have 0.25 to 0.45.
const SWAHILI_SHARE: f64 = 0.15;

/// Words of one or several sentences.
#[derive(Debug, Default)]
struct Stretch {
    /// The words in the target's own script, a space between them.
    text: String,
    /// How many these are.
    own: usize,
    /// How many words are in other scripts.
    other: usize,
    /// Whether there are kana among the words.
    kana: bool,
}

impl Stretch {
    fn add(&mut self, text: &str, target: Language) {
        for word in words(text) {
            let script = script(word);
            let kana = matches!(script, Script::Hiragana | Script::Katakana);
            self.kana |= kana;
            if script == target.script() || (kana && target == Language::Ja) {
                self.own += 1;
                self.text.push_str(word);
                self.text.push(' ');
            } else {
                self.other += 1;
            }
        }
    }

    fn join(&mut self, next: Stretch) {
        self.text.push_str(&next.text);
        self.own += next.own;
        self.other += next.other;
        self.kana |= next.kana;
    }

    /// Whether the words in the target's script are of another language; where the detector is not sure, they are not.
    fn is_foreign(&self, target: Language, guess: bool) -> bool {
        match target {
            Language::Zh => self.kana,
            Language::Ja => !self.kana && self.own >= HAN_WITHOUT_KANA,
            Language::Sw => swahili_share(&self.text) < SWAHILI_SHARE,
            _ if !shares_its_script(target) => false,
            _ => {
                let (Some(wanted), Some(found)) = (target.detected(), whatlang::detect_lang(&self.text)) else {
                    return false;
                };
                if found == wanted || alike(wanted, found) {
                    return false;
                }
                // Which of near relatives it is may be open, where it is plain that the text is not in the target.
                let between = Detector::with_allowlist(vec![wanted, found]).detect(&self.text);
                between.is_some_and(|best| best.lang() != wanted && (best.is_reliable() || self.may_guess(guess)))
            }
        }
    }

    fn may_guess(&self, guess: bool) -> bool {
        guess && self.own >= GUESS_WORDS
    }
}

/// How many words of a prose are in `target`, and how many words there are.
pub(super) fn count(prose: &str, target: Language) -> (usize, usize) {
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut open = Stretch::default();
    for sentence in prose.split_sentence_bounds() {
        open.add(sentence, target);
        if open.own >= STRETCH_WORDS {
            stretches.push(std::mem::take(&mut open));
        }
    }
    match stretches.last_mut() {
        Some(last) => last.join(open),
        None => stretches.push(open),
    }
    let ours = stretches.iter().filter(|one| one.own > 0 && !one.is_foreign(target, false)).map(|one| one.own);
    let all = stretches.iter().map(|one| one.own + one.other);
    (ours.sum(), all.sum())
}

/// Whether a text as a whole is in `target`: most of its words are in the target's script, and the detector's best guess
/// at them is the target. A text of a few words passes unless the detector is sure of another language.
pub(crate) fn is_written_in(text: &str, target: Language) -> bool {
    let mut whole = Stretch::default();
    whole.add(&prose(text), target);
    // Chinese text may name something Japanese.
    if target == Language::Zh {
        whole.kana = whole.other > 0 && whole.kana && whole.other >= whole.own;
    }
    whole.own > whole.other && !whole.is_foreign(target, true)
}

/// The script of a word: that of its first letter that has one of its own.
fn script(word: &str) -> Script {
    let own = |script: &Script| !matches!(script, Script::Common | Script::Inherited | Script::Unknown);
    word.chars().map(|c| c.script()).find(own).unwrap_or(Script::Common)
}

/// Whether the detector knows several languages in the script of `target`.
fn shares_its_script(target: Language) -> bool {
    matches!(target.script(), Script::Latin | Script::Cyrillic | Script::Arabic | Script::Devanagari)
}

/// Languages that share most of their written words: a text in one passes for the other.
fn alike(target: Lang, found: Lang) -> bool {
    matches!((target, found), (Lang::Ind, Lang::Jav) | (Lang::Nob, Lang::Dan))
}

fn swahili_share(text: &str) -> f64 {
    let (mut frequent, mut all) = (0_usize, 0_usize);
    for word in text.split_whitespace() {
        all += 1;
        frequent += usize::from(SWAHILI.contains(&word.to_lowercase().as_str()));
    }
    frequent as f64 / all.max(1) as f64
}
