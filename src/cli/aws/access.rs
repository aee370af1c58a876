//! What every verb that talks to AWS has in common: its flags, the runtime, signals.

use crate::cli::{signals, sizes};
use diskwright::aws::{Aws, AwsError, Endpoints, Options};
use diskwright::observe::Observer;
use std::time::Duration;

/// What a clean-up after Ctrl-C may take: a few requests.
const CLEAN_UP: Duration = Duration::from_secs(30);

/// How to reach AWS
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "AWS")]
pub(in crate::cli) struct Access {
    /// Profile of ~/.aws/config
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,

    /// Region, as eu-west-1; else AWS_REGION, else the profile's
    #[arg(long, value_name = "NAME")]
    region: Option<String>,

    /// Endpoint for all services, as of a test server
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,

    /// Endpoint of EBS direct
    #[arg(long, value_name = "URL", hide_short_help = true)]
    ebs_endpoint_url: Option<String>,

    /// Endpoint of EC2
    #[arg(long, value_name = "URL", hide_short_help = true)]
    ec2_endpoint_url: Option<String>,

    /// Endpoint of S3
    #[arg(long, value_name = "URL", hide_short_help = true)]
    s3_endpoint_url: Option<String>,

    /// Endpoint of Systems Manager
    #[arg(long, value_name = "URL", hide_short_help = true)]
    ssm_endpoint_url: Option<String>,

    /// Endpoint of Security Token Service
    #[arg(long, value_name = "URL", hide_short_help = true)]
    sts_endpoint_url: Option<String>,

    /// How long an answer may take before the request is sent again
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = sizes::duration)]
    timeout: Duration,

    /// How long to go on while nothing succeeds
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = sizes::duration)]
    patience: Duration,

    /// Requests in flight at once, at most; fewer while AWS throttles
    #[arg(long, value_name = "N", default_value_t = 64)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1000))]
    parallel: u16,
}

impl Access {
    fn into_options(self, keep: bool) -> Options {
        Options {
            profile: self.profile,
            region: self.region,
            endpoint_url: self.endpoint_url,
            endpoints: Endpoints {
                ebs: self.ebs_endpoint_url,
                ec2: self.ec2_endpoint_url,
                s3: self.s3_endpoint_url,
                ssm: self.ssm_endpoint_url,
                sts: self.sts_endpoint_url,
            },
            timeout: self.timeout,
            patience: self.patience,
            parallel: self.parallel,
            keep,
        }
    }

    /// Does `work`, which connects by itself and makes nothing that stays.
    pub(in crate::cli) fn with_options<T>(
        self,
        work: impl AsyncFnOnce(Options) -> T,
    ) -> anyhow::Result<T> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        Ok(runtime.block_on(work(self.into_options(false))))
    }

    /// Connects and does `work`; what it made is deleted when it fails or is interrupted, unless `keep`.
    pub(in crate::cli) fn run<T, E>(
        self,
        keep: bool,
        observer: &dyn Observer,
        work: impl AsyncFnOnce(Aws) -> Result<T, E>,
    ) -> anyhow::Result<T>
    where
        E: From<AwsError> + Into<anyhow::Error>,
    {
        signals::grace(CLEAN_UP);
        let options = self.into_options(keep);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let result = runtime.block_on(async {
            let aws = Aws::connect(&options).await.map_err(E::from)?;
            aws.run(observer, work(aws.clone())).await
        });
        // A read of a file that nobody waits for any more holds up nobody.
        runtime.shutdown_background();
        result.map_err(E::into)
    }
}
