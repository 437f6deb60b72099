//! The composed schema: what clients see, and who answers each field with which rights.
//! Made by `compose`, read by `plan`; immutable, so that requests under way keep theirs
//! when another is swapped in.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use apollo_compiler::Name;
use apollo_compiler::collections::HashMap as FastMap;
use apollo_compiler::schema::Implementers;
use apollo_compiler::validation::Valid;
use http::{HeaderName, HeaderValue, Method, Uri};
use monopod_core::identity::Principal;
use monopod_core::name::{ComponentName, TopicName};
use monopod_core::outgoing::Place;
use monopod_core::size::Size;

use crate::documents::Documents;
use crate::json::Json;
use crate::mapping::Value;
use crate::mapping::check::{Filter, Tests};
use crate::mapping::template::{Header, Template};
use crate::plan::cache::Cache;
use crate::policy::Condition;
use crate::seen::Counts;
use crate::settings::Settings;

/// A composed schema, ready to be served.
pub struct Schema {
    /// Without the host's own directives: what operations are validated against and what
    /// introspection and SDL show.
    pub(crate) public: Valid<apollo_compiler::Schema>,
    pub(crate) implementers: FastMap<Name, Implementers>,
    pub(crate) types: HashMap<String, TypeInfo>,
    pub(crate) settings: Settings,
    pub(crate) plans: Cache,
    pub(crate) documents: Documents,
    /// For each field of `Subscription` a number that is the same in another schema if nothing
    /// about it, and about what lies below it, is otherwise.
    pub(crate) prints: HashMap<String, u64>,
}

/// What is known of an object type beyond its shape.
#[derive(Debug, Default)]
pub(crate) struct TypeInfo {
    /// Asked of everybody who selects a field of this type.
    pub rule: Option<Arc<Rule>>,
    pub fields: HashMap<String, FieldInfo>,
}

/// What is known of a field beyond its type.
#[derive(Debug, Default)]
pub(crate) struct FieldInfo {
    pub rule: Option<Arc<Rule>>,
    /// `@cost`; none: the default weight.
    pub cost: Option<u32>,
    /// `@listSize`.
    pub size: Option<ListSize>,
    pub resolver: Option<Arc<Resolver>>,
    /// What is counted of it.
    pub counts: Arc<Counts>,
}

/// How long a list is taken to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListSize {
    /// Where no argument says.
    pub assumed: Option<u32>,
    /// The arguments that say: the largest of them counts.
    pub slicing: Box<[Box<str>]>,
}

/// Who answers a field.
#[derive(Debug)]
pub(crate) enum Resolver {
    /// A component's REST interface.
    Connect(Box<Connect>),
    /// A component's code.
    Code(Box<Code>),
    /// Topics.
    Subscribe(Box<[Subscribe]>),
}

/// Code that answers a field on many objects at once.
#[derive(Debug)]
pub(crate) struct Code {
    pub component: ComponentName,
    /// The fields of the object that it gets, in this order.
    pub needs: Box<[Box<str>]>,
    /// The most objects of one call.
    pub max: usize,
}

impl Connect {
    /// The address of a path where this one asks; none if it is too long for one.
    pub fn uri(&self, path: &str) -> Option<Uri> {
        uri(&self.component, self.outside.as_ref(), path)
    }
}

/// The address of a path at a component or at a server outside.
pub(crate) fn uri(component: &ComponentName, outside: Option<&Outside>, path: &str) -> Option<Uri> {
    match outside {
        Some(outside) => format!("{}{path}", outside.base).parse().ok(),
        None => {
            let at = format!("{component}.internal");
            Uri::builder().scheme("http").authority(at).path_and_query(path).build().ok()
        }
    }
}

impl Resolver {
    /// The fields of the object that the answer is made from.
    pub fn needs(&self) -> &[Box<str>] {
        match self {
            Self::Connect(connect) => &connect.needs,
            Self::Code(code) => &code.needs,
            Self::Subscribe(_) => &[],
        }
    }
}

