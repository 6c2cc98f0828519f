import ArgumentParser
import JSON
import Profile

extension ProfileCommand {
  struct Groups: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the groups of system calls that a profile can trap.")

    @Flag(help: "One JSON object a group, in an array.") var json = false

    func run() throws {
      guard !json else { return printJSON(.array(Group.all.map(\.json))) }
      for group in Group.all {
        print("\(group.name)\n\(wrapped(group.sentence, width: 78, indent: 2))")
        for trap in group.traps { print("    \(trap.syscall)\(condition(trap))") }
        for name in group.absent { print("    \(name)  answered with ENOSYS") }
      }
    }

    /// Whole words, at most `width` columns a line.
    private func wrapped(_ text: String, width: Int, indent: Int) -> String {
      var lines = [""]
      for word in text.split(separator: " ") {
        if !lines[lines.count - 1].isEmpty, indent + lines[lines.count - 1].count + 1 + word.count > width { lines.append("") }
        lines[lines.count - 1] += (lines[lines.count - 1].isEmpty ? "" : " ") + word
      }
      return lines.map { String(repeating: " ", count: indent) + $0 }.joined(separator: "\n")
    }

    private func condition(_ trap: Trap) -> String {
      guard let condition = trap.condition else { return "" }
      let how = condition.relation == .allSet ? "all of" : "any of"
      return "  where argument \(condition.argument) has \(how) 0x\(String(condition.mask, radix: 16))"
    }
  }
}

extension Group {
  fileprivate var json: JSONValue {
    .object([
      JSONMember("name", .string(name)), JSONMember("sentence", .string(sentence)), JSONMember("traps", .array(traps.map(\.json))),
      JSONMember("absent", .array(absent.map(JSONValue.string))),
    ])
  }
}

extension Trap {
  fileprivate var json: JSONValue {
    var members = [JSONMember("syscall", .string(syscall))]
    if let condition {
      members += [
        JSONMember("argument", .integer(condition.argument)), JSONMember(condition.relation.rawValue, .integer(condition.mask)),
      ]
    }
    return .object(members)
  }
}
