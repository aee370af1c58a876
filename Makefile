# What a newcomer types. cargo builds; this file brings the tools that check the images.

.PHONY: demo test test-full lint bench coldsnap fuzz clean

# Other people's tools that judge our images, and those that make the tests' inputs.
TEST_PACKAGES = qemu-system-x86 qemu-system-arm seabios ovmf qemu-efi-aarch64 e2fsprogs grub-pc-bin \
	grub-common grub-efi-amd64-signed shim-signed fuse2fs fdisk gdisk parted dosfstools mtools strace \
	file zstd lz4 xz-utils bzip2 acl attr libarchive-tools busybox-static cpio mmdebstrap debian-archive-keyring \
	python3 python3-venv libc6-i386 umoci skopeo buildah genext2fs genimage openssl pigz \
	bubblewrap curl mandoc zsh fish openssh-client systemd packer \
	qemu-utils bmap-tools chromium

# From PyPI, the same versions everywhere: somebody else's AWS, the schemas of Kubernetes, the types of Argo; those
# who own the formats of records judge them.
TEST_PYTHON = 'moto[server]==5.2.5' kubernetes-validate==1.37.0 hera==7.1.0 spdx-tools==0.8.5 \
	'cyclonedx-python-lib[json-validation]==11.12.0' in-toto-attestation==0.9.3 check-jsonschema==0.39.0
# Somebody else's S3, from the Rust registry; the second checks more and takes ten minutes to build.
S3S_FS = s3s-fs 0.14.1 --features binary
GARAGE = garage 2.5.0 --no-default-features --features bundled-libs,sqlite
SERVERS = $$(tests/python $(TEST_PYTHON)):$$(tests/crate $(S3S_FS))

# AWS's own client of EBS direct, as its authors publish it.
COLDSNAP = coldsnap@0.12.0

# nextest shows slow tests and a summary; cargo's own runner does as well.
RUN_TESTS = if cargo nextest --version >/dev/null 2>&1; then \
		cargo nextest run --release --locked --no-fail-fast && cargo test --doc --release --locked; \
	else \
		cargo test --release --locked --no-fail-fast; \
	fi

# Seconds per fuzz target.
FUZZ_SECONDS = 60

demo: ## A Debian 12 rootfs, its image, a boot to the login prompt
	@tests/demo/run

test: ## Everything that must hold on every commit
	@tests/packages $(TEST_PACKAGES)
	@tests/demo/rootfs
	@tests/demo/rootfs trixie
	@tests/demo/rootfs arm64
	@PATH=$(SERVERS):$$PATH; $(RUN_TESTS)

test-full: ## The same, with what takes longer
	@tests/packages $(TEST_PACKAGES)
	@tests/demo/rootfs
	@tests/demo/rootfs trixie
	@tests/demo/rootfs arm64
	@export DISKWRIGHT_TEST_FULL=1; PATH=$(SERVERS):$$(tests/crate $(GARAGE)):$$PATH; $(RUN_TESTS)

lint: ## Format, clippy, documentation
	cargo fmt --check
	cargo clippy --release --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --release --locked --no-deps

bench: ## Ratios against cp, zstd and gzip
	@tests/packages $(TEST_PACKAGES)
	cargo bench --locked

coldsnap: ## Snapshots against AWS's own client, which takes long to build
	cargo install --quiet --locked --root demo/coldsnap $(COLDSNAP)
	@export DISKWRIGHT_COLDSNAP=$(CURDIR)/demo/coldsnap/bin/coldsnap; \
		cargo test --release --locked --test it aws_coldsnap && cargo bench --locked --bench snapshot

fuzz: ## Each target for FUZZ_SECONDS
	@fuzz/run $(FUZZ_SECONDS)

clean: ## What the build and the demo made
	rm -rf demo
	cargo clean
