import Diagnostics
import Digests
import Filter
import Kernel
import Launch
import Plan
import Profile

/// The plan of a command without a container: an id of its own, and this process as the one that the supervisor waits for.
func commandPlan(_ profile: Profile, mode: Mode) throws(Refusal) -> Plan {
  let environment = try StatePaths.Environment.own()
  let id = "run-\(processID)-\(String(wallMilliseconds(), radix: 36))"
  return Plan(
    id: id, bundle: "", paths: try StatePaths(id: id, root: "callgatectl", in: environment), runtimeProcess: processID,
    runtime: .other, mode: mode, profile: profile, profileDigest: profile.digest.description, traps: try resolve(profile),
    waitKillable: try supervisorUsesBPF())
}
