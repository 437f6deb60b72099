//! The command lines of `monopod topics`, `tail`, `publish`, `dlq`, `replay` and `seek`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use monopod_core::Millis;
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::size::parse_duration;
use monopod_core::topics::Selection;

/// The running platform that is asked.
#[derive(Debug, Args)]
pub struct At {
    /// The state folder of the running platform
    #[arg(long, value_name = "DIR", default_value = ".monopod")]
    pub state: PathBuf,
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

/// `monopod topics`
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    pub at: At,
}

/// Which messages of a topic.
#[derive(Debug, Args)]
pub struct Which {
    /// The topic
    #[arg(value_name = "TOPIC")]
    pub topic: TopicName,
    /// Published at or after this: a time such as 2026-11-23T08:00:00Z, or so long ago: 2h
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<Millis>,
    /// Published before this
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<Millis>,
    /// Of this key
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// With this id
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
}

impl Which {
    pub fn selection(&self) -> Selection {
        let Self { topic, from, to, key, id } = self;
        Selection { topic: topic.clone(), from: *from, to: *to, key: key.clone(), id: id.clone() }
    }
}

/// `monopod tail`
#[derive(Debug, Args)]
pub struct Tail {
    #[command(flatten)]
    pub which: Which,
    /// How many of the last messages to show first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub lines: usize,
    /// Go on with what is published from now on, until Ctrl-C
    #[arg(short, long)]
    pub follow: bool,
    #[command(flatten)]
    pub at: At,
}

/// `monopod publish`
#[derive(Debug, Args)]
pub struct Publish {
    /// The topic
    #[arg(value_name = "TOPIC")]
    pub topic: TopicName,
    /// The content; without it standard input is read
    #[arg(value_name = "TEXT")]
    pub text: Option<String>,
    /// The key: messages of one key are handled in order
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// A header; may be repeated
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    pub headers: Vec<(String, String)>,
    #[command(flatten)]
    pub at: At,
}

/// `monopod dlq`
#[derive(Debug, Subcommand)]
pub enum Dead {
    /// Show the dead letters: what could not be handled, who could not, and why
    List {
        /// Only those of this topic
        #[arg(value_name = "TOPIC")]
        topic: Option<TopicName>,
        #[command(flatten)]
        at: At,
    },
    /// Show one dead letter with everything that is known of it
    Show {
        /// Its number, as the list has it
        #[arg(value_name = "NUMBER")]
        number: u64,
        #[command(flatten)]
        at: At,
    },
    /// Deliver dead letters again, each to the component that could not handle it
    Retry {
        /// Their numbers, as the list has them
        #[arg(value_name = "NUMBER", required_unless_present_any = ["topic", "all"])]
        numbers: Vec<u64>,
        /// All of this topic
        #[arg(long, value_name = "TOPIC", conflicts_with_all = ["numbers", "all"])]
        topic: Option<TopicName>,
        /// All there are
        #[arg(long, conflicts_with = "numbers")]
        all: bool,
        #[command(flatten)]
        at: At,
    },
}

/// `monopod replay`
#[derive(Debug, Args)]
pub struct Replay {
    #[command(flatten)]
    pub which: Which,
    /// Deliver to this component only; otherwise to all that consume the topic
    #[arg(long, value_name = "COMPONENT")]
    pub consumer: Option<ComponentName>,
    /// Also what was handled before: it has its effects a second time
    #[arg(long)]
    pub again: bool,
    #[command(flatten)]
    pub at: At,
}

/// `monopod seek`
#[derive(Debug, Args)]
pub struct Seek {
    /// The topic
    #[arg(value_name = "TOPIC")]
    pub topic: TopicName,
    /// The component
    #[arg(long, value_name = "COMPONENT")]
    pub consumer: ComponentName,
    /// Where it goes on: a time, so long ago (2h), `begin` or `end`. What lies before is
    /// taken from it; what lies behind is delivered, handled before or not
    #[arg(long, value_name = "TIME", value_parser = place)]
    pub to: Millis,
    #[command(flatten)]
    pub at: At,
}

/// A time, or how long ago.
fn time(text: &str) -> Result<Millis, String> {
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0));
    }
    let ago = parse_duration(text).map_err(|_| {
        format!("`{text}` is not a time: write 2026-11-23T08:00:00Z, or how long ago: 90s, 15m, 2h, 7d")
    })?;
    Ok(monopod_core::now().saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)))
}

fn place(text: &str) -> Result<Millis, String> {
    match text {
        "begin" => Ok(0),
        "end" => Ok(Millis::MAX),
        _ => time(text).map_err(|why| format!("{why}; or `begin` or `end`")),
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, for example x-schema=v1")?;
    Ok((name.trim().to_lowercase(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_so_long_ago() {
        assert_eq!(time("1970-01-01T00:00:01.5Z"), Ok(1_500));
        assert_eq!(time("2026-11-23T09:00:00+01:00"), time("2026-11-23T08:00:00Z"));
        let hour = monopod_core::now() - time("1h").unwrap();
        assert!((3_600_000..3_660_000).contains(&hour), "{hour}");
        assert!(time("yesterday").unwrap_err().contains("how long ago"));
        assert_eq!((place("begin"), place("end")), (Ok(0), Ok(Millis::MAX)));
        assert_eq!(header("X-A=b=c"), Ok(("x-a".into(), "b=c".into())));
        assert!(header("x").is_err());
    }
}
