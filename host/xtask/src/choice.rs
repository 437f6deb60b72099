//! Which compiler builds the guests: rustup's `wasm32-wasip2` where it can be had, otherwise
//! Debian's pair of compiler and library source. A pure function of what was found, so that
//! every case can be tested on any machine; `toolchain` finds out, and carries it out.

use crate::debian;

/// The target of all guests: a component comes straight out of the linker.
pub const TARGET: &str = "wasm32-wasip2";
/// Debian's compiler, its library's source, and the C library of the target.
pub const PAIR: [&str; 4] = ["rustc-web", "libstd-rust-web-dev", "rust-web-src", "wasi-libc"];

/// One of the two ways to compile a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `cargo build --target wasm32-wasip2`, the plain way.
    Rustup,
    /// Debian's compiler builds the standard library, too.
    DebianPair,
}

/// What the choice depends on.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// `MONOPOD_WASM`: the user's own choice.
    pub wish: Option<Way>,
    /// The standard library for the target lies in the toolchain.
    pub target_here: bool,
    /// There is a rustup that could fetch it.
    pub rustup: bool,
    /// Why rustup could not, now or within the last day.
    pub refused: Option<String>,
    /// Debian's pair is complete.
    pub pair_here: bool,
    /// Debian's packages can be had.
    pub apt: bool,
    /// We may install them.
    pub root: bool,
}

/// What to do next. `Use` and `Stop` are final; after the others the facts are taken again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Build this way, for this reason.
    Use(Way, String),
    /// Ask rustup for the target.
    AddTarget,
    /// Ask apt-get for the pair.
    InstallPair,
    /// It cannot be done from here; this is what the user can do.
    Stop(String),
}

/// Decides.
pub fn next(facts: &Facts) -> Next {
    let rustup_answer = if facts.target_here {
        Err(Next::Use(Way::Rustup, "rustup's wasm32-wasip2".into()))
    } else if let Some(why) = &facts.refused {
        Ok(why.clone())
    } else if facts.rustup {
        Err(Next::AddTarget)
    } else {
        Ok("no rustup here".into())
    };
    let why = match (facts.wish, rustup_answer) {
        (Some(Way::DebianPair), _) => "asked for by MONOPOD_WASM".to_owned(),
        (_, Err(answer)) => return answer,
        (Some(Way::Rustup), Ok(why)) => {
            return Next::Stop(format!("MONOPOD_WASM asks for rustup's target, but: {why}"));
        }
        (None, Ok(why)) => why,
    };
    if facts.pair_here {
        Next::Use(Way::DebianPair, format!("Debian's compiler pair ({why})"))
    } else if !facts.apt {
        Next::Stop(format!("no compiler for {TARGET}: {why}. Install it with: rustup target add {TARGET}"))
    } else if facts.root {
        Next::InstallPair
    } else {
        Next::Stop(format!("no compiler for {TARGET}: {why}. Run: {}", debian::command_line(&PAIR)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Facts {
        Facts { rustup: true, apt: true, root: true, ..Facts::default() }
    }

    fn refused() -> Facts {
        Facts { refused: Some("rustup says: no network".into()), ..here() }
    }

    #[test]
    fn the_target_of_rustup_is_preferred_and_asked_for_first() {
        assert_eq!(next(&here()), Next::AddTarget);
        let facts = Facts { target_here: true, pair_here: true, ..here() };
        assert!(matches!(next(&facts), Next::Use(Way::Rustup, _)));
        // A refusal of the past does not hide a target that is there now.
        let facts = Facts { target_here: true, ..refused() };
        assert!(matches!(next(&facts), Next::Use(Way::Rustup, _)));
    }

    #[test]
    fn debians_pair_is_taken_when_rustup_refuses_and_the_reason_is_said() {
        assert_eq!(next(&refused()), Next::InstallPair);
        let Next::Use(Way::DebianPair, why) = next(&Facts { pair_here: true, ..refused() }) else {
            panic!("the pair is there");
        };
        assert!(why.contains("no network"), "{why}");
        let facts = Facts { rustup: false, ..here() };
        assert_eq!(next(&facts), Next::InstallPair);
    }

    #[test]
    fn who_may_not_install_gets_the_one_command() {
        let Next::Stop(message) = next(&Facts { root: false, ..refused() }) else { panic!("not root") };
        assert!(message.contains("sudo apt-get install -y rustc-web"), "{message}");
        let Next::Stop(message) = next(&Facts { apt: false, ..refused() }) else { panic!("no apt") };
        assert!(message.contains("rustup target add wasm32-wasip2"), "{message}");
    }

    #[test]
    fn the_users_choice_is_kept_or_refused_but_never_replaced() {
        let wish = |way| Facts { wish: Some(way), pair_here: true, ..here() };
        assert_eq!(next(&wish(Way::Rustup)), Next::AddTarget);
        let facts = Facts { target_here: true, ..wish(Way::DebianPair) };
        assert!(matches!(next(&facts), Next::Use(Way::DebianPair, _)));
        let facts = Facts { wish: Some(Way::Rustup), pair_here: true, ..refused() };
        assert!(matches!(next(&facts), Next::Stop(_)));
    }
}
