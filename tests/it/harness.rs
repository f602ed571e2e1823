//! An exporter process, its configuration, and what a scrape of it says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use sim::{Cloud, Instance, Vendor};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Ends what hangs. Nothing that works comes near it, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// Waits for an event.
pub(crate) async fn patiently<F: Future>(what: &str, event: F) -> F::Output {
    let waiting = timeout(PATIENCE, event).await;
    waiting.unwrap_or_else(|_| panic!("{what}: not seen in {PATIENCE:?}"))
}

/// Waits until an operation was asked for so many times.
pub(crate) async fn asked(cloud: &Cloud, operation: &str, times: usize) {
    let what = format!("{operation}, {times} times");
    patiently(&what, cloud.wait_for_operation(operation, times)).await;
}

/// Looking costs time, which the exporter under test may need.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// The key of the simulator's account for tests.
pub(crate) const KEY_ID: &str = "LTAI5tSimulatedTestKey01";
/// Its secret.
pub(crate) const KEY_SECRET: &str = "SimulatedTestSecret000000000001";

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_cloud-backup-exporter");

/// An empty cloud, whose world stands still: there is what a test puts there, at any time of day.
pub(crate) async fn cloud() -> Cloud {
    let scenario = sim::Scenario::empty().standing_still();
    Cloud::start(scenario).await.unwrap()
}

/// A `MySQL` instance in Hangzhou, backed up every hour, copied to Shanghai after ten minutes.
pub(crate) fn hourly(id: &str) -> Instance {
    hourly_in(id, "cn-hangzhou")
}

/// As [`hourly`], in another region.
pub(crate) fn hourly_in(id: &str, region: &str) -> Instance {
    Instance::new(id, region)
        .account("test")
        .engine(sim::Engine::MySql, "8.0")
        .schedule(sim::Schedule::every(Duration::from_secs(3600)))
        .copied_to("cn-shanghai", Duration::from_secs(600))
}

/// The key and the secret of a vendor's account for tests.
pub(crate) const fn key_of(vendor: Vendor) -> (&'static str, &'static str) {
    match vendor {
        Vendor::Alibaba => (KEY_ID, KEY_SECRET),
        Vendor::Huawei => (
            "HWSIMULATEDTESTKEY01",
            "hwSimulatedTestSecret000000000000000001",
        ),
        Vendor::Volcengine => (
            "AKLTSimulatedTestKey01",
            "U2ltdWxhdGVkVGVzdFNlY3JldDAwMDAwMDAwMDAwMDE=",
        ),
    }
}

/// The name of a vendor's account for tests, in the cloud and in configurations.
pub(crate) const fn account_of(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Alibaba => "test",
        Vendor::Huawei => "test-huawei",
        Vendor::Volcengine => "test-volcengine",
    }
}

/// Empty clouds of all vendors, each with an account.
pub(crate) async fn clouds() -> Cloud {
    let cloud = cloud().await;
    for vendor in [Vendor::Huawei, Vendor::Volcengine] {
        let (id, secret) = key_of(vendor);
        cloud.add_account(&sim::Account {
            name: account_of(vendor).to_owned(),
            vendor,
            access_key_id: id.to_owned(),
            access_key_secret: secret.to_owned(),
            // Tests ask as often as they like, unless they say otherwise.
            requests_per_minute: Some(1_000_000),
            ..sim::Account::default()
        });
    }
    cloud
}

/// The region of a vendor's instances in tests.
pub(crate) const fn home_of(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Alibaba => "cn-hangzhou",
        Vendor::Huawei => "cn-north-4",
        Vendor::Volcengine => "cn-beijing",
    }
}

/// The region of their copies.
pub(crate) const fn away_of(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Alibaba | Vendor::Volcengine => "cn-shanghai",
        Vendor::Huawei => "cn-east-3",
    }
}

/// Of a vendor: never backed up, and not copied.
pub(crate) fn bare_at(vendor: Vendor, id: &str) -> Instance {
    let engine = match vendor {
        Vendor::Alibaba | Vendor::Huawei => sim::Engine::MySql,
        Vendor::Volcengine => sim::Engine::Redis,
    };
    Instance::new(id, home_of(vendor))
        .account(account_of(vendor))
        .engine(engine, "8.0")
}

/// Of a vendor: backed up every hour, copied after ten minutes.
pub(crate) fn hourly_at(vendor: Vendor, id: &str) -> Instance {
    bare_at(vendor, id)
        .schedule(sim::Schedule::every(Duration::from_secs(3600)))
        .copied_to(away_of(vendor), Duration::from_secs(600))
}

