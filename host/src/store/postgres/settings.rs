//! Where a server is and how to talk to it: the URL, and libpq's environment
//! for what it does not say.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tokio_postgres::Config;

use super::error::OpenError;
use super::passfile;
use super::tls::Tls;

/// The namespace where the URL names none.
const NAMESPACE: &str = "tracker";
/// The longest identifier that a server does not cut.
const MAX_IDENTIFIER: usize = 63;
/// A page of a scan or a group of writes takes milliseconds. A count of a huge
/// table may take seconds.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Long enough for a standby to be promoted.
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// The environment's name of each parameter.
const ENVIRONMENT: [(&str, &str); 17] = [
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGPORT", "port"),
    ("PGDATABASE", "dbname"),
    ("PGUSER", "user"),
    ("PGPASSWORD", "password"),
    ("PGPASSFILE", "passfile"),
    ("PGOPTIONS", "options"),
    ("PGAPPNAME", "application_name"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGLOADBALANCEHOSTS", "load_balance_hosts"),
];

/// Parameters that the client library takes as they are.
const PASSED_ON: [&str; 16] = [
    "host",
    "hostaddr",
    "port",
    "user",
    "dbname",
    "options",
    "application_name",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
];

/// How to reach a store.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) config: Config,
    pub(super) tls: Tls,
    pub(super) namespace: String,
    /// How long a statement may run.
    pub(super) statement_timeout: Duration,
    /// How long to try to reach a server again that was there before.
    pub(super) reconnect_timeout: Duration,
    /// The URL without passwords.
    pub(super) name: String,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("name", &self.name).finish_non_exhaustive()
    }
}

type Parameters = BTreeMap<String, String>;

fn wrong(what: impl Into<String>) -> OpenError {
    OpenError::Url(what.into())
}

fn decode(text: &str) -> Result<String, OpenError> {
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| wrong("it has an escape that is not UTF-8"))?;
    if decoded.contains('\0') { Err(wrong("it has a zero byte")) } else { Ok(decoded.into_owned()) }
}

/// The parameters that a URL names. No error repeats what the URL says: that may be a password.
fn parse(url: &str) -> Result<Parameters, OpenError> {
    let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
    let rest = rest.ok_or_else(|| wrong("it does not begin with postgres://"))?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let mut parameters = Parameters::new();
    let mut set = |name: &str, value: String| {
        if !value.is_empty() {
            parameters.insert(name.to_owned(), value);
        }
    };
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    set("user", decode(user)?);
    set("password", decode(password)?);
    set("dbname", decode(database)?);
    let (mut names, mut ports) = (Vec::new(), Vec::new());
    for host in hosts.split(',') {
        let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((name, port)) => (name, port.strip_prefix(':').unwrap_or(port)),
            None => host.split_once(':').unwrap_or((host, "")),
        };
        names.push(decode(name)?);
        ports.push(decode(port)?);
    }
    if names.iter().any(|name| !name.is_empty()) {
        set("host", names.join(","));
    }
    if ports.iter().any(|port| !port.is_empty()) {
        set("port", ports.join(","));
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| wrong("a parameter has no value"))?;
        set(&decode(name)?, decode(value)?);
    }
    Ok(parameters)
}

fn milliseconds(name: &str, value: &str) -> Result<Duration, OpenError> {
    let number: u64 = value.parse().map_err(|_| wrong(format!("{name} is not a number of milliseconds")))?;
    if number == 0 || number > i32::MAX as u64 {
        return Err(wrong(format!("{name} is not between 1 and {} milliseconds", i32::MAX)));
    }
    Ok(Duration::from_millis(number))
}

/// Escaped for a keyword/value string.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

