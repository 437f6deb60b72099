//! What is known of makers and machines: names, how models are numbered, liveries. A small table,
//! on purpose: it recognises what people write, it does not know every machine there is.

/// A colour that makers paint their machines in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Livery {
    /// Caterpillar, Volvo and most others.
    Yellow,
    /// Hitachi, Develon and others.
    Orange,
    /// Manitou, Takeuchi and others.
    Red,
    /// Kobelco.
    Teal,
}

/// A maker.
#[derive(Debug, PartialEq, Eq)]
pub struct Maker {
    /// As its name is written.
    pub name: &'static str,
    /// In lower case; a name of two words has one space.
    names: &'static [&'static str],
    /// Whether one of the names is also a word ("cat", "case"): then the name alone says nothing.
    pub common: bool,
    /// What its machines look like.
    pub livery: Option<Livery>,
    /// How its models are numbered, and what kind of machine that is. `#` stands for digits, `.`
    /// for one digit; what follows must not be a digit.
    models: &'static [(&'static str, &'static str)],
}

const EXCAVATOR: &str = "excavator";
const WHEEL_LOADER: &str = "wheel loader";
const BACKHOE: &str = "backhoe loader";
const BULLDOZER: &str = "bulldozer";
const HAULER: &str = "articulated hauler";
const DUMP_TRUCK: &str = "dump truck";
const SKID_STEER: &str = "skid-steer loader";
const TRACK_LOADER: &str = "compact track loader";
const TELEHANDLER: &str = "telehandler";
const ROLLER: &str = "roller";
const GRADER: &str = "motor grader";
const CRANE: &str = "crane";
const SCISSOR_LIFT: &str = "scissor lift";
const BOOM_LIFT: &str = "boom lift";
const FORKLIFT: &str = "forklift";
const PAVER: &str = "paver";
const DUMPER: &str = "dumper";

/// Words for kinds of machine, in English, German and Danish; longer ones first where one is
/// part of another. In lower case, words joined by one space.
const WORDS: &[(&str, &str)] = &[
    ("compact track loader", TRACK_LOADER),
    ("skid steer loader", SKID_STEER),
    ("skid-steer loader", SKID_STEER),
    ("articulated dump truck", HAULER),
    ("articulated hauler", HAULER),
    ("aerial work platform", BOOM_LIFT),
    ("backhoe loader", BACKHOE),
    ("telescopic handler", TELEHANDLER),
    ("wheel loader", WHEEL_LOADER),
    ("wheeled loader", WHEEL_LOADER),
    ("front loader", WHEEL_LOADER),
    ("motor grader", GRADER),
    ("scissor lift", SCISSOR_LIFT),
    ("boom lift", BOOM_LIFT),
    ("dump truck", DUMP_TRUCK),
    ("skid steer", SKID_STEER),
    ("skid-steer", SKID_STEER),
    ("excavator", EXCAVATOR),
    ("digger", EXCAVATOR),
    ("bagger", EXCAVATOR),
    ("kettenbagger", EXCAVATOR),
    ("minibagger", EXCAVATOR),
    ("mobilbagger", EXCAVATOR),
    ("gravemaskine", EXCAVATOR),
    ("minigraver", EXCAVATOR),
    ("radlader", WHEEL_LOADER),
    ("gummiged", WHEEL_LOADER),
    ("læssemaskine", WHEEL_LOADER),
    ("backhoe", BACKHOE),
    ("baggerlader", BACKHOE),
    ("rendegraver", BACKHOE),
    ("bulldozer", BULLDOZER),
    ("dozer", BULLDOZER),
    ("planierraupe", BULLDOZER),
    ("dumper", DUMPER),
    ("telehandler", TELEHANDLER),
    ("teleskoplader", TELEHANDLER),
    ("teleskoplæsser", TELEHANDLER),
    ("roller", ROLLER),
    ("walze", ROLLER),
    ("tromle", ROLLER),
    ("grader", GRADER),
    ("crane", CRANE),
    ("kran", CRANE),
    ("forklift", FORKLIFT),
    ("gabelstapler", FORKLIFT),
    ("gaffeltruck", FORKLIFT),
    ("paver", PAVER),
    ("scherenbühne", SCISSOR_LIFT),
    ("sakselift", SCISSOR_LIFT),
];

