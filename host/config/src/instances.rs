//! `[components.<name>.instances]`: a key that would do nothing beside the others is refused.

use monopod_core::component::{self, Reuse};
use monopod_core::name::ComponentName;

use crate::platform::{Component, Instances};
use crate::report::Report;

/// Reports what does not fit together.
pub(crate) fn check(name: &ComponentName, component: &Component, report: &mut Report<'_>) {
    let instances = &component.instances.value;
    let reuse = instances.reuse.value;
    if reuse == Reuse::Fresh {
        for (key, span) in [
            ("min", &instances.min.key),
            ("max-uses", &instances.max_uses.key),
            ("max-age", &instances.max_age.key),
        ] {
            if !span.is_empty() {
                let message = format!(
                    "`{key}` of [components.{name}.instances] does nothing: each call has an instance of its own"
                );
                let help = "remove it, or add:  reuse = \"serial\"";
                report.at(span.clone(), message, Some(help.into()));
            }
        }
    }
    let calls = component.limits.value.concurrency.value.0;
    if let Some(max) = instances.max.as_ref().filter(|max| max.value.0 > calls) {
        let found = max.value.0;
        let message =
            format!("component `{name}` may have {found} instances, but only {calls} calls at once");
        let help = format!("write at most {calls}, or raise `concurrency` in [components.{name}.limits]");
        report.at(max.span.clone(), message, Some(help));
    }
    let most = instances.max.as_ref().map_or(calls, |max| max.value.0);
    if instances.min.value.0 > most {
        let message = format!("`min` of [components.{name}.instances] is more than the {most} there may be");
        report.at(instances.min.span.clone(), message, Some("raise `max`, or lower `min`".into()));
    }
}

/// As the engine wants them.
pub(crate) fn plan(raw: &Instances) -> component::Instances {
    component::Instances {
        reuse: raw.reuse.value,
        min: raw.min.value.0,
        max: raw.max.as_ref().map(|at| at.value.0),
        max_uses: raw.max_uses.value.0,
        max_age: raw.max_age.value.0,
        queue: raw.queue.as_ref().map(|at| at.value.0),
        queue_deadline: raw.queue_deadline.as_ref().map(|at| at.value.0),
    }
}
