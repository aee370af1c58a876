//! Everything that talks to AWS, over its official SDKs; nothing else in the crate uses them.
//!
//! [`Aws::connect`] takes the SDKs' own chain of credentials, profiles and endpoints and gives the clients.
//! Every request goes through [`Aws::call`]: the SDKs' retries are off, and one [`Patience`] serves the whole
//! run, so that nothing is tried again inside of what is tried again. What a run makes is entered in its
//! [`Ledger`], and undone when the run fails or is interrupted: [`Aws::run`].
//!
//! ```no_run
//! use diskwright::aws::{Aws, Call, Options};
//! use diskwright::observe::Silent;
//!
//! # async fn example() -> Result<(), diskwright::aws::AwsError> {
//! let aws = Aws::connect(&Options::default()).await?;
//! let call = Call::new("ec2:DescribeSnapshots", "snap-0123456789abcdef0");
//! let answer = aws
//!     .run(&Silent, async {
//!         let ids = ["snap-0123456789abcdef0".to_owned()];
//!         aws.call(&call, || aws.ec2().describe_snapshots().set_snapshot_ids(Some(ids.to_vec())).send())
//!             .await
//!     })
//!     .await?;
//! println!("{:?}", answer.snapshots());
//! # Ok(())
//! # }
//! ```

mod all;
mod call;
mod client;
pub mod console;
pub mod doctor;
mod error;
mod fault;
mod id;
pub mod image;
mod ledger;
mod nonce;
mod pace;
mod patience;
pub mod policy;
pub mod prune;
pub mod push;
pub mod s3;
pub mod snapshot;

pub use call::Call;
pub use client::{Aws, Endpoints, Options};
pub use error::AwsError;
pub use fault::{Fault, Kind};
pub use ledger::{Ledger, Left, Made};
pub use pace::Pace;
pub use patience::Patience;
