//! The clients: one chain of credentials, one TLS stack, one patience for all services and regions.

use super::error::AwsError;
use super::ledger::Ledger;
use super::pace::Pace;
use super::patience::Patience;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A connection that takes longer than this will not come.
const CONNECT: Duration = Duration::from_secs(10);
/// The parts of an upload to S3 are twenty times a block.
const S3_FACTOR: u32 = 5;

/// Endpoints of single services, before the one for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// EBS direct APIs.
    pub ebs: Option<String>,
    /// EC2.
    pub ec2: Option<String>,
    /// S3.
    pub s3: Option<String>,
    /// Systems Manager.
    pub ssm: Option<String>,
    /// Security Token Service.
    pub sts: Option<String>,
}

/// How to reach AWS. What is not given comes from the environment and the profile, as with every tool of AWS.
#[derive(Clone, Debug)]
pub struct Options {
    /// A profile of `~/.aws/config`.
    pub profile: Option<String>,
    /// Region, such as `eu-west-1`.
    pub region: Option<String>,
    /// Endpoint for all services.
    pub endpoint_url: Option<String>,
    /// Endpoints of single services.
    pub endpoints: Endpoints,
    /// How long an answer may take before the request is sent again.
    pub timeout: Duration,
    /// How long the run goes on while nothing succeeds.
    pub patience: Duration,
    /// Requests in flight at once, at most.
    pub parallel: u16,
    /// Leave what was made when the run fails.
    pub keep: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            profile: None,
            region: None,
            endpoint_url: None,
            endpoints: Endpoints::default(),
            timeout: Duration::from_secs(30),
            patience: Duration::from_secs(120),
            parallel: 64,
            keep: false,
        }
    }
}

/// An account in a region. Cheap to clone.
#[derive(Clone)]
pub struct Aws {
    shared: Arc<Shared>,
    services: Arc<Services>,
}

/// What all regions share.
struct Shared {
    options: Options,
    sdk: SdkConfig,
    patience: Patience,
    pace: Pace,
    ledger: Ledger,
}

struct Services {
    region: String,
    ebs: aws_sdk_ebs::Client,
    ec2: aws_sdk_ec2::Client,
    s3: aws_sdk_s3::Client,
    ssm: aws_sdk_ssm::Client,
    sts: aws_sdk_sts::Client,
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws")
            .field("region", &self.services.region)
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

impl Aws {
    /// Reads the environment and the profile, and gets credentials.
    ///
    /// # Errors
    /// Without a region or credentials, or with an endpoint that is no URL.
    pub async fn connect(options: &Options) -> Result<Self, AwsError> {
        let every = &options.endpoints;
        let services = [&every.ebs, &every.ec2, &every.s3, &every.ssm, &every.sts];
        for url in services
            .into_iter()
            .chain([&options.endpoint_url])
            .flatten()
        {
            if !url.starts_with("http://") && !url.starts_with("https://") {
                return Err(AwsError::Endpoint { url: url.clone() });
            }
        }
        let sdk = load(options).await;
        let region = sdk.region().ok_or(AwsError::NoRegion)?.clone();
        let provider = sdk.credentials_provider();
        let provider = provider.expect("the default chain is a provider");
        // The SDK would say it with the first request, as a failed dispatch.
        provider
            .provide_credentials()
            .await
            .map_err(|source| AwsError::NoCredentials { source })?;
        let shared = Shared {
            options: options.clone(),
            patience: Patience::new(options.patience),
            pace: Pace::new(options.parallel),
            ledger: Ledger::default(),
            sdk,
        };
        let services = Services::new(&shared, &region);
        Ok(Self {
            shared: Arc::new(shared),
            services: Arc::new(services),
        })
    }

    /// The same account elsewhere, with the same patience and ledger.
    #[must_use]
    pub fn in_region(&self, region: &str) -> Self {
        if region == self.region() {
            return self.clone();
        }
        let services = Services::new(&self.shared, &Region::new(region.to_owned()));
        Self {
            shared: Arc::clone(&self.shared),
            services: Arc::new(services),
        }
    }

    /// The region's name.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.services.region
    }

    /// How it was asked for.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// The run's retries.
    #[must_use]
    pub fn patience(&self) -> &Patience {
        &self.shared.patience
    }

    /// How many requests may be in flight.
    #[must_use]
    pub fn pace(&self) -> &Pace {
        &self.shared.pace
    }

    /// What the run has made.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }

    /// EBS direct APIs.
    #[must_use]
    pub fn ebs(&self) -> &aws_sdk_ebs::Client {
        &self.services.ebs
    }

    /// EC2.
    #[must_use]
    pub fn ec2(&self) -> &aws_sdk_ec2::Client {
        &self.services.ec2
    }

    /// S3. With an endpoint of its own: buckets in the path, as servers that are not AWS's need it.
    #[must_use]
    pub fn s3(&self) -> &aws_sdk_s3::Client {
        &self.services.s3
    }

    /// Systems Manager.
    #[must_use]
    pub fn ssm(&self) -> &aws_sdk_ssm::Client {
        &self.services.ssm
    }

    /// Security Token Service.
    #[must_use]
    pub fn sts(&self) -> &aws_sdk_sts::Client {
        &self.services.sts
    }
}

async fn load(options: &Options) -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let name = AppName::new(concat!("diskwright-", env!("CARGO_PKG_VERSION")));
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .app_name(name.expect("letters, digits, points and hyphens"))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts(options.timeout));
    if let Some(profile) = &options.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &options.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    loader.load().await
}

fn timeouts(answer: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT.min(answer))
        .read_timeout(answer)
        .operation_attempt_timeout(answer)
        .build()
}

impl Services {
    fn new(shared: &Shared, region: &Region) -> Self {
        let sdk = shared.sdk.to_builder().region(region.clone()).build();
        let urls = &shared.options.endpoints;
        let mut ebs = aws_sdk_ebs::config::Builder::from(&sdk);
        let mut ec2 = aws_sdk_ec2::config::Builder::from(&sdk);
        let mut s3 = aws_sdk_s3::config::Builder::from(&sdk);
        let mut ssm = aws_sdk_ssm::config::Builder::from(&sdk);
        let mut sts = aws_sdk_sts::config::Builder::from(&sdk);
        if let Some(url) = &urls.ebs {
            ebs = ebs.endpoint_url(url);
        }
        if let Some(url) = &urls.ec2 {
            ec2 = ec2.endpoint_url(url);
        }
        if let Some(url) = &urls.s3 {
            s3 = s3.endpoint_url(url);
        }
        if let Some(url) = &urls.ssm {
            ssm = ssm.endpoint_url(url);
        }
        if let Some(url) = &urls.sts {
            sts = sts.endpoint_url(url);
        }
        if urls.s3.is_some() || sdk.endpoint_url().is_some() {
            s3 = s3.force_path_style(true);
        }
        // Every body has its Content-MD5 already; a CRC behind it is what servers that are not AWS's trip over.
        s3 = s3
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .timeout_config(timeouts(shared.options.timeout * S3_FACTOR));
        Self {
            region: region.to_string(),
            ebs: aws_sdk_ebs::Client::from_conf(ebs.build()),
            ec2: aws_sdk_ec2::Client::from_conf(ec2.build()),
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            ssm: aws_sdk_ssm::Client::from_conf(ssm.build()),
            sts: aws_sdk_sts::Client::from_conf(sts.build()),
        }
    }
}
