package import Diagnostics
internal import Kernel
package import Plan

/// A supervisor that listens for its container, its inspector sealed.
package struct Supervision: Sendable {
  package let plan: Plan
  package let process: UInt32

  /// Ends it again and leaves nothing behind: the container will not be started.
  package func abandon() {
    // A supervisor that has ended already is as good as one that is ended now; what is left is files.
    do throws(SyscallError) { try PidFD(process).kill() } catch {}
    // Why the container is not started is worth more than what was left behind.
    do throws(Refusal) { try removeStateDirectory(plan.stateDirectory) } catch { complain("callgate: \(error)") }
  }

  /// It still runs, or has ended because there was nothing left to supervise and took its files away.
  package var isSound: Bool {
    do throws(SyscallError) { if try !PidFD(process).hasEnded() { return true } } catch {}  // nobody of that pid: it has ended, too
    return !exists("\(plan.stateDirectory)/\(StateFile.supervisor)")
  }
}

/// Starts the supervisor of one container and waits until it listens and its inspector is sealed.
///
/// It becomes nobody's child: an engine counts the children of the runtime that it called.
package func startSupervisor(_ plan: Plan) throws(Refusal) -> Supervision {
  try claimStateDirectory(of: plan)
  do throws(Refusal) {
    return Supervision(plan: plan, process: try start(plan))
  } catch {
    do throws(Refusal) { try removeStateDirectory(plan.stateDirectory) } catch { complain("callgate: \(error)") }
    throw error
  }
}

/// How long a supervisor may take to listen. It takes milliseconds; a machine that needs this long is in trouble.
private let readyMilliseconds: CInt = 20_000

private func start(_ plan: Plan) throws(Refusal) -> UInt32 {
  let answer: String
  expectChildren()
  do throws(SyscallError) {
    let program = try privateFile("callgate-supervisor")
    let file = try makeMemoryFile("callgate-plan", holding: plan.encoded())
    let ready = try Pipe()
    let process = try spawn(program, [], descriptors: [file.raw, ready.writing.raw])
    answer = try readAnswer(ready)
    // The first process only forks; the supervisor is its child.
    _ = try wait(for: process)
  } catch {
    throw Refusal(.supervisorNotStarted, "cannot start the supervisor: \(error)")
  }
  guard answer.hasPrefix("ready "), let process = UInt32(answer.dropFirst(6)) else {
    let reason = answer.isEmpty ? "it ended without a word" : answer
    throw Refusal(.supervisorNotStarted, "the supervisor did not start: \(reason)")
  }
  return process
}

/// One line: `ready PID`, or what went wrong.
private func readAnswer(_ ready: consuming Pipe) throws(SyscallError) -> String {
  let end = ready.keepReading()
  var text: [UInt8] = []
  let deadline = monotonicMilliseconds() + Int64(readyMilliseconds)
  while !text.contains(UInt8(ascii: "\n")), text.count < 4096 {
    let left = CInt(max(0, deadline - monotonicMilliseconds()))
    guard try waitReadable(end.raw, milliseconds: left) else { return "it did not answer within \(readyMilliseconds) ms" }
    let part = try readSome(end, limit: 4096)
    if part.isEmpty { break }
    text += part
  }
  return String(decoding: text.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
}
