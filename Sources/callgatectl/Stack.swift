import ArgumentParser
import Diagnostics
import Filter
import JSON
import Kernel
import Launch
import Plan
import ProcFS
import Report
import Settings
import Supervisor
import Wire

struct Stack: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show the verified stack of a running process: every frame, and what every check says to it.",
    discussion: """
      A thread that waits is copied as it waits (by BPF: root, Linux 6.10). Any other is stopped for the moment that it takes to inspect \
      it, and goes on then; as under any debugger, a wait such as epoll_wait may then end early with EINTR. Frames are numbered from the innermost. 'by' says what a frame's caller was found by: cfi (the file's unwind \
      information), flow (its instructions), pclntab (Go's table), frame pointer, code cache (Java's), signal frame (the kernel's).

      The checks, and the frames that they apply to:
        site      #0 in a system call: a syscall instruction of the file made it
        text      each: executable, unwritable memory of a file that still exists
        function  each: a function that its file declares
        call      what was returned to: a whole call instruction stands before it
        edge      what was returned to: that call leads to the function of the frame below
        seam      calls through pointers into the file that makes the system call: some file holds that pointer
        stack     each: it lies on the thread's own stack, rising and aligned, and is as large as its function makes it
        base      the last: the thread or the process started there
        residue   #0 in a system call: it was called, not returned into
        canary    those of functions with a stack protector: the canary is whole
        signal    a signal frame: the kernel made it
        lineage   the last: only a supervisor remembers what it was at earlier calls
        path      only where a profile lists ways: not judged here
      A check that objects is named in capitals, with its reason below; UNKNOWN is a frame that could not be judged further. 'ok' says \
      that all checks hold that apply. What lies just below the stack pointer is evidence for a person, and decides nothing.

      The exit status is 0 where every stack was shown, whatever the checks said, and 1 where one could not be.
      """)

  @Argument(help: "The process, as this machine numbers it.") var pid: UInt32
  @Option(help: "Only this thread.") var thread: UInt32?
  @Flag(help: "A column for each check.") var checks = false
  @Flag(help: "One JSON object.") var json = false
  @Option(help: "Say what this profile would make of each stack, if a trapped call were made from it.") var profile: String?

  func validate() throws {
    guard pid > 0, pid <= Int32.max else { throw ValidationError("a process number lies above 0") }
  }

  func run() throws {
    let judge = try profile.map { try Judge(profile: $0) }
    let process = try InspectedProcess(pid)
    let threads = try process.threads(only: thread)
    let examiner = try refusing { () throws(SyscallError) in (try privateFile("callgate-inspector"), try privateFile(snapshotObject)) }
    // No trapped call was made: what a profile has to permit is asked for only where one is named.
    let permissions = judge?.plan.permissions ?? Set(Permission.allCases)
    let looks = try look(
      threads, by: try Examiner(inspectorProgram: examiner.0, bpfObject: examiner.1, permissions: permissions), judge)
    print(json ? String(decoding: process.json(looks).serialised(), as: UTF8.self) : process.rendered(looks, columns: checks))
    if looks.contains(where: { $0.refusal != nil }) { throw ExitCode.failure }
  }

  private func look(_ threads: [UInt32], by examiner: Examiner, _ judge: Judge?) throws(Refusal) -> [Look] {
    var looks: [Look] = []
    for thread in threads {
      do throws(Refusal) {
        looks.append(Look(thread: thread, report: report(try examiner.examine(thread, of: pid), judge), refusal: nil))
      } catch {
        // Threads come and go. What there is only one of must be there.
        if threads.count == 1 { throw error }
        if error.code != .noSuchProcess { looks.append(Look(thread: thread, report: nil, refusal: error)) }
      }
    }
    // Where none can be shown, one reason says it for all.
    guard looks.contains(where: { $0.report != nil }) else {
      throw looks.lazy.compactMap(\.refusal).first ?? Refusal(.noSuchProcess, "process \(pid) has ended")
    }
    return looks
  }

  private func report(_ seen: Examination, _ judge: Judge?) -> ThreadReport {
    var notes: [String] = []
    switch seen.copying {
    case .stopped, .bpf: break
    case .proc(let error):
      notes.append("it could not be stopped, nor copied by BPF (\(error)): of its registers only SP and the instruction are known")
    }
    if seen.hasMoved { notes.append("it could not be stopped, and went on meanwhile: its frames may be of more than one moment") }
    if seen.call == restartSyscall { notes.append("restart_syscall is the rest of a wait that was interrupted before") }
    if seen.finding.sources[.framePointer] + seen.finding.sources[.codeCache] > 0 {
      notes.append(
        "code made at run time is taken for its runtime's here; in a container a profile has to declare the runtime (jit), and its supervisor "
          + "has to have seen the code being made")
    }
    return ThreadReport(
      thread: seen.thread, command: escaped(seen.command), state: seen.state.rawValue,
      call: seen.call.map { callNames[$0] ?? "system call \($0)" }, notes: notes, finding: seen.finding,
      verdict: judge.map { $0.verdict(on: seen.finding) })
  }
}

/// asm/unistd_64.h.
private let restartSyscall: Int32 = 219

/// What came of one thread: its report, or why there is none.
struct Look {
  var thread: UInt32
  var report: ThreadReport?
  var refusal: Refusal?
}

/// A profile, asked about stacks that made no trapped call.
private struct Judge {
  let plan: Plan

  init(profile: String) throws {
    let locations = try Locations.own()
    let settings = try locations.readSettings()
    plan = try commandPlan(try locations.effectiveProfile(profile, under: settings), mode: settings.mode)
  }

  func verdict(on finding: Finding) -> String {
    let (word, grounds): (String, Grounds?) =
      // No call was trapped, so no trap's own action has a say.
      switch decide(finding, of: "", at: wallMilliseconds() / 1000, under: plan) {
      case .allow: ("allows it", nil)
      case .audit(let grounds): ("allows it, and records it", grounds)
      case .deny(let grounds, _): ("denies it", grounds)
      }
    return "profile \(plan.profileName) \(word)\(grounds.map { ": \($0.rule)" } ?? "")"
  }
}
