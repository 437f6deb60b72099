//! What a text says about a machine: "Caterpillar 950M wheel loader" names a maker, a model and a
//! kind. Texts are written by people, so this reads words, not a grammar.

use crate::catalogue::{self, Maker};

/// The longest model name, in characters.
const MAX_MODEL: usize = 16;

/// What a text mentions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mention {
    /// The maker.
    pub maker: Option<&'static Maker>,
    /// The model, as written.
    pub model: Option<String>,
    /// The kind of machine the text names.
    pub kind: Option<&'static str>,
}

impl Mention {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The kind that the model's number tells.
    pub fn kind_of_model(&self) -> Option<&'static str> {
        self.maker?.kind_of(self.model.as_deref()?)
    }
}

/// Reads a text.
pub fn read(text: &str) -> Mention {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || ",;:()[]\"'/|_".contains(c))
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|word| !word.is_empty())
        .collect();
    let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let kind = catalogue::kind_in(&format!(" {} ", lower.join(" ")));
    let mut weak = None;
    for at in 0..lower.len() {
        let Some((maker, length)) = maker_at(&lower, at) else { continue };
        let model = model(maker, &words, at + length);
        // A maker whose name is a word of the language has to be meant as one.
        if model.is_some() || kind.is_some() || !maker.common {
            let mention = Mention { maker: Some(maker), model, kind };
            if mention.model.is_some() {
                return mention;
            }
            weak.get_or_insert(mention);
        }
    }
    weak.unwrap_or(Mention { kind, ..Mention::default() })
}

/// The maker whose name stands at a word, and of how many words it is.
fn maker_at(words: &[String], at: usize) -> Option<(&'static Maker, usize)> {
    let first = words.get(at)?;
    let two = words.get(at + 1).and_then(|second| catalogue::maker(&format!("{first} {second}")));
    two.map(|maker| (maker, 2)).or_else(|| catalogue::maker(first).map(|maker| (maker, 1)))
}

/// The model behind a maker's name: a word numbered as the maker does it, in one piece or two,
/// anywhere behind the name; or else the next word, if it has a digit and is not a year.
fn model(maker: &Maker, words: &[&str], from: usize) -> Option<String> {
    let behind = words.get(from..)?;
    for (i, word) in behind.iter().enumerate() {
        if plausible(word) && maker.kind_of(word).is_some() {
            return Some((*word).to_owned());
        }
        // "R 920", "EC 220".
        if let Some(next) = behind.get(i + 1)
            && word.len() <= 3
            && word.chars().all(|c| c.is_ascii_alphabetic())
            && plausible(next)
            && maker.kind_of(&format!("{word}{next}")).is_some()
        {
            return Some(format!("{word} {next}"));
        }
    }
    behind.first().filter(|word| plausible(word) && !year(word)).map(|word| (*word).to_owned())
}

fn plausible(word: &str) -> bool {
    word.len() <= MAX_MODEL
        && word.chars().any(|c| c.is_ascii_digit())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
}

fn year(word: &str) -> bool {
    word.len() == 4
        && (word.starts_with("19") || word.starts_with("20"))
        && word.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, maker: Option<&str>, model: Option<&str>, kind: Option<&str>) {
        let mention = read(text);
        let found = (mention.maker.map(|maker| maker.name), mention.model.as_deref(), mention.kind);
        assert_eq!(found, (maker, model, kind), "{text:?}");
    }

    #[test]
    fn what_people_write_is_understood() {
        check("Caterpillar 950M wheel loader", Some("Caterpillar"), Some("950M"), Some("wheel loader"));
        check("wheel loader;CAT;950M", Some("Caterpillar"), Some("950M"), Some("wheel loader"));
        check("Unser neuer Liebherr R 920 Kettenbagger!", Some("Liebherr"), Some("R 920"), Some("excavator"));
        check("gravemaskine, Volvo EC220E (2019)", Some("Volvo"), Some("EC220E"), Some("excavator"));
        check("John Deere 644 P-Tier", Some("John Deere"), Some("644"), None);
        check("Kubota 2021", Some("Kubota"), None, None);
        check("JLG 450AJ", Some("JLG"), Some("450AJ"), None);
        check("excavators at work", None, None, Some("excavator"));
        check("Volvo", Some("Volvo"), None, None);
    }

    #[test]
    fn words_that_happen_to_be_names_are_not_makers() {
        check("my cat in the yard", None, None, None);
        check("just in case", None, None, None);
        check("a cat excavator", Some("Caterpillar"), None, Some("excavator"));
        check("CASE CX210", Some("Case"), Some("CX210"), None);
    }

    #[test]
    fn other_texts_say_nothing() {
        for text in ["", "DCIM\\100MEDIA\\DJI_0012.JPG", "OLYMPUS DIGITAL CAMERA", "…", "55.676, 12.568"] {
            assert!(read(text).is_empty(), "{text:?}");
        }
    }
}
