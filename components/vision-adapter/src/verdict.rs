//! Weighs the evidence. Confidence is one less the doubt that is left: each kind of evidence leaves
//! a doubt of its own, what agrees lessens it, what disagrees adds to it.

use crate::catalogue::{self, Livery, Maker};
use crate::evidence::{Evidence, Kind};
use crate::livery::Seen;
use crate::metadata::Text;
use crate::metadata::Texts;
use crate::tag::{Tag, Tags};
use crate::text::{self, Mention};

/// Confident from here.
const CONFIDENT: f64 = 0.5;

/// A fleet tag is made to be read, with error correction; what remains is that it hangs on
/// another machine.
const DOUBT_TAG: f64 = 0.03;
/// Two different tags in one picture: the larger one is probably the machine that is meant.
const DOUBT_TAGS: f64 = 0.35;
/// A text that names maker, model and kind, and so on down to a bare maker.
const DOUBT_FULL: f64 = 0.20;
const DOUBT_MODEL: f64 = 0.25;
const DOUBT_KIND: f64 = 0.45;
const DOUBT_MAKER: f64 = 0.65;
/// A text that names a kind of machine and no maker.
const DOUBT_KIND_ONLY: f64 = 0.75;
/// Another text that names another maker.
const DOUBT_CONTRADICTED: f64 = 0.55;

/// What lessens doubt: a text that agrees with a tag or another text, and a fitting livery.
const AGREEING_TEXT: f64 = 0.6;
const AGREEING_LIVERY: f64 = 0.85;

/// The confidence that a livery gives by itself, at most; it never makes an answer confident.
const MAX_LIVERY: f64 = 0.2;

/// What the adapter says about a photo.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verdict {
    /// The maker.
    pub brand: Option<String>,
    /// What kind of machine, in lower case.
    pub kind: Option<String>,
    /// The maker's name for the model.
    pub model: Option<String>,
    /// Brand and model, or as much of them as is known.
    pub name: Option<String>,
    /// 0 to 1.
    pub confidence: f64,
    /// How sure the kind of machine is, 0 to 1.
    pub kind_confidence: Option<f64>,
    /// What the kind rests on: an evidence's name, or `model` for the model's numbering.
    pub kind_source: Option<&'static str>,
    /// What all of it rests on, strongest first.
    pub evidence: Vec<Evidence>,
}

impl Verdict {
    /// Whether the answer should be taken as one.
    pub fn is_confident(&self) -> bool {
        self.confidence >= CONFIDENT
    }
}

/// Weighs what was found in a photo.
pub fn weigh(tags: &Tags, texts: &Texts, livery: Option<&Seen>) -> Verdict {
    let mentions: Vec<(&Text, Mention)> = texts
        .found()
        .iter()
        .map(|text| (text, text::read(&text.text)))
        .filter(|(_, mention)| !mention.is_empty())
        .collect();
    let mut verdict = match tags.read.split_first() {
        Some((tag, others)) => from_tag(tag, others, &mentions, livery),
        None => from_texts(&mentions, livery),
    };
    for tag in &tags.unknown {
        verdict
            .evidence
            .push(Evidence::new(Kind::FleetTag, &format!("a tag of a form not known here: {tag}")));
    }
    for (text, _) in &mentions {
        verdict.evidence.push(Evidence::new(text.kind, &text.text));
    }
    if let Some(seen) = livery {
        verdict.evidence.push(Evidence::new(Kind::Livery, &describe(seen)));
    }
    verdict.evidence.sort_by_key(|evidence| evidence.kind);
    verdict.confidence = round(verdict.confidence);
    verdict.kind_confidence = verdict.kind_confidence.map(round);
    verdict.name = match (&verdict.brand, &verdict.model, &verdict.kind) {
        (Some(brand), Some(model), _) => Some(format!("{brand} {model}")),
        (Some(brand), None, Some(kind)) => Some(format!("{brand} {kind}")),
        (Some(brand), None, None) => Some(brand.clone()),
        (None, _, kind) => kind.clone(),
    };
    verdict
}

