//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::topics;

/// All microservices of a system as WebAssembly components in one process.
///
/// Exit codes: 0 done, 1 could not run, 3 the analysis failed (try), 4 the schema breaks
/// clients (schema --diff, reload), 64 wrong usage or a mistake in a file.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Options {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the platform that a file describes, and serve until Ctrl-C
    Up(Up),
    /// Put what the file and its bundles say now in place of what runs, or change nothing
    Reload(Reload),
    /// Check a platform file, its bundles and their schemas; start nothing
    Check(Check),
    /// Print the composed GraphQL schema: who answers each field, how, with which rights
    Schema(Schema),
    /// Show what each component may touch, or the network policy that follows from it
    Grants(Grants),
    /// Send a photo through a running platform, as a phone would, and show what comes back
    Try(crate::try_photo::Options),
    /// Show what the components of a running platform do and use up
    Ps(Ps),
    /// Pack a component folder into a bundle
    Bundle(Bundle),
    /// Copy a bundle, verified, into another folder
    Copy(Copy),
    /// Copy this program, and the libraries it runs with, to where another container finds them
    #[command(hide = true)]
    Carry(Carry),
    /// Show the topics, what they hold and who lags
    Topics(topics::List),
    /// Show the last messages of a topic, and those to come
    Tail(topics::Tail),
    /// Publish a message by hand
    Publish(topics::Publish),
    /// Look at what could not be handled, and have it handled again
    #[command(subcommand)]
    Dlq(topics::Dead),
    /// Deliver messages again: to who has not handled them, or by force to everybody
    Replay(topics::Replay),
    /// Set a component back, or forward, on a topic
    Seek(topics::Seek),
    /// Back up, restore and check everything that must survive
    #[command(subcommand)]
    State(State),
}

/// `monopod state`
#[derive(Debug, Subcommand)]
pub enum State {
    /// Copy the state into a new folder, at one moment; the platform may run meanwhile
    Export {
        /// The folder to make
        #[arg(value_name = "DIR")]
        to: PathBuf,
        #[command(flatten)]
        at: Place,
    },
    /// Verify a back-up and put it in place of an empty state; nothing is overwritten
    Import {
        /// The back-up
        #[arg(value_name = "DIR")]
        from: PathBuf,
        #[command(flatten)]
        at: Place,
    },
    /// Look at every byte of a back-up, or at the database of a state folder
    Verify {
        /// The back-up or the state folder
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// Print what is in it as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Where the state is.
#[derive(Debug, Args)]
pub struct Place {
    /// The state folder, as `state` in the platform file or --state of `monopod up` has it
    #[arg(long, value_name = "DIR", default_value = ".monopod")]
    pub state: PathBuf,
    /// Print what is in it as JSON
    #[arg(long)]
    pub json: bool,
}

/// A platform file and where its surroundings are.
#[derive(Debug, Args)]
pub struct File {
    /// The platform file, for example components/trackunit.toml
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The folder of the bundles, instead of `bundles` in the file
    #[arg(long, value_name = "DIR")]
    pub bundles: Option<PathBuf>,
}

/// `monopod up`
#[derive(Debug, Args)]
pub struct Up {
    #[command(flatten)]
    pub file: File,
    /// The folder for everything that must survive, instead of `state` in the file
    #[arg(long, env = "MONOPOD_STATE", value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// How long to wait for another monopod to give the state free, for example 30s
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = monopod_core::size::parse_duration)]
    pub wait: std::time::Duration,
    /// Where to listen, instead of `listen` in the file; port 0 takes any free port
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<std::net::SocketAddr>,
    /// Send this photo through the front door once it serves
    #[arg(long, value_name = "PHOTO")]
    pub r#try: Option<PathBuf>,
    /// With --try: stop after the answer; the exit code is that of `monopod try`
    #[arg(long, requires = "try")]
    pub once: bool,
    /// How log lines look; text for people, json for machines
    #[arg(long, value_enum, default_value_t = Log::Auto)]
    pub log: Log,
    /// Which log lines are written, in the manner of `info` or `warn,edge=debug`
    #[arg(long, env = "MONOPOD_LOG", default_value = "warn", value_name = "FILTER")]
    pub log_filter: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Log {
    /// Text on a terminal, JSON elsewhere
    Auto,
    /// One line of text each
    Text,
    /// One JSON object each
    Json,
}

/// `monopod reload`
#[derive(Debug, Args)]
pub struct Reload {
    /// The state folder of the running platform
    #[arg(long, env = "MONOPOD_STATE", value_name = "DIR", default_value = ".monopod")]
    pub state: PathBuf,
    /// Also where the schema breaks clients of the one that is served
    #[arg(long)]
    pub allow_breaking: bool,
    /// Print what came of it as JSON
    #[arg(long)]
    pub json: bool,
}

/// `monopod check`
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub file: File,
    /// Print the composed GraphQL schema
    #[arg(long)]
    pub schema: bool,
}

/// `monopod schema`
#[derive(Debug, Args)]
pub struct Schema {
    #[command(flatten)]
    pub file: File,
    /// Print what changes for the clients of this schema instead; exit code 4 if something
    /// breaks them
    #[arg(long, value_name = "SDL")]
    pub diff: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `monopod grants`
#[derive(Debug, Args)]
pub struct Grants {
    /// The platform file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Print the NetworkPolicy of a pod that runs this platform, as Kubernetes takes it
    #[arg(long)]
    pub network_policy: bool,
    /// With --network-policy: the name of the installation, as in the pods' label
    /// app.kubernetes.io/instance; by default the platform's name
    #[arg(long, value_name = "NAME", requires = "network_policy")]
    pub instance: Option<String>,
}

/// `monopod ps`
#[derive(Debug, Args)]
pub struct Ps {
    /// The platform file, for the place of its state
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The state folder of the running platform [default: that of the file, or .monopod]
    #[arg(long, env = "MONOPOD_STATE", value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Print the figures as JSON: times in seconds, sizes in bytes
    #[arg(long)]
    pub json: bool,
    /// Show them again every two seconds, until Ctrl-C
    #[arg(long)]
    pub watch: bool,
}

/// `monopod bundle`
#[derive(Debug, Args)]
pub struct Bundle {
    /// The component's folder, with component.toml and perhaps schema.graphql
    #[arg(value_name = "DIR")]
    pub component: PathBuf,
    /// The compiled component
    #[arg(long, value_name = "FILE")]
    pub wasm: PathBuf,
    /// The folder to write: an OCI image layout; an earlier one is replaced
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// `monopod copy`
#[derive(Debug, Args)]
pub struct Copy {
    /// The bundle
    #[arg(value_name = "FROM")]
    pub from: PathBuf,
    /// The folder to write; an earlier bundle is replaced
    #[arg(value_name = "TO")]
    pub to: PathBuf,
}

/// `monopod carry`
#[derive(Debug, Args)]
pub struct Carry {
    /// The folder to write
    #[arg(value_name = "DIR")]
    pub to: PathBuf,
}
