//! `@connect` to a server outside: whose address is whole in the path, or in a service that the
//! platform file declares and `to` names. What the component is not granted is a mistake here,
//! so that nobody finds it out from a failing field.

use apollo_compiler::Node;
use apollo_compiler::ast::{Directive, Value};
use monopod_core::outgoing::{Fix, Refusal, grant_line, permit};

use super::Contribution;
use super::bind::Binder;
use crate::mapping::Mistake;
use crate::mapping::template::Template;
use crate::schema::Outside;
use crate::settings::Service;

/// Where the path begins in a whole address; none if it is no address, but a path.
fn path_at(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let authority = rest.find(['/', '?']).unwrap_or(rest.len());
    Some(text.len() - rest.len() + authority)
}

impl Binder<'_, '_> {
    /// The server that the path's whole address names, and the place where the path begins;
    /// what is wrong is reported.
    pub fn addressed<'t>(
        &mut self,
        directive: &Node<Directive>,
        node: &'t Node<Value>,
    ) -> Option<Addressed<'t>> {
        let text = node.as_str()?;
        let Some(at) = path_at(text) else { return Some(Addressed { base: None, path: text, skipped: 0 }) };
        let (base, path) = text.split_at(at);
        if let Some(brace) = base.find('{') {
            let mistake = Mistake::new(brace..base.len(), "a server's address has nothing inserted")
                .help("insert behind it, into path and query");
            self.sources.report_inside(node, mistake);
            return None;
        }
        if let Some(to) = directive.specified_argument_by_name("to").filter(|node| !node.is_null()) {
            let help = "leave `to` out, or write the path alone".to_owned();
            self.sources.report(to.location(), "the address says already who is asked", Some(help));
            return None;
        }
        Some(Addressed { base: Some(base), path, skipped: at })
    }

    /// The server behind `base`, if the component may send requests to it.
    pub fn outside(
        &mut self,
        owner: &Contribution,
        base: &str,
        service: Option<&Service>,
        path: &Template,
        node: &Node<Value>,
    ) -> Option<Outside> {
        let beginning = format!("{base}{}", path.beginning());
        let refused = match beginning.parse() {
            Ok(uri) => permit(&uri, &owner.may_send).err(),
            Err(_) => Some(Refusal {
                to: beginning,
                why: "not an address",
                fix: Fix::Instead("write it as https://host:port/path"),
            }),
        };
        if let Some(Refusal { to, why, fix }) = refused {
            let help = match fix {
                Fix::Grant(place) => {
                    format!("write:  {}", grant_line(&owner.component, &owner.may_send, &place))
                }
                Fix::Instead(instead) => instead.to_owned(),
            };
            let message = format!("`{}` may not send requests to {to}: {why}", owner.component);
            self.sources.report(node.location(), message, Some(help));
            return None;
        }
        Some(Outside {
            base: base.into(),
            granted: owner.may_send.iter().cloned().collect(),
            headers: service.map(|service| service.headers.clone()).unwrap_or_default(),
            body: owner.limits.outgoing_body,
            connections: owner.limits.connections,
        })
    }
}

/// A path, and the server before it.
pub struct Addressed<'t> {
    /// Scheme, host and port; none: the path is at a component or at a service.
    pub base: Option<&'t str>,
    /// From its first `/`.
    pub path: &'t str,
    /// How many bytes stand before it.
    pub skipped: usize,
}
