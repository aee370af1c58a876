# packer build web.pkr.hcl: diskwright is the builder, Packer hands on the AMI's id.
# Nothing is booted for it, so that there is no source but "null" and nobody to connect to.
variable "rootfs" {
  type    = string
  default = "rootfs.tar"
}

variable "region" {
  type    = string
  default = "eu-west-1"
}

variable "flags" {
  type    = string
  default = "--boot bios --size 8G"
}

source "null" "diskwright" {
  communicator = "none"
}

build {
  sources = ["null.diskwright"]

  provisioner "shell-local" {
    inline = [
      "set -eu",
      "diskwright push '${var.rootfs}' --region '${var.region}' --name web ${var.flags} --enable fstrim.timer --machine-id empty --quiet > ami.txt",
    ]
  }

  post-processors {
    post-processor "artifice" {
      files = ["ami.txt"]
    }
    # What comes next gets the id: a launch template, Terraform, a test.
    post-processor "shell-local" {
      inline = ["printf '{\"ami\": \"%s\"}\\n' \"$(cat ami.txt)\" > ami.json"]
    }
    post-processor "manifest" {
      output = "packer-manifest.json"
    }
  }
}
