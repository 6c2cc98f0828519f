internal import CSeccomp
package import Diagnostics
internal import Kernel
package import OCI

/// Compiles a section as crun and runc do, and returns the program that the kernel would be given.
///
/// Rules are fed in order; one that repeats the default is skipped, names that libseccomp does not know are skipped, several
/// comparisons of one argument become a rule each (crun 1.8.1 src/libcrun/seccomp.c, runc 1.1.5 libcontainer/seccomp).
package func compile(_ section: Seccomp) throws(Refusal) -> Program {
  // SAFETY: the context belongs to this function and is released once; libseccomp keeps nothing of what it is passed.
  guard let context = unsafe seccomp_init(section.defaultAction.code) else { throw cannotCompile("seccomp_init", -12) }
  defer { unsafe seccomp_release(context) }
  let defaultCode = section.defaultAction.code
  for rule in section.rules {
    for alternative in alternatives(rule) where alternative.action.code != defaultCode {
      let comparisons = alternative.arguments.map(comparison)
      for name in rule.names {
        let number = unsafe seccomp_syscall_resolve_name(name)
        if number == unknownSyscall { continue }
        let result = unsafe comparisons.withUnsafeBufferPointer {
          unsafe seccomp_rule_add_array(context, alternative.action.code, number, UInt32($0.count), $0.baseAddress)
        }
        guard result == 0 else { throw cannotCompile("the rule for '\(name)'", result) }
      }
    }
  }
  let bytes: [UInt8]
  do throws(SyscallError) {
    let file = try makeMemoryFile("callgate-filter")
    let result = unsafe seccomp_export_bpf(context, file.raw)
    guard result == 0 else { throw SyscallError("export the filter", errno: -result) }
    bytes = try rewindAndRead(file, limit: Program.maxInstructions * 8)
  } catch {
    throw Refusal(.filterNotProven, error.plain)
  }
  return try Program(bytes: bytes)
}

/// __NR_SCMP_ERROR of seccomp.h.
private let unknownSyscall: Int32 = -1

private func cannotCompile(_ what: String, _ code: Int32) -> Refusal {
  let reason = -code == 17 ? "it contradicts another rule" : "libseccomp's error \(-code)"
  return Refusal(.filterNotProven, "cannot compile \(what) of the container's seccomp section: \(reason)")
}

private func comparison(_ argument: SeccompArgument) -> scmp_arg_cmp {
  let operation =
    switch argument.relation {
    case .notEqual: SCMP_CMP_NE
    case .less: SCMP_CMP_LT
    case .lessOrEqual: SCMP_CMP_LE
    case .equal: SCMP_CMP_EQ
    case .greaterOrEqual: SCMP_CMP_GE
    case .greater: SCMP_CMP_GT
    case .maskedEqual: SCMP_CMP_MASKED_EQ
    }
  return scmp_arg_cmp(arg: UInt32(argument.index), op: operation, datum_a: argument.value, datum_b: argument.valueTwo)
}

extension SeccompAction {
  /// SECCOMP_RET_* of linux/seccomp.h, which libseccomp's SCMP_ACT_* are.
  package var code: UInt32 {
    switch self.normalised {
    case .killProcess: 0x8000_0000
    case .killThread: 0x0000_0000
    case .trap: 0x0003_0000
    case .errno(let errno): 0x0005_0000 | UInt32(errno ?? 1)
    case .notify: 0x7fc0_0000
    case .trace(let errno): 0x7ff0_0000 | UInt32(errno ?? 1)
    case .log: 0x7ffc_0000
    case .allow: 0x7fff_0000
    }
  }
}