/// Of a vendor: backed up every day, copied after ten minutes.
pub(crate) fn daily_at(vendor: Vendor, id: &str) -> Instance {
    let mut instance = hourly_at(vendor, id);
    instance.schedule = Some(sim::Schedule::every(Duration::from_secs(24 * 3600)));
    instance
}

/// A configuration, written as a user would write it.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    pub(crate) name: String,
    pub(crate) provider: &'static str,
    pub(crate) endpoint: String,
    pub(crate) poll: String,
    pub(crate) credentials: String,
    pub(crate) rate_limit: String,
    /// Further keys of the account, as lines of the file.
    pub(crate) more_keys: Vec<String>,
    /// Id, region, and further keys in YAML's flow style.
    pub(crate) instances: Vec<(String, String, String)>,
    /// Further accounts, as they stand in the file.
    pub(crate) more_accounts: String,
}

impl Configuration {
    /// Polls these instances of Hangzhou once a second.
    pub(crate) fn of(cloud: &Cloud, ids: &[&str]) -> Self {
        Self::at(Vendor::Alibaba, cloud, ids)
    }

    /// Polls these instances of a vendor's usual region once a second.
    pub(crate) fn at(vendor: Vendor, cloud: &Cloud, ids: &[&str]) -> Self {
        let (key_id, secret) = key_of(vendor);
        let account = account_of(vendor);
        let url = cloud.url_of(vendor);
        let (region, endpoint, more_keys) = match vendor {
            Vendor::Alibaba => ("cn-hangzhou", url, Vec::new()),
            Vendor::Huawei => {
                let project = |region| {
                    let id = sim::huawei::project_id(account, region);
                    format!("{region}: \"{id}\"")
                };
                let projects = ["cn-north-4", "cn-east-3"].map(project).join(", ");
                let keys = vec![format!("projects: {{{projects}}}")];
                // The simulated cloud takes the first segment for the region whose host is addressed.
                ("cn-north-4", format!("{url}/{{region}}"), keys)
            }
            Vendor::Volcengine => ("cn-beijing", url, Vec::new()),
        };
        Self {
            name: account.to_owned(),
            provider: vendor.name(),
            endpoint,
            poll: "interval: 1s, timeout: 5m".to_owned(),
            credentials: format!("access_key_id: {key_id}, access_key_secret: {secret}"),
            rate_limit: "200/s".to_owned(),
            more_keys,
            instances: ids
                .iter()
                .map(|id| ((*id).to_owned(), region.to_owned(), String::new()))
                .collect(),
            more_accounts: String::new(),
        }
    }

    /// Reads only these listings of each instance.
    pub(crate) fn reading(mut self, listings: &str) -> Self {
        for (_, _, more) in &mut self.instances {
            *more = format!("listings: [{listings}]");
        }
        self
    }

    /// Finds the instances of the vendor's usual region instead of naming them, once a second.
    pub(crate) fn searching(vendor: Vendor, cloud: &Cloud, more: &str) -> Self {
        let mut configuration = Self::at(vendor, cloud, &[]);
        configuration.poll =
            "interval: 1s, policy_interval: 1s, discovery_interval: 1s, timeout: 5m".to_owned();
        let region = home_of(vendor);
        let keys = &mut configuration.more_keys;
        keys.push(format!("discover: {{regions: [{region}]{more}}}"));
        configuration
    }

    pub(crate) fn yaml(&self) -> String {
        let (poll, account) = (&self.poll, self.account());
        format!(
            "poll: {{{poll}}}\naccounts:\n{account}{}",
            self.more_accounts
        )
    }

    /// The account as it stands in the file.
    pub(crate) fn account(&self) -> String {
        let Self {
            name,
            provider,
            endpoint,
            credentials,
            rate_limit,
            ..
        } = self;
        let mut yaml = format!(
            "- name: {name}\n  provider: {provider}\n  endpoint: {endpoint}\n  \
             rate_limit: {rate_limit}\n  credentials: {{{credentials}}}\n"
        );
        for key in &self.more_keys {
            writeln!(yaml, "  {key}").unwrap();
        }
        if self.instances.is_empty() {
            return yaml;
        }
        yaml.push_str("  instances:\n");
        for (id, region, more) in &self.instances {
            writeln!(yaml, "  - {{id: {id}, region: {region}, {more}}}").unwrap();
        }
        yaml
    }
}

