import ArgumentParser
import Diagnostics
import Filter
import JSON
import Kernel
import Launch
import Plan
import Profile
import Report
import Settings

struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run a command under a profile, without any container engine.",
    discussion: """
      The command and all its children are supervised as an untrusted container is. It ends as it would alone: with the same exit \
      status, or by the same signal. It gains no privileges by set-user-ID files (no_new_privs).
      """)

  @Option(help: "The profile, NAME or NAME@DIGEST; the configuration's policy.profile by default.") var profile: String?
  @Option(help: "Record the ways to its system calls under this name; see callgatectl record.") var record: String?
  @Argument(parsing: .captureForPassthrough, help: "The command and its arguments.") var command: [String]

  func run() throws {
    var command = self.command
    switch command.first {
    case "--": command.removeFirst()
    case "-h", "--help": throw CleanExit.helpRequest(self)
    case let word? where word.hasPrefix("-"): throw ValidationError("unknown option '\(word)'; a command that begins so goes behind --")
    default: break
    }
    guard !command.isEmpty else { throw ValidationError("a command is missing: callgatectl run -- COMMAND…") }

    let locations = try Locations.own()
    let settings = try locations.readSettings()
    let chosen = try locations.effectiveProfile(profile ?? settings.profile, under: settings)
    let program = try compileStandalone(chosen.resolved.profile)
    var plan = try commandPlan(chosen, mode: settings.mode)
    let store = try RecordingStore.own()
    if let record, try store.entry(record)?.isActive != true { try store.start(record, RecordingStore.Wanted()) }
    try plan.record(asked: record, in: store)
    let supervision = try startSupervisor(plan)

    let ending: Ending
    do throws(SyscallError) {
      ending = try superviseCommand(command, program, plan)
    } catch {
      supervision.abandon()
      throw Refusal(.execFailed, error.description)
    }
    tellDenial(plan)
    if !supervision.isSound {
      complain("callgate: the supervisor ended before the command did; trapped calls failed from then on (\(Code.supervisorLost.rawValue))")
      try removeStateDirectory(plan.stateDirectory)
    }
    end(like: ending)
  }
}

private func superviseCommand(_ command: [String], _ program: [UInt8], _ plan: Plan) throws(SyscallError) -> Ending {
  // So that a kill of all that the command has started finds those, too, whose parents have ended.
  try adoptOrphans()
  let child = try Child.start(command) { () throws(SyscallError) in try putUnderFilter(program, plan) }
  // Empty once the command runs; the child itself ends with the status that a shell would give.
  if let failure = try child.failureText() { complain("callgatectl: \(failure)") }
  return try child.wait()
}

/// What the low-level runtime does for a container, in the child: connect, install, hand over the listener. The connection comes first:
/// a profile may trap connect(2), and nobody listens before the descriptor has arrived.
private func putUnderFilter(_ program: [UInt8], _ plan: Plan) throws(SyscallError) {
  let socket = try UnixSocket.connected(to: plan.socketPath)
  let listener = try installFilter(program, waitKillable: plan.waitKillable)
  let state = JSONValue.object([
    JSONMember("ociVersion", .string("1.0.2")), JSONMember("fds", .array([.string("seccompFd")])),
    JSONMember("pid", .integer(processID)),
    JSONMember(
      "state",
      .object([
        JSONMember("ociVersion", .string("1.0.2")), JSONMember("id", .string(plan.id)), JSONMember("status", .string("creating")),
        JSONMember("pid", .integer(processID)), JSONMember("bundle", .string("")),
      ])),
  ])
  try socket.send(state.serialised(), descriptors: [listener.raw])
}

/// A status of 137 says nothing by itself.
private func tellDenial(_ plan: Plan) {
  let path = "\(plan.stateDirectory)/\(StateFile.exitReason)"
  let event: Event?
  do { event = Event(json: try JSONValue(parsing: try readFile(path, limit: 1 << 20))) } catch { return }
  if let event {
    let call = "\(event.syscall)(\(event.arguments))"
    let whom = event.outcome == .containerKilled ? "all processes of the command, for pid" : "pid"
    complain("callgate: killed \(whom) \(event.process) (\(event.command)) at \(call): \(event.because) (\(event.code.rawValue))")
    complain("callgate: the whole stack: callgatectl why \(plan.id) --last 1")
  }
  // The supervisor takes the rest away when the last of the command's processes is gone; it may have done so already.
  do throws(SyscallError) { try remove(path) } catch {}
  do throws(SyscallError) { try removeDirectory(plan.stateDirectory) } catch {}
}
