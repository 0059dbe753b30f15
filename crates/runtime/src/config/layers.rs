//! The layers of a configuration and how they are laid over one another.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use figment::error::{Actual, Kind};
use figment::providers::{Format as _, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ConfigError;

pub(super) fn load<T>(
    service: &str,
    path: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<T, ConfigError>
where
    T: Default + Serialize + DeserializeOwned,
{
    let base = Figment::from(Serialized::defaults(T::default()));
    let defaults = only_profile(&base.data().map_err(Box::new)?);

    let file = match path {
        Some(path) => Some(read(path)?),
        None => None,
    };
    let mut variables = Variables::of(service, environment, &defaults);
    loop {
        let mut twins = Twins::default();
        let mut figment = base.clone();
        if let Some(file) = &file {
            figment = figment.merge(twins.resolve(file, &defaults)?);
        }
        figment = figment.merge(twins.resolve(&variables.layer(), &defaults)?);
        match figment.extract::<T>() {
            Ok(config) => return Ok(config),
            // Where the default does not tell the type (an absent value), a variable is a text first, and what it
            // looks like if a text does not fit.
            Err(error) if variables.read_as_other_than_text(&error) => {}
            Err(error) => return Err(Box::new(error).into()),
        }
    }
}

/// One layer: where its values come from, and the values.
#[derive(Clone)]
struct Layer {
    metadata: Metadata,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

fn only_profile(data: &Map<Profile, Dict>) -> Dict {
    data.get(&Profile::Default).cloned().unwrap_or_default()
}

/// Reads the file. figment's own provider would take a missing file for an empty one.
fn read(path: &Path) -> Result<Layer, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let metadata = Metadata::from("TOML file", path);
    let data = Toml::string(&text).data().map_err(|mut error| {
        error.metadata = Some(metadata.clone());
        Box::new(error)
    })?;
    Ok(Layer {
        metadata,
        values: only_profile(&data),
    })
}

/// The environment variables of one service, by key path.
struct Variables {
    prefix: String,
    values: BTreeMap<Vec<String>, Value>,
}

impl Variables {
    fn of(service: &str, environment: impl IntoIterator<Item = (String, String)>, defaults: &Dict) -> Self {
        let prefix = format!("EGOV_{}__", service.to_uppercase().replace('-', "_"));
        let values = environment
            .into_iter()
            .filter_map(|(name, text)| {
                let path: Vec<String> = name.strip_prefix(&prefix)?.split("__").map(str::to_lowercase).collect();
                // figment's own reading makes the number 123 of the text 0123, which as a password is another
                // password: so a variable is read only where the default says that it is not a text.
                let value = match find(defaults, &path) {
                    None | Some(Value::String(..) | Value::Empty(..) | Value::Char(..)) => Value::from(text),
                    Some(_) => parse(&text),
                };
                Some((path, value))
            })
            .collect();
        Self { prefix, values }
    }

    fn layer(&self) -> Layer {
        let mut values = Dict::new();
        for (path, value) in &self.values {
            insert(&mut values, path, value.clone());
        }
        let prefix = self.prefix.clone();
        Layer {
            metadata: Metadata::named("the environment").interpolater(move |_: &Profile, keys: &[&str]| {
                let keys: Vec<String> = keys.iter().map(|key| key.to_uppercase()).collect();
                format!("{prefix}{}", keys.join("__"))
            }),
            values,
        }
    }

    /// Reads the variable that `error` is about as something other than a text. `false` if the error is not about a
    /// variable or there is nothing else to read in it.
    fn read_as_other_than_text(&mut self, error: &Error) -> bool {
        let Kind::InvalidType(Actual::Str(_), _) = &error.kind else {
            return false;
        };
        let Some(value) = self.values.get_mut(&error.path) else {
            return false;
        };
        let Some(other) = value
            .as_str()
            .map(parse)
            .filter(|other| !matches!(other, Value::String(..)))
        else {
            return false;
        };
        *value = other;
        true
    }
}

/// Replaces `password_file = "…"` by `password = <what the file holds>`, for every key that has no such field but a
/// sibling without `_file`.
#[derive(Default)]
struct Twins {
    direct: BTreeSet<Vec<String>>,
    by_file: BTreeSet<Vec<String>>,
}

impl Twins {
    fn resolve(&mut self, layer: &Layer, defaults: &Dict) -> Result<Layer, ConfigError> {
        let values = self.section(&layer.values, defaults, &[])?;
        if let Some(twice) = self.direct.intersection(&self.by_file).next() {
            return Err(ConfigError::GivenTwice { key: twice.join(".") });
        }
        Ok(Layer {
            metadata: layer.metadata.clone(),
            values,
        })
    }

    fn section(&mut self, given: &Dict, defaults: &Dict, above: &[String]) -> Result<Dict, ConfigError> {
        let mut resolved = Dict::new();
        for (key, value) in given {
            let path = |key: &str| {
                let mut path = above.to_vec();
                path.push(key.to_owned());
                path
            };
            if let (Value::Dict(tag, inner), Some(Value::Dict(_, defaults))) = (value, defaults.get(key)) {
                let inner = self.section(inner, defaults, &path(key))?;
                resolved.insert(key.clone(), Value::Dict(*tag, inner));
                continue;
            }
            let target = key
                .strip_suffix("_file")
                .filter(|target| defaults.contains_key(*target) && !defaults.contains_key(key));
            match (target, value.as_str()) {
                (Some(target), Some(file)) => {
                    let content = content(&path(key), Path::new(file))?;
                    resolved.insert(target.to_owned(), Value::from(content));
                    self.by_file.insert(path(target));
                }
                _ => {
                    resolved.insert(key.clone(), value.clone());
                    self.direct.insert(path(key));
                }
            }
        }
        Ok(resolved)
    }
}

/// What a file holds, without the line break at its end, which editors and `echo` put there.
fn content(key: &[String], file: &Path) -> Result<String, ConfigError> {
    let mut text = std::fs::read_to_string(file).map_err(|source| ConfigError::UnreadableValue {
        key: key.join("."),
        path: file.to_owned(),
        source,
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

fn parse(text: &str) -> Value {
    // Infallible: what is nothing else is a text.
    text.parse().unwrap_or_else(|_| Value::from(text))
}

fn find<'d>(dict: &'d Dict, path: &[String]) -> Option<&'d Value> {
    let (first, rest) = path.split_first()?;
    let value = dict.get(first)?;
    match (rest.is_empty(), value) {
        (true, value) => Some(value),
        (false, Value::Dict(_, inner)) => find(inner, rest),
        (false, _) => None,
    }
}

fn insert(dict: &mut Dict, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        dict.insert(first.clone(), value);
        return;
    }
    let section = dict.entry(first.clone()).or_insert_with(|| Value::from(Dict::new()));
    if let Value::Dict(_, inner) = section {
        insert(inner, rest, value);
    }
}