const MAKERS: &[Maker] = &[
    Maker {
        name: "Caterpillar",
        names: &["caterpillar", "cat"],
        common: true,
        livery: Some(Livery::Yellow),
        models: &[
            ("3..", EXCAVATOR),
            ("9..", WHEEL_LOADER),
            ("4..", BACKHOE),
            ("2..", SKID_STEER),
            ("1..", GRADER),
            ("7..", HAULER),
            ("D.", BULLDOZER),
            ("D..", BULLDOZER),
            ("TH#", TELEHANDLER),
            ("CS#", ROLLER),
        ],
    },
    Maker {
        name: "Volvo",
        names: &["volvo"],
        common: false,
        livery: Some(Livery::Yellow),
        models: &[
            ("ECR#", EXCAVATOR),
            ("EC#", EXCAVATOR),
            ("EWR#", EXCAVATOR),
            ("EW#", EXCAVATOR),
            ("L#", WHEEL_LOADER),
            ("A#", HAULER),
            ("SD#", ROLLER),
            ("DD#", ROLLER),
        ],
    },
    Maker {
        name: "Komatsu",
        names: &["komatsu"],
        common: false,
        livery: Some(Livery::Yellow),
        models: &[
            ("PC#", EXCAVATOR),
            ("PW#", EXCAVATOR),
            ("HB#", EXCAVATOR),
            ("WA#", WHEEL_LOADER),
            ("WB#", BACKHOE),
            ("D#", BULLDOZER),
            ("HM#", HAULER),
            ("HD#", DUMP_TRUCK),
            ("GD#", GRADER),
        ],
    },
    Maker {
        name: "JCB",
        names: &["jcb"],
        common: false,
        livery: Some(Livery::Yellow),
        models: &[
            ("JS#", EXCAVATOR),
            ("JZ#", EXCAVATOR),
            (".CX", BACKHOE),
            ("5#-#", TELEHANDLER),
            ("2..X", EXCAVATOR),
        ],
    },
    Maker {
        name: "Liebherr",
        names: &["liebherr"],
        common: false,
        livery: Some(Livery::Yellow),
        models: &[
            ("R#", EXCAVATOR),
            ("A#", EXCAVATOR),
            ("L#", WHEEL_LOADER),
            ("PR#", BULLDOZER),
            ("LTM#", CRANE),
            ("LR#", CRANE),
            ("T#", TELEHANDLER),
        ],
    },
    Maker {
        name: "Hitachi",
        names: &["hitachi"],
        common: false,
        livery: Some(Livery::Orange),
        models: &[("ZX#", EXCAVATOR), ("ZAXIS#", EXCAVATOR), ("EX#", EXCAVATOR), ("ZW#", WHEEL_LOADER)],
    },
    Maker {
        name: "Develon",
        names: &["develon", "doosan"],
        common: false,
        livery: Some(Livery::Orange),
        models: &[("DX#", EXCAVATOR), ("DL#", WHEEL_LOADER), ("DA#", HAULER)],
    },
    Maker {
        name: "Hyundai",
        names: &["hyundai"],
        common: false,
        livery: Some(Livery::Yellow),
        models: &[("HX#", EXCAVATOR), ("R#", EXCAVATOR), ("HL#", WHEEL_LOADER)],
    },
    Maker {
        name: "Case",
        names: &["case"],
        common: true,
        livery: Some(Livery::Yellow),
        models: &[
            ("CX#", EXCAVATOR),
            ("58.", BACKHOE),
            ("#G", WHEEL_LOADER),
            ("SR#", SKID_STEER),
            ("TR#", TRACK_LOADER),
        ],
    },
    Maker {
        name: "John Deere",
        names: &["john deere", "deere"],
        common: false,
        livery: Some(Livery::Yellow),
        models: &[
            ("3..SL", BACKHOE),
            ("6..", WHEEL_LOADER),
            ("8..", BULLDOZER),
            ("3..G", EXCAVATOR),
            ("3..P", EXCAVATOR),
        ],
    },
    Maker {
        name: "New Holland",
        names: &["new holland"],
        common: false,
        livery: Some(Livery::Yellow),
        models: &[("E#", EXCAVATOR), ("W#", WHEEL_LOADER)],
    },
    Maker {
        name: "Kobelco",
        names: &["kobelco"],
        common: false,
        livery: Some(Livery::Teal),
        models: &[("SK#", EXCAVATOR), ("CK#", CRANE)],
    },
    Maker {
        name: "Kubota",
        names: &["kubota"],
        common: false,
        livery: Some(Livery::Orange),
        models: &[("KX#", EXCAVATOR), ("U#", EXCAVATOR), ("SVL#", TRACK_LOADER)],
    },
    Maker {
        name: "Takeuchi",
        names: &["takeuchi"],
        common: false,
        livery: Some(Livery::Red),
        models: &[("TB#", EXCAVATOR), ("TL#", TRACK_LOADER)],
    },
    Maker {
        name: "Yanmar",
        names: &["yanmar"],
        common: false,
        livery: Some(Livery::Red),
        models: &[("VIO#", EXCAVATOR), ("SV#", EXCAVATOR), ("V#", WHEEL_LOADER)],
    },
    Maker {
        name: "Bobcat",
        names: &["bobcat"],
        common: false,
        livery: None,
        models: &[("E#", EXCAVATOR), ("S#", SKID_STEER), ("T#", TRACK_LOADER), ("TL#", TELEHANDLER)],
    },
    Maker {
        name: "Sany",
        names: &["sany"],
        common: false,
        livery: Some(Livery::Yellow),
        models: &[("SY#", EXCAVATOR)],
    },
    Maker {
        name: "XCMG",
        names: &["xcmg"],
        common: false,
        livery: Some(Livery::Yellow),
        models: &[("XE#", EXCAVATOR)],
    },
    Maker {
        name: "Wacker Neuson",
        names: &["wacker neuson"],
        common: false,
        livery: Some(Livery::Yellow),
        models: &[("ET#", EXCAVATOR), ("EZ#", EXCAVATOR), ("WL#", WHEEL_LOADER), ("DW#", DUMPER)],
    },
    Maker {
        name: "Bomag",
        names: &["bomag"],
        common: false,
        livery: Some(Livery::Yellow),
        models: &[("BW#", ROLLER)],
    },
    Maker {
        name: "Hamm",
        names: &["hamm"],
        common: false,
        livery: Some(Livery::Orange),
        models: &[("HD#", ROLLER), ("H#", ROLLER)],
    },
    Maker {
        name: "Manitou",
        names: &["manitou"],
        common: false,
        livery: Some(Livery::Red),
        models: &[("MT#", TELEHANDLER), ("MLT#", TELEHANDLER), ("MRT#", TELEHANDLER)],
    },
    Maker {
        name: "Merlo",
        names: &["merlo"],
        common: false,
        livery: None,
        models: &[("P#", TELEHANDLER), ("TF#", TELEHANDLER)],
    },
    Maker {
        name: "Genie",
        names: &["genie"],
        common: true,
        livery: None,
        models: &[("GS-#", SCISSOR_LIFT), ("GS#", SCISSOR_LIFT), ("Z-#", BOOM_LIFT), ("S-#", BOOM_LIFT)],
    },
    Maker { name: "JLG", names: &["jlg"], common: false, livery: Some(Livery::Orange), models: &[] },
];

