//! Settings: command line, environment, file, default, in that order; and the file itself.

use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::Error;
use crate::json_argument;
use crate::replace::Replacement;

/// The variable for the key of agents, where several keys are at hand.
const AGENT_KEY: &str = "LOOPCTL_AGENT_KEY";

/// A setting: its key in the file and its environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Setting {
    Server,
    ApiKey,
    Format,
    Project,
    Insecure,
    Cacert,
}

impl Setting {
    /// All keys in the order in which they are shown.
    pub(crate) const ALL: [Self; 6] =
        [Self::Server, Self::ApiKey, Self::Format, Self::Project, Self::Insecure, Self::Cacert];

    /// Name in the file and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::ApiKey => "api_key",
            Self::Format => "format",
            Self::Project => "project",
            Self::Insecure => "insecure",
            Self::Cacert => "cacert",
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Self::Server => "LOOPCTL_SERVER",
            Self::ApiKey => "LOOPCTL_API_KEY",
            Self::Format => "LOOPCTL_FORMAT",
            Self::Project => "LOOPCTL_PROJECT",
            Self::Insecure => "LOOPCTL_INSECURE",
            Self::Cacert => "LOOPCTL_CACERT",
        }
    }

    /// The key called `name`.
    pub(crate) fn parse(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|key| key.name() == name).ok_or_else(|| {
            let valid = Self::ALL.map(Self::name).join(", ");
            Error::Usage(format!("Invalid config key: {name}. Valid keys: {valid}"))
        })
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Option,
    Environment,
    File,
    Default,
}

impl Source {
    /// As `config show` names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Option => "option",
            Self::Environment => "env",
            Self::File => "file",
            Self::Default => "default",
        }
    }
}

/// The settings of this run.
#[derive(Debug)]
pub(crate) struct Config {
    path: PathBuf,
    options: HashMap<Setting, String>,
    environment: HashMap<Setting, String>,
    file: Map<String, Value>,
    /// What the file says and no longer counts.
    forgotten: Vec<Setting>,
}

impl Config {
    /// Reads environment and file; `options` are the values given on the command line.
    pub(crate) fn load(options: HashMap<Setting, String>) -> Result<Self, Error> {
        let environment = Setting::ALL
            .into_iter()
            .filter_map(|key| Some((key, std::env::var(key.variable()).ok()?)))
            .collect();
        let path = file_path()?;
        let file = read_file(&path)?;
        Ok(Self { path, options, environment, file, forgotten: Vec::new() })
    }