/// A request to a component, or to a server outside.
#[derive(Debug)]
pub(crate) struct Connect {
    /// Who is asked; for a server outside the component on whose behalf.
    pub component: ComponentName,
    /// The server outside, if it is one.
    pub outside: Option<Outside>,
    pub method: Method,
    pub path: Template,
    /// The whole URI, where the template inserts nothing.
    pub fixed: Option<Uri>,
    pub headers: Box<[(HeaderName, Header)]>,
    pub body: Option<Value>,
    pub selection: Value,
    /// What has to hold of the answer; none: a status of 2xx.
    pub success: Option<Tests>,
    pub errors: Errors,
    /// The fields of the object that the request is made from. Where one is `null`, there is
    /// nothing to ask for.
    pub needs: Box<[Box<str>]>,
    pub batch: Option<Batch>,
    /// Whether it looks up a part of a type: then its selection gives that part's fields, and
    /// it is asked only for what the object's own mapping leaves out.
    pub lookup: bool,
}

/// A server outside, and what a component may do there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outside {
    /// What stands before the path.
    pub base: Box<str>,
    /// Where the component may send requests.
    pub granted: Box<[Place]>,
    /// The platform's own headers.
    pub headers: Box<[(HeaderName, HeaderValue)]>,
    /// The largest body, sent or received.
    pub body: Size,
    /// The component's connections at once.
    pub connections: u32,
}

/// What a client is told about an answer that is an error.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    pub message: Option<Value>,
    pub extensions: Option<Value>,
}

/// Keys, one object deeper each.
pub(crate) type Keys = Box<[Box<str>]>;

/// Many objects looked up by one request.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The most objects of one request.
    pub max: usize,
    /// Which item of the answer belongs to which object: a field of the item, by the paths of
    /// the selection, and the object's field it equals.
    pub by: Box<[(Keys, Box<str>)]>,
}

/// A topic that feeds a subscription.
#[derive(Debug)]
pub(crate) struct Subscribe {
    pub topic: TopicName,
    pub filter: Box<[Filter]>,
    /// How an event is shown; none: it is not, and only ends the subscription.
    pub selection: Option<Value>,
    /// The argument that says from where on.
    pub since: Option<Since>,
    /// What has to hold of an event that is the last one of what the client waits for.
    pub until: Option<Tests>,
}

/// Where a subscription may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Since {
    pub argument: Keys,
    /// Whether it is an event's id, and not a time.
    pub id: bool,
}

/// What is asked of a caller before a field is answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Rule {
    /// All must hold. Each is a list of alternatives, each of which is what is needed together;
    /// an alternative that needs nothing asks only who it is.
    pub demands: Vec<Vec<Needed>>,
}

/// What is needed together: scopes of the token, and what policies say besides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Needed {
    pub scopes: Vec<String>,
    pub conditions: Vec<Arc<Condition>>,
}

/// Why a rule refuses somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Nobody is logged in.
    Anonymous,
    /// These scopes are missing, by the alternative that comes closest.
    Missing(Vec<String>),
}

impl Rule {
    /// Holds the rule against a caller who asks with these arguments.
    pub fn check(&self, principal: &Principal, arguments: &Json<'_>) -> Result<(), Denied> {
        if matches!(principal, Principal::Anonymous) {
            return Err(Denied::Anonymous);
        }
        let held = principal.scopes();
        for demand in &self.demands {
            // No alternative at all: nobody may.
            let mut closest: Option<Vec<String>> = None;
            let mut passed = false;
            for needed in demand {
                let missing: Vec<String> =
                    needed.scopes.iter().filter(|scope| !held.contains(scope)).cloned().collect();
                let holds = |condition: &Arc<Condition>| condition.holds(principal, arguments);
                if missing.is_empty() && needed.conditions.iter().all(holds) {
                    passed = true;
                    break;
                }
                // Where only a condition fails no scope would help.
                if !missing.is_empty() && closest.as_ref().is_none_or(|known| missing.len() < known.len()) {
                    closest = Some(missing);
                }
            }
            if !passed {
                return Err(Denied::Missing(closest.unwrap_or_default()));
            }
        }
        Ok(())
    }

