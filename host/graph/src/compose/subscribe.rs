//! Compiles `@subscribe`: the topics that feed a field of `Subscription`, from where on, and what
//! ends it.

use apollo_compiler::Node;
use apollo_compiler::ast::{Directive, FieldDefinition, Value};
use monopod_core::name::TopicName;

use super::bind::Binder;
use crate::mapping::check::{Filter, Tests, Types, keys};
use crate::mapping::{self, Mistake, Root, did_you_mean, parse};
use crate::schema::{Since, Subscribe};

/// What `until` says where every event of the topic is the last one.
const EVERY: &str = "always";

impl Binder<'_, '_> {
    /// All topics of a field; none if one of them is wrong.
    pub fn subscribe(
        &mut self,
        field: &FieldDefinition,
        directives: &[&Node<Directive>],
    ) -> Option<Vec<Subscribe>> {
        let topics: Vec<_> = directives.iter().filter_map(|each| self.source(field, each)).collect();
        let mut begins = topics.iter().map(|each| &each.since);
        let first = begins.next()?;
        if let (Some(at), Some(directive)) = (begins.position(|each| each != first), directives.last()) {
            let help = "say the same `since` on each @subscribe of the field".to_owned();
            let place = directives.get(at + 1).unwrap_or(directive).location();
            self.sources.report(place, "a subscription begins at one place", Some(help));
            return None;
        }
        (topics.len() == directives.len()).then_some(topics)
    }

    fn source(&mut self, field: &FieldDefinition, directive: &Node<Directive>) -> Option<Subscribe> {
        let topic = self.topic(directive);
        let given = |name| directive.specified_argument_by_name(name).filter(|node| !node.is_null());
        let filter = given("filter").map_or(Some(Box::default()), |node| self.filter(field, node));
        let since = given("since").map_or(Some(None), |node| self.since(field, node).map(Some));
        let until = given("until").map_or(Some(None), |node| self.until(field, node).map(Some));
        let selection = given("selection").map_or(Some(None), |node| self.shown(field, node).map(Some));
        if let (None, None) = (given("selection"), given("until")) {
            let help = "add `selection` to show its events, or `until` to end with one".to_owned();
            self.sources.report(directive.location(), "this topic has no effect", Some(help));
            return None;
        }
        if let (Some(node), Some([])) = (given("until"), filter.as_deref()) {
            let help = "add a `filter` by an argument: it says what the client waits for".to_owned();
            self.sources.report(node.location(), "nothing is named that could end", Some(help));
            return None;
        }
        Some(Subscribe {
            topic: topic?,
            filter: filter?,
            selection: selection?,
            since: since?,
            until: until?,
        })
    }

    fn filter(&mut self, field: &FieldDefinition, node: &Node<Value>) -> Option<Box<[Filter]>> {
        let result = self.with_types(field, |types, _| {
            parse::filter(node.as_str().unwrap_or_default())
                .map_err(|mistake| vec![mistake])
                .and_then(|terms| types.filter(terms))
        });
        self.mistakes(node, result)
    }

    fn shown(&mut self, field: &FieldDefinition, node: &Node<Value>) -> Option<mapping::Value> {
        let result = self.with_types(field, |types, covered| {
            parse::selection(node.as_str().unwrap_or_default())
                .map_err(|mistake| vec![mistake])
                .and_then(|selection| types.answer(selection, covered))
        });
        self.made.extend(self.covered.made.drain(..).map(|made| (made, node.clone())));
        self.mistakes(node, result)
    }

    fn since(&mut self, field: &FieldDefinition, node: &Node<Value>) -> Option<Since> {
        let text = node.as_str().unwrap_or_default();
        let result = self.with_types(field, |types, _| since(types, text));
        self.mistakes(node, result)
    }

    fn until(&mut self, field: &FieldDefinition, node: &Node<Value>) -> Option<Tests> {
        let text = node.as_str().unwrap_or_default();
        if text.trim() == EVERY {
            return Some(Tests::default());
        }
        let result = self.with_types(field, |types, _| {
            let terms = parse::success(text).map_err(|mistake| {
                vec![mistake.help(format!("write `$.state = \"done\"`, or `{EVERY}` for every event"))]
            })?;
            if let Some(term) = terms.iter().find(|term| term.left.root == Root::Status) {
                return Err(vec![Mistake::new(term.left.at.clone(), "an event has no status")]);
            }
            types.success(terms)
        });
        self.mistakes(node, result)
    }

    fn topic(&mut self, directive: &Node<Directive>) -> Option<TopicName> {
        let node = directive.specified_argument_by_name("topic")?;
        let name = node.as_str()?;
        let owner = self.sources.owner(directive.location())?;
        if let Some(topic) = owner.may_watch.iter().find(|topic| topic.as_str() == name).cloned() {
            if !self.settings.sent_only.contains(&topic) {
                return Some(topic);
            }
            let message = format!("`{name}` is only published to its broker, so that nobody can watch it");
            let help = format!("add to [topics.\"{name}\"]:  queue = \"graph.{name}\"");
            self.sources.report(node.location(), message, Some(help));
            return None;
        }
        let help = did_you_mean(name, owner.may_watch.iter().map(TopicName::as_str))
            .unwrap_or_else(|| format!("add:  [topics.\"{name}\"]"));
        self.sources.report(node.location(), format!("no [topics] entry declares `{name}`"), Some(help));
        None
    }
}

fn since(types: &Types<'_>, text: &str) -> Result<Since, Vec<Mistake>> {
    let path = parse::path(text).map_err(|mistake| vec![mistake])?;
    let wrong = |message: &str| {
        let help = "name an argument of type `DateTime`, or of type `ID` for the id of the last event";
        vec![Mistake::new(path.at.clone(), message).help(help)]
    };
    if path.root != Root::Args || path.keys.is_empty() {
        return Err(wrong("this is not an argument"));
    }
    let mut bad = Vec::new();
    types.exists(&path, &mut bad);
    if !bad.is_empty() {
        return Err(bad);
    }
    let ty = types.argument_type(&path.keys).map(|(ty, _)| ty).filter(|ty| !ty.is_list());
    let id = match ty.map(|ty| ty.inner_named_type().as_str()) {
        Some("DateTime") => false,
        Some("ID") => true,
        _ => return Err(wrong("this says nothing about when")),
    };
    Ok(Since { argument: keys(&path.keys), id })
}