impl Settings {
    /// Reads a URL. `environment` is asked for what it does not say.
    pub(super) fn read(url: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, OpenError> {
        let given = parse(url)?;
        let mut parameters: Parameters = ENVIRONMENT
            .iter()
            .filter_map(|(variable, name)| {
                let value = environment(variable).filter(|value| !value.is_empty())?;
                Some(((*name).to_owned(), value))
            })
            .collect();
        if given.contains_key("host") {
            // Those of the environment are another server's.
            parameters.remove("hostaddr");
            parameters.remove("port");
        }
        parameters.extend(given);
        let mut take = |name: &str| parameters.remove(name);
        let namespace = take("namespace").unwrap_or_else(|| NAMESPACE.to_owned());
        if namespace.len() > MAX_IDENTIFIER {
            return Err(wrong(format!("namespace is longer than {MAX_IDENTIFIER} bytes")));
        }
        let timeout =
            |name: &str, value: Option<String>, default| value.map_or(Ok(default), |value| milliseconds(name, &value));
        let statement_timeout = timeout("statement_timeout", take("statement_timeout"), STATEMENT_TIMEOUT)?;
        let reconnect_timeout = timeout("reconnect_timeout", take("reconnect_timeout"), RECONNECT_TIMEOUT)?;
        let (password, passfile) = (take("password"), take("passfile"));
        let tls = Tls::new(
            take("sslmode").as_deref(),
            take("sslrootcert").map(PathBuf::from),
            take("sslcert").map(PathBuf::from),
            take("sslkey").map(PathBuf::from),
        )?;
        if !parameters.contains_key("user") {
            let user = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| environment(name));
            parameters.insert("user".into(), user.ok_or_else(|| wrong("it names no user"))?);
        }
        if !parameters.contains_key("host") && !parameters.contains_key("hostaddr") {
            let socket = Path::new("/var/run/postgresql");
            let host = if socket.is_dir() { "/var/run/postgresql" } else { "localhost" };
            parameters.insert("host".into(), host.into());
        }
        if let Some(unknown) = parameters.keys().find(|name| !PASSED_ON.contains(&name.as_str())) {
            // The name is not repeated: what is behind a stray & or ? in a password comes here.
            let known = "namespace, statement_timeout, reconnect_timeout, passfile, ssl…";
            let length = unknown.chars().count();
            return Err(wrong(format!(
                "it has an unknown parameter of {length} letters; known are {known}, {}",
                PASSED_ON.join(", ")
            )));
        }
        let several = parameters.get("host").is_some_and(|host| host.contains(','));
        if several {
            // Of a primary and its standbys the primary is meant.
            parameters.entry("target_session_attrs".into()).or_insert_with(|| "read-write".into());
        }
        let default = |parameters: &mut Parameters, name: &str, value: u64| {
            parameters.entry(name.into()).or_insert_with(|| value.to_string());
        };
        default(&mut parameters, "connect_timeout", CONNECT_TIMEOUT.as_secs());
        // A peer that has vanished is noticed within two minutes.
        default(&mut parameters, "keepalives_idle", 60);
        default(&mut parameters, "keepalives_interval", 15);
        default(&mut parameters, "keepalives_retries", 4);
        parameters.entry("application_name".into()).or_insert_with(|| "tracker".into());
        let text: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
        let mut config = text.join(" ").parse::<Config>().map_err(|error| wrong(crate::store::chain(&error)))?;
        config.ssl_mode(tls.mode());
        let host = parameters.get("host").or(parameters.get("hostaddr")).cloned().unwrap_or_default();
        let port = parameters.get("port").cloned().unwrap_or_else(|| "5432".into());
        let user = config.get_user().unwrap_or_default().to_owned();
        let database = config.get_dbname().unwrap_or(&user).to_owned();
        if let Some(password) = password {
            config.password(password);
        } else if let Some(password) = passfile::look_up(passfile, environment, [&host, &port, &database, &user]) {
            config.password(password);
        }
        let name = display(&user, &host, &port, &database, &namespace);
        Ok(Settings { config, tls, namespace, statement_timeout, reconnect_timeout, name })
    }

    /// How long to wait for an answer: the server ends a statement first.
    pub(super) fn patience(&self) -> Duration {
        self.statement_timeout + Duration::from_secs(2).max(self.statement_timeout / 4)
    }
}

