import Diagnostics
import Digests
import Filter
import JSON
import Kernel
import Launch
import OCI
import Plan
import Profile
import Settings

private let waitKillable = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"

/// Prepares an untrusted container and becomes the runtime that makes it. What fails before that leaves nothing behind.
func start(
  _ container: UntrustedContainer, _ locations: Locations, _ settings: Settings, _ runtime: Runtime
) throws(Refusal) -> Never {
  let effective = try locations.effectiveProfile(container.profile, under: settings)
  let profile = effective.resolved.profile
  let original = try Original(container)
  let base = try original.bundle.seccomp() ?? .none
  var merged = try merge(profile, into: base)
  try prove(merged, over: base, for: profile)

  let paths = try StatePaths(id: container.id, root: container.runtimeRoot, in: try StatePaths.Environment.own())
  merged.listenerPath = paths.socket
  merged.listenerMetadata = RewriteMark(of: original.bytes).encoded
  // A signal must not withdraw a call that is being judged. runc 1.1 accepts no flag at all.
  if runtime.kind == .crun, try supervisorUsesBPF(), !merged.flags.contains(waitKillable) { merged.flags.append(waitKillable) }

  var plan = Plan(
    id: container.id, bundle: container.bundleDirectory, paths: paths, runtimeProcess: processID, runtime: runtime.kind,
    mode: container.mode, profile: profile, profileDigest: effective.digest, givers: effective.resolved.givers, traps: try resolve(profile),
    cgroup: container.bundle.cgroupName, waitKillable: merged.flags.contains(waitKillable))
  try plan.record(asked: container.recording, in: try RecordingStore.own())
  let supervision = try startSupervisor(plan)
  do throws(Refusal) {
    try rewrite(container, original, merged)
    do throws(Refusal) { try runtime.become() } catch {
      try undoRewrite(container, original)
      throw error
    }
  } catch {
    supervision.abandon()
    throw error
  }
}

/// Keeps the original beside and puts the merged section in its place; both files whole or not at all.
private func rewrite(_ container: UntrustedContainer, _ original: Original, _ merged: Seccomp) throws(Refusal) {
  var bundle = original.bundle
  bundle.rawSeccomp = merged.json
  do throws(SyscallError) {
    if original.previous != original.bytes { try replaceFile(original.file, with: original.bytes) }
    try replaceFile(container.configFile, with: bundle.config.serialised(indented: true))
  } catch {
    try undoRewrite(container, original)
    throw Refusal(.badBundle, error.plain)
  }
}

private func undoRewrite(_ container: UntrustedContainer, _ original: Original) throws(Refusal) {
  do throws(SyscallError) {
    try replaceFile(container.configFile, with: container.configBytes)
    guard original.previous != original.bytes else { return }
    if let previous = original.previous { try replaceFile(original.file, with: previous) } else { try remove(original.file) }
  } catch {
    // What was to be undone may not have been done: the file that is missing is the one that was never written.
    if !error.isNotFound { throw Refusal(.badBundle, error.plain) }
  }
}