impl Maker {
    /// What kind of machine a model of this maker is, if it is numbered like one we know.
    pub fn kind_of(&self, model: &str) -> Option<&'static str> {
        let model: String = model.chars().filter(|c| *c != ' ').map(|c| c.to_ascii_uppercase()).collect();
        self.models
            .iter()
            .find(|(pattern, _)| fits(pattern.as_bytes(), model.as_bytes()))
            .map(|(_, kind)| *kind)
    }
}

/// The maker of this name, in lower case.
pub fn maker(name: &str) -> Option<&'static Maker> {
    MAKERS.iter().find(|maker| maker.names.contains(&name))
}

/// The makers that paint their machines so.
pub fn painted(livery: Livery) -> impl Iterator<Item = &'static Maker> {
    MAKERS.iter().filter(move |maker| maker.livery == Some(livery))
}

/// The kind of machine that a text names; `words` is in lower case, joined by one space, with
/// one before and one behind.
pub fn kind_in(words: &str) -> Option<&'static str> {
    WORDS
        .iter()
        .find(|(word, _)| {
            words.match_indices(word).any(|(at, word)| {
                let behind = words.get(at + word.len()..).unwrap_or_default();
                // Plurals count.
                words.get(..at).is_some_and(|before| before.ends_with(' '))
                    && (behind.starts_with(' ') || behind.starts_with("s "))
            })
        })
        .map(|(_, kind)| *kind)
}

