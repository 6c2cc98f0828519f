package import Diagnostics

/// What a container's annotations ask of callgate. They come from whoever starts the container, so they can only tighten.
package struct Request: Equatable, Sendable {
  package var isUntrusted = false
  package var profile: String?
  /// As written: what it may be is for the policy to say.
  package var mode: String?
  /// A recording's name.
  package var record: String?
  /// Some `dev.callgate.untrusted` key is there, be it for another container of the pod.
  package var mentionsTrust = false

  package init(_ annotations: [(key: String, value: String)]) throws(Refusal) {
    for (key, value) in annotations where key.utf8.starts(with: prefix.utf8) || key == "dev.callgate" {
      if key == untrustedKey {
        try requireTrue(key, value)
        isUntrusted = true
        mentionsTrust = true
      } else if key.hasPrefix(untrustedKey + ".") {
        try requireTrue(key, value)
        mentionsTrust = true
        let name = key.dropFirst(untrustedKey.count + 1)
        if try containerName(annotations, for: key) == String(name) { isUntrusted = true }
      } else if key == "dev.callgate.profile" {
        profile = value
      } else if key == "dev.callgate.mode" {
        mode = value
      } else if key == "dev.callgate.record" {
        record = value
      } else {
        throw Refusal(
          .badAnnotation,
          "unknown annotation '\(key)'"
            + suggestion(
              for: key,
              among: [
                untrustedKey, "\(untrustedKey).CONTAINER", "dev.callgate.profile", "dev.callgate.mode", "dev.callgate.record",
              ]))
      }
    }
  }
}

private let prefix = "dev.callgate."
private let untrustedKey = "dev.callgate.untrusted"

private func requireTrue(_ key: String, _ value: String) throws(Refusal) {
  guard value == "true" else {
    throw Refusal(
      .badAnnotation, "the annotation '\(key)' is '\(value)': it can only be 'true'",
      hint: "a container is trusted by leaving the annotation out")
  }
}

/// Where the engines write a container's name: containerd's CRI plugin, CRI-O, and the kubelet's own label as CRI-O copies it.
private let nameKeys = ["io.kubernetes.cri.container-name", "io.kubernetes.cri-o.ContainerName", "io.kubernetes.container.name"]
private let typeKeys = ["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"]

/// Nil for a pod's sandbox, which has no name.
private func containerName(_ annotations: [(key: String, value: String)], for key: String) throws(Refusal) -> String? {
  if let name = annotations.first(where: { nameKeys.contains($0.key) }) { return name.value }
  if annotations.contains(where: { typeKeys.contains($0.key) && $0.value == "sandbox" }) { return nil }
  throw Refusal(
    .badAnnotation, "the annotation '\(key)' names a container, but the engine does not say which one this is",
    hint: "use '\(untrustedKey)'")
}

// MARK: what other annotations could do to the filter

/// Refuses annotations by which the low-level runtime would weaken the filter or bypass it. crun's `run.oci.seccomp_bpf_data` replaces
/// the whole filter, `run.oci.handler` and wasm images replace what is executed; what is not known is not harmless.
package func refuseLoosening(_ annotations: [(key: String, value: String)]) throws(Refusal) {
  for (key, _) in annotations {
    let isHarmless = harmlessForRuntime.contains(key)
    guard (key.hasPrefix("run.oci.") && !isHarmless) || key.hasPrefix("module.wasm.") else { continue }
    throw Refusal(
      .loosenedByAnnotation, "the annotation '\(key)' could weaken an untrusted container's filter",
      hint: "leave it out; accepted are \(harmlessForRuntime.sorted().joined(separator: ", "))")
  }
}

/// crun.1, ANNOTATIONS: groups, cgroups and the labels of mounts. None of them has a say in what is executed or filtered.
private let harmlessForRuntime: Set<String> = [
  "run.oci.keep_original_groups", "run.oci.delegate-cgroup", "run.oci.systemd.force_cgroup_v1", "run.oci.systemd.subgroup",
  "run.oci.mount_context_type",
]