fn from_tag(tag: &Tag, others: &[Tag], mentions: &[(&Text, Mention)], livery: Option<&Seen>) -> Verdict {
    let maker = catalogue::maker(&tag.brand.to_lowercase());
    let mut doubt = if others.is_empty() { DOUBT_TAG } else { DOUBT_TAGS };
    if maker.is_some() && mentions.iter().any(|(_, mention)| mention.maker == maker) {
        doubt *= AGREEING_TEXT;
    }
    if fits(maker, livery) {
        doubt *= AGREEING_LIVERY;
    }
    let say = |tag: &Tag| match &tag.serial {
        Some(serial) => format!("{} {}, {}, serial {serial}", tag.brand, tag.model, tag.kind),
        None => format!("{} {}, {}", tag.brand, tag.model, tag.kind),
    };
    let mut evidence = vec![Evidence::new(Kind::FleetTag, &say(tag))];
    evidence.extend(others.iter().map(|tag| Evidence::new(Kind::FleetTag, &format!("also: {}", say(tag)))));
    Verdict {
        // A maker we know is written as it writes itself: tags in capitals are common.
        brand: Some(maker.map_or_else(|| tag.brand.clone(), |maker| maker.name.to_owned())),
        kind: Some(tag.kind.clone()),
        model: Some(tag.model.clone()),
        confidence: 1.0 - doubt,
        kind_confidence: Some(1.0 - doubt),
        kind_source: Some(Kind::FleetTag.name()),
        evidence,
        ..Verdict::default()
    }
}

fn from_texts(mentions: &[(&Text, Mention)], livery: Option<&Seen>) -> Verdict {
    // The text that says most leads; the first of equals.
    let best = mentions
        .iter()
        .enumerate()
        .min_by(|(i, (_, a)), (j, (_, b))| doubt(a).total_cmp(&doubt(b)).then(i.cmp(j)));
    let Some((at, (text, best))) = best else { return from_livery(livery) };
    let others =
        || mentions.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, (text, mention))| (*text, mention));
    let mut kind = best.kind.map(|kind| (kind, text.kind.name(), 0.8));
    // A kind may stand in a text of its own: keywords often are one word each.
    if kind.is_none() {
        let other = others().find(|(_, mention)| mention.maker.is_none() || mention.maker == best.maker);
        kind = other.and_then(|(text, mention)| Some((mention.kind?, text.kind.name(), 0.75)));
    }
    if kind.is_none() {
        kind = best.kind_of_model().map(|kind| (kind, "model", 0.75));
    }
    let whole = Mention { kind: kind.map(|(kind, ..)| kind), ..best.clone() };
    let mut doubt = doubt(&whole);
    let mut contradicted = false;
    if best.maker.is_some() {
        let makers = || others().filter_map(|(_, mention)| mention.maker);
        contradicted = makers().any(|maker| Some(maker) != best.maker);
        if contradicted {
            doubt = doubt.max(DOUBT_CONTRADICTED);
        } else if makers().next().is_some() {
            doubt *= AGREEING_TEXT;
        }
        if fits(best.maker, livery) {
            doubt *= AGREEING_LIVERY;
        }
    }
    Verdict {
        brand: best.maker.map(|maker| maker.name.to_owned()),
        kind: kind.map(|(kind, ..)| kind.to_owned()),
        model: best.model.clone(),
        confidence: 1.0 - doubt,
        kind_confidence: kind.map(|(.., sure)| if contradicted { sure / 2.0 } else { sure }),
        kind_source: kind.map(|(_, source, _)| source),
        ..Verdict::default()
    }
}

fn from_livery(livery: Option<&Seen>) -> Verdict {
    let Some(seen) = livery else { return Verdict::default() };
    let mut makers = catalogue::painted(seen.livery);
    // A colour that several makers use names none of them.
    let brand = match (makers.next(), makers.next()) {
        (Some(maker), None) => Some(maker.name.to_owned()),
        _ => None,
    };
    Verdict { brand, confidence: (0.05 + seen.share / 2.0).min(MAX_LIVERY), ..Verdict::default() }
}

fn doubt(mention: &Mention) -> f64 {
    match (mention.maker.is_some(), mention.model.is_some(), mention.kind.is_some()) {
        (true, true, true) => DOUBT_FULL,
        (true, true, false) => DOUBT_MODEL,
        (true, false, true) => DOUBT_KIND,
        (true, false, false) => DOUBT_MAKER,
        (false, ..) => DOUBT_KIND_ONLY,
    }
}

fn fits(maker: Option<&Maker>, livery: Option<&Seen>) -> bool {
    livery.is_some_and(|seen| maker.and_then(|maker| maker.livery) == Some(seen.livery))
}

fn describe(seen: &Seen) -> String {
    let colour = match seen.livery {
        Livery::Yellow => "yellow",
        Livery::Orange => "orange",
        Livery::Red => "red",
        Livery::Teal => "blue-green",
    };
    let names: Vec<&str> = catalogue::painted(seen.livery).map(|maker| maker.name).collect();
    let (some, more) = names.split_at_checked(4).unwrap_or((&names, &[]));
    let more = if more.is_empty() { "" } else { " and others" };
    format!("{:.0} % of the picture is the {colour} of {}{more}", seen.share * 100.0, some.join(", "))
}