fn fits(pattern: &[u8], model: &[u8]) -> bool {
    match (pattern, model) {
        ([], []) => true,
        ([], [next, ..]) => !next.is_ascii_digit(),
        ([b'#', rest @ ..], [digit, ..]) if digit.is_ascii_digit() => {
            let digits = model.iter().take_while(|byte| byte.is_ascii_digit()).count();
            fits(rest, model.get(digits..).unwrap_or_default())
        }
        ([b'.', rest @ ..], [digit, behind @ ..]) if digit.is_ascii_digit() => fits(rest, behind),
        ([letter, rest @ ..], [same, behind @ ..]) if letter == same => fits(rest, behind),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_known_by_their_numbering() {
        for (name, model, expect) in [
            ("volvo", "EC220E", Some(EXCAVATOR)),
            ("volvo", "ec 220 e", Some(EXCAVATOR)),
            ("volvo", "L90H", Some(WHEEL_LOADER)),
            ("volvo", "X1", None),
            ("cat", "950M", Some(WHEEL_LOADER)),
            ("cat", "9500", None),
            ("cat", "D6", Some(BULLDOZER)),
            ("jcb", "3CX", Some(BACKHOE)),
            ("jcb", "541-70", Some(TELEHANDLER)),
            ("liebherr", "R 920", Some(EXCAVATOR)),
            ("doosan", "DX225LC-7", Some(EXCAVATOR)),
            ("genie", "GS-1932", Some(SCISSOR_LIFT)),
        ] {
            assert_eq!(maker(name).unwrap().kind_of(model), expect, "{name} {model}");
        }
    }

    #[test]
    fn kinds_are_found_as_whole_words() {
        assert_eq!(kind_in(" two wheel loaders "), Some(WHEEL_LOADER));
        assert_eq!(kind_in(" en gravemaskine "), Some(EXCAVATOR));
        assert_eq!(kind_in(" baggerlader "), Some(BACKHOE));
        assert_eq!(kind_in(" motor grader "), Some(GRADER));
        assert_eq!(kind_in(" upgrader "), None);
        assert_eq!(kind_in(" holiday "), None);
    }

    #[test]
    fn names_are_lower_case_and_belong_to_one_maker() {
        let mut names: Vec<_> = MAKERS.iter().flat_map(|maker| maker.names).collect();
        assert!(names.iter().all(|name| **name == name.to_lowercase()));
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
