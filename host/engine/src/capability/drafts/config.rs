//! `wasi:config`: the component's settings, as its manifest declares them. The same values stand
//! in its environment; here they have their own names, `max-age` for `MAX_AGE`.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower};

use super::names::{CONFIG, CONFIG_INTERFACES};
use crate::guest::Guest;

/// Reading a setting cannot fail; the type is the interface's.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "upstream")]
    Upstream(String),
    #[component(name = "io")]
    Io(String),
}

type All = Vec<(String, String)>;

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    for version in CONFIG {
        for interface in CONFIG_INTERFACES {
            let mut instance = linker.instance(&format!("wasi:config/{interface}@{version}"))?;
            instance.func_wrap("get", |store: StoreContextMut<'_, Guest>, (key,): (String,)| {
                let settings = &store.data().loaded.component.settings;
                let value = settings.get(&key).or_else(|| settings.get(&variable(&key))).cloned();
                Ok((Ok::<Option<String>, Error>(value),))
            })?;
            instance.func_wrap("get-all", |store: StoreContextMut<'_, Guest>, (): ()| {
                let settings = &store.data().loaded.component.settings;
                let all = settings.iter().map(|(name, value)| (setting(name), value.clone())).collect();
                Ok((Ok::<All, Error>(all),))
            })?;
        }
    }
    Ok(())
}

fn variable(setting: &str) -> String {
    setting.to_ascii_uppercase().replace('-', "_")
}

fn setting(variable: &str) -> String {
    variable.to_ascii_lowercase().replace('_', "-")
}