/// To thousandths: more digits would claim a precision that is not there.
fn round(confidence: f64) -> f64 {
    (confidence * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const YELLOW: Seen = Seen { livery: Livery::Yellow, share: 0.3 };

    fn tag(brand: &str, model: &str) -> Tag {
        Tag { brand: brand.into(), kind: "excavator".into(), model: model.into(), serial: Some("7".into()) }
    }

    fn tags(read: &[Tag]) -> Tags {
        Tags { read: read.to_vec(), unknown: vec![] }
    }

    fn texts(all: &[&str]) -> Texts {
        let mut texts = Texts::default();
        all.iter().for_each(|text| texts.named(b"comment", text.as_bytes()));
        texts
    }

    #[test]
    fn a_fleet_tag_decides() {
        let verdict = weigh(&tags(&[tag("VOLVO", "EC220E")]), &texts(&["Caterpillar 950M"]), None);
        assert_eq!(verdict.name.as_deref(), Some("Volvo EC220E"));
        assert_eq!(verdict.kind.as_deref(), Some("excavator"));
        assert_eq!((verdict.confidence, verdict.kind_source), (0.97, Some("fleet-tag")));
        assert_eq!(verdict.evidence[0].text, "VOLVO EC220E, excavator, serial 7");
    }

    #[test]
    fn what_agrees_strengthens_and_what_differs_weakens() {
        let sure = |tags: &Tags, all: &[&str], livery| weigh(tags, &texts(all), livery).confidence;
        let one = tags(&[tag("Volvo", "EC220E")]);
        assert!(sure(&one, &["Volvo"], Some(&YELLOW)) > sure(&one, &[], Some(&YELLOW)));
        assert!(sure(&one, &[], Some(&YELLOW)) > sure(&one, &[], None));
        let two = tags(&[tag("Volvo", "EC220E"), tag("Volvo", "EC300E")]);
        assert!(sure(&two, &[], None) < 0.7);
        let none = Tags::default();
        assert!(sure(&none, &["Volvo EC220E", "Volvo"], None) > sure(&none, &["Volvo EC220E"], None));
        assert!(sure(&none, &["Volvo EC220E", "Komatsu"], None) < CONFIDENT);
    }

    #[test]
    fn texts_give_maker_model_and_kind_together() {
        let verdict = weigh(&Tags::default(), &texts(&["Caterpillar 950M", "wheel loader"]), Some(&YELLOW));
        assert_eq!(verdict.name.as_deref(), Some("Caterpillar 950M"));
        assert_eq!((verdict.kind.as_deref(), verdict.kind_source), (Some("wheel loader"), Some("text")));
        assert!(verdict.is_confident());
        let verdict = weigh(&Tags::default(), &texts(&["Komatsu PC210"]), None);
        assert_eq!((verdict.kind.as_deref(), verdict.kind_source), (Some("excavator"), Some("model")));
    }

    #[test]
    fn a_bare_maker_a_bare_kind_and_a_colour_are_not_confident() {
        for (all, livery) in
            [(&["Volvo"][..], Some(&YELLOW)), (&["an excavator"], None), (&[], Some(&YELLOW))]
        {
            let verdict = weigh(&Tags::default(), &texts(all), livery);
            assert!(!verdict.is_confident(), "{all:?}: {verdict:?}");
            assert!(verdict.confidence > 0.0);
        }
    }

    #[test]
    fn a_colour_names_a_maker_only_if_it_is_theirs_alone() {
        let brand =
            |livery| weigh(&Tags::default(), &Texts::default(), Some(&Seen { livery, share: 0.2 })).brand;
        assert_eq!(brand(Livery::Yellow), None);
        assert_eq!(brand(Livery::Teal).as_deref(), Some("Kobelco"));
    }

    #[test]
    fn nothing_is_an_answer_too() {
        let verdict = weigh(&Tags::default(), &Texts::default(), None);
        assert_eq!(verdict, Verdict::default());
        assert!(!verdict.is_confident());
    }

    #[test]
    fn an_unknown_tag_is_told_and_counts_for_nothing() {
        let unknown = Tags { read: vec![], unknown: vec!["tu:v2:x".into()] };
        let verdict = weigh(&unknown, &Texts::default(), None);
        assert_eq!((verdict.confidence, verdict.evidence.len()), (0.0, 1));
    }
}
