//! What every command needs: settings, printer, connection.

use std::collections::HashMap;
use std::time::Duration;

use crate::args::GlobalOptions;
use crate::client::{Client, Connection, Impersonation};
use crate::config::{Config, Setting};
use crate::error::Error;
use crate::output::{Format, Output, Shown};

/// The resolved settings of one run.
#[derive(Debug)]
pub(crate) struct Context {
    /// Settings.
    pub(crate) config: Config,
    /// Printer with the resolved format.
    pub(crate) output: Output,
    timeout: Duration,
    /// What was said on the command line.
    globals: GlobalOptions,
    /// The tenant that a superadmin is in.
    impersonation: Option<Impersonation>,
}

/// How long an answer is waited for, in seconds, unless something else is said.
const PATIENCE: u64 = 30;

impl Context {
    /// Reads the settings; touches no network.
    pub(crate) fn new(globals: &GlobalOptions) -> Result<Self, Error> {
        let format_name = |format: Format| match format {
            Format::Json => "json",
            Format::Human => "human",
            Format::Csv => "csv",
        };
        let options: HashMap<Setting, String> = [
            (Setting::Server, globals.server.clone()),
            (Setting::ApiKey, globals.api_key.clone()),
            (Setting::Format, globals.format.map(|format| format_name(format).to_owned())),
            (Setting::Project, globals.project.clone()),
            (Setting::Insecure, globals.insecure.then(|| "true".to_owned())),
            (Setting::Cacert, globals.cacert.as_ref().map(|path| path.display().to_string())),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect();
        let config = Config::load(options)?;
        let format = match config.lookup(Setting::Format) {
            Some((text, source)) => {
                text.parse().map_err(|message| Error::Usage(format!("{message} (from {})", source.name())))?
            }
            None => Format::Json,
        };
        let shown = Shown { wide: globals.wide, full: globals.full, no_pager: globals.no_pager };
        Ok(Self {
            config,
            output: Output::of(format, globals.data_only, shown),
            timeout: Duration::from_secs(globals.timeout.unwrap_or(PATIENCE)),
            globals: globals.clone(),
            impersonation: None,
        })
    }

    /// That of a command within this one, which has options of its own, inside a tenant.
    pub(crate) fn inside(&self, options: GlobalOptions, impersonation: Impersonation) -> Result<Self, Error> {
        let context = Self::new(&options.or(&self.globals))?;
        Ok(Self { impersonation: Some(impersonation), ..context })
    }

    /// A client that authenticates; refuses to start without server and key.
    pub(crate) fn client(&self) -> Result<Client, Error> {
        if self.config.get(Setting::Server).is_some() && self.config.get(Setting::ApiKey).is_none() {
            return Err(Error::NotConfigured(
                "No API key configured. Run: loopctl auth login --server <url> --key <key>".to_owned(),
            ));
        }
        self.client_with(&self.config)
    }

    /// A client for endpoints that are open to everyone; sends the key when there is one.
    pub(crate) fn open_client(&self) -> Result<Client, Error> {
        self.client_with(&self.config)
    }

    /// A client with other settings than the stored ones.
    pub(crate) fn client_with(&self, config: &Config) -> Result<Client, Error> {
        let server = config.get(Setting::Server).ok_or_else(|| {
            Error::NotConfigured(
                "No server configured. Run: loopctl auth login --server <url> --key <key>".to_owned(),
            )
        })?;
        Client::new(&Connection {
            server,
            api_key: config.get(Setting::ApiKey),
            insecure: config.flag(Setting::Insecure)?,
            cacert: config.get(Setting::Cacert),
            timeout: self.timeout,
            impersonation: self.impersonation.clone(),
        })
    }
}