    /// Whether a condition of it looks at arguments.
    pub fn looks_at_arguments(&self) -> bool {
        let conditions = self.demands.iter().flatten().flat_map(|needed| &needed.conditions);
        conditions.into_iter().any(|condition| condition.arguments().next().is_some())
    }
}

impl Schema {
    /// The schema in the schema definition language, as clients may see it: without the
    /// directives that map and guard fields.
    pub fn sdl(&self) -> String {
        self.public.to_string()
    }

    /// The components that answer fields in code.
    pub fn resolving(&self) -> BTreeSet<ComponentName> {
        let fields = self.types.values().flat_map(|info| info.fields.values());
        fields
            .filter_map(|field| match field.resolver.as_deref() {
                Some(Resolver::Code(code)) => Some(code.component.clone()),
                _ => None,
            })
            .collect()
    }

    /// Goes on counting where the schema before this one was.
    pub(crate) fn keep_counts(&mut self, before: &Self) {
        for (ty, info) in &mut self.types {
            for (name, field) in &mut info.fields {
                if let Some(known) = before.field(ty, name) {
                    field.counts = Arc::clone(&known.counts);
                }
            }
        }
    }

    pub(crate) fn field(&self, ty: &str, field: &str) -> Option<&FieldInfo> {
        self.types.get(ty)?.fields.get(field)
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("types", &self.types.keys()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use monopod_core::identity::{Owner, User};

    fn user(scopes: &[&str]) -> Principal {
        Principal::User(Arc::new(User {
            owner: Owner { issuer: "i".into(), subject: "s".into() },
            name: None,
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            expires_at: u64::MAX,
        }))
    }

    fn rule(demands: &[&[&[&str]]]) -> Rule {
        let scopes = |all: &&[&str]| Needed {
            scopes: all.iter().map(|s| (*s).to_owned()).collect(),
            conditions: Vec::new(),
        };
        Rule { demands: demands.iter().map(|any| any.iter().map(scopes).collect()).collect() }
    }

    #[test]
    fn a_rule_needs_all_demands_and_of_each_one_alternative() {
        let either = rule(&[&[&["a", "b"], &["c"]]]);
        assert_eq!(either.check(&Principal::Anonymous, &Json::Null), Err(Denied::Anonymous));
        assert_eq!(either.check(&user(&["a", "b"]), &Json::Null), Ok(()));
        assert_eq!(either.check(&user(&["c"]), &Json::Null), Ok(()));
        assert_eq!(either.check(&user(&["a"]), &Json::Null), Err(Denied::Missing(vec!["b".into()])));
        let both = rule(&[&[&["a"]], &[&["b"]]]);
        assert_eq!(both.check(&user(&["a"]), &Json::Null), Err(Denied::Missing(vec!["b".into()])));
        assert_eq!(both.check(&user(&["b", "a"]), &Json::Null), Ok(()));
        let known = rule(&[&[&[]]]);
        assert_eq!(known.check(&user(&[]), &Json::Null), Ok(()));
        assert_eq!(known.check(&Principal::Anonymous, &Json::Null), Err(Denied::Anonymous));
        assert!(rule(&[&[]]).check(&user(&["a"]), &Json::Null).is_err());
    }

    #[test]
    fn the_owner_of_events_has_no_rights_of_a_user() {
        let owner = Principal::Owner(Owner { issuer: "i".into(), subject: "s".into() });
        assert!(rule(&[&[&["a"]]]).check(&owner, &Json::Null).is_err());
        assert!(rule(&[&[&["a"]]]).check(&Principal::System, &Json::Null).is_err());
    }
}
