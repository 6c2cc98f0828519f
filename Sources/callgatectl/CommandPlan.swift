import Diagnostics
import Filter
import Kernel
import Launch
import Plan
import Profile
import Settings

/// The plan of a command without a container: an id of its own, and this process as the one that the supervisor waits for.
func commandPlan(_ effective: EffectiveProfile, mode: Mode) throws(Refusal) -> Plan {
  let profile = effective.resolved.profile
  let environment = try StatePaths.Environment.own()
  let id = "run-\(processID)-\(String(wallMilliseconds(), radix: 36))"
  return Plan(
    id: id, bundle: "", paths: try StatePaths(id: id, root: "callgatectl", in: environment), runtimeProcess: processID,
    runtime: .other, mode: mode, profile: profile, profileDigest: effective.digest, givers: effective.resolved.givers,
    traps: try resolve(profile), waitKillable: try supervisorUsesBPF())
}
