import Diagnostics
import Digests
import Filter
import Kernel
import Launch
import Plan
import Profile
import Settings

/// The plan of a command without a container: an id of its own, and this process as the one that the supervisor waits for.
/// `recording`: the name of one that it belongs to, which is started if it is not going on.
func commandPlan(_ effective: EffectiveProfile, mode: Mode, recording: String? = nil) throws(Refusal) -> Plan {
  var profile = effective.resolved.profile
  let environment = try StatePaths.Environment.own()
  let id = "run-\(processID)-\(String(wallMilliseconds(), radix: 36))"
  let store = try RecordingStore.own()
  if let recording, try store.entry(recording)?.isActive != true { try store.start(recording, RecordingStore.Wanted()) }
  let recorded = try store.recording(of: id, asked: recording, changing: &profile)
  return Plan(
    id: id, bundle: "", paths: try StatePaths(id: id, root: "callgatectl", in: environment), runtimeProcess: processID,
    runtime: .other, mode: recorded?.isAudited == true ? .audit : mode, profile: profile, profileDigest: effective.digest,
    givers: effective.resolved.givers, traps: try resolve(profile), waitKillable: try supervisorUsesBPF(), recording: recorded?.plan)
}