/// What a line of the log says of where the exporter listens, in either format.
fn listening_address(line: &str) -> Option<String> {
    if let Some((_, address)) = line.split_once("message=listening address=") {
        return Some(address.trim().to_owned());
    }
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    let address = event["address"].as_str().map(str::to_owned);
    address.filter(|_| event["message"] == "listening")
}

/// A folder that is removed at the end of the test.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("cloud-backup-exporter-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file in one step, as a secret store replaces it.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        let new = self.0.join(format!("{name}.new"));
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, &path).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left_behind = std::fs::remove_dir_all(&self.0);
    }
}

/// A running exporter. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Exporter {
    child: Child,
    url: String,
    folder: Folder,
    log: Arc<Mutex<String>>,
    /// Reads the log to its end.
    reading: JoinHandle<()>,
}

impl Exporter {
    pub(crate) async fn start(configuration: &Configuration) -> Self {
        Self::start_with(configuration, &[], &[]).await
    }

    pub(crate) async fn start_with(
        configuration: &Configuration,
        flags: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let folder = Folder::new();
        let file = folder.write("exporter.yml", &configuration.yaml());
        let mut command = command(environment);
        command
            .arg(format!("--config.file={}", file.display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .args(flags)
            .stdout(Stdio::null());
        Self::spawn(command, folder).await
    }

    /// Starts a command that serves, and waits for the line that says where.
    pub(crate) async fn spawn(mut command: Command, folder: Folder) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (found, mut address) = watch::channel(None);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let kept = Arc::clone(&log);
        let reading = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(address) = listening_address(&line) {
                    found.send_replace(Some(address));
                }
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        let address = patiently("where it listens", address.wait_for(Option::is_some))
            .await
            .map_or_else(
                |_| panic!("the exporter ended: {}", log.lock().unwrap()),
                |address| address.clone().unwrap(),
            );
        Self {
            child,
            url: format!("http://{address}"),
            folder,
            log,
            reading,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    pub(crate) fn configure(&self, configuration: &Configuration) {
        self.folder.write("exporter.yml", &configuration.yaml());
    }

    /// Waits until the log says so.
    pub(crate) async fn logged(&self, words: &str) {
        let waiting = async {
            while !self.log().contains(words) {
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
        };
        patiently(words, waiting).await;
    }

    /// What was logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        let asking = async {
            loop {
                match client().get(self.url(path)).send().await {
                    Ok(answer) => return answer,
                    Err(error) => assert!(is_cut(&error), "{path}: {error:?}; {}", self.log()),
                }
            }
        };
        patiently(path, asking).await
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        let reading = async {
            loop {
                match self.get(path).await.text().await {
                    Ok(text) => return text,
                    Err(error) => assert!(is_cut(&error), "{path}: {error:?}; {}", self.log()),
                }
            }
        };
        patiently(path, reading).await
    }

    pub(crate) async fn scrape(&self) -> Scrape {
        Scrape::parse(&self.text("/metrics").await)
    }

    /// Scrapes until the scrape says what is waited for.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Scrape) -> bool) -> Scrape {
        let waiting = async {
            loop {
                let scrape = self.scrape().await;
                if holds(&scrape) {
                    return scrape;
                }
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
        };
        timeout(PATIENCE, waiting)
            .await
            .unwrap_or_else(|_| panic!("{what}: not seen; the log says\n{}", self.log()))
    }

    /// Waits until every instance was attempted.
    pub(crate) async fn ready(&self) -> Scrape {
        let waiting = async {
            while !self.get("/-/ready").await.status().is_success() {
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
        };
        timeout(PATIENCE, waiting)
            .await
            .unwrap_or_else(|_| panic!("never ready; the log says\n{}", self.log()));
        self.scrape().await
    }

    /// What it has had of the processor, which is the same however busy the machine is.
    pub(crate) fn processor_ticks(&self) -> u64 {
        let process = self.child.id().expect("the exporter has ended");
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        let (_, after_name) = stat.rsplit_once(')').unwrap();
        let fields: Vec<_> = after_name.split_whitespace().collect();
        // In user mode and in the kernel.
        let ticks = fields[11..=12].iter();
        ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    pub(crate) fn signal(&self, name: &str) {
        let process = self.child.id().expect("the exporter has ended").to_string();
        let sent = std::process::Command::new("kill")
            .args([&format!("-{name}"), &process])
            .status();
        assert!(sent.unwrap().success());
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let status = patiently("the end of the exporter", self.child.wait()).await;
        patiently("the end of its log", &mut self.reading)
            .await
            .unwrap();
        status.unwrap()
    }

    /// Stops it as a service manager does, and says what it logged.
    pub(crate) async fn stop(mut self) -> String {
        self.signal("TERM");
        let status = self.ended().await;
        assert_eq!(status.code(), Some(0), "{}", self.log());
        self.log()
    }
}

/// The binary, with nothing from our own environment that could change what it does, but for the time of libfaketime,
/// which has to be that of the test.
pub(crate) fn command(environment: &[(&str, &str)]) -> Command {
    let is_of_time = |name: &str| name == "LD_PRELOAD" || name.contains("FAKE");
    let of_time = std::env::vars().filter(|(name, _)| is_of_time(name));
    let mut command = Command::new(BINARY);
    command
        .env_clear()
        .envs(of_time)
        .envs(environment.iter().copied())
        .kill_on_drop(true)
        .stdin(Stdio::null());
    command
}

/// Whether the connection was ended: the server does so with a client that asks or takes nothing for ten seconds, which on
/// a busy machine happens to a test that is held up. It asks again.
fn is_cut(error: &reqwest::Error) -> bool {
    !error.is_connect() && !error.is_timeout()
}

/// Runs the binary to its end: exit code, standard output, standard error.
pub(crate) async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let output = command(environment).args(arguments).output();
    let output = patiently("the end of the command", output).await.unwrap();
    (
        output.status.code().expect("ended by a signal"),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

pub(crate) fn client() -> reqwest::Client {
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
        rustls::crypto::ring::default_provider()
            .install_default()
            .unwrap();
        // A connection ends with the test that opened it.
        let builder = reqwest::Client::builder().pool_max_idle_per_host(0);
        builder.no_proxy().timeout(PATIENCE).build().unwrap()
    });
    CLIENT.clone()
}

/// A parsed scrape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scrape(pub(crate) Vec<Sample>);

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Scrape {
    /// Reads either text format, and fails on a line that is none.
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self(lines.map(Sample::parse).collect())
    }

    /// The samples of this name that carry all of these labels.
    pub(crate) fn all<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&str, &str)],
    ) -> impl Iterator<Item = &'a Sample> {
        self.0.iter().filter(move |sample| {
            sample.name == name
                && labels.iter().all(|(name, value)| {
                    sample.labels.get(*name).map(String::as_str) == Some(*value)
                })
        })
    }

    /// The value of the one sample of this name that carries all of these labels.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut found = self.all(name, labels);
        let first = found.next().map(|sample| sample.value);
        assert_eq!(found.next(), None, "more than one {name} has {labels:?}");
        first
    }

    /// The sum over all samples of this name that carry all of these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.all(name, labels).map(|sample| sample.value).sum()
    }

    /// Whether the last attempt at this listing of this instance succeeded.
    pub(crate) fn poll_success(&self, instance: &str, listing: &str) -> Option<f64> {
        let labels = [("instance_id", instance), ("listing", listing)];
        self.value("cloud_backup_poll_success", &labels)
    }

    /// How often a listing failed for this reason.
    pub(crate) fn poll_failures(&self, listing: &str, reason: &str) -> f64 {
        let labels = [("listing", listing), ("reason", reason)];
        self.sum("cloud_backup_poll_failures_total", &labels)
    }
}

impl Sample {
    fn parse(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').expect(line);
        let (name, mut rest) = match series.split_once('{') {
            Some((name, rest)) => (name, rest.strip_suffix('}').expect(line)),
            None => (series, ""),
        };
        let mut labels = BTreeMap::new();
        while !rest.is_empty() {
            let (label, after) = rest.split_once("=\"").expect(line);
            let mut value = String::new();
            let mut characters = after.char_indices();
            let end = loop {
                match characters.next().expect(line) {
                    (end, '"') => break end,
                    (_, '\\') => value.push(match characters.next().expect(line).1 {
                        'n' => '\n',
                        other => other,
                    }),
                    (_, other) => value.push(other),
                }
            };
            let twice = labels.insert(label.to_owned(), value);
            assert_eq!(twice, None, "{line}");
            rest = after[end + 1..].trim_start_matches(',');
        }
        Self {
            name: name.to_owned(),
            labels,
            value: match value {
                "+Inf" => f64::INFINITY,
                value => value.parse().expect(line),
            },
        }
    }
}