fn display(user: &str, hosts: &str, ports: &str, database: &str, namespace: &str) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let plain = |text: &str| {
        let odd = |c: char| !(c.is_ascii_alphanumeric() || "-_.:".contains(c));
        if text.contains(odd) { encode(text) } else { text.to_owned() }
    };
    let ports: Vec<&str> = ports.split(',').collect();
    let hosts: Vec<String> = hosts
        .split(',')
        .enumerate()
        .map(|(n, host)| {
            let port = ports.get(n).or(ports.first()).copied().filter(|port| !port.is_empty()).unwrap_or("5432");
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{}:{port}", plain(host)) }
        })
        .collect();
    format!("postgres://{}@{}/{}?namespace={}", plain(user), hosts.join(","), plain(database), plain(namespace))
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::Host;

    use super::*;

    fn read(url: &str, environment: &[(&str, &str)]) -> Result<Settings, OpenError> {
        Settings::read(url, &|name| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_url_says_everything() {
        let url = "postgresql://me%40x:p%2Fw@one:5001,[::1]:5002/my%20db?namespace=a%22b&statement_timeout=1500\
                   &connect_timeout=3&application_name=it%27s";
        let settings = read(url, &[("PGUSER", "other"), ("PGHOSTADDR", "1.2.3.4")]).unwrap();
        assert_eq!(settings.config.get_user(), Some("me@x"));
        assert_eq!(settings.config.get_password(), Some(&b"p/w"[..]));
        assert_eq!(settings.config.get_dbname(), Some("my db"));
        assert_eq!(settings.config.get_hosts(), [Host::Tcp("one".into()), Host::Tcp("::1".into())]);
        assert_eq!(settings.config.get_ports(), [5001, 5002]);
        assert_eq!(settings.config.get_hostaddrs(), [] as [std::net::IpAddr; 0]);
        assert_eq!(settings.config.get_application_name(), Some("it's"));
        assert_eq!(settings.config.get_connect_timeout(), Some(&Duration::from_secs(3)));
        assert_eq!((settings.namespace.as_str(), settings.statement_timeout), ("a\"b", Duration::from_millis(1500)));
        assert_eq!(settings.name, "postgres://me%40x@one:5001,[::1]:5002/my%20db?namespace=a%22b");
    }

    #[test]
    fn the_environment_says_the_rest() {
        let environment = [("PGHOST", "/tmp"), ("PGPORT", "6000"), ("PGPASSWORD", "pw"), ("USER", "me")];
        let settings = read("postgres://", &environment).unwrap();
        #[cfg(unix)]
        assert_eq!(settings.config.get_hosts(), [Host::Unix("/tmp".into())]);
        assert_eq!((settings.config.get_ports(), settings.config.get_user()), (&[6000][..], Some("me")));
        assert_eq!(settings.config.get_password(), Some(&b"pw"[..]));
        assert_eq!(settings.namespace, NAMESPACE);
        let settings = read("postgres://you@host/db", &environment).unwrap();
        assert_eq!(settings.name, "postgres://you@host:5432/db?namespace=tracker");
    }

    #[test]
    fn no_error_and_no_form_repeats_a_password() {
        let secret = "s3cr3t";
        for url in [
            "postgres://me:s3cr3t@host:port/db",
            "postgres://me:s3cr3t@host/db?s3cr3t=1",
            "postgres://me:a?s3cr3t@host/db",
            "postgres://me:a&s3cr3t@host/db?sslmode=s3cr3t",
            "postgres://me:s3cr3t@host/db?statement_timeout=s3cr3t",
            "postgres://me:s3cr3t@host/db?target_session_attrs=s3cr3t",
            "postgres://me:s3cr3t%ff@host/db",
            "postgres://me:s3cr3t@host/db?x",
            "mysql://me:s3cr3t@host/db",
        ] {
            let error = read(url, &[]).expect_err(url);
            let text = format!("{error} {error:?} {}", crate::store::chain(&error));
            assert!(!text.contains(secret), "{text}");
        }
        let settings = read("postgres://me:s3cr3t@host/db?password=s3cr3t", &[]).unwrap();
        assert_eq!(settings.config.get_password(), Some(secret.as_bytes()));
        let text = format!("{settings:?} {} {:?}", settings.name, settings.config);
        assert!(!text.contains(secret), "{text}");
    }
}
