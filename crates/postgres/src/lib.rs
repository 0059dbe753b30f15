//! Finds PostgreSQL on this machine and runs a private cluster with it.
//!
//! A laptop, a commune and a test all need a database, and none of them should have to set one up. This crate
//!
//! * [finds](discover) an installed PostgreSQL, or [installs](install_debian) Debian's package,
//! * [starts](Cluster::start) a cluster of its own in a data folder: reachable through a unix socket only, with data
//!   checksums, under a user that is not root, held by one process at a time, and stopped when that process goes away,
//!   however it goes away,
//! * [shares](SharedCluster::join) one throw-away cluster between many test processes.
//!
//! ```no_run
//! use egov_postgres::{Cluster, ClusterOptions, MINIMUM_VERSION, discover};
//!
//! let installation = discover(MINIMUM_VERSION)?;
//! let cluster = Cluster::start(&installation, ClusterOptions::new(".egov/postgres"))?;
//! println!("{}", cluster.url("postgres"));
//! cluster.stop()?;
//! # Ok::<(), egov_postgres::PostgresError>(())
//! ```
//!
//! # Who may connect
//!
//! The socket lies in a folder of mode 0700 that belongs to the user under whom the server runs, and the server does
//! not listen on any network address. Whoever can open that socket (this user, and root) is trusted under every role
//! name. So the wall is the folder, and there is no password that could leak.
//!
//! # What lies in the data folder
//!
//! | name | what |
//! |---|---|
//! | `cluster/` | PostgreSQL's own files, owned by the server's user |
//! | `run/` | the socket (in `/tmp/egov-<id>` if the path is too long for one) |
//! | `postgres.log` | what the server says; the older part in `postgres.log.1` |
//! | `holder.lock` | locked by the process that holds the cluster, with its pid |
//! | `cluster.json` | which version made the cluster, and where it lies if not here |
//!
//! # Nothing stays behind
//!
//! PostgreSQL is started together with a small watcher, a shell that waits on a pipe from us. When the pipe closes
//! because this process was killed, the watcher stops the server. It also holds the lock until the server has
//! stopped, so a process that starts next waits for a clean end instead of meeting a running server. Should the watcher
//! have been killed too, the next start finds the server by its working directory and stops it.
//!
//! The crate is synchronous and works on Linux (it reads `/proc`).

mod account;
mod address;
mod cluster;
mod debian;
mod error;
mod folder;
mod installation;
mod lock;
mod memory;
mod process;
mod server;
mod shared;
mod watcher;

pub use address::Address;
pub use cluster::Cluster;
pub use debian::install_debian;
pub use error::PostgresError;
pub use installation::{BINDIR_VARIABLE, Installation, MINIMUM_VERSION, discover, discover_for};
pub use server::{ClusterOptions, Durability};
pub use shared::SharedCluster;