    /// The value of a setting and its source. Empty values count as unset.
    pub(crate) fn lookup(&self, key: Setting) -> Option<(String, Source)> {
        let in_file = self.file.get(key.name()).and_then(|value| match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        });
        let default = (key == Setting::Format).then(|| "json".to_owned());
        [
            (self.options.get(&key).cloned(), Source::Option),
            (self.environment.get(&key).cloned(), Source::Environment),
            (in_file, Source::File),
            (default, Source::Default),
        ]
        .into_iter()
        .find_map(|(value, source)| {
            let value = value?.trim().to_owned();
            (!value.is_empty()).then_some((value, source))
        })
    }

    /// The value of a setting.
    pub(crate) fn get(&self, key: Setting) -> Option<String> {
        self.lookup(key).map(|(value, _)| value)
    }

    /// The key by which an agent calls, and where it is from: that of a session, else the one that is kept for agents.
    pub(crate) fn agent_key(&self) -> Option<(String, &'static str)> {
        let (key, source) = self.lookup(Setting::ApiKey).unzip();
        match source {
            Some(Source::Option) => key.map(|key| (key, "--api-key")),
            Some(Source::Environment) => key.map(|key| (key, Setting::ApiKey.variable())),
            _ => {
                let own = std::env::var(AGENT_KEY).ok().map(|own| own.trim().to_owned());
                let own = own.filter(|own| !own.is_empty()).map(|own| (own, AGENT_KEY));
                own.or_else(|| key.map(|key| (key, "the configuration file")))
            }
        }
    }

    /// A setting that is `true`/`1` or not.
    pub(crate) fn flag(&self, key: Setting) -> Result<bool, Error> {
        self.get(key).map_or(Ok(false), |value| parse_flag(key, &value))
    }

    /// These settings without what the file says about `keys`.
    pub(crate) fn forgetting(&self, keys: &[Setting]) -> Self {
        let mut file = self.file.clone();
        forget(&mut file, keys);
        Self {
            path: self.path.clone(),
            options: self.options.clone(),
            environment: self.environment.clone(),
            file,
            forgotten: self.forgotten.iter().chain(keys).copied().collect(),
        }
    }

    /// Overrides a setting for this run.
    pub(crate) fn set_option(&mut self, key: Setting, value: &str) {
        self.options.insert(key, value.to_owned());
    }

    /// What the file alone says about a key.
    pub(crate) fn in_file(&self, key: Setting) -> Option<&str> {
        self.file.get(key.name()).and_then(Value::as_str)
    }

    /// Writes the file: what it holds, without what was forgotten, with `changes`. Whoever else writes it waits, and then
    /// finds these changes in it.
    pub(crate) fn save(&self, changes: &[(Setting, Value)]) -> Result<(), Error> {
        let _lock = lock(&self.path)?;
        // Others may have written since it was read.
        let mut file = read_file(&self.path)?;
        forget(&mut file, &self.forgotten);
        for (key, value) in changes {
            file.insert(key.name().to_owned(), value.clone());
        }
        let mut replacement = Replacement::private(&self.path)?;
        replacement.write(format!("{:#}\n", Value::Object(file)).as_bytes())?;
        replacement.finish()
    }
}

fn forget(file: &mut Map<String, Value>, keys: &[Setting]) {
    file.retain(|name, _| !keys.iter().any(|key| key.name() == name));
}

/// Checks a value before it is stored.
pub(crate) fn validate(key: Setting, text: &str) -> Result<Value, Error> {
    match key {
        Setting::Format => {
            text.parse::<crate::output::Format>().map_err(Error::Usage)?;
        }
        Setting::Insecure => return parse_flag(key, text).map(Value::Bool),
        Setting::Server => {
            crate::client::server_url(text)?;
        }
        Setting::ApiKey | Setting::Project | Setting::Cacert => {}
    }
    Ok(Value::from(text))
}

fn parse_flag(key: Setting, text: &str) -> Result<bool, Error> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => Err(Error::Usage(format!(
            "Invalid value '{other}' for {}. Valid values: true, false",
            key.name()
        ))),
    }
}

/// Where is kept what this machine remembers of earlier runs; None: this user has no home directory.
pub(crate) fn state_directory() -> Option<PathBuf> {
    let directories = directories::ProjectDirs::from("", "", "loopctl")?;
    Some(directories.state_dir().unwrap_or_else(|| directories.data_local_dir()).to_owned())
}

fn file_path() -> Result<PathBuf, Error> {
    if let Some(path) = std::env::var_os("LOOPCTL_CONFIG").filter(|path| !path.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    let directories = directories::BaseDirs::new().ok_or_else(|| {
        Error::NotConfigured("No home directory. Set LOOPCTL_CONFIG to a file path".to_owned())
    })?;
    Ok(directories.home_dir().join(".loopctl").join("config.json"))
}

fn read_file(path: &Path) -> Result<Map<String, Value>, Error> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Map::new()),
        Err(error) => {
            return Err(Error::NotConfigured(format!("Cannot read {}: {error}", path.display())));
        }
    };
    match json_argument::parse(&text) {
        Ok(Value::Object(file)) => Ok(file),
        Ok(_) => Err(Error::NotConfigured(format!("{} is not a JSON object", path.display()))),
        Err(_) => Err(Error::NotConfigured(format!("{} is not valid JSON", path.display()))),
    }
}

