import Filter
import Foundation
import JSON
import OCI
import Profile
import Testing

/// `prot & PROT_EXEC` of mmap.
let executable = Condition(argument: 2, mask: 4, relation: .anySet)
let whereExecutable = SeccompArgument(2, .maskedEqual, 4, 4)
let whereNotExecutable = SeccompArgument(2, .maskedEqual, 4, 0)

let mmap: UInt32 = 9
let clone: UInt32 = 56
let execve: UInt32 = 59
let prctl: UInt32 = 157
let execveat: UInt32 = 322

func profile(_ traps: [Trap], never: [String] = [], absent: [String] = []) -> Profile {
  Profile(
    name: "test", version: "1", description: "", traps: traps, never: never, absent: absent, checks: [:], unknown: .enforce,
    depth: 64, onViolation: .killProcess)
}

func section(_ defaultAction: SeccompAction = .errno(nil), _ rules: SeccompRule...) -> Seccomp {
  var section = Seccomp(defaultAction: defaultAction)
  section.rules = rules
  return section
}

func podmanDefault() throws -> Seccomp {
  let url = try #require(
    Foundation.Bundle.module.url(forResource: "podman-4.3.1", withExtension: "json", subdirectory: "Fixtures"))
  return try Seccomp(JSONValue(parsing: Array(Data(contentsOf: url))))
}

func defaultProfile() throws -> Profile {
  let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  let file = repository.appending(path: "profiles/default.yaml")
  return try Profile(parsing: Array(Data(contentsOf: file)), file: "default.yaml")
}

func call(_ number: UInt32, _ arguments: UInt64..., architecture: UInt32 = Call.x86_64) -> Call {
  var call = Call(number, architecture: architecture)
  for (index, argument) in arguments.enumerated() { call.arguments[index] = argument }
  return call
}

extension Program {
  /// What a filter says, for an expectation to read.
  func verdict(_ number: UInt32, _ arguments: UInt64...) -> SeccompAction? {
    var call = Call(number)
    for (index, argument) in arguments.enumerated() { call.arguments[index] = argument }
    return evaluate(call).flatMap(SeccompAction.init(code:))
  }
}

extension SeccompAction {
  init?(code: UInt32) {
    let known: [SeccompAction] = [.killProcess, .killThread, .trap, .notify, .log, .allow]
    if let action = known.first(where: { $0.code == code }) {
      self = action
    } else if code >> 16 == 5 {
      self = .errno(UInt16(code & 0xffff))
    } else {
      return nil
    }
  }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers for the same seed on every machine.
struct Seeded: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
