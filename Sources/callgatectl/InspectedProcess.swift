import Diagnostics
import JSON
import Kernel
import ProcFS
import Report

/// The process whose stacks are shown.
struct InspectedProcess {
  let id: UInt32
  let command: String
  /// As the kernel shows it; empty where it does not.
  let executable: String

  /// Refuses what is no process, has ended, or has no stack of a user's.
  init(_ id: UInt32) throws(Refusal) {
    self.id = id
    let stat: ProcessStat
    let group: UInt32
    do {
      stat = try ProcessStat(try text(id, "stat"))
      group = try threadGroup(status: try text(id, "status"))
    } catch { throw Refusal(.noSuchProcess, "there is no process \(id)") }
    guard group == id else {
      throw Refusal(.noSuchProcess, "\(id) is a thread of process \(group)", hint: "callgatectl stack \(group) --thread \(id)")
    }
    guard !stat.isKernelThread else { throw Refusal(.notTraceable, "process \(id) is the kernel's own, and has no stack of a user's") }
    guard id != UInt32(bitPattern: processID) else { throw Refusal(.notTraceable, "process \(id) is this callgatectl itself") }
    command = escaped(stat.command)
    // Without a right to it nobody is told; and the first thread of a process can have ended before the others.
    do throws(SyscallError) { executable = escaped(try readLink("/proc/\(id)/exe")) } catch { executable = "" }
  }

  /// All of them, or the one that is asked for.
  func threads(only chosen: UInt32?) throws(Refusal) -> [UInt32] {
    let all: [UInt32]
    do throws(SyscallError) { all = try list("/proc/\(id)/task").compactMap { UInt32($0) }.sorted() } catch {
      throw Refusal(.noSuchProcess, "process \(id) has ended")
    }
    guard let chosen else { return try living(all) }
    guard all.contains(chosen) else { throw Refusal(.noSuchProcess, "process \(id) has no thread \(chosen)") }
    return try living([chosen])
  }

  /// Without the threads that have ended and that nobody has waited for yet.
  private func living(_ threads: [UInt32]) throws(Refusal) -> [UInt32] {
    let living = threads.filter { thread in
      do {
        let state = try ProcessStat(try text(thread, "stat")).state
        return state != UInt8(ascii: "Z") && state != UInt8(ascii: "X")
      } catch { return false }
    }
    guard !living.isEmpty else {
      throw Refusal(
        .noSuchProcess, "\(threads == [id] ? "process" : "thread") \(threads.first ?? id) has ended: it is a zombie, if anything")
    }
    return living
  }

  func rendered(_ looks: [Look], columns: Bool) -> String {
    let title = "process \(id) \(command)\(executable.isEmpty ? "" : ", \(executable)")"
    let bodies = looks.map { look in
      look.report?.rendered(columns: columns) ?? "thread \(look.thread)\n  cannot be shown: \(look.refusal.map(\.description) ?? "")"
    }
    return ([title] + bodies + [columns ? ThreadReport.columnsLegend : ThreadReport.legend]).joined(separator: "\n\n")
  }

  func json(_ looks: [Look]) -> JSONValue {
    .object([
      JSONMember("pid", .integer(id)), JSONMember("comm", .string(command)), JSONMember("exe", .string(executable)),
      JSONMember("threads", .array(looks.compactMap { $0.report?.json })),
      JSONMember(
        "failures",
        .array(
          looks.compactMap { look in
            look.refusal.map {
              .object([
                JSONMember("tid", .integer(look.thread)), JSONMember("code", .string($0.code.rawValue)),
                JSONMember("because", .string($0.message)),
              ])
            }
          })),
    ])
  }
}

private func text(_ process: UInt32, _ name: String) throws(SyscallError) -> [UInt8] {
  try readFile("/proc/\(process)/\(name)", limit: 65536)
}

func refusing<Value>(_ body: () throws(SyscallError) -> Value) throws(Refusal) -> Value {
  do throws(SyscallError) { return try body() } catch { throw Refusal(.inspectorLost, error.description) }
}