/// Makes the others wait who would write the file, until the lock is dropped or its process ends, however it ends. The file
/// itself is replaced and cannot be what is locked: an empty one beside it is.
fn lock(path: &Path) -> Result<File, Error> {
    // The file holds a key: only its owner may read it, and the directory that is made for it.
    if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|error| Error::Usage(format!("Cannot create {}: {error}", directory.display())))?;
    }
    let mut beside = path.canonicalize().unwrap_or_else(|_| path.to_owned()).into_os_string();
    beside.push(".lock");
    let beside = PathBuf::from(beside);
    let locked = File::options().create(true).append(true).mode(0o600).open(&beside);
    let locked = locked.and_then(|file| file.lock().map(|()| file));
    locked.map_err(|error| Error::Usage(format!("Cannot lock {}: {error}", beside.display())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(options: &[(Setting, &str)], environment: &[(Setting, &str)], file: Value) -> Config {
        let own =
            |pairs: &[(Setting, &str)]| pairs.iter().map(|(key, text)| (*key, (*text).to_owned())).collect();
        let Value::Object(file) = file else { panic!("the file is an object") };
        Config {
            path: PathBuf::from("/none"),
            options: own(options),
            environment: own(environment),
            file,
            forgotten: Vec::new(),
        }
    }

    #[test]
    fn options_beat_environment_beats_file_beats_default() {
        let file = json!({"server": "https://file", "format": "csv"});
        let full =
            config(&[(Setting::Server, "https://option")], &[(Setting::Server, "https://env")], file.clone());
        assert_eq!(full.lookup(Setting::Server), Some(("https://option".into(), Source::Option)));
        let env = config(&[], &[(Setting::Server, "https://env")], file.clone());
        assert_eq!(env.lookup(Setting::Server), Some(("https://env".into(), Source::Environment)));
        let only_file = config(&[], &[], file);
        assert_eq!(only_file.lookup(Setting::Server), Some(("https://file".into(), Source::File)));
        assert_eq!(only_file.get(Setting::Format).unwrap(), "csv");
        let none = config(&[], &[], json!({}));
        assert_eq!(none.lookup(Setting::Format), Some(("json".into(), Source::Default)));
        assert_eq!(none.lookup(Setting::Server), None);
    }

    #[test]
    fn an_empty_value_counts_as_unset() {
        let config = config(&[], &[(Setting::Server, "")], json!({"server": "https://file", "project": ""}));
        assert_eq!(config.lookup(Setting::Server), Some(("https://file".into(), Source::File)));
        assert_eq!(config.lookup(Setting::Project), None);
    }

    #[test]
    fn flags_may_be_booleans_or_text() {
        assert!(config(&[], &[], json!({"insecure": true})).flag(Setting::Insecure).unwrap());
        assert!(
            !config(&[], &[(Setting::Insecure, "0")], json!({"insecure": true}))
                .flag(Setting::Insecure)
                .unwrap()
        );
        assert!(config(&[], &[(Setting::Insecure, "maybe")], json!({})).flag(Setting::Insecure).is_err());
    }

    #[test]
    fn values_are_checked_before_they_are_stored() {
        assert_eq!(validate(Setting::Insecure, "true").unwrap(), json!(true));
        assert!(validate(Setting::Format, "xml").is_err());
        assert!(validate(Setting::Server, "loopctl.example").is_err());
        assert_eq!(validate(Setting::Project, "my-app").unwrap(), json!("my-app"));
    }

    #[test]
    fn the_file_is_private_and_keeps_unknown_keys() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("new").join("config.json");
        let mut config = config(&[], &[], json!({}));
        config.path.clone_from(&path);
        config.save(&[(Setting::Server, json!("https://a")), (Setting::Format, json!("csv"))]).unwrap();
        std::fs::write(&path, "\u{feff}{\"other\":1,\"server\":\"https://a\",\"format\":\"csv\"}").unwrap();
        let config = config.forgetting(&[Setting::Format]);
        config.save(&[(Setting::Server, json!("https://b"))]).unwrap();
        assert_eq!(Value::Object(read_file(&path).unwrap()), json!({"other": 1, "server": "https://b"}));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }
}
