internal import Diagnostics
internal import JSON
internal import Kernel
internal import Launch
internal import Plan
internal import Supervisor

/// A plan is a few kilobytes.
private let maxPlanBytes = 4 << 20

/// Reads the plan, leaves its parent, listens, seals an inspector, says so, and supervises until the container is gone.
func supervise(planFile: borrowing OwnedFD, ready: borrowing OwnedFD) throws(Refusal) {
  let bytes = try refusing(.supervisorNotStarted) { () throws(SyscallError) in
    try readAll(planFile, limit: maxPlanBytes, subject: "the plan")
  }
  let plan = try Plan(decoding: bytes)
  guard try refusing(.supervisorNotStarted, { () throws(SyscallError) in try forkProcess() }) == .child else { exitNow(0) }
  ignoreChildren()
  try refusing(.supervisorNotStarted) { () throws(SyscallError) in try enterRoot() }

  let door = try refusing(.supervisorNotStarted) { () throws(SyscallError) in try UnixSocket.listening(at: plan.socketPath) }
  let inspectorProgram = try refusing(.supervisorNotStarted) { () throws(SyscallError) in try privateFile("callgate-inspector") }
  let inspector: Inspector
  do throws(InspectorError) {
    inspector = try Inspector(program: inspectorProgram)
  } catch {
    throw Refusal(.inspectorLost, "the inspector did not start: \(error)")
  }
  let object = try refusing(.supervisorNotStarted) { () throws(SyscallError) in try privateFile(snapshotObject) }
  let started = wallNanoseconds()
  // Before anybody is told to go on: a quick runtime has made its container, and ended, by the time the rest is ready.
  let runtime = try refusing(.supervisorNotStarted) { () throws(SyscallError) in
    if let process = plan.runtimeProcess { try PidFD(UInt32(bitPattern: process)) } else { PidFD?.none }
  }
  try refusing(.supervisorNotStarted) { () throws(SyscallError) in
    try replaceFile("\(plan.stateDirectory)/\(StateFile.supervisor)", with: describe(plan, inspector).serialised(indented: true))
    try writeAll(Array("ready \(processID)\n".utf8), to: ready)
  }

  do throws(SyscallError) {
    var supervisor = try Supervisor(
      plan: plan, started: started, runtime: runtime, door: door, inspector: inspector, inspectorProgram: inspectorProgram,
      copier: Copier(bpfObject: object, mayInterrupt: !plan.waitKillable)
    )
    try supervisor.run()
  } catch {
    throw Refusal(.supervisorLost, error.description)
  }
  leave(plan)
}

/// The reason of a kill stays for the engine until it deletes the container. Where the container was deleted and made again meanwhile, the
/// directory is another supervisor's.
private func leave(_ plan: Plan) {
  guard isOurs(plan) else { return }
  for path in [plan.socketPath, "\(plan.stateDirectory)/\(StateFile.supervisor)"] {
    do throws(SyscallError) { try remove(path) } catch {}
  }
  // Not empty: an exit reason is in it.
  do throws(SyscallError) { try removeDirectory(plan.stateDirectory) } catch {}
}

private func isOurs(_ plan: Plan) -> Bool {
  do {
    let text = try readFile("\(plan.stateDirectory)/\(StateFile.supervisor)", limit: 65536)
    return try JSONValue(parsing: text)["supervisor"]?.integer() == processID
  } catch {
    return false
  }
}

private func describe(_ plan: Plan, _ inspector: Inspector) -> JSONValue {
  .object([
    JSONMember("id", .string(plan.id)), JSONMember("profile", .string(plan.profileName)),
    JSONMember("profileVersion", .string(plan.profileVersion)), JSONMember("profileDigest", .string(plan.profileDigest)),
    JSONMember("supervisor", .integer(processID)), JSONMember("inspector", .integer(inspector.pid)),
    JSONMember("since", .integer(wallMilliseconds())),
  ])
}

private func refusing<Value: ~Copyable>(
  _ code: Code, _ body: () throws(SyscallError) -> Value
) throws(Refusal) -> Value {
  do throws(SyscallError) { return try body() } catch { throw Refusal(code, error.description) }
}
